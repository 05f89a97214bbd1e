-- Each payment's counters and flags are what its events add up to. Sums by type, written from the design's table and
-- not from the code that judges events; the log alone decides, nothing is judged again.
WITH log AS (
    SELECT payment_id,
           -- The one counter that is set and not added to: the last word holds.
           coalesce((array_agg(amount_minor ORDER BY version DESC) FILTER (
               WHERE event_type IN ('payment.authorized', 'payment.charged', 'payment.adjusted')))[1], 0) AS authorized,
           coalesce(sum(amount_minor) FILTER (
               WHERE event_type IN ('payment.captured', 'payment.charged')), 0) AS captured,
           coalesce(sum(amount_minor) FILTER (WHERE event_type = 'payment.voided'), 0) AS let_go,
           -- An expiry of amount 0 lets all go that was open; nothing is authorized, captured or voided after it.
           max(amount_minor) FILTER (WHERE event_type = 'payment.expired') AS expired,
           coalesce(sum(amount_minor) FILTER (
               WHERE event_type IN ('refund.succeeded', 'refund.unreferenced')), 0) AS refunded,
           coalesce(sum(amount_minor) FILTER (WHERE event_type = 'dispute.opened'), 0)
               - coalesce(sum(amount_minor) FILTER (WHERE event_type IN ('dispute.won', 'dispute.lost')), 0) AS disputed,
           coalesce(sum(amount_minor) FILTER (WHERE event_type = 'dispute.lost'), 0) AS lost,
           coalesce(sum(amount_minor) FILTER (WHERE event_type = 'fee.charged'), 0) AS fees,
           max(amount_minor) FILTER (WHERE event_type = 'payment.initiated') AS intended,
           bool_or(event_type = 'payment.declined') AS declined,
           bool_or(event_type = 'refund.unreferenced') AS credit
    FROM millrace.events
    GROUP BY payment_id
),
refunds AS (
    SELECT payment_id,
           coalesce(sum(amount_minor) FILTER (WHERE event_type = 'refund.initiated'), 0)
               - coalesce(sum(amount_minor) FILTER (WHERE event_type <> 'refund.initiated'), 0) AS pending
    FROM millrace.events
    WHERE event_type IN ('refund.initiated', 'refund.succeeded', 'refund.failed') AND operation_id IS NOT NULL
    GROUP BY payment_id, operation_id
    -- A refund that succeeded without having been initiated never was pending.
    HAVING bool_or(event_type = 'refund.initiated')
),
pending AS (
    SELECT payment_id, sum(pending) AS refund_pending FROM refunds GROUP BY payment_id
),
folded AS (
    SELECT payment_id, authorized, captured,
           let_go + CASE WHEN expired > 0 THEN expired
                         WHEN expired = 0 THEN authorized - captured - let_go
                         ELSE 0 END AS voided,
           coalesce(refund_pending, 0) AS refund_pending, refunded, disputed, lost, fees, intended, declined, credit
    FROM log
    LEFT JOIN pending USING (payment_id)
),
compared AS (
    SELECT payment_id,
           (p.authorized, p.captured, p.voided, p.refund_pending, p.refunded, p.disputed, p.lost, p.fees, p.intended,
            p.declined, p.credit) AS row_says,
           (coalesce(f.authorized, 0), coalesce(f.captured, 0)::bigint, coalesce(f.voided, 0)::bigint,
            coalesce(f.refund_pending, 0)::bigint, coalesce(f.refunded, 0)::bigint, coalesce(f.disputed, 0)::bigint,
            coalesce(f.lost, 0)::bigint, coalesce(f.fees, 0)::bigint, f.intended, coalesce(f.declined, false),
            coalesce(f.credit, false)) AS events_say
    FROM millrace.payments AS p
    LEFT JOIN folded AS f USING (payment_id)
),
violations AS (
    SELECT format('payment %s (authorized, captured, voided, refund_pending, refunded, disputed, lost, fees, intended, '
                  'declined, credit): its row says %s; its events add up to %s', payment_id, row_says, events_say
           ) AS example
    FROM compared
    WHERE row_says IS DISTINCT FROM events_say
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
