//! From publish to committed under a steady load.
//!
//! Open loop: the schedule is fixed beforehand, each event says when it was due (`occurred_at`), and its latency is
//! counted from then to the commit timestamp of its row. A contender that stalls cannot slow the load down, so
//! coordinated omission cannot hide anything.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use millrace_domain::ids::Micros;
use millrace_generator::Outcome;
use millrace_topics::TopicName;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use tokio::runtime::Handle;

use crate::bars;
use crate::checking;
use crate::contender::millrace::Setup;
use crate::contender::{millrace, peer};
use crate::results::{Figures, Place, figure};
use crate::sending::RawProducer;
use crate::suite::{Bench, PARTITIONS, now_ms};
use crate::window::{Gauge, Watched};
use crate::workload::charges::{Flaw, Maker, count};
use crate::workload::{Kind, Record};

/// The scenario at a fixed rate.
pub const STEADY: &str = "latency at 2,000 events/s";
/// The scenario at half of what Debezium can do.
pub const HALF: &str = "latency at half of Debezium's maximum";
/// What Debezium is called here, whatever its settings.
pub const DEBEZIUM: &str = "debezium";

const STEADY_RATE: f64 = 2_000.0;
/// Left out at the beginning.
const WARM_UP: Duration = Duration::from_secs(2);
/// Events before the load, so that a JVM has compiled what it needs; the same for everyone.
const WARM_UP_EVENTS: u64 = 5_000;

/// Who is under load.
#[derive(Clone, Debug)]
enum Who {
    Millrace,
    Peer(peer::Setup),
}

/// A load at one rate.
#[derive(Clone, Copy, Debug)]
struct Load {
    scenario: &'static str,
    rate: f64,
    seconds: u64,
}

impl Load {
    fn events(&self) -> u64 {
        (self.rate * self.seconds as f64) as u64
    }
}

/// Measures latency at both rates, each contender's process under the one load after the other.
pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let best = bars::best_debezium(&bench.results);
    let maximum = best.as_ref().and_then(|best| bench.results.median(Kind::Charges.name(), best, figure::RATE));
    let setup = crate::suite::debezium(bench.asked.long)
        .into_iter()
        .find(|setup| best.as_ref().is_none_or(|best| setup.name() == *best));
    let mut field = vec![Who::Millrace];
    if bench.peers.contains("debezium") {
        field.extend(setup.map(Who::Peer));
    }
    let (steady, half) = if bench.asked.long { (30, 30) } else { (7, 4) };
    let mut loads = vec![Load { scenario: STEADY, rate: STEADY_RATE, seconds: steady }];
    match maximum {
        Some(maximum) => loads.push(Load { scenario: HALF, rate: maximum / 2.0, seconds: half }),
        None => bench.note(format!("{HALF} was not measured: Debezium's maximum is not known")),
    }
    for round in 1..=bench.asked.rounds {
        for who in &field {
            turn(bench, &loads, who, round).await?;
        }
    }
    Ok(())
}

