//! The floor in Kafka: consume and discard, with the worker's settings and with rdkafka's own, decoded or not.
//!
//! It runs as a process of its own (`millrace-bench consume`) and tells its figures as JSON when it has read everything.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use millrace_wire::avro;
use millrace_wire::schemas::SchemaTable;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use super::Backlog;
use crate::process::{Plan, Process};
use crate::procfs;
use crate::results::{Figures, figure};
use crate::stack::Stack;

const READ_WITHIN: Duration = Duration::from_secs(1800);
const SILENT_MAX: Duration = Duration::from_secs(30);

/// What the worker sets, by default and as far as it concerns fetching.
const WORKER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("allow.auto.create.topics", "false"),
    ("check.crcs", "true"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.min.messages", "1000000"),
    ("fetch.wait.max.ms", "100"),
    ("queued.max.messages.kbytes", "2048"),
    ("fetch.max.bytes", "2097152"),
    ("fetch.message.max.bytes", "262144"),
    ("socket.keepalive.enable", "true"),
    ("topic.metadata.refresh.interval.ms", "10000"),
];

/// How the records are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Way {
    /// The worker's settings; each record is decoded.
    Decoded,
    /// The worker's settings; nobody looks into the records.
    Raw,
    /// rdkafka's defaults; each record is decoded.
    Defaults,
}

impl Way {
    /// What it is called in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Way::Decoded => "floor: consume, decode, discard",
            Way::Raw => "floor: consume, discard",
            Way::Defaults => "rdkafka's defaults: consume, decode, discard",
        }
    }
}

/// Run as a consumer that discards; started by the bench itself.
#[derive(Args)]
pub struct ConsumeArgs {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    partitions: i32,
    #[arg(long)]
    records: u64,
    #[arg(long, value_enum)]
    way: Way,
}

#[derive(Serialize, Deserialize)]
struct Found {
    per_second: f64,
    seconds: f64,
    cpu_s_per_million: f64,
    memory_peak_mib: f64,
}

/// One run over a backlog.
pub async fn run(stack: &Stack, backlog: &Backlog, way: Way) -> anyhow::Result<Figures> {
    let partitions = stack.watermarks(&backlog.topic).await?.len();
    let way_name = way.to_possible_value().context("every way has a name")?.get_name().to_owned();
    let plan = Plan {
        name: &format!("consume-{way_name}"),
        program: &std::env::current_exe()?,
        arguments: [
            "consume",
            "--brokers",
            &stack.brokers,
            "--topic",
            backlog.topic.as_str(),
            "--partitions",
            &partitions.to_string(),
            "--records",
            &backlog.records.to_string(),
            "--way",
            &way_name,
        ]
        .map(str::to_owned)
        .into(),
        environment: Vec::new(),
    };
    let said = Process::start(plan, &stack.logs)?.finished(READ_WITHIN).await?;
    let line = said.lines().find(|line| line.starts_with('{')).with_context(|| format!("no figures in {said:?}"))?;
    let found: Found = serde_json::from_str(line)?;
    Ok(Figures::from([
        (figure::RATE, found.per_second),
        (figure::SECONDS, found.seconds),
        (figure::CPU_PROCESS, found.cpu_s_per_million),
        (figure::MEMORY_MIB, found.memory_peak_mib),
    ]))
}

/// The consumer itself.
pub fn consume(args: &ConsumeArgs) -> anyhow::Result<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &args.brokers).set("group.id", "nobody: assigned by hand");
    if args.way != Way::Defaults {
        for (name, value) in WORKER {
            config.set(*name, *value);
        }
    }
    let consumer: BaseConsumer = config.create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..args.partitions {
        all.add_partition_offset(&args.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let own = std::process::id();
    let (mut read, mut began, mut cpu_before) = (0_u64, None, 0.0);
    let mut heard_at = Instant::now();
    while read < args.records {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                if args.way != Way::Raw {
                    let value = message.payload().context("a record without a value")?;
                    // What cannot be decoded is discarded like the rest.
                    drop(std::hint::black_box(avro::decode(value, SchemaTable::built_in())));
                }
                read += 1;
                heard_at = Instant::now();
                if began.is_none() {
                    began = Some(Instant::now());
                    cpu_before = procfs::cpu_seconds(own)?;
                }
            }
            Some(Err(error)) => tolerate(&error)?,
            None if heard_at.elapsed() > SILENT_MAX => bail!("{read} of {} records came", args.records),
            None => {}
        }
    }
    let seconds = began.context("no records were asked for")?.elapsed().as_secs_f64();
    let cpu = procfs::cpu_seconds(own)? - cpu_before;
    Ok(serde_json::to_string(&Found {
        per_second: (read - 1) as f64 / seconds,
        seconds,
        cpu_s_per_million: cpu * 1e6 / read as f64,
        memory_peak_mib: procfs::peak_memory_mib(own)?,
    })?)
}

/// A broker that is slow to answer is not the end.
fn tolerate(error: &rdkafka::error::KafkaError) -> anyhow::Result<()> {
    use rdkafka::types::RDKafkaErrorCode::{BrokerTransportFailure, OperationTimedOut};
    match error.rdkafka_error_code() {
        Some(BrokerTransportFailure | OperationTimedOut) => Ok(()),
        _ => bail!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_those_of_the_worker() {
        let source = include_str!("../../../consumers/src/config.rs");
        let computed = ["queued.max.messages.kbytes", "fetch.max.bytes"];
        for (name, value) in WORKER.iter().filter(|(name, _)| !computed.contains(name)) {
            let line = format!(".set(\"{name}\", \"{value}\")");
            assert!(source.contains(&line), "the worker does not say {line}");
        }
        assert!(source.contains("fetched_kib_max: 2 << 10"));
        assert!(source.contains("FETCH_BYTES_MAX: usize = 2 << 20;"));
    }
}
