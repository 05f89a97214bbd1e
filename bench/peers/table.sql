-- The one table that every peer writes: an event, a row. `:table` is its name.
CREATE TABLE :table (
    event_id       uuid   PRIMARY KEY,
    event_type     text   NOT NULL,
    payment_id     uuid   NOT NULL,
    user_id        text   NOT NULL,
    merchant_id    text,
    amount_minor   bigint NOT NULL,
    currency       text   NOT NULL,
    occurred_at    bigint NOT NULL, -- microseconds since 1970, UTC
    source         text   NOT NULL,
    correlation_id text,
    causation_id   text
);
