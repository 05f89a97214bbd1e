-- The proof row, last statement before COMMIT.
INSERT INTO millrace.batches (
    topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, parked, rejected,
    drained_applied, drained_duplicate, drained_rejected, worker
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
