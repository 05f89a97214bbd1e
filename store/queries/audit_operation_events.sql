-- What is noted by operation is what was applied with an operation id: each, once, with its amount.
WITH log AS (
    SELECT payment_id, operation_id, event_type, count(*) AS n, min(amount_minor) AS amount_minor
    FROM millrace.events
    WHERE operation_id IS NOT NULL
    GROUP BY payment_id, operation_id, event_type
),
violations AS (
    SELECT format('payment %s, operation %s, %s: operation_events says %s, %s events say %s', payment_id, operation_id,
                  event_type, coalesce(o.amount_minor::text, 'nothing'), coalesce(log.n, 0),
                  coalesce(log.amount_minor::text, 'nothing')) AS example
    FROM millrace.operation_events AS o
    FULL JOIN log USING (payment_id, operation_id, event_type)
    WHERE o.amount_minor IS DISTINCT FROM log.amount_minor OR log.n > 1
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
