-- Payments with something parked in this lane that no record of this lane will drain.
--
-- Those whose row another lane has written since. More partitions moved the user there, and neither what applies there nor
-- a number that is used up there drains what waits here; or another user owns the payment.
SELECT k.payment_id
FROM millrace.parked AS k
JOIN millrace.payments AS p ON p.payment_id = k.payment_id
WHERE k.partition = $1 AND p.partition <> k.partition
UNION
-- Those with an event under whose id another lane applied one at the same moment. A probe of the key for each, however
-- much is parked: to join all of the log would be worse.
SELECT k.payment_id
FROM millrace.parked AS k
CROSS JOIN LATERAL (SELECT FROM millrace.events AS e WHERE e.event_id = k.event_id LIMIT 1) AS applied
WHERE k.partition = $1
ORDER BY payment_id
