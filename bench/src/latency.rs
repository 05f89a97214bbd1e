//! From publish to committed under a steady load.
//!
//! Open loop: the schedule is fixed beforehand, each event says when it was due (`occurred_at`), and its latency is
//! counted from then to the commit timestamp of its row. A contender that stalls cannot slow the load down, so
//! coordinated omission cannot hide anything.

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
use crate::process::Process;
use crate::results::{Figures, Place, figure};
use crate::sending::RawProducer;
use crate::suite::{Bench, PARTITIONS, now_ms};
use crate::window::{Gauge, Watched};
use crate::workload::Record;
use crate::workload::charges::{Flaw, Maker, count};

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

/// Measures latency at both rates.
pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let best = bars::best_debezium(&bench.results);
    let maximum =
        best.as_ref().and_then(|best| bench.results.median(crate::workload::Kind::Charges.name(), best, figure::RATE));
    let setup = crate::suite::debezium(bench.asked.long)
        .into_iter()
        .find(|setup| best.as_ref().is_none_or(|best| setup.name() == *best));
    let mut field = vec![Who::Millrace];
    if bench.peers.contains("debezium") {
        field.extend(setup.map(Who::Peer));
    }
    let mut loads = vec![(STEADY, STEADY_RATE)];
    match maximum {
        Some(maximum) => loads.push((HALF, maximum / 2.0)),
        None => bench.note(format!("{HALF} was not measured: Debezium's maximum is not known")),
    }
    for round in 1..=bench.asked.rounds {
        for (scenario, rate) in &loads {
            for who in &field {
                turn(bench, scenario, *rate, who, round).await?;
            }
        }
    }
    Ok(())
}

async fn turn(bench: &mut Bench, scenario: &str, rate: f64, who: &Who, round: u32) -> anyhow::Result<()> {
    let seconds = if bench.asked.long { 30 } else { 7 };
    let contender = match who {
        Who::Millrace => "millrace",
        Who::Peer(_) => DEBEZIUM,
    };
    let duration = Duration::from_secs(seconds);
    let (figures, events) = match one(bench, rate, duration, who, contender).await {
        Ok(found) => found,
        Err(error) if matches!(who, Who::Peer(_)) => {
            bench.note(format!("{contender} was left out of {scenario}: {error:#}"));
            return Ok(());
        }
        Err(error) => return Err(error.context(scenario.to_owned())),
    };
    bench.found(Place { scenario, contender, parameter: None }, events, round, &figures);
    Ok(())
}

async fn one(
    bench: &mut Bench,
    rate: f64,
    duration: Duration,
    who: &Who,
    contender: &str,
) -> anyhow::Result<(Figures, u64)> {
    let stack = &bench.stack;
    let topic = stack.make_topic(PARTITIONS).await?;
    let database = match who {
        Who::Millrace => stack.make_database().await?,
        Who::Peer(_) => peer::make_database(stack).await?,
    };
    stack.settle().await?;
    let mut session = stack.connect(&database).await?;
    let process = match who {
        Who::Millrace => millrace::start(stack, &topic, &Setup::default(), &database, &stack.new_name(), 0)?,
        Who::Peer(setup) => peer::start(stack, topic.as_str(), &database, setup)?,
    };
    let gauge = match who {
        Who::Millrace => Gauge::Lanes,
        Who::Peer(_) => Gauge::Rows(peer::TABLE.to_owned()),
    };
    let total = (rate * duration.as_secs_f64()) as u64;
    let bar = bench.progress.bar(&format!("{contender} at {rate:.0} events/s"), WARM_UP_EVENTS + total);
    let mut processes = [process];
    let mut maker = Maker::new(u64::try_from(now_ms()?)?, Flaw::None);
    let mut outcome = warm_up(&stack.brokers, &topic, &mut maker).await?;
    let warm = i64::try_from(WARM_UP_EVENTS)?;
    let target = warm + i64::try_from(total)?;
    let gauged = gauge.clone();
    Watched { stack, session: &mut session, gauge: gauged, processes: &mut processes, base: 0, target: warm }
        .until_done(&bar)
        .await?;
    let measured_from = load(&stack.brokers, &topic, (maker, &mut outcome), rate, total).await?;
    Watched { stack, session: &mut session, gauge, processes: &mut processes, base: warm, target }
        .until_done(&bar)
        .await?;
    drop(bar);
    let [process] = processes;
    let figures = ended(&mut session, process, who, measured_from).await?;
    drop(session);
    if matches!(who, Who::Millrace) {
        let problems = checking::problems(stack, topic.as_str(), &database, &outcome).await?;
        if !problems.is_empty() {
            bench.wrong(format!("latency at {rate:.0} events/s: {}", problems.join("; ")));
        }
    }
    bench.stack.drop_database(&database).await?;
    bench.stack.delete_topic(&topic).await?;
    Ok((figures, total))
}

