COPY millrace.dead_letters (
    partition, "offset", reason, detail, event_id, payment_id, number_used, was_parked, published_at,
    key, value, header_names, header_values
) FROM STDIN WITH (FORMAT binary)
