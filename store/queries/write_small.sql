-- A small batch whole, in one statement and so in one transaction and one round trip: fence, rows, note of balances, proof
-- row. Every part reads from `fence`: where it does not stand as this worker left it, nothing is written, and `moved` is 0.
WITH fence AS (
    UPDATE millrace.lanes
    SET next_offset = $5
    WHERE topic = $1 AND partition = $2 AND owner_epoch = $3 AND next_offset = $4 AND topic_id = $6
      AND NOT ($7 AND EXISTS (SELECT FROM millrace.parked))
    RETURNING partition
),
logged AS (
    INSERT INTO millrace.events (
        event_id, payment_id, version, "offset", amount_minor, occurred_at, published_at, sequence, operation_id,
        partition, debit, credit, currency, event_type, user_id, merchant_id, source, correlation_id, causation_id, metadata
    )
    SELECT e.event_id, e.payment_id, e.version, e."offset", e.amount_minor, e.occurred_at, e.published_at, e.sequence,
           e.operation_id, fence.partition, e.debit::"char", e.credit::"char", e.currency, e.event_type, e.user_id,
           e.merchant_id, e.source, e.correlation_id, e.causation_id, e.metadata::jsonb
    FROM fence
    CROSS JOIN unnest(
        $8::uuid[], $9::uuid[], $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[], $14::timestamptz[],
        $15::bigint[], $16::uuid[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
        $23::text[], $24::text[], $25::text[], $26::text[]
    ) AS e (
        event_id, payment_id, version, "offset", amount_minor, occurred_at, published_at,
        sequence, operation_id, debit, credit, currency, event_type, user_id, merchant_id,
        source, correlation_id, causation_id, metadata
    )
    RETURNING payment_id, operation_id, event_type, amount_minor, partition
),
operated AS (
    INSERT INTO millrace.operation_events (payment_id, operation_id, event_type, amount_minor, partition)
    SELECT payment_id, operation_id, event_type, amount_minor, partition FROM logged WHERE operation_id IS NOT NULL
),
-- A payment without a row has no old version. Not from `fence`: where a row changed since the statement began, Postgres
-- evaluates this again, which it cannot do with what writes.
states AS (
    SELECT n.*
    FROM unnest(
        $27::uuid[], $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[],
        $34::bigint[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[], $39::bigint[], $40::bigint[],
        $41::boolean[], $42::boolean[], $43::text[], $44::text[], $45::text[], $46::text[], $47::uuid[]
    ) AS n (
        payment_id, old_version, old_last_sequence, version, last_sequence, authorized, captured,
        voided, refund_pending, refunded, disputed, lost, fees, intended,
        declined, credit, currency, status, user_id, merchant_id, first_event_id
    )
),
begun AS (
    INSERT INTO millrace.payments (
        payment_id, version, last_sequence, authorized, captured, voided, refund_pending, refunded, disputed, lost, fees,
        intended, partition, declined, credit, currency, status, user_id, merchant_id, first_event_id
    )
    SELECT payment_id, version, last_sequence, authorized, captured, voided, refund_pending, refunded, disputed, lost, fees,
           intended, partition, declined, credit, currency, status, user_id, merchant_id, first_event_id
    FROM fence
    CROSS JOIN states
    WHERE old_version IS NULL
),
changed AS (
    UPDATE millrace.payments AS p
    SET version = n.version, last_sequence = n.last_sequence, authorized = n.authorized, captured = n.captured,
        voided = n.voided, refund_pending = n.refund_pending, refunded = n.refunded, disputed = n.disputed, lost = n.lost,
        fees = n.fees, intended = n.intended, partition = $2, declined = n.declined, credit = n.credit,
        currency = n.currency, status = n.status, user_id = n.user_id, merchant_id = n.merchant_id,
        first_event_id = n.first_event_id
    FROM states AS n
    WHERE p.payment_id = n.payment_id AND p.version = n.old_version AND p.last_sequence = n.old_last_sequence
      AND EXISTS (SELECT FROM fence)
    RETURNING 1
),
noted AS (
    INSERT INTO millrace.balance_changes (partition, accounts, currencies, amounts)
    SELECT partition, $48::text[], $49::text[], $50::text[]::numeric[] FROM fence WHERE cardinality($48::text[]) > 0
),
proved AS (
    INSERT INTO millrace.batches (
        topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, parked, rejected,
        drained_applied, drained_duplicate, drained_rejected, worker
    )
    SELECT $6, partition, $4, $5, $3, $51, $52, 0, 0, 0, 0, 0, $53 FROM fence
)
-- Fewer payments changed than stood when they were read: a division by zero takes all of it back.
SELECT count(*) AS moved,
       max(1 / ((SELECT count(*) FROM changed) = (SELECT count(*) FROM states WHERE old_version IS NOT NULL))::int) AS changed_all
FROM fence
