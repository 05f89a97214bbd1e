-- New states of payments that have a row. The old version and number must still stand: another lane may have written a
-- row that nobody owns yet (version 0), or that its user brought along when the topic grew. Fewer rows updated than
-- given: the lane reads again and judges again.
UPDATE millrace.payments AS p
SET version = n.version, last_sequence = n.last_sequence, authorized = n.authorized, captured = n.captured,
    voided = n.voided, refund_pending = n.refund_pending, refunded = n.refunded, disputed = n.disputed, lost = n.lost,
    fees = n.fees, intended = n.intended, partition = n.partition, declined = n.declined, credit = n.credit,
    currency = n.currency, status = n.status, user_id = n.user_id, merchant_id = n.merchant_id,
    first_event_id = n.first_event_id
FROM unnest(
    $1::integer[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::boolean[],
    $17::boolean[], $18::text[], $19::text[], $20::text[], $21::text[], $22::uuid[]
) AS n (
    partition, payment_id, old_version, old_last_sequence, version, last_sequence, authorized, captured, voided,
    refund_pending, refunded, disputed, lost, fees, intended, declined,
    credit, currency, status, user_id, merchant_id, first_event_id
)
WHERE p.payment_id = n.payment_id AND p.version = n.old_version AND p.last_sequence = n.old_last_sequence
