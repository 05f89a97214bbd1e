//! What one event costs where no rate shows it: the brokers' CPU for taking and giving it, and the bytes that it leaves in
//! Kafka and in Postgres. `millrace plan-capacity` and docs/scaling.md reckon with these figures.

use std::path::Path;

use anyhow::Context;

use crate::contender::millrace::{self, Into, Setup};
use crate::results::{Figures, Place, figure};
use crate::suite::{Bench, PARTITIONS};
use crate::workload::Kind;

/// The scenario.
pub const COSTS: &str = "what an event costs";
/// Replicas of each topic that the bench makes.
const REPLICAS: f64 = 3.0;

/// Publishes charges and applies them, round by round, each on a topic and a database of its own.
pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    for round in 1..=bench.asked.rounds {
        let before = bench.stack.server_cpu()?.brokers;
        let backlog = bench.backlog(Kind::Charges, PARTITIONS, bench.asked.events).await?;
        let events = backlog.records as f64;
        let publishing = (bench.stack.server_cpu()?.brokers - before) * 1e6 / events;
        let log_bytes = log_bytes(bench.stack.broker_directories()?.iter().map(Path::new), backlog.topic.as_str())?;

        let bar = bench.progress.bar(COSTS, backlog.records);
        let run = millrace::run(&bench.stack, &backlog, &Setup::default(), &Into::Kept, &bar).await?;
        drop(bar);
        if !run.problems.is_empty() {
            bench.wrong(format!("{COSTS}, round {round}: {}", run.problems.join("; ")));
        }
        let ledger_bytes = bytes_of(bench, &run.database).await?;
        bench.stack.drop_database(&run.database).await?;
        bench.stack.delete_topic(&backlog.topic).await?;

        let mut figures: Figures = run.figures;
        figures.insert(figure::CPU_BROKERS_PUBLISHING, publishing);
        figures.insert(figure::KAFKA_BYTES, log_bytes as f64 / REPLICAS / events);
        figures.insert(figure::DISK_BYTES, ledger_bytes as f64 / events);
        let place = Place { scenario: COSTS, contender: "millrace", parameter: None };
        bench.found(place, backlog.records, round, &figures);
    }
    Ok(())
}

/// Tables and indexes of the ledger.
async fn bytes_of(bench: &Bench, database: &str) -> anyhow::Result<i64> {
    let statement = "SELECT sum(pg_total_relation_size(c.oid))::bigint
                     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'millrace' AND c.relkind = 'r'";
    let mut session = bench.stack.connect(database).await?;
    sqlx::query_scalar(statement).fetch_one(&mut session).await.context("the size of the ledger")
}

/// The bytes of a topic's log segments, all replicas together.
fn log_bytes<'a>(directories: impl Iterator<Item = &'a Path>, topic: &str) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for directory in directories {
        for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let of_topic = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
            if of_topic.is_none_or(|(name, _)| name != topic) {
                continue;
            }
            for file in std::fs::read_dir(&path)?.flatten() {
                if file.path().extension().is_some_and(|extension| extension == "log") {
                    bytes += file.metadata()?.len();
                }
            }
        }
    }
    Ok(bytes)
}
