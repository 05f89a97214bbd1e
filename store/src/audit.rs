//! The proof: what must hold of the whole ledger, each as one query over one snapshot.
//!
//! The checks are SQL and share no code with what writes the ledger: sums by type, sorts and counts, written from the
//! design's tables, so that a mistake in judging, folding or posting does not repeat itself here. Anyone may run them
//! with psql. They read every row, sort a few times and join by key, O(n log n), and block nobody.
//!
//! Whether Kafka holds records that no lane has reached yet is left to the caller: this crate knows no Kafka. Months
//! that retention has dropped show as missing: an audit is of a ledger that is whole.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::error::StoreError;
use crate::gaps::{self, AcceptedGap};

/// One statement about the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// The stable label.
    pub name: &'static str,
    /// The statement, as it reads when it holds.
    #[serde(rename = "statement")]
    pub holds: &'static str,
    #[serde(skip)]
    query: &'static str,
}

macro_rules! checks {
    ($($name:literal: $holds:literal,)*) => {
        /// Every check, in the order in which they are made: proof rows first, for what the others rest on.
        pub const CHECKS: &[Check] = &[
            $(Check { name: $name, holds: $holds, query: include_str!(concat!("../queries/audit_", $name, ".sql")) },)*
        ];
    };
}

checks! {
    "proof_topic": "all lanes, proof rows and accepted gaps are of one topic, by its id",
    "proof_tiles": "the proof rows, and gaps that people accepted, tile each lane's offsets from its start to its fence",
    "proof_epochs": "along the offsets epochs never fall: no worker wrote after it had lost its fence",
    "count_applied": "by partition, as many events stand as proof rows say were applied",
    "count_parked": "by partition, as many records are parked as proof rows say were parked and not drained",
    "count_rejected": "by partition, as many dead letters stand as proof rows say were rejected",
    "batch_rows": "each proof row agrees with the rows that stand at its own offsets",
    "offset_once": "each offset stands in at most one of events, parked and dead_letters",
    "offset_in_lane": "every row's offset lies between its lane's start and its fence",
    "event_once": "no lane has an event both applied and parked",
    "payment_versions": "each payment's events have the versions 1 to n, and its row says n",
    "payment_fold": "each payment's counters are what its events add up to",
    "payment_owner": "each payment has one user, one currency and at most one merchant in all its events",
    "payment_status": "each payment's status follows from its counters",
    "payment_limits": "captured + voided <= authorized; refunded + pending <= captured unless it is a credit",
    "payment_sequences": "no sequence number of a payment was applied twice, and none is above the last used up",
    "applied_in_order": "what was not parked was applied in offset order within its payment",
    "operation_events": "what is noted by operation is what was applied with an operation id",
    "operation_life": "each operation is a refund or a dispute, of one amount, begun before it ended, ended once",
    "operation_sums": "pending refunds, open and lost disputes add up to their payment's counters",
    "transfer_form": "each transfer has two different accounts and a positive amount",
    "transfer_posting": "each event moved its amount between the accounts that its type names, or nothing",
    "balance_sums": "each stored balance is the sum of its transfers, by account, currency and partition",
    "balance_zero": "the balances of each currency add up to 0",
}

/// What a check found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// The check.
    #[serde(flatten)]
    pub check: Check,
    /// How often the statement does not hold; 0 if it holds.
    pub violations: i64,
    /// Up to five of the places.
    pub examples: Vec<String>,
    /// How long the query took.
    #[serde(rename = "took_seconds", serialize_with = "seconds")]
    pub took: Duration,
}

/// What one lane's proof rows account for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, sqlx::FromRow)]
pub struct LaneExtent {
    /// The topic.
    pub topic: String,
    /// Kafka's id of it, when the lane was first claimed.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that was ever asked for.
    pub start_offset: i64,
    /// The first offset that is not accounted for.
    pub next_offset: i64,
    /// The records that the proof rows count.
    pub records: i64,
    /// How many proof rows there are.
    pub proof_rows: i64,
}

