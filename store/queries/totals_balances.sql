-- Every account's balance, for comparing with totals that were known beforehand.
SELECT account, currency, amount_minor::text AS amount_minor
FROM millrace.balances
ORDER BY account, currency
