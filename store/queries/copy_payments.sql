COPY millrace.payments (
    payment_id, version, last_sequence, authorized, captured, voided, refund_pending, refunded, disputed, lost, fees,
    intended, partition, declined, credit, currency, status, user_id, merchant_id, first_event_id
) FROM STDIN WITH (FORMAT binary)
