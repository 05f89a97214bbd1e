-- The states of these payments, whichever lane owns them.
SELECT payment_id, partition, user_id, merchant_id, currency,
       authorized, captured, voided, refund_pending, refunded, disputed, lost, fees,
       intended, declined, credit, last_sequence, version, first_event_id
FROM millrace.payments
WHERE payment_id = ANY ($1)
