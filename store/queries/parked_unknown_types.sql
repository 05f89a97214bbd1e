-- Payments of this lane with an event whose type nobody knew when it was parked.
SELECT DISTINCT payment_id
FROM millrace.parked
WHERE partition = $1 AND reason = 'unknown_type'
ORDER BY payment_id
