//! How it grows: one thing is varied at a time, and the long form draws the curves.
//!
//! Each runs alone with `--only NAME`.

use std::sync::Arc;

use anyhow::Context;

use crate::checking;
use crate::contender::Backlog;
use crate::contender::millrace::{self, Into, Setup};
use crate::results::Place;
use crate::sending;
use crate::suite::{Bench, Contender, PARTITIONS, Turn, now_ms};
use crate::workload::{self, Kind};

/// The curve over partitions.
pub const BY_PARTITIONS: &str = "by partitions";
/// The curve over workers.
pub const BY_WORKERS: &str = "by workers";
/// The curve over the largest batch.
pub const BY_BATCH: &str = "by records of a batch";
/// The curve over the length of the backlog.
pub const BY_BACKLOG: &str = "by length of the backlog";
/// The longest backlog.
pub const BACKLOG_MAX: u64 = 10_000_000;
/// A second worker joins under load.
pub const SECOND_WORKER: &str = "a second worker joins";
/// The contender without it, and with it.
pub const ONE: &str = "millrace, 1 worker";
/// See `ONE`.
pub const TWO: &str = "millrace, 2 workers";
/// Tables that hold rows already.
pub const FULL_TABLES: &str = "full tables";
/// The contender with full tables, and with empty ones.
pub const FULL: &str = "millrace, full tables";
/// See `FULL`.
pub const EMPTY: &str = "millrace, empty tables";

/// The same worker on topics of more and more partitions.
pub async fn partitions(bench: &mut Bench) -> anyhow::Result<()> {
    let mut turns = Vec::new();
    for partitions in [1, 4, 12, 24, 32, 64] {
        let backlog = bench.backlog(Kind::Charges, partitions, bench.asked.events).await?;
        turns.push(turn(bench, BY_PARTITIONS, u64::from(partitions), Arc::new(backlog), Setup::default()));
    }
    all(bench, turns).await
}

/// More and more workers on one topic of twelve partitions, the last one a standby.
pub async fn workers(bench: &mut Bench) -> anyhow::Result<()> {
    let backlog = Arc::new(bench.backlog(Kind::Charges, PARTITIONS, bench.asked.events).await?);
    let setup = |workers: usize| Setup { workers, ..Setup::default() };
    let turns = [1, 2, 4, 8, 13].map(|n| turn(bench, BY_WORKERS, n as u64, backlog.clone(), setup(n)));
    all(bench, turns.into()).await
}

/// Batches of at most so many records.
pub async fn batches(bench: &mut Bench) -> anyhow::Result<()> {
    let backlog = Arc::new(bench.backlog(Kind::Charges, PARTITIONS, bench.asked.events).await?);
    let setup = |records: u64| Setup {
        arguments: vec!["--batch-records-max".to_owned(), records.to_string()],
        ..Setup::default()
    };
    let turns = [100, 300, 1_000, 3_000, 10_000, 30_000].map(|n| turn(bench, BY_BATCH, n, backlog.clone(), setup(n)));
    all(bench, turns.into()).await
}

/// Backlogs from a thousand to ten million.
pub async fn backlogs(bench: &mut Bench) -> anyhow::Result<()> {
    // Each topic is deleted behind its rounds: ten million records are gigabytes.
    for events in [1_000, 10_000, 100_000, 1_000_000, BACKLOG_MAX] {
        let backlog = bench.backlog(Kind::Charges, PARTITIONS, events).await?;
        let turns = vec![turn(bench, BY_BACKLOG, events, Arc::new(backlog), Setup::default())];
        all(bench, turns).await?;
    }
    Ok(())
}

/// One user who has half of all events, and events of 2 KiB.
pub async fn shapes(bench: &mut Bench) -> anyhow::Result<()> {
    let mut turns = Vec::new();
    for kind in [Kind::HotUser, Kind::Wide] {
        let backlog = bench.backlog(kind, PARTITIONS, bench.asked.events).await?;
        turns.push(Turn { parameter: None, ..turn(bench, kind.name(), 0, Arc::new(backlog), Setup::default()) });
    }
    all(bench, turns).await
}

