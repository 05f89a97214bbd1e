-- Each transfer has two different accounts and a positive amount. One row has one currency: both accounts share it.
WITH violations AS (
    SELECT format('event %s of payment %s: debit %s, credit %s, merchant %s, amount %s %s', event_id, payment_id,
                  coalesce(debit::text, 'none'), coalesce(credit::text, 'none'), coalesce(merchant_id, 'none'),
                  amount_minor, currency) AS example
    FROM millrace.events
    WHERE (debit IS NULL) <> (credit IS NULL)
       OR debit = credit
       OR (debit IS NOT NULL AND (amount_minor <= 0 OR merchant_id IS NULL))
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
