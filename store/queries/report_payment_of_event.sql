-- Which payment an event id belongs to, wherever the event stands.
SELECT payment_id, 'applied' AS stands FROM millrace.events WHERE event_id = $1
UNION ALL
SELECT payment_id, 'parked' FROM millrace.parked WHERE event_id = $1
UNION ALL
SELECT DISTINCT payment_id, 'rejected' FROM millrace.dead_letters WHERE event_id = $1 AND payment_id IS NOT NULL
LIMIT 1
