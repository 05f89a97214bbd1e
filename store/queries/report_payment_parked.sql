-- What is parked for one payment, the longest first.
SELECT event_id, reason, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS since,
       extract(epoch FROM clock_timestamp() - since)::float8 AS age_seconds, partition, "offset",
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS published_at,
       key, value, header_names, header_values
FROM millrace.parked
WHERE payment_id = $1
ORDER BY since, partition, "offset"
