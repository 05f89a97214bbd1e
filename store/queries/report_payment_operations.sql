-- One payment's refunds and disputes.
SELECT operation_id, kind, status, amount AS amount_minor
FROM millrace.operations
WHERE payment_id = $1
ORDER BY kind, operation_id
