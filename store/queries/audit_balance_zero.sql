-- The balances of each currency add up to 0: what one account has, others owe.
WITH violations AS (
    SELECT format('the balances in %s add up to %s minor units', currency, sum(amount_minor)) AS example
    FROM millrace.balances_by_partition
    GROUP BY currency
    HAVING sum(amount_minor) <> 0
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
