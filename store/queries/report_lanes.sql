-- The lanes, each with its last batch that had records.
SELECT l.topic, l.topic_id, l.partition, l.owner, l.owner_epoch AS epoch, l.start_offset, l.next_offset,
       to_char(l.claimed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS claimed_at,
       to_char(b.committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_commit_at,
       extract(epoch FROM clock_timestamp() - b.committed_at)::float8 AS last_commit_age_seconds,
       extract(epoch FROM clock_timestamp() - greatest(b.committed_at, l.claimed_at))::float8 AS quiet_seconds
FROM millrace.lanes AS l
LEFT JOIN LATERAL (
    SELECT committed_at
    FROM millrace.batches
    WHERE batches.topic_id = l.topic_id AND batches.partition = l.partition
      AND batches.to_offset > batches.from_offset
    ORDER BY batches.from_offset DESC
    LIMIT 1
) AS b ON true
ORDER BY l.topic, l.partition
