-- Parked events that now wait for something else.
UPDATE millrace.parked AS p
SET reason = n.reason
FROM unnest($1::uuid[], $2::text[]) AS n (event_id, reason)
WHERE p.event_id = n.event_id
