-- Proof rows, with the gaps that people accepted, tile each lane from start_offset to next_offset. Proof rows without
-- records (from = to) stand between tiles.
WITH parts AS (
    SELECT partition, batch_id, 'proof row ' || batch_id AS what, from_offset, to_offset FROM millrace.batches
    UNION ALL
    SELECT partition, 0, 'accepted gap ' || gap_id, from_offset, to_offset FROM millrace.accepted_gaps
),
tiles AS (
    SELECT partition, what, from_offset, to_offset, lag(to_offset) OVER in_order AS before
    FROM parts
    WINDOW in_order AS (PARTITION BY partition ORDER BY from_offset, to_offset, batch_id)
),
ends AS (
    SELECT partition, max(to_offset) AS last FROM parts GROUP BY partition
),
violations AS (
    SELECT format('partition %s: %s covers offsets %s to %s; before it everything up to %s is covered: %s',
                  t.partition, t.what, t.from_offset, t.to_offset, coalesce(t.before, l.start_offset),
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
