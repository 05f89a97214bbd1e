-- Small batches whole, of one lane or of several, in one statement and so in one transaction and one round trip: fences, rows,
-- notes of balances, proof rows. Every part reads from `fence`: where none stands as this worker left it, nothing is
-- written, and `moved` is 0.
WITH fence AS (
    UPDATE millrace.lanes AS l
    SET next_offset = m.to_offset
    FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::boolean[], $9::integer[], $10::integer[])
        AS m (partition, epoch, from_offset, to_offset, topic_id, only_if_nothing_is_parked, applied, duplicate)
    WHERE l.topic = $1 AND l.partition = m.partition AND l.owner_epoch = m.epoch AND l.next_offset = m.from_offset
      AND l.topic_id = m.topic_id AND NOT (m.only_if_nothing_is_parked AND EXISTS (SELECT FROM millrace.parked))
      -- Before it waits for any lock; until the transaction ends.
      AND ($8::text IS NULL OR set_config('lock_timeout', $8, true) <> '')
    RETURNING m.partition, m.epoch, m.from_offset, m.to_offset, m.topic_id, m.applied, m.duplicate
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
    JOIN unnest(
        $12::integer[], $13::uuid[], $14::uuid[], $15::bigint[], $16::bigint[], $17::bigint[], $18::timestamptz[],
        $19::timestamptz[], $20::bigint[], $21::uuid[], $22::text[], $23::text[], $24::text[], $25::text[], $26::text[],
        $27::text[], $28::text[], $29::text[], $30::text[], $31::text[]
    ) AS e (
        partition, event_id, payment_id, version, "offset", amount_minor, occurred_at, published_at,
        sequence, operation_id, debit, credit, currency, event_type, user_id, merchant_id,
        source, correlation_id, causation_id, metadata
    ) USING (partition)
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
        $32::integer[], $33::uuid[], $34::bigint[], $35::bigint[], $36::bigint[], $37::bigint[], $38::bigint[], $39::bigint[],
        $40::bigint[], $41::bigint[], $42::bigint[], $43::bigint[], $44::bigint[], $45::bigint[], $46::bigint[],
        $47::boolean[], $48::boolean[], $49::text[], $50::text[], $51::text[], $52::text[], $53::uuid[]
    ) AS n (
        partition, payment_id, old_version, old_last_sequence, version, last_sequence, authorized, captured,
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
    JOIN states USING (partition)
    WHERE old_version IS NULL
),
changed AS (
    UPDATE millrace.payments AS p
    SET version = n.version, last_sequence = n.last_sequence, authorized = n.authorized, captured = n.captured,
        voided = n.voided, refund_pending = n.refund_pending, refunded = n.refunded, disputed = n.disputed, lost = n.lost,
        fees = n.fees, intended = n.intended, partition = n.partition, declined = n.declined, credit = n.credit,
        currency = n.currency, status = n.status, user_id = n.user_id, merchant_id = n.merchant_id,
        first_event_id = n.first_event_id
    FROM states AS n
    WHERE p.payment_id = n.payment_id AND p.version = n.old_version AND p.last_sequence = n.old_last_sequence
      AND EXISTS (SELECT FROM fence)
    RETURNING 1
),
noted AS (
    INSERT INTO millrace.balance_changes (partition, accounts, currencies, amounts)
    SELECT partition, array_agg(c.account), array_agg(c.currency), array_agg(c.amount::numeric)
    FROM fence
    JOIN unnest($54::integer[], $55::text[], $56::text[], $57::text[]) AS c (partition, account, currency, amount)
        USING (partition)
    GROUP BY partition
),
proved AS (
    INSERT INTO millrace.batches (
        topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, parked, rejected,
        drained_applied, drained_duplicate, drained_rejected, worker
    )
    SELECT topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, 0, 0, 0, 0, 0, $11 FROM fence
)
-- Fewer fences moved than were given, or fewer payments changed than stood when they were read: a division by zero takes
-- all of it back.
SELECT count(*) AS moved,
       max(1 / (
           (SELECT count(*) FROM fence) = cardinality($2)
           AND (SELECT count(*) FROM changed) = (SELECT count(*) FROM states WHERE old_version IS NOT NULL)
       )::int) AS changed_all
FROM fence
