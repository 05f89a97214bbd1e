//! What the publishing library costs: `publish()` and `millrace publish FILE` against raw librdkafka.
//!
//! Same settings, same bytes, same semantics: each caller waits for the result of its event before it sends the next.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use millrace_domain::event::Event;
use millrace_domain::ids::Micros;
use millrace_producer::{Producer, ProducerConfig};
use millrace_topics::TopicName;
use millrace_wire::json;
use serde_json::Value;

use crate::bars::MILLRACE;
use crate::process::{Plan, Process};
use crate::procfs;
use crate::results::{Figures, Place, figure};
use crate::sending::RawProducer;
use crate::stack::Stack;
use crate::suite::{Bench, PARTITIONS, now_ms};
use crate::workload::Record;
use crate::workload::charges::{Flaw, Maker};

/// So many callers at once.
pub const CALLERS: [usize; 3] = [1, 10, 1_000];
/// The floor's name.
pub const RAW: &str = "floor: raw librdkafka";
/// The scenario of a file.
pub const FILE: &str = "publishing a file";

/// Different events that callers send over and over; ids do not matter to a producer.
pub const POOL: usize = 20_000;
/// Events before the time begins, so that every broker is connected.
const WARM_UP: usize = 300;
/// Files of records before anything counts, so that freshly started brokers have compiled their way of taking records.
/// Other parts of the bench have seen to that too.
const WARM_UP_FILES: u64 = 3;
const FILE_WITHIN: Duration = Duration::from_secs(1800);

/// The scenario of so many callers.
pub fn scenario(callers: usize) -> String {
    format!("publish(), {callers} callers")
}

/// Measures all of it, in turn.
pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let topic = bench.stack.make_topic(PARTITIONS).await?;
    let (events, records) = pool(POOL)?;
    let (events, records) = (Arc::new(events), Arc::new(records));
    let lines = bench.asked.events;
    let file = write_file(&bench.stack.logs, usize::try_from(lines)?)?;
    let time = if bench.asked.long { Duration::from_secs(5) } else { Duration::from_millis(500) };
    if bench.results.measurements.is_empty() {
        raw_file(&bench.stack, &topic, &records, lines * WARM_UP_FILES).await?;
    }
    for round in 1..=bench.asked.rounds {
        // Who is first changes with each round: a machine that slows down is held against neither.
        let [first, second] = if round.is_multiple_of(2) { [RAW, MILLRACE] } else { [MILLRACE, RAW] };
        callers_in_turn(bench, &topic, (&events, &records), [first, second], time, round).await?;
        for who in [first, second, second, first] {
            let figures = match who {
                MILLRACE => publish_file(&bench.stack, &topic, &file, lines).await?,
                _ => raw_file(&bench.stack, &topic, &records, lines).await?,
            };
            bench.found(Place { scenario: FILE, contender: who, parameter: None }, lines, round, &figures);
        }
    }
    bench.stack.delete_topic(&topic).await
}

/// Callers of the product and of raw librdkafka, who are connected once: a turn costs its time and nothing else, so each has
/// three for any number of callers. What others on the host do for a second would decide otherwise.
async fn callers_in_turn(
    bench: &mut Bench,
    topic: &TopicName,
    (events, records): (&Arc<Vec<Event>>, &Arc<Vec<Record>>),
    [first, second]: [&'static str; 2],
    time: Duration,
    round: u32,
) -> anyhow::Result<()> {
    let product = Arc::new(Product::connect(&bench.stack, topic, events).await?);
    let raw = Arc::new(Raw::connect(&bench.stack, topic, records).await?);
    for callers in CALLERS {
        let scenario = scenario(callers);
        for who in [first, second, second, first, first, second] {
            let (figures, sent) = match who {
                MILLRACE => call(&product, callers, time).await?,
                _ => call(&raw, callers, time).await?,
            };
            bench.found(Place { scenario: &scenario, contender: who, parameter: None }, sent, round, &figures);
        }
    }
    product.producer.close(Duration::from_secs(10)).await?;
    finish(raw).await
}

/// Who takes the next of a pool of events, and waits until it is acknowledged.
trait Taker: Send + Sync + 'static {
    fn take(&self, number: usize) -> impl Future<Output = anyhow::Result<()>> + Send;
}

struct Product {
    producer: Producer,
    events: Arc<Vec<Event>>,
}

impl Product {
    async fn connect(stack: &Stack, topic: &TopicName, events: &Arc<Vec<Event>>) -> anyhow::Result<Product> {
        let producer = Producer::connect(ProducerConfig::new(&*stack.brokers, topic.as_str())).await?;
        let product = Product { producer, events: events.clone() };
        try_join_all((0..WARM_UP).map(|number| product.take(number))).await?;
        Ok(product)
    }
}

impl Taker for Product {
    async fn take(&self, number: usize) -> anyhow::Result<()> {
        self.producer.publish(&self.events[number % self.events.len()]).await?;
        Ok(())
    }
}

struct Raw {
    producer: RawProducer,
    records: Arc<Vec<Record>>,
}

