-- The ledger of one Kafka topic: event log, payment states, double-entry balances, and the proof of every offset.
--
-- A public interface for analysts and auditors. Every row carries the partition that it came from: the partition is
-- the unit of order, of ownership and later of placement on shards. Nothing outside Millrace writes here.

COMMENT ON SCHEMA millrace IS 'Payment events applied exactly once: event log, payment states, double-entry ledger, proof rows.';

-- Fences -----------------------------------------------------------------------------------------------------------

CREATE TABLE millrace.lanes (
    topic        text        NOT NULL,
    partition    integer     NOT NULL CHECK (partition >= 0),
    topic_id     text        NOT NULL,
    start_offset bigint      NOT NULL CHECK (start_offset >= 0),
    next_offset  bigint      NOT NULL CHECK (next_offset >= start_offset),
    owner_epoch  bigint      NOT NULL DEFAULT 0,
    owner        text,
    claimed_at   timestamptz,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE millrace.lanes IS 'The fences: which worker may write for a partition, and from which offset. A batch moves next_offset under its own epoch or does not commit.';
COMMENT ON COLUMN millrace.lanes.topic_id IS 'Kafka''s id of the topic: a topic that was deleted and made again has another, and halts the lane.';
COMMENT ON COLUMN millrace.lanes.start_offset IS 'The first offset that was ever asked for: the proof rows tile from here.';
COMMENT ON COLUMN millrace.lanes.next_offset IS 'The first offset that is not accounted for.';
COMMENT ON COLUMN millrace.lanes.owner_epoch IS 'Counts the claims. A worker that holds an older epoch can never write.';
COMMENT ON COLUMN millrace.lanes.owner IS 'The worker that claimed last, for people.';

CREATE TABLE millrace.batches (
    batch_id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id          text        NOT NULL,
    partition         integer     NOT NULL,
    from_offset       bigint      NOT NULL,
    to_offset         bigint      NOT NULL CHECK (to_offset >= from_offset),
    epoch             bigint      NOT NULL,
    applied           integer     NOT NULL CHECK (applied >= 0),
    duplicate         integer     NOT NULL CHECK (duplicate >= 0),
    parked            integer     NOT NULL CHECK (parked >= 0),
    rejected          integer     NOT NULL CHECK (rejected >= 0),
    drained_applied   integer     NOT NULL CHECK (drained_applied >= 0),
    drained_duplicate integer     NOT NULL CHECK (drained_duplicate >= 0),
    drained_rejected  integer     NOT NULL CHECK (drained_rejected >= 0),
    worker            text        NOT NULL,
    committed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (applied + duplicate + parked + rejected = to_offset - from_offset)
);
-- Batches without a record (from = to) drain and expire what is parked; there may be many at one offset.
CREATE UNIQUE INDEX batches_tile ON millrace.batches (topic_id, partition, from_offset) WHERE to_offset > from_offset;
COMMENT ON TABLE millrace.batches IS 'The proof rows, one for each transaction: offsets from_offset to to_offset - 1 and what became of each record. They tile a partition''s offsets without gap or overlap.';
COMMENT ON COLUMN millrace.batches.drained_applied IS 'Records parked by an earlier batch and applied by this one.';
COMMENT ON COLUMN millrace.batches.committed_at IS 'When the last statement before COMMIT ran.';

-- The event log ----------------------------------------------------------------------------------------------------

-- An account's class in one byte: the log is written once for each event, and every byte of it is also WAL.
CREATE FUNCTION millrace.account_name(class "char", merchant_id text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE class
        WHEN 'p' THEN 'psp_receivable'
        WHEN 'm' THEN 'merchant_payable:' || merchant_id
        WHEN 't' THEN 'refunds_in_transit'
        WHEN 'd' THEN 'dispute_receivable'
        WHEN 'f' THEN 'fee_revenue'
    END;

CREATE TABLE millrace.events (
    event_id       uuid        NOT NULL,
    payment_id     uuid        NOT NULL,
    version        bigint      NOT NULL CHECK (version > 0),
    "offset"       bigint      NOT NULL,
    amount_minor   bigint      NOT NULL CHECK (amount_minor >= 0),
    occurred_at    timestamptz NOT NULL,
    published_at   timestamptz,
    sequence       bigint      CHECK (sequence > 0),
    operation_id   uuid,
    partition      integer     NOT NULL,
    debit          "char"      CHECK (debit IN ('p', 'm', 't', 'd', 'f')),
    credit         "char"      CHECK (credit IN ('p', 'm', 't', 'd', 'f')),
    currency       text        NOT NULL,
    event_type     text        NOT NULL,
    user_id        text        NOT NULL,
    merchant_id    text,
    source         text        NOT NULL,
    correlation_id text,
    causation_id   text,
    metadata       jsonb,
    PRIMARY KEY (event_id),
    -- The second guard of the ledger, which knows nothing of the first: two accounts or none, a positive amount.
    CHECK ((debit IS NULL) = (credit IS NULL) AND debit <> credit),
    CHECK (debit IS NULL OR (amount_minor > 0 AND merchant_id IS NOT NULL))
) PARTITION BY RANGE (event_id);
CREATE INDEX events_by_payment ON millrace.events (payment_id);
COMMENT ON TABLE millrace.events IS 'Each applied event, once. Partitioned by the month in its id (UUIDv7), so that an id is unique across all of it and retention drops a month.';
COMMENT ON COLUMN millrace.events.version IS 'Its place among the events applied to its payment, from 1: folding them in this order gives the payment''s state.';
COMMENT ON COLUMN millrace.events."offset" IS 'Where its record stands in its partition of the topic.';
COMMENT ON COLUMN millrace.events.published_at IS 'The record''s timestamp in Kafka: when the publisher sent it.';
COMMENT ON COLUMN millrace.events.debit IS 'The class of the account debited; see millrace.account_name and the view transfers.';
COMMENT ON COLUMN millrace.events.metadata IS 'Null where the publisher gave none.';

CREATE VIEW millrace.transfers AS
    SELECT event_id,
           millrace.account_name(debit, merchant_id) AS debit_account,
           millrace.account_name(credit, merchant_id) AS credit_account,
           amount_minor, currency, partition, payment_id, occurred_at
    FROM millrace.events
    WHERE debit IS NOT NULL;
COMMENT ON VIEW millrace.transfers IS 'The double-entry ledger: each row moves amount_minor from credit_account to debit_account, both of one currency.';

-- Payments ---------------------------------------------------------------------------------------------------------

CREATE TABLE millrace.payments (
    payment_id     uuid    PRIMARY KEY,
    version        bigint  NOT NULL CHECK (version >= 0),
    last_sequence  bigint  NOT NULL CHECK (last_sequence >= 0),
    authorized     bigint  NOT NULL CHECK (authorized >= 0),
    captured       bigint  NOT NULL CHECK (captured >= 0),
    voided         bigint  NOT NULL CHECK (voided >= 0),
    refund_pending bigint  NOT NULL CHECK (refund_pending >= 0),
    refunded       bigint  NOT NULL CHECK (refunded >= 0),
    disputed       bigint  NOT NULL CHECK (disputed >= 0),
    lost           bigint  NOT NULL CHECK (lost >= 0),
    fees           bigint  NOT NULL CHECK (fees >= 0),
    intended       bigint,
    partition      integer NOT NULL,
    declined       boolean NOT NULL,
    credit         boolean NOT NULL,
    currency       text,
    status         text,
    user_id        text,
    merchant_id    text,
    CHECK (captured + voided <= authorized),
    CHECK (credit OR refunded + refund_pending <= captured),
    CHECK (disputed + lost <= captured),
    CHECK ((version > 0) = (user_id IS NOT NULL AND currency IS NOT NULL AND status IS NOT NULL))
    -- Room on the page for the next version of a row: most payments change a few times soon after they began.
) WITH (fillfactor = 80);
COMMENT ON TABLE millrace.payments IS 'The state of every payment: the fold of its applied events. Amounts in minor units of its currency.';
COMMENT ON COLUMN millrace.payments.version IS 'How many events were applied. 0: only sequence numbers were used up, nothing else is known of it.';
COMMENT ON COLUMN millrace.payments.last_sequence IS 'The last sequence number used up; 0 before the first.';
COMMENT ON COLUMN millrace.payments.intended IS 'The amount that payment.initiated announced.';
COMMENT ON COLUMN millrace.payments.partition IS 'The lane that owns it: the partition of its user.';

CREATE TABLE millrace.operation_events (
    payment_id   uuid    NOT NULL,
    operation_id uuid    NOT NULL,
    event_type   text    NOT NULL,
    amount_minor bigint  NOT NULL,
    partition    integer NOT NULL,
    PRIMARY KEY (payment_id, operation_id, event_type)
);
COMMENT ON TABLE millrace.operation_events IS 'That an event of this type was applied for this operation: at most one of each type. Only ever appended to.';

CREATE VIEW millrace.operations AS
    SELECT payment_id,
           operation_id,
           split_part(min(event_type), '.', 1) AS kind,
           CASE
               WHEN bool_or(event_type = 'refund.failed') THEN 'failed'
               WHEN bool_or(event_type IN ('refund.succeeded', 'refund.unreferenced')) THEN 'succeeded'
               WHEN bool_or(event_type = 'refund.initiated') THEN 'pending'
               WHEN bool_or(event_type = 'dispute.won') THEN 'won'
               WHEN bool_or(event_type = 'dispute.lost') THEN 'lost'
               ELSE 'open'
           END AS status,
           min(amount_minor) AS amount,
           min(partition) AS partition
    FROM millrace.operation_events
    WHERE event_type LIKE 'refund.%' OR event_type LIKE 'dispute.%'
    GROUP BY payment_id, operation_id;
COMMENT ON VIEW millrace.operations IS 'Refunds (pending, succeeded, failed) and disputes (open, won, lost) by id, with their amount in minor units.';

-- Balances ---------------------------------------------------------------------------------------------------------

CREATE TABLE millrace.balance_stripes (
    account      text    NOT NULL,
    currency     text    NOT NULL,
    partition    integer NOT NULL,
    -- A sum over all payments has no bound that a single payment has: it must never be what refuses an event.
    amount_minor numeric NOT NULL,
    PRIMARY KEY (account, currency, partition)
) WITH (fillfactor = 70);
COMMENT ON TABLE millrace.balance_stripes IS 'Each account''s balance in one slice for each partition, so that lanes never wait for each other on a row.';

CREATE VIEW millrace.balances AS
    SELECT account, currency, sum(amount_minor) AS amount_minor
    FROM millrace.balance_stripes
    GROUP BY account, currency;
COMMENT ON VIEW millrace.balances IS 'Debits minus credits of every account, in minor units of the currency. The sum over a currency is always 0.';

-- What did not apply -----------------------------------------------------------------------------------------------

CREATE TABLE millrace.parked (
    event_id      uuid        PRIMARY KEY,
    payment_id    uuid        NOT NULL,
    partition     integer     NOT NULL,
    "offset"      bigint      NOT NULL,
    reason        text        NOT NULL,
    since         timestamptz NOT NULL,
    published_at  timestamptz,
    key           bytea,
    value         bytea,
    header_names  bytea[]     NOT NULL,
    header_values bytea[]     NOT NULL
);
CREATE INDEX parked_by_payment ON millrace.parked (payment_id, partition);
CREATE INDEX parked_by_age ON millrace.parked (partition, since, "offset");
COMMENT ON TABLE millrace.parked IS 'What waits now for another event, with its record whole. A row leaves when its event is applied, turns out a duplicate, or is rejected.';
COMMENT ON COLUMN millrace.parked.reason IS 'What it waits for: missing_sequence, unknown_type, missing_authorization, missing_operation or missing_capture.';

CREATE TABLE millrace.dead_letters (
    dead_letter_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition      integer     NOT NULL,
    "offset"       bigint      NOT NULL,
    reason         text        NOT NULL,
    detail         text,
    event_id       uuid,
    payment_id     uuid,
    number_used    boolean     NOT NULL,
    was_parked     boolean     NOT NULL,
    rejected_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at   timestamptz,
    key            bytea,
    value          bytea,
    header_names   bytea[]     NOT NULL,
    header_values  bytea[]     NOT NULL,
    handling       text        NOT NULL DEFAULT 'open' CHECK (handling IN ('open', 'redriven', 'discarded')),
    handled_at     timestamptz,
    handled_by     text,
    note           text,
    UNIQUE (partition, "offset")
);
CREATE INDEX dead_letters_by_payment ON millrace.dead_letters (payment_id);
COMMENT ON TABLE millrace.dead_letters IS 'Each rejected record, whole, with its reason, until an operator redrives or discards it.';
COMMENT ON COLUMN millrace.dead_letters.number_used IS 'Whether its sequence number is used up: then a redrive is not held to it.';
COMMENT ON COLUMN millrace.dead_letters.was_parked IS 'Whether it waited in parked before.';
COMMENT ON COLUMN millrace.dead_letters.handling IS 'What people did with it: open, redriven or discarded.';

-- Time partitions --------------------------------------------------------------------------------------------------

-- A month of the event log. A function, so that a role which only runs workers may call it and needs no more rights.
CREATE FUNCTION millrace.make_month(name text, first_id uuid, next_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    -- Many workers may find the month missing at once; the name is a month's and nothing else.
    IF name !~ '^events_\d{4,6}_\d{2}$' THEN
        RAISE EXCEPTION 'not the name of a month: %', name USING ERRCODE = '42602';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('millrace.make_month'));
    EXECUTE format('CREATE TABLE IF NOT EXISTS millrace.%I PARTITION OF millrace.events FOR VALUES FROM (%L) TO (%L)',
                   name, first_id, next_id);
END
$$;
REVOKE ALL ON FUNCTION millrace.make_month(text, uuid, uuid) FROM PUBLIC;
