COPY millrace.operation_events (payment_id, operation_id, event_type, amount_minor, partition)
FROM STDIN WITH (FORMAT binary)
