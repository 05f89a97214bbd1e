-- Each payment's status follows from its counters, by the first match of the design's list.
WITH named AS (
    SELECT payment_id, status,
           CASE
               WHEN version = 0 THEN NULL
               WHEN credit THEN 'credit'
               WHEN disputed > 0 THEN 'disputed'
               WHEN lost > 0 THEN 'charged_back'
               WHEN captured > 0 AND refunded = captured THEN 'refunded'
               WHEN captured > 0 AND refunded > 0 THEN 'partially_refunded'
               WHEN captured > 0 AND authorized = captured + voided THEN 'captured'
               WHEN captured > 0 THEN 'partially_captured'
               WHEN authorized > 0 AND authorized = voided THEN 'voided'
               WHEN authorized > 0 THEN 'authorized'
               WHEN declined THEN 'declined'
               ELSE 'initiated'
           END AS follows
    FROM millrace.payments
),
violations AS (
    SELECT format('payment %s: its row says %s, from its counters follows %s',
                  payment_id, coalesce(status, 'nothing'), coalesce(follows, 'nothing')) AS example
    FROM named
    WHERE status IS DISTINCT FROM follows
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
