-- All events of a payment are of one user, one currency and at most one merchant, and its row names these.
WITH log AS (
    SELECT payment_id, min(user_id) AS user_id, max(user_id) AS other_user, min(currency) AS currency,
           max(currency) AS other_currency, min(merchant_id) AS merchant_id, max(merchant_id) AS other_merchant
    FROM millrace.events
    GROUP BY payment_id
),
violations AS (
    SELECT format('payment %s: its row says user %s, currency %s, merchant %s; its events say user %s, currency %s, '
                  'merchant %s', payment_id, p.user_id, p.currency, p.merchant_id,
                  concat_ws(' and ', log.user_id, nullif(log.other_user, log.user_id)),
                  concat_ws(' and ', log.currency, nullif(log.other_currency, log.currency)),
                  concat_ws(' and ', log.merchant_id, nullif(log.other_merchant, log.merchant_id))) AS example
    FROM millrace.payments AS p
    JOIN log USING (payment_id)
    WHERE (p.user_id, p.currency, p.merchant_id) IS DISTINCT FROM (log.user_id, log.currency, log.merchant_id)
       OR log.user_id <> log.other_user OR log.currency <> log.other_currency OR log.merchant_id <> log.other_merchant
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5
