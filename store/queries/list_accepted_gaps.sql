-- The gaps that people accepted, along the offsets.
SELECT partition, from_offset, to_offset, reason, accepted_by,
       to_char(accepted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS accepted_at
FROM millrace.accepted_gaps
ORDER BY partition, from_offset
