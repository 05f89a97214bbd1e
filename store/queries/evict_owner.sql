-- Ends the session whose transaction has held the fence of a partition for too long. Its worker is frozen or cut off in
-- the middle of a COPY, where no timeout of Postgres reaches it; what it wrote is rolled back.
SELECT count(pg_terminate_backend(a.pid))
FROM millrace.lanes AS l
JOIN pg_stat_activity AS a ON a.backend_xid = l.xmax
WHERE l.topic = $1 AND l.partition = $2 AND a.xact_start < clock_timestamp() - interval '5 seconds'
