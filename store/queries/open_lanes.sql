-- Partitions that were never claimed, and where each begins.
INSERT INTO millrace.lanes (topic, partition, topic_id, start_offset, next_offset)
SELECT $1, first.partition, $2, first.from_offset, first.from_offset
FROM unnest($3::integer[], $4::bigint[]) AS first (partition, from_offset)
ON CONFLICT (topic, partition) DO NOTHING
