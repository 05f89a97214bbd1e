-- Each proof row against the rows that stand at its own offsets. What it parked may stand in any of the three tables by
-- now, or have turned out a duplicate; where it parked nothing, the counts are exact.
WITH places AS (
    SELECT partition, from_offset AS "offset", from_offset AS tile, 'b'::"char" AS kind
    FROM millrace.batches
    WHERE to_offset > from_offset
    UNION ALL
    SELECT partition, "offset", NULL, 'e' FROM millrace.events
    UNION ALL
    SELECT partition, "offset", NULL, 'p' FROM millrace.parked
    UNION ALL
    SELECT partition, "offset", NULL, 'd' FROM millrace.dead_letters
),
-- One sort instead of a range join: the last tile that began at or before an offset holds it.
placed AS (
    SELECT partition, kind,
           max(tile) OVER (PARTITION BY partition ORDER BY "offset" RANGE UNBOUNDED PRECEDING) AS tile
    FROM places
),
stands AS (
    SELECT partition, tile,
           count(*) FILTER (WHERE kind = 'e') AS events,
           count(*) FILTER (WHERE kind = 'p') AS parked,
           count(*) FILTER (WHERE kind = 'd') AS dead_letters
    FROM placed
    GROUP BY partition, tile
),
violations AS (
    SELECT format('partition %s: proof row %s (offsets %s to %s) says applied %s, duplicate %s, parked %s, rejected %s; '
                  'at its offsets stand %s events, %s parked, %s dead letters',
                  b.partition, b.batch_id, b.from_offset, b.to_offset, b.applied, b.duplicate, b.parked, b.rejected,
                  s.events, s.parked, s.dead_letters) AS example
    FROM stands AS s
    JOIN millrace.batches AS b
        ON b.partition = s.partition AND b.from_offset = s.tile AND b.to_offset > b.from_offset
    WHERE s.events < b.applied
       OR s.dead_letters < b.rejected
       OR s.events + s.parked + s.dead_letters > b.applied + b.parked + b.rejected
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
