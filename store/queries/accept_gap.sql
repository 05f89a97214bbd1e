-- Steps over offsets that Kafka lost, and keeps who said so: both or neither. The epoch moves too, so that whoever held
-- the lane writes no more. No row: the lane does not stand there.
WITH moved AS (
    UPDATE millrace.lanes
    SET next_offset = $5, owner_epoch = owner_epoch + 1
    WHERE topic = $1 AND topic_id = $2 AND partition = $3 AND next_offset = $4
    RETURNING topic_id, partition
)
INSERT INTO millrace.accepted_gaps (topic_id, partition, from_offset, to_offset, reason, accepted_by)
SELECT topic_id, partition, $4, $5, $6, $7 FROM moved
RETURNING partition, from_offset, to_offset, reason, accepted_by,
          to_char(accepted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS accepted_at
