-- Payments of this lane with something parked before the limit, the earliest first.
SELECT payment_id
FROM millrace.parked
WHERE partition = $1 AND since < 'epoch'::timestamptz + $2 * interval '1 microsecond'
GROUP BY payment_id
ORDER BY min(since)
LIMIT $3
