//! The floor in Postgres: COPY of exactly the rows that the pipeline wrote, without any logic.
//!
//! The rows of a run are read back and cut as the pipeline's batches were; then each batch is one transaction with
//! the same rows in the same tables under the same keys, by one connection or several, the partitions divided among
//! them. What the pipeline writes more than once (a balance) is written once: a floor promises too little work rather
//! than too much. It is for single charges: a payment that changes later has only its last state here.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, ensure};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use millrace_domain::ids::Micros;
use millrace_domain::window::AcceptedWindow;
use millrace_store::{connect, months};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use super::with_pace;
use crate::commits;
use crate::progress::Bar;
use crate::results::Figures;
use crate::stack::Stack;
use crate::window::{Gauge, Watched};

const HEADER_BYTES: usize = 19;
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();
const CHUNK_BYTES: usize = 256 * 1024;

/// The tables in the order in which a batch writes them, and how to find the offset of the record that caused a row.
/// `t` is the table.
const TABLES: [(&str, &str); 5] = [
    ("events", "FROM millrace.events t, LATERAL (SELECT t.\"offset\" AS caused) c"),
    (
        "operation_events",
        "FROM millrace.operation_events t JOIN (SELECT payment_id, operation_id, event_type, \"offset\" AS caused
         FROM millrace.events) c USING (payment_id, operation_id, event_type)",
    ),
    (
        "payments",
        "FROM millrace.payments t JOIN (SELECT payment_id, \"offset\" AS caused FROM millrace.events WHERE version = 1) c
         USING (payment_id)",
    ),
    (
        "balance_stripes",
        "FROM millrace.balance_stripes t JOIN (
             SELECT account, currency, partition, min(\"offset\") AS caused FROM (
                 SELECT millrace.account_name(debit, merchant_id) AS account, currency, partition, \"offset\"
                 FROM millrace.events WHERE debit IS NOT NULL
                 UNION ALL
                 SELECT millrace.account_name(credit, merchant_id), currency, partition, \"offset\"
                 FROM millrace.events WHERE credit IS NOT NULL
             ) AS moved GROUP BY account, currency, partition
         ) c USING (account, currency, partition)",
    ),
    ("batches", "FROM millrace.batches t, LATERAL (SELECT t.from_offset AS caused) c WHERE t.to_offset > t.from_offset"),
];

/// One batch: for each table its rows in COPY's binary form.
struct Batch {
    partition: i32,
    from: i64,
    to: i64,
    tables: [Vec<u8>; TABLES.len()],
}

/// The rows of one run, in memory.
pub struct Rows {
    batches: Vec<Batch>,
    copies: [String; TABLES.len()],
    records: i64,
}

impl Rows {
    /// Reads back what a run of Millrace wrote.
    pub async fn read(session: &mut PgConnection) -> anyhow::Result<Rows> {
        let proofs = sqlx::query(
            "SELECT partition, from_offset, to_offset FROM millrace.batches WHERE to_offset > from_offset ORDER BY batch_id",
        )
        .fetch_all(&mut *session)
        .await?;
        let mut batches = Vec::with_capacity(proofs.len());
        for row in &proofs {
            let (partition, from, to) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            batches.push(Batch { partition, from, to, tables: Default::default() });
        }
        let mut by_partition: HashMap<i32, BTreeMap<i64, usize>> = HashMap::new();
        for (index, batch) in batches.iter().enumerate() {
            by_partition.entry(batch.partition).or_default().insert(batch.from, index);
        }
        let mut copies: [String; TABLES.len()] = Default::default();
        for (table, (name, source)) in TABLES.iter().enumerate() {
            let columns = columns(session, name).await?;
            let list = columns.iter().map(|column| format!("t.\"{column}\"")).collect::<Vec<_>>().join(", ");
            let into = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
            copies[table] = format!("COPY millrace.{name} ({into}) FROM STDIN WITH (FORMAT binary)");
            let statement = format!(
                "COPY (SELECT {list}, t.partition, c.caused {source} ORDER BY t.partition, c.caused) TO STDOUT WITH (FORMAT binary)"
            );
            let mut bytes = Vec::new();
            let mut rows = session.copy_out_raw(&statement).await?;
            while let Some(chunk) = rows.try_next().await? {
                bytes.extend_from_slice(&chunk);
            }
            drop(rows);
            cut(&bytes, &by_partition, |batch, row| {
                let table = &mut batches[batch].tables[table];
                if table.is_empty() {
                    table.extend_from_slice(SIGNATURE);
                }
                row.append_to(table);
            })
            .with_context(|| format!("the rows of millrace.{name}"))?;
        }
        let records = batches.iter().map(|batch| batch.to - batch.from).sum();
        Ok(Rows { batches, copies, records })
    }

