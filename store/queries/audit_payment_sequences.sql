-- No sequence number is used by two applied events of a payment, and none is above the last that its row has used up.
WITH log AS (
    SELECT payment_id, count(*) AS numbered, count(DISTINCT sequence) AS numbers, max(sequence) AS last
    FROM millrace.events
    WHERE sequence IS NOT NULL
    GROUP BY payment_id
),
violations AS (
    SELECT format('payment %s: %s numbered events use %s numbers up to %s; its row says %s used up',
                  payment_id, log.numbered, log.numbers, log.last, p.last_sequence) AS example
    FROM log
    JOIN millrace.payments AS p USING (payment_id)
    WHERE log.numbered <> log.numbers OR log.last > p.last_sequence
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
