-- The dead letters that name one payment, in the order in which they were rejected.
SELECT dead_letter_id, reason, detail, event_id, payment_id, partition, "offset", number_used, was_parked,
       to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS rejected_at,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS published_at,
       handling, to_char(handled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS handled_at, handled_by, note
FROM millrace.dead_letters
WHERE payment_id = $1
ORDER BY dead_letter_id
