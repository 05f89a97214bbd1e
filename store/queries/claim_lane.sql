-- Takes the fence of a partition: from now on only this epoch may write. Waits for a batch in flight to end.
UPDATE millrace.lanes
SET owner_epoch = owner_epoch + 1, owner = $3, claimed_at = clock_timestamp()
WHERE topic = $1 AND partition = $2
RETURNING next_offset, owner_epoch, topic_id, start_offset
