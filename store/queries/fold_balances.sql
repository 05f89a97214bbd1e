-- The batch's net changes and all that the lane noted before, into the stripes of its partition, in key order.
WITH noted AS (
    DELETE FROM millrace.balance_changes WHERE partition = $1 RETURNING accounts, currencies, amounts
),
changes AS (
    SELECT c.account, c.currency, c.amount
    FROM noted
    CROSS JOIN LATERAL unnest(noted.accounts, noted.currencies, noted.amounts) AS c (account, currency, amount)
    UNION ALL
    SELECT n.account, n.currency, n.amount::numeric
    FROM unnest($2::text[], $3::text[], $4::text[]) AS n (account, currency, amount)
)
INSERT INTO millrace.balance_stripes AS s (account, currency, partition, amount_minor)
SELECT account, currency, $1, sum(amount)
FROM changes
GROUP BY account, currency
ORDER BY account, currency
ON CONFLICT (account, currency, partition) DO UPDATE SET amount_minor = s.amount_minor + excluded.amount_minor
