-- What was applied by operation, for these payments.
SELECT payment_id, operation_id, event_type, amount_minor
FROM millrace.operation_events
WHERE payment_id = ANY ($1)
