-- What this lane parked for these payments, and what any lane parked under these event ids (rule 2). Mostly nothing is
-- parked at all, and then nothing is searched.
SELECT event_id, payment_id, partition, "offset", reason,
       (extract(epoch FROM since) * 1000000)::bigint AS since,
       (extract(epoch FROM published_at) * 1000000)::bigint AS published_at,
       key, value, header_names, header_values
FROM millrace.parked
WHERE EXISTS (SELECT FROM millrace.parked)
  AND ((payment_id = ANY ($1) AND partition = $2) OR event_id = ANY ($3))