    /// Writes them all with so many connections.
    async fn write(&self, stack: &Stack, database: &str, connections: usize) -> anyhow::Result<()> {
        let writers = (0..connections).map(|own| async move {
            let mut session = stack.connect(database).await?;
            let ours = |batch: &&Batch| batch.partition as usize % connections == own;
            for batch in self.batches.iter().filter(ours) {
                self.write_batch(&mut session, batch).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(writers).await?;
        Ok(())
    }

    async fn write_batch(&self, session: &mut PgConnection, batch: &Batch) -> anyhow::Result<()> {
        session.execute("BEGIN").await?;
        for (rows, statement) in batch.tables.iter().zip(&self.copies) {
            if rows.is_empty() {
                continue;
            }
            let mut copy = session.copy_in_raw(statement).await?;
            for chunk in rows.chunks(CHUNK_BYTES) {
                copy.send(chunk).await?;
            }
            copy.send(END.as_slice()).await?;
            copy.finish().await?;
        }
        session.execute("COMMIT").await?;
        Ok(())
    }
}

/// One run of the floor.
pub async fn run(stack: &Stack, rows: &Rows, connections: usize, bar: &Bar) -> anyhow::Result<Figures> {
    let database = stack.make_database().await?;
    let mut session = stack.connect(&database).await?;
    connect::migrate(&mut session).await?;
    months::ensure(&mut session, &window(), now()?).await?;
    stack.settle().await?;
    let mut watched = Watched {
        stack,
        session: &mut session,
        gauge: Gauge::Batches,
        processes: &mut [],
        base: 0,
        target: rows.records,
    };
    let (written, figures) = tokio::join!(rows.write(stack, &database, connections), watched.until_done(bar));
    written?;
    let commits = commits::of_batches(&mut session).await?;
    let figures = with_pace(figures?, commits::pace(&commits)?);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM millrace.events").fetch_one(&mut session).await?;
    ensure!(count > 0, "the floor wrote no events");
    drop(session);
    stack.drop_database(&database).await?;
    Ok(figures)
}

/// The accepted window of a worker that is told nothing.
fn window() -> AcceptedWindow {
    const HOUR_MS: i64 = 3_600_000;
    const YEAR_MS: i64 = 31_557_600_000;
    AcceptedWindow { back_ms: 2 * YEAR_MS, ahead_ms: HOUR_MS }
}

fn now() -> anyhow::Result<Micros> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Micros(i64::try_from(since.as_micros())?))
}

/// The columns that a COPY may fill.
async fn columns(session: &mut PgConnection, table: &str) -> anyhow::Result<Vec<String>> {
    let statement = "SELECT column_name::text FROM information_schema.columns
        WHERE table_schema = 'millrace' AND table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position";
    let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement)).bind(table).fetch_all(session).await?;
    ensure!(!columns.is_empty(), "there is no table millrace.{table}");
    Ok(columns)
}

/// A row as COPY gives it, without the two columns that only say where it belongs.
struct RowBytes<'a> {
    columns: i16,
    fields: &'a [u8],
}

impl RowBytes<'_> {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.columns.to_be_bytes());
        bytes.extend_from_slice(self.fields);
    }
}

/// Gives each row to the batch that holds the record which caused it.
fn cut(
    bytes: &[u8],
    by_partition: &HashMap<i32, BTreeMap<i64, usize>>,
    mut give: impl FnMut(usize, RowBytes<'_>),
) -> anyhow::Result<()> {
    const PLACE_FIELDS: i16 = 2;
    let mut at = HEADER_BYTES;
    loop {
        let columns = i16::from_be_bytes(array(bytes, &mut at)?);
        if columns == -1 {
            return Ok(());
        }
        let start = at;
        for _ in 0..columns - PLACE_FIELDS {
            let length = i32::from_be_bytes(array(bytes, &mut at)?);
            at += usize::try_from(length).unwrap_or(0);
        }
        let fields = bytes.get(start..at).context("COPY ended within a row")?;
        array::<4>(bytes, &mut at)?;
        let partition = i32::from_be_bytes(array(bytes, &mut at)?);
        array::<4>(bytes, &mut at)?;
        let caused = i64::from_be_bytes(array(bytes, &mut at)?);
        let batches = by_partition.get(&partition).context("a row of a partition without a batch")?;
        let (_, batch) = batches.range(..=caused).next_back().context("a row before every batch")?;
        give(*batch, RowBytes { columns: columns - PLACE_FIELDS, fields });
    }
}

fn array<const N: usize>(bytes: &[u8], at: &mut usize) -> anyhow::Result<[u8; N]> {
    let end = *at + N;
    let found = bytes.get(*at..end).context("COPY ended early")?;
    *at = end;
    Ok(found.try_into()?)
}
