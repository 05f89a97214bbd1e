//! One run under observation: from the first visible result to the last, with what it cost whom.
//!
//! Postgres is asked as little as possible while it is measured. How fast it went is told afterwards by the commits
//! themselves (`commits`); here are only the bounds and the cost.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use sqlx::postgres::PgConnection;

use crate::process::Process;
use crate::procfs;
use crate::progress::Bar;
use crate::results::{Figures, figure};
use crate::stack::Stack;

/// How often progress is asked for where Postgres can tell it from a few rows, and where it has to add up its statistics.
const ASK_CHEAPLY_EVERY: Duration = Duration::from_millis(75);
const ASK_EVERY: Duration = Duration::from_millis(150);
/// Rows that are counted sooner than Postgres' statistics, which are up to a second old, tell of them.
const FEW: i64 = 20_000;
/// The least share of a run between its two looks for its cost by event to mean something: clocks of processes tick at 10 ms.
const SEEN_SHARE_MIN: f64 = 0.2;
/// A run without progress for this long has failed.
const STUCK_AFTER: Duration = Duration::from_secs(90);

/// How far a contender has come, as Postgres can say cheaply.
#[derive(Clone, Debug)]
pub enum Gauge {
    /// Millrace: where its fences stand.
    Lanes,
    /// The floor: proof rows alone.
    Batches,
    /// Millrace without proof rows: its event log, which is partitioned by month.
    Events,
    /// Anyone else: rows of this table.
    Rows(String),
}

impl Gauge {
    fn is_asked_every(&self) -> Duration {
        match self {
            Gauge::Lanes | Gauge::Batches => ASK_CHEAPLY_EVERY,
            Gauge::Events | Gauge::Rows(_) => ASK_EVERY,
        }
    }
}

/// What everybody has used at one moment, and how much was done by then.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    done: i64,
    process: f64,
    postgres: f64,
    brokers: f64,
    wal_bytes: i64,
}

/// What is watched.
pub struct Watched<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// A connection to the contender's database.
    pub session: &'a mut PgConnection,
    /// How far it has come.
    pub gauge: Gauge,
    /// The contender's processes; none where it is the bench itself.
    pub processes: &'a mut [Process],
    /// How much was done before this run.
    pub base: i64,
    /// How much is done when it has ended, `base` included.
    pub target: i64,
}

