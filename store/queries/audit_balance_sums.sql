-- A stored balance is the sum of its transfers, by account, currency and partition.
WITH moved AS (
    -- Summed by class before accounts are named: a name for each group and not for each row.
    SELECT debit AS class, merchant_id, currency, partition, sum(amount_minor) AS amount
    FROM millrace.events
    WHERE debit IS NOT NULL
    GROUP BY debit, merchant_id, currency, partition
    UNION ALL
    SELECT credit, merchant_id, currency, partition, -sum(amount_minor)
    FROM millrace.events
    WHERE credit IS NOT NULL
    GROUP BY credit, merchant_id, currency, partition
),
summed AS (
    SELECT millrace.account_name(class, merchant_id) AS account, currency, partition, sum(amount) AS amount_minor
    FROM moved
    GROUP BY 1, currency, partition
),
violations AS (
    SELECT format('account %s, currency %s, partition %s: the balance is %s, its transfers add up to %s',
                  account, currency, partition, coalesce(b.amount_minor, 0), coalesce(s.amount_minor, 0)) AS example
    FROM millrace.balances_by_partition AS b
    FULL JOIN summed AS s USING (account, currency, partition)
    WHERE coalesce(b.amount_minor, 0) <> coalesce(s.amount_minor, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
