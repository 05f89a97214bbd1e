//! What of a partition Kafka still holds from an offset on: for the person who has a lane step over a hole.

use std::time::{Duration, Instant};

use millrace_domain::ids::{Offset, Partition};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use crate::group::listed;

/// How long the brokers may take for each answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What Kafka holds of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The first offset that Kafka still has.
    pub low: Offset,
    /// The end: the offset of the next record to be published.
    pub high: Offset,
    /// The first record at or behind the offset that was asked for, or `high` if there is none.
    pub next: Offset,
}

/// Why Kafka could not be asked. The message is librdkafka's.
#[derive(Debug, thiserror::Error)]
#[error("Kafka: partition {partition} of topic {topic:?}: {problem}")]
pub struct HeldError {
    topic: String,
    partition: Partition,
    problem: String,
}

/// Reads the first record of a partition at or behind `from`, as a worker would: with its checksum held against its bytes.
pub async fn held(brokers: &str, topic: &str, partition: Partition, from: Offset) -> Result<Held, HeldError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "millrace-held")
        // Never joined: librdkafka takes no assignment without a name.
        .set("group.id", "millrace-held")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .set("enable.partition.eof", "true")
        .set_log_level(RDKafkaLogLevel::Emerg);
    let asked = topic.to_owned();
    let asking = tokio::task::spawn_blocking(move || ask(&config, &asked, partition, from));
    let answer = asking.await.map_err(|died| died.to_string()).and_then(|held| held.map_err(|error| error.to_string()));
    answer.map_err(|problem| HeldError { topic: topic.to_owned(), partition, problem })
}

fn ask(config: &ClientConfig, topic: &str, partition: Partition, from: Offset) -> Result<Held, KafkaError> {
    let consumer: BaseConsumer = config.create()?;
    let (low, high) = consumer.fetch_watermarks(topic, partition.0, ANSWER_WITHIN)?;
    let (low, high) = (Offset(low), Offset(high));
    let first = from.max(low);
    if first >= high {
        return Ok(Held { low, high, next: high });
    }
    consumer.assign(&listed(topic, &[(partition, first)]))?;
    let next = first_record(&consumer, high)?;
    Ok(Held { low, high, next })
}

/// The offset of the first record that comes, or the end.
fn first_record(consumer: &BaseConsumer, high: Offset) -> Result<Offset, KafkaError> {
    let until = Instant::now() + ANSWER_WITHIN;
    loop {
        match consumer.poll(until.saturating_duration_since(Instant::now())) {
            Some(Ok(message)) => return Ok(Offset(message.offset())),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(high),
            Some(Err(error)) => match error.rdkafka_error_code() {
                // Another broker of the list may answer; and a batch whose checksum is wrong is passed by, as a worker does.
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::BadMessage) => {}
                _ => return Err(error),
            },
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
        }
    }
}