impl Watched<'_> {
    /// Waits for the end and gives the cost by million events. CPU time and WAL are those between the first visible
    /// result and the end, and left out where too little of the run lies between them; memory is the peak since the start.
    pub async fn until_done(&mut self, bar: &Bar) -> anyhow::Result<Figures> {
        let first = self.first(bar).await?;
        let last = self.last(first, bar).await?;
        let mut figures = Figures::new();
        let events = (last.done - first.done) as f64;
        if events >= SEEN_SHARE_MIN * (self.target - self.base) as f64 {
            let per_million = |from: f64, to: f64| (to - from) * 1e6 / events;
            figures.insert(figure::CPU_PROCESS, per_million(first.process, last.process));
            figures.insert(figure::CPU_POSTGRES, per_million(first.postgres, last.postgres));
            if self.stack.knows_brokers() {
                figures.insert(figure::CPU_BROKERS, per_million(first.brokers, last.brokers));
            }
            figures.insert(figure::WAL_BYTES, (last.wal_bytes - first.wal_bytes) as f64 / events);
        }
        if !self.processes.is_empty() {
            let peaks = self.processes.iter().map(|process| procfs::peak_memory_mib(process.pid()));
            figures.insert(figure::MEMORY_MIB, peaks.sum::<anyhow::Result<f64>>()?);
        }
        Ok(figures)
    }

    async fn first(&mut self, bar: &Bar) -> anyhow::Result<Snapshot> {
        let began = Instant::now();
        loop {
            // Statistics may show rows that are not committed yet.
            if self.glance().await? > self.base {
                let snapshot = self.snapshot(bar).await?;
                if snapshot.done > self.base {
                    return Ok(snapshot);
                }
            }
            self.ensure_alive()?;
            ensure!(began.elapsed() < STUCK_AFTER, "nothing was written within {} s", STUCK_AFTER.as_secs());
            tokio::time::sleep(self.gauge.is_asked_every()).await;
        }
    }

    async fn last(&mut self, first: Snapshot, bar: &Bar) -> anyhow::Result<Snapshot> {
        let mut seen = first.done;
        let mut moved_at = Instant::now();
        let mut size = None;
        loop {
            // To count rows costs Postgres more than a batch does: they are counted once their table grows no more.
            let size_before = std::mem::replace(&mut size, self.size().await?);
            let done = match size.is_none() || size == size_before {
                true => self.exact().await?,
                false => self.glance().await?.max(seen),
            };
            if done > seen {
                seen = done;
                moved_at = Instant::now();
            }
            bar.at(seen - self.base);
            if seen >= self.target {
                return self.snapshot(bar).await;
            }
            self.ensure_alive()?;
            if moved_at.elapsed() > STUCK_AFTER {
                bail!("it stands still at {seen} of {} for {} s", self.target, STUCK_AFTER.as_secs());
            }
            tokio::time::sleep(self.gauge.is_asked_every()).await;
        }
    }

    fn ensure_alive(&mut self) -> anyhow::Result<()> {
        self.processes.iter_mut().try_for_each(Process::ensure_running)
    }

    async fn snapshot(&mut self, bar: &Bar) -> anyhow::Result<Snapshot> {
        let done = self.exact().await?;
        bar.at(done - self.base);
        let pids = self.processes.iter().map(Process::pid);
        let process = match self.processes.is_empty() {
            true => procfs::cpu_seconds(std::process::id())?,
            false => pids.map(procfs::cpu_seconds).sum::<anyhow::Result<f64>>()?,
        };
        let servers = self.stack.server_cpu()?;
        let wal_bytes = sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
            .fetch_one(&mut *self.session)
            .await?;
        Ok(Snapshot { done, process, postgres: servers.postgres, brokers: servers.brokers, wal_bytes })
    }

    /// How much is done, without a scan. It may lag.
    async fn glance(&mut self) -> anyhow::Result<i64> {
        match self.gauge.clone() {
            Gauge::Lanes | Gauge::Batches => self.exact().await,
            _ if self.target <= FEW => self.exact().await,
            Gauge::Events => self.inserted("events\\_%").await,
            Gauge::Rows(table) => self.inserted(&table).await,
        }
    }

    /// The bytes of the tables whose rows would have to be counted; none where Postgres can tell cheaply what is done.
    async fn size(&mut self) -> anyhow::Result<Option<i64>> {
        let pattern = match &self.gauge {
            Gauge::Lanes | Gauge::Batches => return Ok(None),
            Gauge::Events => "events\\_%",
            Gauge::Rows(table) => table,
        };
        let statement =
            "SELECT coalesce(sum(pg_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE $1";
        Ok(Some(sqlx::query_scalar(statement).bind(pattern).fetch_one(&mut *self.session).await?))
    }

    /// Rows that Postgres' statistics know of, in the tables of this name.
    async fn inserted(&mut self, pattern: &str) -> anyhow::Result<i64> {
        let statement = "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE $1";
        Ok(sqlx::query_scalar(statement).bind(pattern).fetch_one(&mut *self.session).await?)
    }

    /// How much is done, to the row.
    async fn exact(&mut self) -> anyhow::Result<i64> {
        let statement = match &self.gauge {
            Gauge::Lanes => {
                "SELECT coalesce(sum(next_offset - start_offset), 0)::bigint FROM millrace.lanes".to_owned()
            }
            Gauge::Batches => {
                "SELECT coalesce(sum(to_offset - from_offset), 0)::bigint FROM millrace.batches".to_owned()
            }
            Gauge::Events => "SELECT count(*) FROM millrace.events".to_owned(),
            Gauge::Rows(table) => format!("SELECT count(*) FROM {table}"),
        };
        match sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&mut *self.session).await {
            Ok(count) => Ok(count),
            Err(error) if is_not_made_yet(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// The contender makes its tables itself, in its own time.
fn is_not_made_yet(error: &sqlx::Error) -> bool {
    const UNDEFINED_TABLE: &str = "42P01";
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == UNDEFINED_TABLE)
}
