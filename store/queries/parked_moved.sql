-- Payments with something parked in this lane whose row another lane has written since, under the same user: more
-- partitions moved the user there, and what applies there does not drain what waits here.
SELECT DISTINCT k.payment_id
FROM millrace.parked AS k
JOIN millrace.payments AS p ON p.payment_id = k.payment_id
WHERE k.partition = $1 AND p.partition <> k.partition AND k.key = convert_to(p.user_id, 'UTF8')
ORDER BY k.payment_id
