-- One payment's events in the order in which they were applied, each with its transfer.
SELECT version, event_id, event_type, amount_minor, currency, operation_id, sequence, user_id, merchant_id, source,
       to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
           || CASE WHEN occurred_at < '0001-01-01 00:00:00Z' THEN ' BC' ELSE '' END AS occurred_at,
       to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS published_at,
       partition, "offset", correlation_id, causation_id, metadata::text AS metadata,
       millrace.account_name(debit, merchant_id) AS debit_account,
       millrace.account_name(credit, merchant_id) AS credit_account
FROM millrace.payment_events
WHERE payment_id = $1
ORDER BY version