impl Raw {
    async fn connect(stack: &Stack, topic: &TopicName, records: &Arc<Vec<Record>>) -> anyhow::Result<Raw> {
        let producer = RawProducer::like_the_product(&stack.brokers, topic.as_str())?;
        let raw = Raw { producer, records: records.clone() };
        try_join_all((0..WARM_UP).map(|number| raw.take(number))).await?;
        Ok(raw)
    }
}

impl Taker for Raw {
    async fn take(&self, number: usize) -> anyhow::Result<()> {
        self.producer.deliver(&self.records[number % self.records.len()]).await
    }
}

async fn finish(raw: Arc<Raw>) -> anyhow::Result<()> {
    Arc::into_inner(raw).context("every caller has ended")?.producer.finish().await?;
    Ok(())
}

/// Different events, and the same as records.
pub fn pool(count: usize) -> anyhow::Result<(Vec<Event>, Vec<Record>)> {
    let mut maker = Maker::new(7, Flaw::None);
    let at = Micros(now_ms()? * 1_000);
    let events: Vec<Event> = (0..count).map(|_| maker.charge(at)).collect();
    let records = events.iter().map(Record::of).collect();
    Ok((events, records))
}

fn write_file(directory: &Path, lines: usize) -> anyhow::Result<PathBuf> {
    let path = directory.join("charges.ndjson");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    let mut maker = Maker::new(8, Flaw::None);
    let at = Micros(now_ms()? * 1_000);
    for _ in 0..lines {
        writeln!(file, "{}", json::to_string(&maker.charge(at)))?;
    }
    file.flush()?;
    Ok(path)
}

/// What a run of callers comes to.
fn figures(sent: u64, took: Duration, cpu_before: f64) -> anyhow::Result<Figures> {
    let cpu = procfs::cpu_seconds(std::process::id())? - cpu_before;
    ensure!(sent > 0, "nothing was sent");
    Ok(Figures::from([
        (figure::RATE, sent as f64 / took.as_secs_f64()),
        (figure::SECONDS, took.as_secs_f64()),
        (figure::CPU_PROCESS, cpu * 1e6 / sent as f64),
    ]))
}

/// So many callers at once for some time; gives the figures and how many events were sent.
async fn call(taker: &Arc<impl Taker>, callers: usize, time: Duration) -> anyhow::Result<(Figures, u64)> {
    let cpu = procfs::cpu_seconds(std::process::id())?;
    let began = Instant::now();
    let calling = (0..callers).map(|caller| {
        let taker = taker.clone();
        tokio::spawn(async move {
            let mut sent = 0;
            while began.elapsed() < time {
                taker.take(caller * 31 + sent).await?;
                sent += 1;
            }
            anyhow::Ok(sent as u64)
        })
    });
    let sent = try_join_all(calling).await?.into_iter().sum::<anyhow::Result<u64>>()?;
    Ok((figures(sent, began.elapsed(), cpu)?, sent))
}

/// Callers of raw librdkafka for some time; gives how many records were sent.
pub async fn raw(
    stack: &Stack,
    topic: &TopicName,
    records: &Arc<Vec<Record>>,
    callers: usize,
    time: Duration,
) -> anyhow::Result<u64> {
    let raw = Arc::new(Raw::connect(stack, topic, records).await?);
    let (_, sent) = call(&raw, callers, time).await?;
    finish(raw).await?;
    Ok(sent)
}

async fn publish_file(stack: &Stack, topic: &TopicName, file: &Path, lines: u64) -> anyhow::Result<Figures> {
    let checkpoint = stack.logs.join("charges.checkpoint");
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let plan = Plan {
        name: "millrace publish",
        program: &stack.millrace,
        arguments: vec![
            "publish".into(),
            text(file)?,
            "--checkpoint".into(),
            text(&checkpoint)?,
            "-o".into(),
            "json".into(),
        ],
        environment: vec![("MILLRACE_BROKERS", stack.brokers.clone()), ("MILLRACE_TOPIC", topic.to_string())],
    };
    let said = Process::start(plan, &stack.logs)?.finished(FILE_WITHIN).await?;
    let summary = said.lines().rev().filter(|line| line.starts_with('{')).find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("events_per_second").is_some().then_some(value)
    });
    let summary = summary.with_context(|| format!("no summary in {said:?}"))?;
    ensure!(summary["accepted"].as_u64() == Some(lines), "not all {lines} lines were accepted: {summary}");
    let number = |name: &str| summary[name].as_f64().with_context(|| format!("no {name} in {summary}"));
    Ok(Figures::from([(figure::RATE, number("events_per_second")?), (figure::SECONDS, number("seconds")?)]))
}

/// The same number of records that are made already, from the first hand-over to the last acknowledgement.
async fn raw_file(stack: &Stack, topic: &TopicName, records: &[Record], lines: u64) -> anyhow::Result<Figures> {
    let producer = RawProducer::like_publishing_a_file(&stack.brokers, topic.as_str())?;
    producer.deliver(&records[0]).await?;
    let cpu = procfs::cpu_seconds(std::process::id())?;
    let began = Instant::now();
    for number in 0..usize::try_from(lines)? {
        producer.enqueue(&records[number % records.len()], None).await?;
    }
    producer.finish().await?;
    figures(lines, began.elapsed(), cpu)
}
