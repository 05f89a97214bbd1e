-- Where each lane stands, and how much its proof rows account for.
SELECT l.topic, l.topic_id, l.partition, l.start_offset, l.next_offset,
       coalesce(b.records, 0)::bigint AS records, coalesce(b.proof_rows, 0)::bigint AS proof_rows
FROM millrace.lanes AS l
LEFT JOIN (
    SELECT partition, sum(to_offset - from_offset) AS records, count(*) AS proof_rows
    FROM millrace.batches
    GROUP BY partition
) AS b ON b.partition = l.partition
ORDER BY l.topic, l.partition
