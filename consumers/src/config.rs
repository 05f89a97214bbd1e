//! What a worker is told: where Kafka and Postgres are, and the bounds within which it works.

use std::num::NonZeroUsize;
use std::time::Duration;

use millrace_domain::window::AcceptedWindow;
use millrace_store::connect::Database;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// The longest time between two heartbeats to the group's coordinator.
const HEARTBEAT_MS_MAX: u128 = 1_000;

/// The most bytes of one broker's answer, compressed.
const FETCH_BYTES_MAX: usize = 2 << 20;

/// The configuration of one worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `host:port` of some brokers, separated by commas.
    pub brokers: String,
    /// The topic of events.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// The worker's name, for people: it stands in lanes, proof rows and logs.
    pub worker: String,
    /// The ledger.
    pub database: Database,
    /// The accepted window of event ids.
    pub window: AcceptedWindow,
    /// How long an event may be parked.
    pub parking_limit: Duration,
    /// How long the group waits for a silent worker before its partitions move.
    pub session_timeout: Duration,
    /// A lane that is busy for longer than this without progress ends the process.
    pub watchdog: Duration,
    /// The bounds.
    pub bounds: Bounds,
    /// Further librdkafka properties; they go over ours.
    pub kafka_properties: Vec<(String, String)>,
}

/// The bounds of a worker's memory and of its transactions.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most records of one transaction.
    pub batch_records_max: usize,
    /// The most bytes of one transaction's records.
    pub batch_bytes_max: usize,
    /// What may wait in all lane buffers together, in bytes.
    pub buffer_bytes_max: usize,
    /// What librdkafka may hold ahead of the lanes, in KiB.
    pub fetched_kib_max: usize,
    /// How many payments all lanes together remember.
    pub remembered_payments_max: NonZeroUsize,
    /// How many connections to Postgres all lanes together have. A lane has one while it works on a batch.
    pub connections_max: NonZeroUsize,
    /// How many lanes with a backlog work on a batch at the same time.
    pub busy_lanes_max: NonZeroUsize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            batch_records_max: 2_500,
            batch_bytes_max: 8 << 20,
            buffer_bytes_max: 32 << 20,
            fetched_kib_max: 2 << 10,
            remembered_payments_max: NonZeroUsize::new(12_288).expect("12288 is not 0"),
            connections_max: NonZeroUsize::new(16).expect("16 is not 0"),
            busy_lanes_max: NonZeroUsize::new(3).expect("3 is not 0"),
        }
    }
}

impl WorkerConfig {
    /// librdkafka's properties for the group's consumer.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let session_ms = self.session_timeout.as_millis();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.worker)
            .set("group.id", &self.group)
            .set("session.timeout.ms", session_ms.to_string())
            // A heartbeat's answer is how a worker hears that another left: soon, however patient the session is.
            .set("heartbeat.interval.ms", (session_ms / 3).min(HEARTBEAT_MS_MAX).to_string())
            .set("partition.assignment.strategy", "cooperative-sticky")
            // Offsets live in Postgres. What is committed to Kafka is a mirror, and an offset that Kafka lost is said, not reset.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("check.crcs", "true")
            // The defaults (1000 ms, 100000) starve a consumer that catches up; the bytes bound the memory instead.
            .set("fetch.queue.backoff.ms", "2")
            .set("queued.min.messages", "1000000")
            // A broker has one request of a fetcher at a time, and keeps it so long when its partitions hold nothing new. One
            // that was left out of it, for enough was fetched of it by then, waits along: with the default of 500 ms a backlog of
            // 50,000 stood still for 280 ms in two runs of three.
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", self.bounds.fetched_kib_max.to_string())
            // The bound is looked at before a fetch and not behind it: the first answer for 64 partitions may hold the backlog.
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
            // To pause a partition throws away what was fetched of it and not handed over. With the default of 1 MiB half of
            // all that the brokers send is fetched again; a batch of the producer is never cut, however large.
            .set("fetch.message.max.bytes", "262144")
            .set("socket.keepalive.enable", "true")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in &self.kafka_properties {
            config.set(name, value);
        }
        config
    }
}
