-- First statement of every transaction: a row for each batch, or this worker has lost the lane, or something is parked ($7:
-- then the batch was judged as if nothing were).
UPDATE millrace.lanes AS l
SET next_offset = m.to_offset
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[])
    AS m (partition, epoch, from_offset, to_offset, topic_id, only_if_nothing_is_parked)
WHERE l.topic = $1 AND l.partition = m.partition AND l.owner_epoch = m.epoch AND l.next_offset = m.from_offset
  AND l.topic_id = m.topic_id AND NOT (m.only_if_nothing_is_parked AND EXISTS (SELECT FROM millrace.parked))
  -- Before it waits for any lock; until the transaction ends.
  AND ($8::text IS NULL OR set_config('lock_timeout', $8, true) <> '')
