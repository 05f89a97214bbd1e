-- Pending refunds, open disputes and lost disputes add up to what their payment says.
WITH sums AS (
    SELECT payment_id,
           coalesce(sum(amount) FILTER (WHERE kind = 'refund' AND status = 'pending'), 0) AS refund_pending,
           coalesce(sum(amount) FILTER (WHERE kind = 'refund' AND status = 'succeeded'), 0) AS refunded,
           coalesce(sum(amount) FILTER (WHERE kind = 'dispute' AND status = 'open'), 0) AS disputed,
           coalesce(sum(amount) FILTER (WHERE kind = 'dispute' AND status = 'lost'), 0) AS lost
    FROM millrace.operations
    GROUP BY payment_id
),
violations AS (
    SELECT format('payment %s: its row says refund_pending %s, refunded %s, disputed %s, lost %s; its operations say '
                  '%s, at least %s, %s, %s', payment_id, p.refund_pending, p.refunded, p.disputed, p.lost,
                  coalesce(s.refund_pending, 0), coalesce(s.refunded, 0), coalesce(s.disputed, 0),
                  coalesce(s.lost, 0)) AS example
    FROM millrace.payments AS p
    FULL JOIN sums AS s USING (payment_id)
    WHERE coalesce(p.refund_pending, 0) <> coalesce(s.refund_pending, 0)
       -- A refund may have no operation id.
       OR coalesce(p.refunded, 0) < coalesce(s.refunded, 0)
       OR coalesce(p.disputed, 0) <> coalesce(s.disputed, 0)
       OR coalesce(p.lost, 0) <> coalesce(s.lost, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
