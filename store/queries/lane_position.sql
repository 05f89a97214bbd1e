-- Where one lane stands.
SELECT topic_id, next_offset FROM millrace.lanes WHERE topic = $1 AND partition = $2
