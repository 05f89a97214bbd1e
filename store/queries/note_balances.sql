-- The batch's net change of each account, to be folded into the stripes later.
INSERT INTO millrace.balance_changes (partition, accounts, currencies, amounts)
VALUES ($1, $2, $3, $4::text[]::numeric[])