/// The ledger at one moment, against all checks.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Audit {
    /// The lanes in the same snapshot.
    pub lanes: Vec<LaneExtent>,
    /// What people accepted as lost, in the same snapshot.
    pub accepted_gaps: Vec<AcceptedGap>,
    /// One for each of [`CHECKS`], in its order.
    pub findings: Vec<Finding>,
}

impl Audit {
    /// Whether every check holds.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.violations == 0)
    }

    /// The checks that do not hold.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.violations > 0)
    }
}

/// Makes every check in one snapshot, which writes nothing and keeps no worker waiting. `begins` is told of each check
/// before it is made. Each of `others` makes checks too, in the same snapshot: one backend keeps one core busy. Takes
/// connections without a statement timeout, as `Database::connect` gives.
pub async fn run(
    connection: &mut PgConnection,
    others: &mut [PgConnection],
    begins: impl Fn(&Check),
) -> Result<Audit, StoreError> {
    connection.execute(include_str!("../queries/audit_snapshot.sql")).await?;
    share_snapshot(connection, others).await?;
    let audit = examine(connection, others, begins).await?;
    for connection in others.iter_mut().chain([connection]) {
        connection.execute("COMMIT").await?;
    }
    Ok(audit)
}

/// Puts the others into the same snapshot.
async fn share_snapshot(connection: &mut PgConnection, others: &mut [PgConnection]) -> Result<(), StoreError> {
    if others.is_empty() {
        return Ok(());
    }
    let snapshot: String = sqlx::query_scalar("SELECT pg_export_snapshot()").fetch_one(connection).await?;
    for other in others {
        other.execute(include_str!("../queries/audit_snapshot.sql")).await?;
        // A statement that takes no parameters; Postgres made the name itself, of hexadecimal digits and hyphens.
        other.execute(AssertSqlSafe(format!("SET TRANSACTION SNAPSHOT '{snapshot}'"))).await?;
    }
    Ok(())
}

/// Makes every check in the transactions that the connections are in: what the transaction wrote itself counts.
pub async fn examine(
    connection: &mut PgConnection,
    others: &mut [PgConnection],
    begins: impl Fn(&Check),
) -> Result<Audit, StoreError> {
    let lanes = sqlx::query_as(include_str!("../queries/audit_lanes.sql")).fetch_all(&mut *connection).await?;
    let accepted_gaps = gaps::accepted(&mut *connection).await?;
    let next = AtomicUsize::new(0);
    let work = |connection| take_checks(connection, &next, &begins);
    let found = try_join_all(others.iter_mut().chain([connection]).map(work)).await?;
    let mut found: Vec<(usize, Finding)> = found.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(place, _)| *place);
    Ok(Audit { lanes, accepted_gaps, findings: found.into_iter().map(|(_, finding)| finding).collect() })
}

/// Makes one check after the other, as long as there is one that nobody has taken.
async fn take_checks(
    connection: &mut PgConnection,
    next: &AtomicUsize,
    begins: impl Fn(&Check),
) -> Result<Vec<(usize, Finding)>, StoreError> {
    let mut found = Vec::new();
    loop {
        let place = next.fetch_add(1, Ordering::Relaxed);
        let Some(check) = CHECKS.get(place) else { return Ok(found) };
        begins(check);
        found.push((place, find(connection, *check).await?));
    }
}

async fn find(connection: &mut PgConnection, check: Check) -> Result<Finding, StoreError> {
    let began = Instant::now();
    let rows = sqlx::query(check.query).fetch_all(connection).await?;
    let violations = match rows.first() {
        Some(row) => row.try_get("violations")?,
        None => 0,
    };
    let examples = rows.iter().map(|row| row.try_get("example")).collect::<Result<_, _>>()?;
    Ok(Finding { check, violations, examples, took: began.elapsed() })
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
