//! What stands in Postgres, read by statements of our own from the relations that the design names.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::kafka::{Place, RawHeaders};

/// A ledger's database.
pub struct Ledger {
    pool: PgPool,
}

/// A row of `dead_letters` or `parked`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Where the record stood.
    pub place: Place,
    /// Why it is kept.
    pub reason: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: RawHeaders,
}

/// An applied event, with its place and version.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Where its record stood.
    pub place: Place,
    /// Its place among the events of its payment.
    pub version: i64,
    /// Its fields, in the JSON form; what a dead letter would keep of it apart is left out.
    pub event: Value,
}

/// A proof row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
    /// Which claim wrote it.
    pub epoch: i64,
}

impl Ledger {
    /// Connects; the database must be there.
    pub async fn open(url: &str) -> Ledger {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let pool = PgPoolOptions::new().max_connections(2);
        let pool = pool.connect_with(options.disable_statement_logging()).await;
        Ledger { pool: pool.unwrap_or_else(|error| panic!("{url}: {error}")) }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Rows of one text column: what audits ask for.
    pub async fn texts(&self, statement: &'static str) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(statement).fetch_all(&self.pool).await
    }

    /// One number.
    pub async fn number(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&self.pool).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// Runs a statement.
    pub async fn execute(&self, statement: impl Into<String>) {
        let statement = statement.into();
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&self.pool).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Where each lane stands: the fence, and the end of the proof rows.
    pub async fn positions(&self) -> Result<BTreeMap<i32, (i64, i64)>, sqlx::Error> {
        const POSITIONS: &str = "SELECT l.partition, l.next_offset,
            coalesce((SELECT max(to_offset) FROM millrace.batches b
                      WHERE b.partition = l.partition AND b.topic_id = l.topic_id), l.start_offset)
            FROM millrace.lanes l";
        let rows = sqlx::query(POSITIONS).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
    }

    /// The proof rows in the order in which they were committed.
    pub async fn proofs(&self) -> Vec<Proof> {
        const PROOFS: &str = "SELECT partition, from_offset, to_offset, epoch FROM millrace.batches
            ORDER BY committed_at, batch_id";
        let rows = sqlx::query(PROOFS).fetch_all(&self.pool).await.expect("the proof rows");
        rows.iter().map(|r| Proof { partition: r.get(0), from: r.get(1), to: r.get(2), epoch: r.get(3) }).collect()
    }

    /// The seven counts of the proof rows, summed up.
    pub async fn counts(&self) -> BTreeMap<&'static str, i64> {
        const COUNTS: &str = "SELECT coalesce(sum(applied), 0), coalesce(sum(duplicate), 0), coalesce(sum(parked), 0),
            coalesce(sum(rejected), 0), coalesce(sum(drained_applied), 0), coalesce(sum(drained_duplicate), 0),
            coalesce(sum(drained_rejected), 0) FROM millrace.batches";
        let row = sqlx::query(COUNTS).fetch_one(&self.pool).await.expect("the counts");
        COUNT_NAMES.iter().enumerate().map(|(index, name)| (*name, row.get(index))).collect()
    }

    /// The applied events, by payment and version.
    pub async fn applied(&self) -> Vec<Applied> {
        const APPLIED: &str = r#"SELECT event_id, event_type, payment_id, user_id, merchant_id, operation_id, sequence,
            amount_minor, currency, (extract(epoch FROM occurred_at) * 1000000)::bigint AS occurred_at, source,
            partition, "offset", version FROM millrace.events ORDER BY payment_id, version"#;
        let rows = sqlx::query(APPLIED).fetch_all(&self.pool).await.expect("the event log");
        let uuid = |row: &sqlx::postgres::PgRow, name| row.get::<Option<Uuid>, _>(name).map(|id| id.to_string());
        let text = |row: &sqlx::postgres::PgRow, name| row.get::<Option<String>, _>(name);
        rows.iter()
            .map(|row| {
                let nanos = i128::from(row.get::<i64, _>("occurred_at")) * 1_000;
                let occurred_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("a moment");
                let event = json!({
                    "event_id": uuid(row, "event_id"),
                    "event_type": text(row, "event_type"),
                    "payment_id": uuid(row, "payment_id"),
                    "user_id": text(row, "user_id"),
                    "merchant_id": text(row, "merchant_id"),
                    "operation_id": uuid(row, "operation_id"),
                    "sequence": row.get::<Option<i64>, _>("sequence"),
                    "amount_minor": row.get::<i64, _>("amount_minor"),
                    "currency": text(row, "currency"),
                    "occurred_at": occurred_at.format(&Rfc3339).expect("a year of four digits"),
                    "source": text(row, "source"),
                    "metadata": {},
                });
                Applied { place: (row.get("partition"), row.get("offset")), version: row.get("version"), event }
            })
            .collect()
    }

