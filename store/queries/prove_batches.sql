-- The proof rows, last statement before COMMIT.
INSERT INTO millrace.batches (
    topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, parked, rejected,
    drained_applied, drained_duplicate, drained_rejected, worker
)
SELECT b.*, $13
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[],
            $9::integer[], $10::integer[], $11::integer[], $12::integer[]) AS b
