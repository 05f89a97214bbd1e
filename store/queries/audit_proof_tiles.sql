-- Proof rows tile each lane from start_offset to next_offset. Those without records (from = to) stand between tiles.
WITH tiles AS (
    SELECT partition, batch_id, from_offset, to_offset, lag(to_offset) OVER in_order AS before
    FROM millrace.batches
    WINDOW in_order AS (PARTITION BY partition ORDER BY from_offset, to_offset, batch_id)
),
ends AS (
    SELECT partition, max(to_offset) AS last FROM millrace.batches GROUP BY partition
),
violations AS (
    SELECT format('partition %s: proof row %s covers offsets %s to %s; before it everything up to %s is covered: %s',
                  t.partition, t.batch_id, t.from_offset, t.to_offset, coalesce(t.before, l.start_offset),
                  CASE WHEN t.from_offset > coalesce(t.before, l.start_offset) THEN 'a gap' ELSE 'an overlap' END
           ) AS example
    FROM tiles AS t
    JOIN millrace.lanes AS l ON l.partition = t.partition
    WHERE t.from_offset <> coalesce(t.before, l.start_offset)
    UNION ALL
    SELECT format('partition %s: the proof rows end at offset %s, the lane stands at %s',
                  l.partition, coalesce(e.last, l.start_offset), l.next_offset)
    FROM millrace.lanes AS l
    LEFT JOIN ends AS e ON e.partition = l.partition
    WHERE coalesce(e.last, l.start_offset) <> l.next_offset
    UNION ALL
    SELECT format('partition %s has proof rows up to offset %s and no lane', e.partition, e.last)
    FROM ends AS e
    LEFT JOIN millrace.lanes AS l ON l.partition = e.partition
    WHERE l.partition IS NULL
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
