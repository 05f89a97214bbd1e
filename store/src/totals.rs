//! What the ledger adds up to, counted anew from its rows, and how fast it came about.
//!
//! For those who know the totals beforehand and compare: the demo and tests. It scans the event log, so that what an
//! operator asks for every few seconds is in `report` instead.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, Row};

use crate::error::StoreError;

/// Where a lane stands.
#[derive(Clone, PartialEq, Debug, FromRow)]
pub struct Standing {
    /// Kafka's id of the topic.
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
    /// The database's clock, in seconds since 1970.
    pub seconds: f64,
}

/// Where the lanes stand, by partition.
pub async fn standing(connection: &mut PgConnection) -> Result<Vec<Standing>, StoreError> {
    Ok(sqlx::query_as(include_str!("../queries/standing.sql")).fetch_all(connection).await?)
}

/// The applied events of one type and currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeTotal {
    /// The type.
    pub event_type: String,
    /// The currency's code.
    pub currency: String,
    /// How many were applied.
    pub events: i64,
    /// The sum of their amounts, in minor units.
    pub amount_minor: i128,
    /// How many of them have a ledger row.
    pub transfers: i64,
}

/// One account's balance: debits minus credits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Balance {
    /// The account, such as `merchant_payable:m-1`.
    pub account: String,
    /// The currency's code.
    pub currency: String,
    /// In minor units.
    pub amount_minor: i128,
}

/// The applied events by type and currency.
pub async fn by_type(connection: &mut PgConnection) -> Result<Vec<TypeTotal>, StoreError> {
    let rows = sqlx::query(include_str!("../queries/totals_by_type.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(TypeTotal {
                event_type: row.try_get("event_type")?,
                currency: row.try_get("currency")?,
                events: row.try_get("events")?,
                amount_minor: whole(row.try_get("amount_minor")?)?,
                transfers: row.try_get("transfers")?,
            })
        })
        .collect()
}

/// Every account's balance.
pub async fn balances(connection: &mut PgConnection) -> Result<Vec<Balance>, StoreError> {
    let rows = sqlx::query(include_str!("../queries/totals_balances.sql")).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Balance {
                account: row.try_get("account")?,
                currency: row.try_get("currency")?,
                amount_minor: whole(row.try_get("amount_minor")?)?,
            })
        })
        .collect()
}

/// A sum over the whole ledger: `numeric` in the database, for it has no bound.
fn whole(text: String) -> Result<i128, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt(format!("a sum of amounts reads {text:?}")))
}

/// Offsets of one partition: from `first` to the one before `behind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "said above")]
pub struct OffsetRange {
    pub partition: i32,
    pub first: i64,
    pub behind: i64,
}

/// How long applied events took from their record's timestamp to the COMMIT of their batch, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs, reason = "the share of the events that took no longer")]
pub struct Latency {
    pub events: i64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// The latency over some offsets; none without an applied event. Exact, but for the clocks of publisher and database.
pub async fn latency(connection: &mut PgConnection, ranges: &[OffsetRange]) -> Result<Option<Latency>, StoreError> {
    let row = bind(include_str!("../queries/totals_latency.sql"), ranges).fetch_one(connection).await?;
    let percentiles: Option<Vec<f64>> = row.try_get("milliseconds")?;
    Ok(match percentiles.as_deref() {
        Some(&[p50_ms, p95_ms, p99_ms, max_ms]) => {
            Some(Latency { events: row.try_get("events")?, p50_ms, p95_ms, p99_ms, max_ms })
        }
        _ => None,
    })
}

/// So many records were accounted for in so many seconds.
#[derive(Clone, Copy, PartialEq, Debug, FromRow)]
#[allow(missing_docs, reason = "said above")]
pub struct Pace {
    pub records: i64,
    pub seconds: f64,
}

impl Pace {
    /// Records per second; none where there was no time.
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.records as f64 / self.seconds)
    }
}

/// The pace over some offsets by their proof rows, up to a moment of the database's clock if one is given.
pub async fn pace(
    connection: &mut PgConnection,
    ranges: &[OffsetRange],
    until_seconds: Option<f64>,
) -> Result<Pace, StoreError> {
    let row =
        bind(include_str!("../queries/totals_pace.sql"), ranges).bind(until_seconds).fetch_one(connection).await?;
    Ok(Pace::from_row(&row)?)
}

fn bind<'q>(
    query: &'static str,
    ranges: &[OffsetRange],
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(query)
        .bind(ranges.iter().map(|r| r.partition).collect::<Vec<i32>>())
        .bind(ranges.iter().map(|r| r.first).collect::<Vec<i64>>())
        .bind(ranges.iter().map(|r| r.behind).collect::<Vec<i64>>())
}