/// A second worker, which joins when a fifth is done.
pub async fn second_worker(bench: &mut Bench) -> anyhow::Result<()> {
    const JOINS_AT: f64 = 0.2;
    // Long enough that what happens when it joins is a small part.
    let events = bench.asked.events.max(1_000_000);
    let backlog = Arc::new(bench.backlog(Kind::Charges, PARTITIONS, events).await?);
    let rounds = bench.asked.rounds;
    let turn = |name, joins_at| Turn {
        scenario: SECOND_WORKER.to_owned(),
        parameter: None,
        backlog: backlog.clone(),
        contender: Contender::Millrace(name, Setup { joins_at, ..Setup::default() }),
        rounds,
    };
    all(bench, vec![turn(ONE, None), turn(TWO, Some(JOINS_AT))]).await
}

/// Fills the tables through the pipeline itself, then measures on top, in turn with empty tables.
pub async fn full_tables(bench: &mut Bench, rows: u64) -> anyhow::Result<()> {
    const SLICE: u64 = 5_000_000;
    let topic = bench.stack.make_topic(PARTITIONS).await?;
    let mut ledger = Backlog { topic, records: 0, outcome: Default::default() };
    let mut database = None;
    let mut slices = Vec::new();
    while slices.iter().sum::<u64>() < rows {
        slices.push(SLICE.min(rows - slices.iter().sum::<u64>()));
    }
    for (number, events) in slices.into_iter().enumerate() {
        let slice = publish_more(bench, &mut ledger, events, number as u64).await?;
        let into = database.clone().map_or(Into::Kept, Into::Standing);
        let bar = bench.progress.bar(&format!("filling the tables, part {}", number + 1), events);
        // The first part is audited by itself, all of it together at the end.
        let run = millrace::run(&bench.stack, &slice, &Setup::default(), &into, &bar).await?;
        database = Some(run.database);
    }
    let database = database.context("no rows were asked for")?;
    let events = bench.asked.events;
    for round in 1..=bench.asked.rounds {
        let more = publish_more(bench, &mut ledger, events, 1_000 + u64::from(round)).await?;
        one(bench, FULL, &more, &Into::Standing(database.clone()), round).await?;
        let fresh = bench.backlog(Kind::Charges, PARTITIONS, events).await?;
        one(bench, EMPTY, &fresh, &Into::Fresh, round).await?;
        bench.stack.delete_topic(&fresh.topic).await?;
    }
    bench.progress.say("auditing the full tables");
    let problems = checking::problems(&bench.stack, ledger.topic.as_str(), &database, &ledger.outcome).await?;
    if !problems.is_empty() {
        bench.wrong(format!("{FULL_TABLES}: {}", problems.join("; ")));
    }
    bench.stack.drop_database(&database).await?;
    bench.stack.delete_topic(&ledger.topic).await
}

async fn one(bench: &mut Bench, name: &str, backlog: &Backlog, into: &Into, round: u32) -> anyhow::Result<()> {
    let bar = bench.progress.bar(&format!("{name}: {FULL_TABLES}"), backlog.records);
    let run = millrace::run(&bench.stack, backlog, &Setup::default(), into, &bar).await?;
    drop(bar);
    bench.found(
        Place { scenario: FULL_TABLES, contender: name, parameter: None },
        backlog.records,
        round,
        &run.figures,
    );
    if !run.problems.is_empty() {
        bench.wrong(format!("{name}, round {round}: {}", run.problems.join("; ")));
    }
    Ok(())
}

/// Publishes other charges behind those that the topic holds; gives them as a backlog of their own.
async fn publish_more(bench: &mut Bench, ledger: &mut Backlog, events: u64, seed: u64) -> anyhow::Result<Backlog> {
    let bar = bench.progress.bar(&format!("publishing {events} more events"), events);
    let workload = Kind::Charges.stream_of(seed, events, now_ms()?)?;
    let (records, outcome) = sending::backlog(&bench.stack.brokers, ledger.topic.as_str(), workload, &bar).await?;
    let slice = Backlog { topic: ledger.topic.clone(), records, outcome };
    ledger.records += records;
    workload::merge(&mut ledger.outcome, &slice.outcome);
    Ok(slice)
}

fn turn(bench: &Bench, scenario: &str, parameter: u64, backlog: Arc<Backlog>, setup: Setup) -> Turn {
    Turn {
        scenario: scenario.to_owned(),
        parameter: Some(parameter),
        backlog,
        contender: Contender::Millrace("millrace", setup),
        rounds: bench.asked.rounds,
    }
}

async fn all(bench: &mut Bench, turns: Vec<Turn>) -> anyhow::Result<()> {
    bench.rounds(turns.clone()).await?;
    bench.forget(&turns).await
}
