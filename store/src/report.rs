//! What an operator asks of the ledger: where the lanes stand, what became of the records, whether the books balance.
//!
//! Figures come from proof rows and balances, never from a scan of the event log. What costs a scan says so. One
//! payment and one dead letter are in `report_payment`. Backlogs need Kafka, and are left to the caller.

use serde::Serialize;
use sqlx::postgres::PgConnection;
use sqlx::{Executor, FromRow};

use crate::error::StoreError;
use crate::gaps::{self, AcceptedGap};

pub use crate::report_payment::{
    DeadLetterFilter, DeadLetterReport, EventReport, OperationReport, OwnerOfEvent, ParkedReport, PaymentReport,
    PaymentStateReport, StoredRecord, WholeDeadLetter, dead_letter, dead_letters, payment, payment_of_event,
};

/// The ledger at one moment. Moments are RFC 3339 in UTC, ages by the database's clock.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Status {
    /// The lanes, by partition.
    pub lanes: Vec<LaneReport>,
    /// What became of all records.
    pub flow: Flow,
    /// What is parked now, by reason.
    pub parked: Vec<ParkedCount>,
    /// The dead letters, by reason.
    pub rejected: Vec<RejectedCount>,
    /// The payments, by status.
    pub payments: Vec<PaymentCount>,
    /// Balances by class of account and currency.
    pub money: Vec<Money>,
    /// What lanes stepped over because a person said so.
    pub accepted_gaps: Vec<AcceptedGap>,
}

/// A lane.
#[derive(Clone, PartialEq, Debug, Serialize, FromRow)]
pub struct LaneReport {
    /// The topic.
    pub topic: String,
    /// Kafka's id of it.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The worker that claimed last.
    pub owner: Option<String>,
    /// The number of that claim.
    pub epoch: i64,
    /// The first offset that was ever asked for.
    pub start_offset: i64,
    /// The first offset that is not accounted for.
    pub next_offset: i64,
    /// When it was claimed.
    pub claimed_at: Option<String>,
    /// When its last batch with records was committed.
    pub last_commit_at: Option<String>,
    /// How long ago that was.
    pub last_commit_age_seconds: Option<f64>,
    /// How long nothing was heard of it: neither a claim nor a batch with records.
    pub quiet_seconds: Option<f64>,
}

/// What became of all records: the sums of the proof rows. `applied`, `duplicate`, `parked` and `rejected` add up to
/// `records`; `drained_*` is what became of parked ones since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.batches")]
pub struct Flow {
    pub proof_rows: i64,
    pub records: i64,
    pub applied: i64,
    pub duplicate: i64,
    pub parked: i64,
    pub rejected: i64,
    pub drained_applied: i64,
    pub drained_duplicate: i64,
    pub drained_rejected: i64,
    pub records_last_10_seconds: i64,
    pub records_last_60_seconds: i64,
}

/// What waits for one reason.
#[derive(Clone, PartialEq, Debug, Serialize, FromRow)]
pub struct ParkedCount {
    /// What it waits for.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// Since when the oldest waits.
    pub oldest_since: String,
    /// For how long.
    pub oldest_age_seconds: f64,
}

/// Dead letters of one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
pub struct RejectedCount {
    /// Why they were rejected.
    pub reason: String,
    /// How many.
    pub count: i64,
    /// How many nobody has redriven or discarded.
    pub open: i64,
}

/// Payments of one status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
pub struct PaymentCount {
    /// The status.
    pub status: String,
    /// How many.
    pub count: i64,
}

/// The balance of a class of accounts in one currency: debits minus credits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Money {
    /// The class: `merchant_payable` for those of all merchants.
    pub account: String,
    /// The currency's code.
    pub currency: String,
    /// How many accounts the class has in this currency.
    pub accounts: i64,
    /// In minor units.
    pub amount_minor: i128,
}

#[derive(FromRow)]
struct MoneyRow {
    account: String,
    currency: String,
    accounts: i64,
    amount_minor: String,
}

/// Whether the schema was ever made.
pub async fn has_schema(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(include_str!("../queries/has_migrations.sql")).fetch_one(connection).await?)
}

/// The ledger in one snapshot. Costs a scan of `batches` (one row for each transaction), `dead_letters` and `payments`.
pub async fn status(connection: &mut PgConnection) -> Result<Status, StoreError> {
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let status = Status {
        lanes: lanes(&mut *connection).await?,
        flow: sqlx::query_as(include_str!("../queries/report_flow.sql")).fetch_one(&mut *connection).await?,
        parked: sqlx::query_as(include_str!("../queries/report_parked.sql")).fetch_all(&mut *connection).await?,
        rejected: sqlx::query_as(include_str!("../queries/report_rejected.sql")).fetch_all(&mut *connection).await?,
        payments: sqlx::query_as(include_str!("../queries/report_payments.sql")).fetch_all(&mut *connection).await?,
        money: money(connection).await?,
        accepted_gaps: gaps::accepted(connection).await?,
    };
    connection.execute("COMMIT").await?;
    Ok(status)
}

/// The lanes, by topic and partition.
pub async fn lanes(connection: &mut PgConnection) -> Result<Vec<LaneReport>, StoreError> {
    Ok(sqlx::query_as(include_str!("../queries/report_lanes.sql")).fetch_all(connection).await?)
}

async fn money(connection: &mut PgConnection) -> Result<Vec<Money>, StoreError> {
    let rows: Vec<MoneyRow> = sqlx::query_as(include_str!("../queries/report_money.sql")).fetch_all(connection).await?;
    rows.into_iter().map(Money::try_from).collect()
}

impl TryFrom<MoneyRow> for Money {
    type Error = StoreError;

    fn try_from(row: MoneyRow) -> Result<Money, StoreError> {
        let MoneyRow { account, currency, accounts, amount_minor } = row;
        let amount_minor = amount_minor
            .parse()
            .map_err(|_| StoreError::Corrupt(format!("balance {amount_minor:?} of {account} in {currency}")))?;
        Ok(Money { account, currency, accounts, amount_minor })
    }
}
