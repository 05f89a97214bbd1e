-- Dead letters with their records, whole, in the order of the topic: those of these ids, or of a reason; only open ones,
-- unless $4.
SELECT dead_letter_id, reason, detail, event_id, payment_id, partition, "offset", number_used, was_parked,
       to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS rejected_at,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS published_at,
       handling, to_char(handled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS handled_at, handled_by, note,
       key, value, header_names, header_values
FROM millrace.dead_letters
WHERE (dead_letter_id = ANY ($1) OR reason = $2) AND ($4 OR handling = 'open')
ORDER BY partition, "offset"
LIMIT $3
