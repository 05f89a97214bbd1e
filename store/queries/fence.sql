-- First statement of every batch: one row, or this worker has lost the lane, or something is parked ($7: then the batch was
-- judged as if nothing were).
UPDATE millrace.lanes
SET next_offset = $5
WHERE topic = $1 AND partition = $2 AND owner_epoch = $3 AND next_offset = $4 AND topic_id = $6
  AND NOT ($7 AND EXISTS (SELECT FROM millrace.parked))
