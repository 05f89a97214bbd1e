-- After a COMMIT whose reply was lost: where does the fence stand? Waits until the lost transaction has ended.
SELECT next_offset, owner_epoch FROM millrace.lanes WHERE topic = $1 AND partition = $2 FOR UPDATE