async fn ended(
    session: &mut PgConnection,
    process: Process,
    who: &Who,
    measured_from: Micros,
) -> anyhow::Result<Figures> {
    process.end().await?;
    match who {
        Who::Millrace => {
            let micros = "(extract(epoch FROM occurred_at) * 1000000)::bigint";
            percentiles(session, "millrace.events", micros, measured_from).await
        }
        Who::Peer(_) => percentiles(session, peer::TABLE, "occurred_at", measured_from).await,
    }
}

/// Some thousand events as quickly as they are accepted.
async fn warm_up(brokers: &str, topic: &TopicName, maker: &mut Maker) -> anyhow::Result<Outcome> {
    let producer = RawProducer::like_the_product(brokers, topic.as_str())?;
    let mut outcome = Outcome::default();
    for _ in 0..WARM_UP_EVENTS {
        let event = maker.charge(now()?);
        count(&mut outcome, &event);
        producer.enqueue(&Record::of(&event), None).await?;
    }
    producer.finish().await?;
    Ok(outcome)
}

/// Publishes at a fixed rate from a thread of its own, each event at its time or, if it is late, at once. Gives the
/// moment from which on events are measured.
async fn load(
    brokers: &str,
    topic: &TopicName,
    (mut maker, outcome): (Maker, &mut Outcome),
    rate: f64,
    events: u64,
) -> anyhow::Result<Micros> {
    let producer = RawProducer::like_the_product(brokers, topic.as_str())?;
    let runtime = Handle::current();
    let mut counted = std::mem::take(outcome);
    let sending = tokio::task::spawn_blocking(move || {
        let (began, began_at) = (Instant::now(), now()?);
        for number in 0..events {
            let due = Duration::from_secs_f64(number as f64 / rate);
            if let Some(early) = due.checked_sub(began.elapsed()) {
                std::thread::sleep(early);
            }
            let event = maker.charge(Micros(began_at.0 + i64::try_from(due.as_micros())?));
            count(&mut counted, &event);
            runtime.block_on(producer.enqueue(&Record::of(&event), None))?;
        }
        anyhow::Ok((producer, began_at, counted))
    });
    let (producer, began_at, counted) = sending.await??;
    *outcome = counted;
    producer.finish().await?;
    Ok(Micros(began_at.0 + i64::try_from(WARM_UP.as_micros())?))
}

/// From the scheduled time of each event to the commit of its row.
async fn percentiles(
    session: &mut PgConnection,
    table: &str,
    micros: &str,
    measured_from: Micros,
) -> anyhow::Result<Figures> {
    let statement = format!(
        "SELECT count(*), percentile_disc(ARRAY[0.5, 0.9, 0.99, 1.0]) WITHIN GROUP (ORDER BY milliseconds) FROM (
             SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000000 - {micros}) / 1000.0
                 AS milliseconds
             FROM {table} WHERE {micros} >= $1
         ) AS latencies"
    );
    let row = sqlx::query(AssertSqlSafe(statement)).bind(measured_from.0).fetch_one(session).await?;
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
