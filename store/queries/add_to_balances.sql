-- The batch's net change of each stripe of this partition, in key order.
INSERT INTO millrace.balance_stripes AS s (account, currency, partition, amount_minor)
SELECT account, currency, $1, amount_minor::numeric
FROM unnest($2::text[], $3::text[], $4::text[]) AS n (account, currency, amount_minor)
ORDER BY account, currency
ON CONFLICT (account, currency, partition) DO UPDATE SET amount_minor = s.amount_minor + excluded.amount_minor