    /// The dead letters by place.
    pub async fn dead_letters(&self) -> Vec<Kept> {
        self.kept(
            r#"SELECT partition, "offset", reason, key, value, header_names, header_values
            FROM millrace.dead_letters ORDER BY 1, 2"#,
        )
        .await
    }

    /// What is parked, by place.
    pub async fn parked(&self) -> Vec<Kept> {
        self.kept(
            r#"SELECT partition, "offset", reason, key, value, header_names, header_values
            FROM millrace.parked ORDER BY 1, 2"#,
        )
        .await
    }

    async fn kept(&self, statement: &'static str) -> Vec<Kept> {
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.expect("records that are kept");
        rows.iter()
            .map(|row| {
                let names: Vec<Vec<u8>> = row.get(5);
                let values: Vec<Option<Vec<u8>>> = row.get(6);
                Kept {
                    place: (row.get(0), row.get(1)),
                    reason: row.get(2),
                    key: row.get(3),
                    value: row.get(4),
                    headers: names.into_iter().zip(values).collect(),
                }
            })
            .collect()
    }

    /// The payments to which something was applied, each as one line of all its columns.
    pub async fn payments(&self) -> BTreeMap<Uuid, String> {
        const PAYMENTS: &str = "SELECT payment_id, format('status %s, authorized %s, captured %s, voided %s, refund_pending %s, \
            refunded %s, disputed %s, lost %s, fees %s, last_sequence %s, version %s, user %s, merchant %s, currency %s', \
            status, authorized, captured, voided, refund_pending, refunded, disputed, lost, fees, last_sequence, version, \
            user_id, coalesce(merchant_id, 'none'), currency) FROM millrace.payments WHERE version > 0";
        self.by_id(PAYMENTS).await
    }

    /// Payments of which only numbers were used up: partition and last sequence.
    pub async fn numbers_only(&self) -> BTreeMap<Uuid, String> {
        self.by_id(
            "SELECT payment_id, format('%s %s', partition, last_sequence) FROM millrace.payments WHERE version = 0",
        )
        .await
    }

    async fn by_id(&self, statement: &'static str) -> BTreeMap<Uuid, String> {
        let rows = sqlx::query(statement).fetch_all(&self.pool).await.expect("the payments");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Refunds and disputes: kind, status and amount.
    pub async fn operations(&self) -> BTreeMap<String, String> {
        const OPERATIONS: &str = "SELECT payment_id || ' ' || operation_id, format('%s %s %s', kind, status, amount)
            FROM millrace.operations";
        let rows = sqlx::query(OPERATIONS).fetch_all(&self.pool).await.expect("the operations");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The ledger rows by event: debit, credit, amount and currency.
    pub async fn transfers(&self) -> BTreeMap<String, String> {
        const TRANSFERS: &str =
            "SELECT event_id::text, format('%s %s %s %s', debit_account, credit_account, amount_minor,
            currency) FROM millrace.transfers";
        let rows = sqlx::query(TRANSFERS).fetch_all(&self.pool).await.expect("the transfers");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The balances that are not 0, by account and currency.
    pub async fn balances(&self) -> BTreeMap<String, String> {
        const BALANCES: &str = "SELECT account || ' ' || currency, amount_minor::text FROM millrace.balances
            WHERE amount_minor <> 0";
        let rows = sqlx::query(BALANCES).fetch_all(&self.pool).await.expect("the balances");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// The counts of a proof row, by the names of the columns.
pub const COUNT_NAMES: [&str; 7] =
    ["applied", "duplicate", "parked", "rejected", "drained_applied", "drained_duplicate", "drained_rejected"];

/// How often each reason occurs.
pub fn by_reason(kept: &[Kept]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    kept.iter().for_each(|kept| *counts.entry(kept.reason.as_str()).or_insert(0) += 1);
    counts
}
