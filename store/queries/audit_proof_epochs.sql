-- Along the offsets the epochs never fall, and none is above the lane's: a fall is a batch of a worker that had lost
-- its fence.
WITH steps AS (
    SELECT partition, batch_id, from_offset, epoch, max(epoch) OVER before AS highest_before
    FROM millrace.batches
    WINDOW before AS (
        PARTITION BY partition ORDER BY from_offset, to_offset, batch_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
violations AS (
    SELECT format('partition %s: proof row %s (from offset %s) was written under epoch %s, %s',
                  s.partition, s.batch_id, s.from_offset, s.epoch,
                  CASE WHEN s.epoch < s.highest_before
                       THEN 'after epoch ' || s.highest_before || ' had claimed the lane'
                       ELSE 'the lane is at ' || l.owner_epoch END) AS example
    FROM steps AS s
    JOIN millrace.lanes AS l ON l.partition = s.partition
    WHERE s.epoch < s.highest_before OR s.epoch > l.owner_epoch
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
