-- What was applied under these event ids. LATERAL with LIMIT keeps the plan an index probe into the one month that
-- each id names, however many months and rows there are.
SELECT e.*
FROM unnest($1::uuid[]) AS wanted (event_id)
CROSS JOIN LATERAL (
    SELECT event_id, event_type, payment_id, user_id, merchant_id, operation_id, sequence, amount_minor, currency,
           occurred_at, source
    FROM millrace.events
    WHERE events.event_id = wanted.event_id
    LIMIT 1
) AS e
