//! Publishing for the bench: raw librdkafka, with the settings of millrace-producer or with those for a quick backlog.
//!
//! Settings are repeated here, for the product keeps its own to itself; a test holds them against its source.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use millrace_generator::Outcome;
use millrace_producer::ProducerConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::oneshot;

use crate::progress::Bar;
use crate::workload::{Record, Workload};

/// How long the last records may take.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// What millrace-producer sets, with its default configuration.
pub const PRODUCT: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    ("compression.type", "zstd"),
    ("compression.level", "1"),
    ("linger.ms", "5"),
    ("queue.buffering.max.messages", "101000"),
    ("queue.buffering.max.kbytes", "135168"),
    ("max.in.flight.requests.per.connection", "1"),
    ("batch.num.messages", "10000"),
    ("batch.size", "1000000"),
    ("delivery.timeout.ms", "120000"),
    ("request.timeout.ms", "30000"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// For a backlog, which nobody measures: large batches.
const BACKLOG: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    ("compression.type", "zstd"),
    ("linger.ms", "20"),
    ("queue.buffering.max.messages", "200000"),
    ("batch.num.messages", "10000"),
    ("batch.size", "1000000"),
];

/// Counts what was delivered, and tells whoever waits.
#[derive(Clone, Default)]
pub struct Deliveries {
    delivered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Option<oneshot::Sender<()>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        match result {
            Ok(_) => self.delivered.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.failed.fetch_add(1, Ordering::Relaxed),
        };
        if let Some(sender) = *waiting {
            // Who dropped the receiver does not want to know.
            let _ = sender.send(());
        }
    }
}

fn settings(named: &[(&str, &str)]) -> ClientConfig {
    named.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A producer without anything of ours around it.
pub struct RawProducer {
    client: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    topic: String,
}

impl RawProducer {
    /// With the settings of millrace-producer.
    pub fn like_the_product(brokers: &str, topic: &str) -> anyhow::Result<RawProducer> {
        RawProducer::with(settings(PRODUCT), brokers, topic)
    }

    /// With those of `millrace publish FILE`.
    pub fn like_publishing_a_file(brokers: &str, topic: &str) -> anyhow::Result<RawProducer> {
        let mut config = settings(PRODUCT);
        config.set("linger.ms", ProducerConfig::BULK_LINGER.as_millis().to_string());
        config.set("delivery.timeout.ms", ProducerConfig::DELIVERY_TIMEOUT_MAX.as_millis().to_string());
        RawProducer::with(config, brokers, topic)
    }

    fn with(mut config: ClientConfig, brokers: &str, topic: &str) -> anyhow::Result<RawProducer> {
        config.set("bootstrap.servers", brokers);
        let deliveries = Deliveries::default();
        let client = config.create_with_context(deliveries.clone()).context("a raw producer")?;
        Ok(RawProducer { client, deliveries, topic: topic.to_owned() })
    }

    /// Puts a record into librdkafka's queue. Where that is full, it gives the thread away for a millisecond.
    pub async fn enqueue(&self, record: &Record, waiting: Option<oneshot::Sender<()>>) -> anyhow::Result<()> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        let mut message: BaseRecord<'_, [u8], [u8], _> = BaseRecord::with_opaque_to(&self.topic, Box::new(waiting))
            .payload(record.value.as_slice())
            .headers(headers);
        message.key = record.key.as_deref();
        loop {
            match self.client.send(message) {
                Ok(()) => return Ok(()),
                Err((error, returned)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    message = returned;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err((error, _)) => return Err(error).context("librdkafka refuses a record"),
            }
        }
    }

    /// Sends a record and waits until it is acknowledged.
    pub async fn deliver(&self, record: &Record) -> anyhow::Result<()> {
        let (sender, delivered) = oneshot::channel();
        self.enqueue(record, Some(sender)).await?;
        Ok(delivered.await?)
    }

    /// Waits until all is delivered, and gives how many were.
    pub async fn finish(self) -> anyhow::Result<u64> {
        let RawProducer { client, deliveries, topic } = self;
        let flushed = tokio::task::spawn_blocking(move || client.flush(FLUSH_WITHIN).map(|()| client)).await?;
        let client = flushed.context("the last records")?;
        // librdkafka takes half a second to end its idle threads, which nobody has to wait for.
        drop(tokio::task::spawn_blocking(move || drop(client)));
        let failed = deliveries.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not accepted by {topic}");
        Ok(deliveries.delivered.load(Ordering::Relaxed))
    }
}

/// Publishes a workload as quickly as it can be, and gives how many records there are and what they must end in.
pub async fn backlog(
    brokers: &str,
    topic: &str,
    mut workload: Box<dyn Workload + Send>,
    bar: &Bar,
) -> anyhow::Result<(u64, Outcome)> {
    const TELL_EVERY: u64 = 10_000;
    let producer = RawProducer::with(settings(BACKLOG), brokers, topic)?;
    let mut sent: u64 = 0;
    for record in workload.by_ref() {
        producer.enqueue(&record, None).await?;
        sent += 1;
        if sent.is_multiple_of(TELL_EVERY) {
            bar.at(i64::try_from(sent)?);
            tokio::task::yield_now().await;
        }
    }
    let delivered = producer.finish().await?;
    ensure!(delivered == sent, "{delivered} of {sent} records were accepted by {topic}");
    Ok((sent, workload.outcome()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The literal settings in a source file of the product.
    fn literals(source: &str) -> Vec<(String, String)> {
        let sets = source.split(".set(\"").skip(1);
        let pair = |rest: &str| {
            let (name, rest) = rest.split_once("\", \"")?;
            let (value, _) = rest.split_once("\")")?;
            (!name.contains('"') && !value.contains('"')).then(|| (name.to_owned(), value.to_owned()))
        };
        sets.filter_map(pair).collect()
    }

    #[test]
    fn the_raw_producer_has_the_settings_of_the_product() {
        let literals = literals(include_str!("../../producer/src/config.rs"));
        assert!(literals.len() >= 7, "{literals:?}");
        for (name, value) in literals {
            let ours = PRODUCT.iter().find(|(ours, _)| *ours == name);
            assert_eq!(ours.map(|(_, ours)| *ours), Some(value.as_str()), "{name}");
        }
    }

    #[test]
    fn the_computed_settings_are_those_of_the_product_too() {
        let config = ProducerConfig::new("b", "t");
        let set = |name: &str| PRODUCT.iter().find(|(ours, _)| *ours == name).map(|(_, value)| (*value).to_owned());
        let records = u64::from(config.queue_records_max) * 2 + 1_000;
        let kbytes = u64::from(config.queue_bytes_max) / 1024 * 2 + 4_096;
        assert_eq!(set("queue.buffering.max.messages"), Some(records.to_string()));
        assert_eq!(set("queue.buffering.max.kbytes"), Some(kbytes.to_string()));
        assert_eq!(set("linger.ms"), Some(config.linger.as_millis().to_string()));
        assert_eq!(set("delivery.timeout.ms"), Some(config.delivery_timeout.as_millis().to_string()));
        assert_eq!((set("compression.type"), set("compression.level")), (Some("zstd".into()), Some("1".into())));
        assert_eq!(config.compression, millrace_producer::Compression::Zstd);
    }
}
