-- What became of all records, and how fast, from the proof rows alone: one scan of batches, none of events.
SELECT count(*) AS proof_rows,
       coalesce(sum(to_offset - from_offset), 0)::bigint AS records,
       coalesce(sum(applied), 0)::bigint AS applied,
       coalesce(sum(duplicate), 0)::bigint AS duplicate,
       coalesce(sum(parked), 0)::bigint AS parked,
       coalesce(sum(rejected), 0)::bigint AS rejected,
       coalesce(sum(drained_applied), 0)::bigint AS drained_applied,
       coalesce(sum(drained_duplicate), 0)::bigint AS drained_duplicate,
       coalesce(sum(drained_rejected), 0)::bigint AS drained_rejected,
       coalesce(sum(to_offset - from_offset) FILTER (
           WHERE committed_at > clock_timestamp() - interval '10 seconds'), 0)::bigint AS records_last_10_seconds,
       coalesce(sum(to_offset - from_offset) FILTER (
           WHERE committed_at > clock_timestamp() - interval '60 seconds'), 0)::bigint AS records_last_60_seconds
FROM millrace.batches
