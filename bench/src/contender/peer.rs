//! The peers that run on a JVM: Debezium and Flink, through the hooks in `bench/peers/`.
//!
//! How they are fetched and configured is those hooks' business. A virtual machine compiles while it runs: so that this
//! is not held against them, they are measured over the second half of the rows alone, rate and cost alike. A peer that cannot be had is noted, and the bars that
//! need it are not measured.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Backlog, with_pace};
use crate::commits;
use crate::process::{Plan, Process};
use crate::progress::Bar;
use crate::results::Figures;
use crate::stack::{Stack, repository};
use crate::window::{Gauge, Watched};

/// The table that every plain sink writes.
pub const TABLE: &str = "payment_events";

const FETCH_WITHIN: Duration = Duration::from_secs(900);

/// How a peer is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// `debezium` or `flink`.
    pub peer: &'static str,
    /// `upsert` or `insert`.
    pub mode: &'static str,
    /// Tasks, or slots.
    pub tasks: u32,
    /// Records of one batch.
    pub batch: u32,
}

impl Setup {
    /// What it is called in the results.
    pub fn name(&self) -> String {
        format!("{} {}, {} tasks, batch {}", self.peer, self.mode, self.tasks, self.batch)
    }
}

fn hook() -> PathBuf {
    repository().join("bench/peers/peer")
}

/// The table of plain sinks.
pub fn table() -> anyhow::Result<String> {
    const BUILT_IN: &str = include_str!("../table.sql");
    let shipped = repository().join("bench/peers/table.sql");
    let text = match shipped.exists() {
        true => std::fs::read_to_string(&shipped).with_context(|| shipped.display().to_string())?,
        false => BUILT_IN.to_owned(),
    };
    Ok(text.replace(":table", TABLE))
}

/// Gets a peer, once; an error says why it cannot be had.
pub async fn fetch(stack: &Stack, peer: &str) -> anyhow::Result<()> {
    let program = hook();
    ensure!(program.exists(), "{} is not here", program.display());
    let plan = Plan {
        name: &format!("{peer}-fetch"),
        program: &program,
        arguments: vec!["fetch".into(), peer.into()],
        environment: vec![("MILLRACE_STACK_DIR", stack_directory()?)],
    };
    Process::start(plan, &stack.logs)?.finished(FETCH_WITHIN).await?;
    Ok(())
}

/// Where peers keep what they download: beside the stack's own downloads.
fn stack_directory() -> anyhow::Result<String> {
    let stack = std::env::var_os("MILLRACE_STACK_DIR").map_or_else(|| repository().join(".stack"), PathBuf::from);
    Ok(stack.to_str().context("the stack's path is not UTF-8")?.to_owned())
}

/// Starts a peer on a topic and a database in which its table is made already.
pub fn start(stack: &Stack, topic: &str, database: &str, setup: &Setup) -> anyhow::Result<Process> {
    let (host, port, user) = stack.postgres()?;
    let scratch = stack.logs.join(format!("{}-{database}", setup.peer));
    std::fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    let plan = Plan {
        name: &format!("{}-{database}", setup.peer),
        program: &hook(),
        arguments: vec!["run".into(), setup.peer.into()],
        environment: vec![
            ("PEER_BROKERS", stack.brokers.clone()),
            ("PEER_TOPIC", topic.to_owned()),
            ("PEER_GROUP", stack.new_name()),
            ("PEER_PG_HOST", host),
            ("PEER_PG_PORT", port.to_string()),
            ("PEER_PG_USER", user),
            ("PEER_PG_DATABASE", database.to_owned()),
            ("PEER_TABLE", TABLE.to_owned()),
            ("PEER_BATCH", setup.batch.to_string()),
            ("PEER_TASKS", setup.tasks.to_string()),
            ("PEER_MODE", setup.mode.to_owned()),
            ("PEER_HEAP", "1g".to_owned()),
            ("PEER_DIR", scratch.to_str().context("the path of the logs is not UTF-8")?.to_owned()),
            ("MILLRACE_STACK_DIR", stack_directory()?),
        ],
    };
    Process::start(plan, &stack.logs)
}

/// Makes a database with the table.
pub async fn make_database(stack: &Stack) -> anyhow::Result<String> {
    let database = stack.make_database().await?;
    let mut session = stack.connect(&database).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(table()?)).execute(&mut session).await.context("the table of plain sinks")?;
    Ok(database)
}

/// One run over a backlog.
pub async fn run(stack: &Stack, backlog: &Backlog, setup: &Setup, bar: &Bar) -> anyhow::Result<Figures> {
    let database = make_database(stack).await?;
    stack.settle().await?;
    let process = start(stack, backlog.topic.as_str(), &database, setup)?;
    let records = i64::try_from(backlog.records)?;
    finish(stack, &database, process, (records / 2, records), bar).await
}

/// Watches a sink from one number of rows to another, then removes it.
pub async fn finish(
    stack: &Stack,
    database: &str,
    process: Process,
    (base, target): (i64, i64),
    bar: &Bar,
) -> anyhow::Result<Figures> {
    let mut session = stack.connect(database).await?;
    let mut processes = [process];
    let gauge = Gauge::Rows(TABLE.to_owned());
    let figures = Watched { stack, session: &mut session, gauge, processes: &mut processes, base, target }
        .until_done(bar)
        .await?;
    let [process] = processes;
    process.end().await?;
    let commits = commits::of_rows(&mut session, TABLE).await?;
    let pace = if base > 0 { commits::pace_of_second_half(&commits)? } else { commits::pace(&commits)? };
    let figures = with_pace(figures, pace);
    drop(session);
    stack.drop_database(database).await?;
    Ok(figures)
}
