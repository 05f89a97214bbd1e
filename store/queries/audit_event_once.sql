-- No event is both applied and parked. That none is applied twice is the primary key of events, over all its months.
WITH violations AS (
    SELECT format('event %s of payment %s is applied (partition %s, offset %s) and parked (partition %s, offset %s)',
                  e.event_id, e.payment_id, e.partition, e."offset", p.partition, p."offset") AS example
    FROM millrace.parked AS p
    JOIN millrace.events AS e ON e.event_id = p.event_id
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
