-- Offsets that Kafka lost before a worker read them, and that a person had a lane step over.

CREATE TABLE millrace.accepted_gaps (
    gap_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id    text        NOT NULL,
    partition   integer     NOT NULL CHECK (partition >= 0),
    from_offset bigint      NOT NULL CHECK (from_offset >= 0),
    to_offset   bigint      NOT NULL CHECK (to_offset > from_offset),
    reason      text        NOT NULL CHECK (reason <> ''),
    accepted_by text        NOT NULL CHECK (accepted_by <> ''),
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (topic_id, partition, from_offset)
);
COMMENT ON TABLE millrace.accepted_gaps IS 'Offsets from_offset to to_offset - 1 that Kafka does not hold any more and that no batch will account for: a person accepted their loss. With the proof rows they tile a partition''s offsets.';
COMMENT ON COLUMN millrace.accepted_gaps.reason IS 'Why Kafka lost them and what was done about it, in the words of who accepted it.';

-- Of the same batch too: a record may be parked and set free by the next.
COMMENT ON COLUMN millrace.batches.drained_applied IS 'Records that were parked, by an earlier batch or this one, and that this one applied; each counts as parked in the batch of its own offset.';
