-- No payment captured or let go more than was authorized, gave back more than was captured, or fell below 0.
WITH violations AS (
    SELECT format('payment %s: authorized %s, captured %s, voided %s, refund_pending %s, refunded %s, disputed %s, '
                  'lost %s, fees %s', payment_id, authorized, captured, voided, refund_pending, refunded, disputed,
                  lost, fees) AS example
    FROM millrace.payments
    WHERE captured + voided > authorized
       OR (NOT credit AND refunded + refund_pending > captured)
       OR disputed + lost > captured
       OR least(authorized, captured, voided, refund_pending, refunded, disputed, lost, fees) < 0
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
