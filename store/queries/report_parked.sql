-- What waits now, by what it waits for.
SELECT reason, count(*) AS count,
       to_char(min(since) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS oldest_since,
       extract(epoch FROM clock_timestamp() - min(since))::float8 AS oldest_age_seconds
FROM millrace.parked
GROUP BY reason
ORDER BY count DESC, reason
