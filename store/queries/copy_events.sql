COPY millrace.events (
    event_id, payment_id, version, "offset", amount_minor, occurred_at, published_at, sequence, operation_id,
    partition, debit, credit, currency, event_type, user_id, merchant_id, source, correlation_id, causation_id, metadata
) FROM STDIN WITH (FORMAT binary)
