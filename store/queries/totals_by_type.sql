-- The applied events, counted and summed anew from the log.
SELECT event_type, currency, count(*) AS events, sum(amount_minor)::text AS amount_minor, count(debit) AS transfers
FROM millrace.events
GROUP BY event_type, currency
ORDER BY event_type, currency
