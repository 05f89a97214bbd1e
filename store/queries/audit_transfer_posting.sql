-- Each event moves its amount between the accounts that the design's table names for its type, or moves nothing.
WITH rules (event_type, debit, credit) AS (
    VALUES ('payment.initiated', NULL, NULL), ('payment.authorized', NULL, NULL), ('payment.adjusted', NULL, NULL),
           ('payment.declined', NULL, NULL), ('payment.voided', NULL, NULL), ('payment.expired', NULL, NULL),
           ('payment.captured', 'p', 'm'), ('payment.charged', 'p', 'm'),
           ('refund.initiated', 'm', 't'), ('refund.failed', 't', 'm'), ('refund.unreferenced', 'm', 'p'),
           ('dispute.opened', 'd', 'p'), ('dispute.won', 'p', 'd'), ('dispute.lost', 'm', 'd'),
           ('fee.charged', 'm', 'f')
),
-- A refund that was initiated comes out of what is in transit, any other out of what the merchant is owed.
initiated AS (
    SELECT payment_id, operation_id, min(version) AS version
    FROM millrace.events
    WHERE event_type = 'refund.initiated'
    GROUP BY payment_id, operation_id
),
wanted AS (
    SELECT e.event_id, e.payment_id, e.event_type, e.debit::text AS debit, e.credit::text AS credit,
           r.event_type IS NOT NULL AS known, r.debit AS wanted_debit, r.credit AS wanted_credit
    FROM millrace.events AS e
    LEFT JOIN rules AS r ON r.event_type = e.event_type
    WHERE e.event_type <> 'refund.succeeded'
    UNION ALL
    SELECT e.event_id, e.payment_id, e.event_type, e.debit::text, e.credit::text, true,
           CASE WHEN i.version < e.version THEN 't' ELSE 'm' END, 'p'
    FROM millrace.events AS e
    LEFT JOIN initiated AS i ON i.payment_id = e.payment_id AND i.operation_id = e.operation_id
    WHERE e.event_type = 'refund.succeeded'
),
violations AS (
    SELECT format('event %s of payment %s, %s: debits %s and credits %s, %s', event_id, payment_id, event_type,
                  coalesce(debit, 'nothing'), coalesce(credit, 'nothing'),
                  CASE WHEN known THEN format('its type debits %s and credits %s', coalesce(wanted_debit, 'nothing'),
                                              coalesce(wanted_credit, 'nothing'))
                       ELSE 'its type is not one that this build applies' END) AS example
    FROM wanted
    WHERE NOT known OR (debit, credit) IS DISTINCT FROM (wanted_debit, wanted_credit)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
