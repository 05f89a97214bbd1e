-- The first claim of a partition ever: it begins at the first offset that Kafka still has.
INSERT INTO millrace.lanes (topic, partition, topic_id, start_offset, next_offset)
VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (topic, partition) DO NOTHING
