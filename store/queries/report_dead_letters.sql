-- Dead letters, the latest first: of one reason or all, only those that nobody has handled or all.
SELECT dead_letter_id, reason, detail, event_id, payment_id, partition, "offset", number_used, was_parked,
       to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS rejected_at,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS published_at,
       handling, to_char(handled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS handled_at, handled_by, note
FROM millrace.dead_letters
WHERE ($1::text IS NULL OR reason = $1) AND ($2::text IS NULL OR handling = $2)
ORDER BY dead_letter_id DESC
LIMIT $3
