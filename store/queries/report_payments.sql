-- Payments by status. Those of which nothing was applied (version 0) have none.
SELECT status, count(*) AS count
FROM millrace.payments
WHERE version > 0
GROUP BY status
ORDER BY count DESC, status
