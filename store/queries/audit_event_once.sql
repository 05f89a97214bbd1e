-- No lane has an event both applied and parked. That none is applied twice is the primary key of events, over all its
-- months. Two lanes that meet one id at the same moment may do the one and the other; the lane that parked it finds out
-- within a minute and rejects it.
WITH violations AS (
    SELECT format('event %s of payment %s is applied (partition %s, offset %s) and parked (partition %s, offset %s)',
                  e.event_id, e.payment_id, e.partition, e."offset", p.partition, p."offset") AS example
    FROM millrace.parked AS p
    JOIN millrace.events AS e ON e.event_id = p.event_id
    WHERE e.partition = p.partition
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
