-- An operation is a refund or a dispute and not both, ends at most once, has begun if it failed, was won or was lost,
-- and has one amount.
WITH lives AS (
    SELECT payment_id, operation_id, string_agg(event_type || ' ' || amount_minor, ', ' ORDER BY event_type) AS life,
           count(DISTINCT amount_minor) AS amounts,
           count(*) FILTER (WHERE event_type IN ('refund.succeeded', 'refund.failed', 'refund.unreferenced')) AS refunds_ended,
           count(*) FILTER (WHERE event_type IN ('dispute.won', 'dispute.lost')) AS disputes_ended,
           bool_or(event_type LIKE 'refund.%') AS is_refund,
           bool_or(event_type LIKE 'dispute.%') AS is_dispute,
           bool_or(event_type = 'refund.failed') AS failed,
           bool_or(event_type = 'refund.initiated') AS initiated,
           bool_or(event_type = 'dispute.opened') AS opened
    FROM millrace.operation_events
    WHERE event_type LIKE 'refund.%' OR event_type LIKE 'dispute.%'
    GROUP BY payment_id, operation_id
),
violations AS (
    SELECT format('payment %s, operation %s: %s', payment_id, operation_id, life) AS example
    FROM lives
    WHERE (is_refund AND is_dispute) OR refunds_ended > 1 OR disputes_ended > 1 OR amounts > 1
       OR (failed AND NOT initiated) OR (is_dispute AND NOT opened)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
