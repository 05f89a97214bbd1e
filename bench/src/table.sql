-- What a plain sink writes: one row for each event. Used where bench/peers/ has none of its own.
CREATE TABLE :table (
    event_id       uuid   PRIMARY KEY,
    event_type     text   NOT NULL,
    payment_id     uuid   NOT NULL,
    user_id        text   NOT NULL,
    merchant_id    text,
    amount_minor   bigint NOT NULL,
    currency       text   NOT NULL,
    occurred_at    bigint NOT NULL,
    source         text   NOT NULL,
    correlation_id text,
    causation_id   text
);
