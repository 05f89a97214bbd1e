//! The names of the worker's metrics: constants in one place, so that a rename is a reviewed change.

/// Records that got a disposition. Labels: `disposition`, `reason` (empty where there is none).
pub const RECORDS: &str = "millrace_records_total";
/// Parked events that left `parked`. Label: `disposition`.
pub const DRAINED: &str = "millrace_drained_total";
/// Committed batches.
pub const BATCHES: &str = "millrace_batches_total";
/// Records per committed batch.
pub const BATCH_RECORDS: &str = "millrace_batch_records";
/// Batches of several lanes per transaction that they share.
pub const TRANSACTION_BATCHES: &str = "millrace_transaction_batches";
/// From the first record in hand to the reply to COMMIT, in seconds.
pub const BATCH_SECONDS: &str = "millrace_batch_seconds";
/// From a record's timestamp in Kafka to the reply to COMMIT, in seconds.
pub const PUBLISH_TO_COMMIT_SECONDS: &str = "millrace_publish_to_commit_seconds";
/// Batches that were tried again. Label: `remedy`.
pub const RETRIES: &str = "millrace_batch_retries_total";
/// Lanes that this worker runs.
pub const LANES: &str = "millrace_lanes";
/// Lanes that halted and wait for a person.
pub const LANES_HALTED: &str = "millrace_lanes_halted";
/// Bytes that wait in lane buffers.
pub const BUFFERED_BYTES: &str = "millrace_buffered_bytes";
/// 1 while Postgres answers, else 0.
pub const POSTGRES_UP: &str = "millrace_postgres_up";
/// 1 while Kafka answers, else 0.
pub const KAFKA_UP: &str = "millrace_kafka_up";
/// Records in Kafka that no batch accounts for yet. Label: `partition`.
pub const LAG_RECORDS: &str = "millrace_lag_records";

/// Tells the recorder what each metric means.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(RECORDS, "Records that got a disposition");
    describe_counter!(DRAINED, "Parked events that left parked");
    describe_counter!(BATCHES, "Committed batches");
    describe_counter!(RETRIES, "Batches that were tried again");
    describe_histogram!(BATCH_RECORDS, Unit::Count, "Records per committed batch");
    describe_histogram!(TRANSACTION_BATCHES, Unit::Count, "Small batches per transaction that lanes share");
    describe_histogram!(BATCH_SECONDS, Unit::Seconds, "From the first record in hand to the reply to COMMIT");
    describe_histogram!(
        PUBLISH_TO_COMMIT_SECONDS,
        Unit::Seconds,
        "From a record's timestamp in Kafka to the reply to COMMIT"
    );
    describe_gauge!(LANES, "Lanes that this worker runs");
    describe_gauge!(LANES_HALTED, "Lanes that halted and wait for a person");
    describe_gauge!(BUFFERED_BYTES, Unit::Bytes, "Bytes that wait in lane buffers");
    describe_gauge!(POSTGRES_UP, "1 while Postgres answers, else 0");
    describe_gauge!(KAFKA_UP, "1 while Kafka answers, else 0");
    describe_gauge!(LAG_RECORDS, "Records in Kafka that no batch accounts for yet");
}
