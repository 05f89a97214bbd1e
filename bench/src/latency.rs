//! From publish to committed under a steady load.
//!
//! Open loop: the schedule is fixed beforehand, each event says when it was due (`occurred_at`), and its latency is
//! counted from then to the commit timestamp of its row. A contender that stalls cannot slow the load down, so
//! coordinated omission cannot hide anything.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use millrace_domain::ids::Micros;
use millrace_generator::Outcome;
use millrace_topics::TopicName;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};
use tokio::runtime::Handle;

use crate::contender::millrace::Setup;
use crate::contender::{millrace, peer, with_pace};
use crate::process::Process;
use crate::progress::Bar;
use crate::results::{Figures, Place, figure};
use crate::sending::{self, RawProducer};
use crate::stack::Stack;
use crate::suite::{self, Bench, PARTITIONS, now_ms};
use crate::window::{Gauge, Watched};
use crate::workload::charges::{Flaw, Maker, count};
use crate::workload::{Kind, Record};
use crate::{bars, checking, commits};

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

/// Who is under load here: Debezium first, for its maximum says what half of it is.
fn field(bench: &Bench) -> Vec<Who> {
    let best = bars::best_debezium(&bench.results);
    let is_best = |setup: &peer::Setup| best.as_ref().is_none_or(|best| setup.name() == *best);
    let debezium = suite::debezium(bench.asked.long).into_iter().find(is_best);
    let debezium = debezium.filter(|_| bench.peers.contains("debezium"));
    debezium.map(Who::Peer).into_iter().chain([Who::Millrace]).collect()
}

/// One round: each process under one load after the other.
///
/// `catches_up`: Debezium has its turn at the charges here as well, before the loads, so that it is started once.
pub async fn round(bench: &mut Bench, round: u32, catches_up: bool) -> anyhow::Result<()> {
    for who in field(bench) {
        match turn(bench, &who, round, catches_up).await {
            Ok(()) => {}
            Err(error) if matches!(who, Who::Peer(_)) => {
                bench.note(format!("{DEBEZIUM} is left out from round {round} of latency on: {error:#}"));
                bench.peers.remove(DEBEZIUM);
            }
            Err(error) => return Err(error.context("latency")),
        }
    }
    Ok(())
}

/// The loads, as far as they are known by now.
fn loads(bench: &Bench) -> Vec<Load> {
    let (steady, half) = if bench.asked.long { (30, 30) } else { (5, 3) };
    let mut loads = vec![Load { scenario: STEADY, rate: STEADY_RATE, seconds: steady }];
    let best = bars::best_debezium(&bench.results);
    let maximum = best.and_then(|best| bench.results.median(Kind::Charges.name(), &best, figure::RATE));
    loads.extend(maximum.map(|maximum| Load { scenario: HALF, rate: maximum / 2.0, seconds: half }));
    loads
}

async fn turn(bench: &mut Bench, who: &Who, round: u32, catches_up: bool) -> anyhow::Result<()> {
    let contender = match who {
        Who::Millrace => "millrace",
        Who::Peer(_) => DEBEZIUM,
    };
    let bar = bench.progress.bar(&format!("{contender} under load"), bench.asked.events);
    let backlog = (catches_up && matches!(who, Who::Peer(_))).then_some(bench.asked.events);
    let mut running = Running::start(bench.stack.clone(), who, backlog, &bar).await?;
    let figures = running.come_up(backlog.is_some(), &bar).await?;
    if let (Some(events), Who::Peer(setup)) = (backlog, who) {
        let place = Place { scenario: Kind::Charges.name(), contender: &setup.name(), parameter: None };
        bench.found(place, events, round, &figures);
    }
    let loads = loads(bench);
    for load in &loads {
        running.bear(load, &bar).await?;
    }
    drop(bar);
    let (found, problems) = running.end().await?;
    if !problems.is_empty() {
        bench.wrong(format!("latency, round {round}: {}", problems.join("; ")));
    }
    for (load, figures) in loads.iter().zip(found) {
        let place = Place { scenario: load.scenario, contender, parameter: None };
        bench.found(place, load.events(), round, &figures);
    }
    Ok(())
}

/// A contender that runs, and what it was sent so far.
struct Running {
    stack: Arc<Stack>,
    topic: TopicName,
    database: String,
    session: PgConnection,
    gauge: Gauge,
    processes: [Process; 1],
    maker: Maker,
    outcome: Outcome,
    sent: i64,
    spans: Vec<Range<i64>>,
}

