//! What a caller may choose, and what it becomes in librdkafka.
//!
//! What 'accepted' promises is not to be chosen: acks, idempotence and the partitioner are set here, once.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::connect::ConnectError;

/// How batches are compressed on the way and on the brokers' disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// Small: about a fifth of the bytes of a stream of events.
    #[default]
    Zstd,
    /// Less small, and less work.
    Lz4,
}

impl Compression {
    const fn as_str(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
        }
    }

    /// How hard it tries. Most batches hold few records, and for each of them librdkafka makes a new compressor: at zstd's
    /// usual level of 3 that is to clear 768 KiB of tables, more work than what is compressed with them.
    const fn level(self) -> &'static str {
        match self {
            Compression::Zstd => "1",
            // librdkafka's own choice.
            Compression::Lz4 => "-1",
        }
    }
}

/// Where and how to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerConfig {
    /// The addresses to begin with, `host:port` with commas between them; the others are learnt from these.
    pub brokers: String,
    /// The topic, which must exist.
    pub topic: String,
    /// The name under which the brokers' logs and quotas know this process.
    pub client_id: String,
    /// Compression of batches.
    pub compression: Compression,
    /// How long a record waits for company in its batch.
    ///
    /// It is the price of a lone event and the gain of a stream. 5 ms by default, as in Kafka's own client since 4.0: on
    /// two cores at 2,000 events/s over 12 partitions the brokers then answer 99 of 100 within 85 ms, and within 150 ms
    /// with 1 ms, for each request of one record costs them as much as one of ten. Where nobody waits for single events,
    /// [`ProducerConfig::BULK_LINGER`].
    pub linger: Duration,
    /// The most records that are enqueued and have no result yet. Then `enqueue` waits.
    pub queue_records_max: u32,
    /// The most bytes of such records, with what each costs beside its value. Then `enqueue` waits.
    pub queue_bytes_max: u32,
    /// How long a record is tried before its result is that nobody knows (`Cause::TimedOut`).
    ///
    /// A record that times out may be overtaken by those behind it: see the note on order in the crate's documentation.
    /// This is how long a cluster may be away without the caller hearing of it.
    pub delivery_timeout: Duration,
    /// How long `Producer::connect` waits for an answer.
    pub connect_timeout: Duration,
}

impl ProducerConfig {
    /// A linger for files and backfills, where nobody waits for single events: of 1 M lines on two cores, which brokers and
    /// publisher share, the brokers take 2.5 s of CPU in place of 7.5 with the default, and the file is through in 4.7 s in
    /// place of 7.4 (`docs/performance.md`).
    pub const BULK_LINGER: Duration = Duration::from_millis(50);

    /// The longest delivery time-out, of nearly 25 days.
    pub const DELIVERY_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

