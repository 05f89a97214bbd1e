-- What this lane noted of balances and did not fold yet: changes of an account, and batches.
SELECT coalesce(sum(cardinality(accounts)), 0)::bigint, count(*)
FROM millrace.balance_changes
WHERE partition = $1
