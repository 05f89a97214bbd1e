-- Balances by class of account and currency: merchant_payable:<merchant> are one class.
SELECT split_part(account, ':', 1) AS account, currency, count(DISTINCT account) AS accounts,
       sum(amount_minor)::text AS amount_minor
FROM millrace.balances_by_partition
GROUP BY 1, currency
ORDER BY currency, 1
