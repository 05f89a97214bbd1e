-- One payment's state.
SELECT payment_id, status, user_id, merchant_id, currency, authorized, captured, voided, refund_pending, refunded,
       disputed, lost, fees, intended, declined, credit, last_sequence, version, partition
FROM millrace.payments
WHERE payment_id = $1
