-- Since when the oldest parked event of this lane has waited.
SELECT (extract(epoch FROM min(since)) * 1000000)::bigint FROM millrace.parked WHERE partition = $1
