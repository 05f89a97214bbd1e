-- What was applied under these event ids, which lie between $2 and $3. The bounds leave out the months that no id names
-- before the plan runs: to look for all ids in each of two years of months would cost as much as to find them. Within a
-- month the ids are found in one walk along the key.
SELECT event_id, event_type, payment_id, user_id, merchant_id, operation_id, sequence, amount_minor, currency, occurred_at,
       source
FROM millrace.events
WHERE event_id = ANY ($1) AND event_id BETWEEN $2 AND $3
