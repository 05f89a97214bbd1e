COPY millrace.parked (
    event_id, payment_id, partition, "offset", reason, since, published_at, key, value, header_names, header_values
) FROM STDIN WITH (FORMAT binary)