async fn turn(bench: &mut Bench, loads: &[Load], who: &Who, round: u32) -> anyhow::Result<()> {
    let contender = match who {
        Who::Millrace => "millrace",
        Who::Peer(_) => DEBEZIUM,
    };
    let found = match one(bench, loads, who, contender).await {
        Ok(found) => found,
        Err(error) if matches!(who, Who::Peer(_)) => {
            bench.note(format!("{contender} was left out of latency: {error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error.context("latency")),
    };
    for (load, figures) in loads.iter().zip(found) {
        let place = Place { scenario: load.scenario, contender, parameter: None };
        bench.found(place, load.events(), round, &figures);
    }
    Ok(())
}

/// One process under all loads; the figures of each.
async fn one(bench: &mut Bench, loads: &[Load], who: &Who, contender: &str) -> anyhow::Result<Vec<Figures>> {
    let stack = &bench.stack;
    let topic = stack.make_topic(PARTITIONS).await?;
    let (database, gauge) = match who {
        Who::Millrace => (stack.make_database().await?, Gauge::Lanes),
        Who::Peer(_) => (peer::make_database(stack).await?, Gauge::Rows(peer::TABLE.to_owned())),
    };
    stack.settle().await?;
    let mut session = stack.connect(&database).await?;
    let process = match who {
        Who::Millrace => millrace::start(stack, &topic, &Setup::default(), &database, &stack.new_name(), 0)?,
        Who::Peer(setup) => peer::start(stack, topic.as_str(), &database, setup)?,
    };
    let mut processes = [process];
    let mut maker = Maker::new(u64::try_from(now_ms()?)?, Flaw::None);
    let mut outcome = Outcome::default();
    warm_up(&stack.brokers, &topic, &mut maker, &mut outcome).await?;
    let (mut base, mut target) = (0, i64::try_from(WARM_UP_EVENTS)?);
    let mut spans = Vec::new();
    for load in std::iter::once(None).chain(loads.iter().map(Some)) {
        if let Some(load) = load {
            (base, target) = (target, target + i64::try_from(load.events())?);
            spans.push(send(&stack.brokers, &topic, (&mut maker, &mut outcome), load).await?);
        }
        let bar = bench.progress.bar(&format!("{contender} under load"), u64::try_from(target - base)?);
        let gauge = gauge.clone();
        let mut watched = Watched { stack, session: &mut session, gauge, processes: &mut processes, base, target };
        watched.until_done(&bar).await?;
    }
    let [process] = processes;
    process.end().await?;
    let (table, micros) = match who {
        Who::Millrace => ("millrace.events", "(extract(epoch FROM occurred_at) * 1000000)::bigint"),
        Who::Peer(_) => (peer::TABLE, "occurred_at"),
    };
    let mut found = Vec::new();
    for span in &spans {
        found.push(percentiles(&mut session, table, micros, span).await?);
    }
    drop(session);
    if matches!(who, Who::Millrace) {
        let problems = checking::problems(stack, topic.as_str(), &database, &outcome).await?;
        if !problems.is_empty() {
            bench.wrong(format!("latency: {}", problems.join("; ")));
        }
    }
    bench.stack.drop_database(&database).await?;
    bench.stack.delete_topic(&topic).await?;
    Ok(found)
}

/// Some thousand events as quickly as they are accepted.
async fn warm_up(brokers: &str, topic: &TopicName, maker: &mut Maker, outcome: &mut Outcome) -> anyhow::Result<()> {
    let producer = RawProducer::like_the_product(brokers, topic.as_str())?;
    for _ in 0..WARM_UP_EVENTS {
        let event = maker.charge(now()?);
        count(outcome, &event);
        producer.enqueue(&Record::of(&event), None).await?;
    }
    producer.finish().await?;
    Ok(())
}

/// Publishes at a fixed rate, each event at its time or, if it is late, at once. Gives the times, in microseconds,
/// between which events are measured.
async fn send(
    brokers: &str,
    topic: &TopicName,
    (maker, outcome): (&mut Maker, &mut Outcome),
    load: &Load,
) -> anyhow::Result<Range<i64>> {
    let producer = RawProducer::like_the_product(brokers, topic.as_str())?;
    let (events, rate) = (load.events(), load.rate);
    let (began, began_at) = (Instant::now(), now()?);
    let send = || -> anyhow::Result<i64> {
        let mut due_at = began_at.0;
        for number in 0..events {
            let due = Duration::from_secs_f64(number as f64 / rate);
            if let Some(early) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(early);
            }
            due_at = began_at.0 + i64::try_from(due.as_micros())?;
            let event = maker.charge(Micros(due_at));
            count(outcome, &event);
            Handle::current().block_on(producer.enqueue(&Record::of(&event), None))?;
        }
        Ok(due_at)
    };
    // This thread keeps the schedule; the runtime goes on with its others.
    let last_at = tokio::task::block_in_place(send)?;
    producer.finish().await?;
    Ok(began_at.0 + i64::try_from(WARM_UP.as_micros())?..last_at + 1)
}

/// From the scheduled time of each event to the commit of its row.
async fn percentiles(
    session: &mut PgConnection,
    table: &str,
    micros: &str,
    span: &Range<i64>,
) -> anyhow::Result<Figures> {
    let statement = format!(
        "SELECT count(*), percentile_disc(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY milliseconds) FROM (
             SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000000 - {micros}) / 1000.0
                 AS milliseconds
             FROM {table} WHERE {micros} >= $1 AND {micros} < $2
         ) AS latencies"
    );
    let row = sqlx::query(AssertSqlSafe(statement)).bind(span.start).bind(span.end).fetch_one(session).await?;
    let counted: i64 = row.try_get(0)?;
    ensure!(counted > 0, "no event was due behind the warm-up");
    let found: Vec<f64> = row.try_get(1).context("percentiles")?;
    let names = [figure::P50_MS, figure::P90_MS, figure::P99_MS, figure::MAX_MS];
    Ok(names.into_iter().zip(found).collect())
}

fn now() -> anyhow::Result<Micros> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Micros(i64::try_from(since.as_micros())?))
}