    /// The defaults, for these brokers and this topic.
    pub fn new(brokers: impl Into<String>, topic: impl Into<String>) -> ProducerConfig {
        ProducerConfig {
            brokers: brokers.into(),
            topic: topic.into(),
            client_id: "millrace-producer".into(),
            compression: Compression::default(),
            linger: Duration::from_millis(5),
            queue_records_max: 50_000,
            queue_bytes_max: 64 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Refuses what cannot work, by the name of the field.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        const QUEUE_RECORDS_MAX: u32 = 1_000_000;
        const QUEUE_BYTES_MAX: u32 = 1 << 30;
        const LINGER_MAX: Duration = Duration::from_secs(1);
        let refuse = |field, problem: String| Err(ConnectError::Config { field, problem });
        if self.brokers.trim().is_empty() {
            return refuse("brokers", "is empty: give at least one host:port".into());
        }
        if self.topic.is_empty() || self.topic.contains('\0') {
            return refuse("topic", format!("{:?} is not the name of a topic", self.topic));
        }
        if !(1..=QUEUE_RECORDS_MAX).contains(&self.queue_records_max) {
            return refuse("queue_records_max", format!("{} is not 1 to {QUEUE_RECORDS_MAX}", self.queue_records_max));
        }
        if !(1..=QUEUE_BYTES_MAX).contains(&self.queue_bytes_max) {
            return refuse("queue_bytes_max", format!("{} is not 1 to {QUEUE_BYTES_MAX}", self.queue_bytes_max));
        }
        if self.linger > LINGER_MAX {
            return refuse("linger", format!("{:?} is above {LINGER_MAX:?}", self.linger));
        }
        if self.delivery_timeout < LINGER_MAX || self.delivery_timeout > Self::DELIVERY_TIMEOUT_MAX {
            return refuse(
                "delivery_timeout",
                format!("{:?} is not {LINGER_MAX:?} to {:?}", self.delivery_timeout, Self::DELIVERY_TIMEOUT_MAX),
            );
        }
        if self.connect_timeout.is_zero() {
            return refuse("connect_timeout", "is 0: nothing answers in no time".into());
        }
        Ok(())
    }

    /// Just enough to reach the cluster.
    pub(crate) fn native_client(&self) -> ClientConfig {
        let mut native = ClientConfig::new();
        native
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            // The brokers' own pace of recovery: seconds of back-off after an outage would be latency for nothing.
            .set("reconnect.backoff.max.ms", "1000");
        native
    }

    /// The settings of the producer.
    pub(crate) fn native_producer(&self) -> ClientConfig {
        // Ours is the bound that pushes back. librdkafka's stands behind it, at twice its size, because it lets go
        // of a record a little later than its callback: after the whole batch.
        let native_records_max = u64::from(self.queue_records_max) * 2 + 1_000;
        let native_kbytes_max = u64::from(self.queue_bytes_max) / 1024 * 2 + 4_096;
        let mut native = self.native_client();
        native
            // The promise: min.insync.replicas have it, once, in order, where Java's murmur2 would put it.
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("compression.type", self.compression.as_str())
            .set("compression.level", self.compression.level())
            .set("linger.ms", (self.linger.as_micros() as f64 / 1_000.0).to_string())
            .set("queue.buffering.max.messages", native_records_max.to_string())
            .set("queue.buffering.max.kbytes", native_kbytes_max.to_string())
            // One request under way to each broker: what comes meanwhile gathers in the next batch, so batches grow
            // with the load, and a lone event waits for nothing. librdkafka's 5 sends crumbs, which the brokers pay
            // for. Median of 3 runs in turn with brokers and client on the same 2 cores, linger 1 ms: 28,000 events/s
            // with 5, 29,000 with 2, 41,000 with 1; a lone event took 3 to 5 ms with each.
            .set("max.in.flight.requests.per.connection", "1")
            // When a batch is full: far above what 5 ms bring together, within the topic's max.message.bytes.
            .set("batch.num.messages", "10000")
            .set("batch.size", "1000000")
            .set("delivery.timeout.ms", self.delivery_timeout.as_millis().to_string())
            // A broker that hangs is left within a fraction of the delivery time-out, however that is set.
            .set("request.timeout.ms", self.request_timeout_ms().to_string());
        native
    }

    fn request_timeout_ms(&self) -> u128 {
        const REQUEST_TIMEOUT_MS_MAX: u128 = 30_000;
        (self.delivery_timeout.as_millis() / 2).clamp(1, REQUEST_TIMEOUT_MS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_field(change: impl FnOnce(&mut ProducerConfig)) -> &'static str {
        let mut config = ProducerConfig::new("127.0.0.1:19092", "payment-events");
        change(&mut config);
        match config.check() {
            Err(ConnectError::Config { field, .. }) => field,
            other => panic!("wanted a refused field, got {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_accepted_by_librdkafka_too() {
        let config = ProducerConfig::new("127.0.0.1:19092", "payment-events");
        config.check().expect("the defaults are in range");
        config.native_producer().create_native_config().expect("librdkafka knows every setting");
    }

    #[test]
    fn a_setting_that_cannot_work_is_refused_by_its_name() {
        assert_eq!(refused_field(|c| c.brokers = "  ".into()), "brokers");
        assert_eq!(refused_field(|c| c.topic = String::new()), "topic");
        assert_eq!(refused_field(|c| c.queue_records_max = 0), "queue_records_max");
        assert_eq!(refused_field(|c| c.queue_bytes_max = u32::MAX), "queue_bytes_max");
        assert_eq!(refused_field(|c| c.linger = Duration::from_secs(2)), "linger");
        assert_eq!(refused_field(|c| c.delivery_timeout = Duration::ZERO), "delivery_timeout");
        assert_eq!(refused_field(|c| c.connect_timeout = Duration::ZERO), "connect_timeout");
    }
}