impl Running {
    /// Starts it on a topic with a backlog, or else with some thousand events to warm up.
    async fn start(stack: Arc<Stack>, who: &Who, backlog: Option<u64>, bar: &Bar) -> anyhow::Result<Running> {
        let topic = stack.make_topic(PARTITIONS).await?;
        let (database, gauge) = match who {
            Who::Millrace => (stack.make_database().await?, Gauge::Lanes),
            Who::Peer(_) => (peer::make_database(&stack).await?, Gauge::Rows(peer::TABLE.to_owned())),
        };
        let mut maker = Maker::new(u64::try_from(now_ms()?)?, Flaw::None);
        let mut outcome = Outcome::default();
        let sent = match backlog {
            Some(events) => {
                let charges = Kind::Charges.stream(events, now_ms()?)?;
                sending::backlog(&stack.brokers, topic.as_str(), charges, bar).await?.0
            }
            None => warm_up(&stack.brokers, &topic, &mut maker, &mut outcome).await?,
        };
        stack.settle().await?;
        let session = stack.connect(&database).await?;
        let process = match who {
            Who::Millrace => millrace::start(&stack, &topic, &Setup::default(), &database, &stack.new_name(), 0)?,
            Who::Peer(setup) => peer::start(&stack, topic.as_str(), &database, setup)?,
        };
        let (processes, sent, spans) = ([process], i64::try_from(sent)?, Vec::new());
        Ok(Running { stack, topic, database, session, gauge, processes, maker, outcome, sent, spans })
    }

    /// Waits until what was sent is written; the figures of the second half of it, if they are wanted.
    async fn come_up(&mut self, measured: bool, bar: &Bar) -> anyhow::Result<Figures> {
        let figures = self.written_from(if measured { self.sent / 2 } else { 0 }, bar).await?;
        match measured {
            true => {
                let commits = commits::of_rows(&mut self.session, peer::TABLE).await?;
                Ok(with_pace(figures, commits::pace_of_second_half(&commits)?))
            }
            false => Ok(figures),
        }
    }

    /// Puts it under a load, and waits until that is written.
    async fn bear(&mut self, load: &Load, bar: &Bar) -> anyhow::Result<()> {
        let base = self.sent;
        self.sent += i64::try_from(load.events())?;
        let span = send(&self.stack.brokers, &self.topic, (&mut self.maker, &mut self.outcome), load).await?;
        self.spans.push(span);
        self.written_from(base, bar).await?;
        Ok(())
    }

    async fn written_from(&mut self, base: i64, bar: &Bar) -> anyhow::Result<Figures> {
        let Running { stack, session, gauge, processes, sent, .. } = self;
        let mut watched = Watched { stack, session, gauge: gauge.clone(), processes, base, target: *sent };
        watched.until_done(bar).await
    }

    /// Ends it, and gives the latency under each load and what is wrong with the result.
    async fn end(self) -> anyhow::Result<(Vec<Figures>, Vec<String>)> {
        let Running { stack, topic, database, mut session, gauge, processes: [process], outcome, spans, .. } = self;
        process.end().await?;
        let is_millrace = matches!(gauge, Gauge::Lanes);
        let (table, micros) = match is_millrace {
            true => ("millrace.events", "(extract(epoch FROM occurred_at) * 1000000)::bigint"),
            false => (peer::TABLE, "occurred_at"),
        };
        let mut found = Vec::new();
        for span in &spans {
            found.push(percentiles(&mut session, table, micros, span).await?);
        }
        drop(session);
        let problems = match is_millrace {
            true => checking::problems(&stack, topic.as_str(), &database, &outcome).await?,
            false => Vec::new(),
        };
        stack.drop_database(&database).await?;
        stack.delete_topic(&topic).await?;
        Ok((found, problems))
    }
}

/// Some thousand events as quickly as they are accepted.
async fn warm_up(brokers: &str, topic: &TopicName, maker: &mut Maker, outcome: &mut Outcome) -> anyhow::Result<u64> {
    let producer = RawProducer::like_the_product(brokers, topic.as_str())?;
    for _ in 0..WARM_UP_EVENTS {
        let event = maker.charge(now()?);
        count(outcome, &event);
        producer.enqueue(&Record::of(&event), None).await?;
    }
    producer.finish().await
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
