//! What a lane reads before it judges a batch: states, what is parked, and which event ids stand already.

use std::collections::HashMap;

use millrace_domain::content::ContentHash;
use millrace_domain::event::{Event, EventType, Kind};
use millrace_domain::ids::{EventId, MerchantId, Micros, Offset, OperationId, Partition, PaymentId, Position, UserId};
use millrace_domain::money::Currency;
use millrace_domain::payment::{Counters, Fact, Owner, Payment};
use millrace_domain::reason::Parking;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use crate::copy::moment_of;
use crate::error::StoreError;
use crate::record::RawRecord;
use crate::rows::ParkedRow;

/// A payment's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPayment {
    /// The lane that wrote it last.
    pub partition: Partition,
    /// Its state.
    pub state: Payment,
}

/// The rows of these payments, with what was applied by operation.
pub async fn payments(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<PaymentId, StoredPayment>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(include_str!("../queries/load_payments.sql")).bind(ids).fetch_all(&mut *connection).await?;
    let mut payments = HashMap::with_capacity(rows.len());
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: Uuid = row.try_get(0)?;
        payments.insert(PaymentId(id), stored_payment(row)?);
        known.push(id);
    }
    if !known.is_empty() {
        let facts = sqlx::query(include_str!("../queries/load_operation_events.sql"))
            .bind(&known)
            .fetch_all(connection)
            .await?;
        for row in &facts {
            let id = PaymentId(row.try_get("payment_id")?);
            if let Some(payment) = payments.get_mut(&id) {
                payment.state.facts.push(fact(row)?);
            }
        }
    }
    Ok(payments)
}

/// Columns by their place in `load_payments.sql`: by name they take longer to find than to read.
fn stored_payment(row: &PgRow) -> Result<StoredPayment, StoreError> {
    let owner = match (row.try_get::<Option<&str>, _>(2)?, row.try_get::<Option<&str>, _>(4)?) {
        (Some(user), Some(code)) => Some(Owner { user_id: UserId(user.into()), currency: currency(code)? }),
        _ => None,
    };
    let state = Payment {
        owner,
        merchant_id: row.try_get::<Option<&str>, _>(3)?.map(|m| MerchantId(m.into())),
        counters: Counters {
            authorized: row.try_get(5)?,
            captured: row.try_get(6)?,
            voided: row.try_get(7)?,
            refund_pending: row.try_get(8)?,
            refunded: row.try_get(9)?,
            disputed: row.try_get(10)?,
            lost: row.try_get(11)?,
            fees: row.try_get(12)?,
        },
        intended_minor: row.try_get(13)?,
        declined: row.try_get(14)?,
        credit: row.try_get(15)?,
        facts: Vec::new(),
        last_sequence: row.try_get(16)?,
        version: row.try_get(17)?,
        first_event_id: row.try_get::<Option<Uuid>, _>(18)?.map(EventId),
    };
    Ok(StoredPayment { partition: Partition(row.try_get(1)?), state })
}

fn currency(code: &str) -> Result<Currency, StoreError> {
    Currency::from_code(code).ok_or_else(|| StoreError::Corrupt(format!("currency {code:?}")))
}

fn fact(row: &PgRow) -> Result<Fact, StoreError> {
    let name: &str = row.try_get("event_type")?;
    Ok(Fact {
        operation_id: OperationId(row.try_get("operation_id")?),
        kind: Kind::from_name(name).ok_or_else(|| StoreError::Corrupt(format!("event type {name:?}")))?,
        amount_minor: row.try_get("amount_minor")?,
    })
}

/// What this lane parked for these payments, and what any lane parked under these event ids.
pub async fn parked(
    connection: &mut PgConnection,
    partition: Partition,
    payments: &[Uuid],
    events: &[Uuid],
) -> Result<Vec<ParkedRow>, StoreError> {
    if payments.is_empty() && events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(include_str!("../queries/load_parked.sql"))
        .bind(payments)
        .bind(partition.0)
        .bind(events)
        .fetch_all(connection)
        .await?;
    rows.iter().map(parked_row).collect()
}

fn parked_row(row: &PgRow) -> Result<ParkedRow, StoreError> {
    let label: &str = row.try_get("reason")?;
    let names: Vec<Vec<u8>> = row.try_get("header_names")?;
    let values: Vec<Option<Vec<u8>>> = row.try_get("header_values")?;
    let headers = names.iter().map(Vec::as_slice).zip(values.iter().map(Option::as_deref));
    let published_at = row.try_get::<Option<i64>, _>("published_at")?.map(Micros);
    Ok(ParkedRow {
        event_id: EventId(row.try_get("event_id")?),
        payment_id: PaymentId(row.try_get("payment_id")?),
        position: Position { partition: Partition(row.try_get("partition")?), offset: Offset(row.try_get("offset")?) },
        reason: Parking::from_kind(label).ok_or_else(|| StoreError::Corrupt(format!("parked for {label:?}")))?,
        since: Micros(row.try_get("since")?),
        record: RawRecord::new(row.try_get("key")?, row.try_get("value")?, headers, published_at),
    })
}

/// The content hashes of what was applied under these event ids.
pub async fn applied(
    connection: &mut PgConnection,
    mut events: Vec<Uuid>,
) -> Result<HashMap<EventId, ContentHash>, StoreError> {
    // Postgres sorts them too, and does not where they are sorted.
    events.sort_unstable();
    let Some((first, last)) = events.first().copied().zip(events.last().copied()) else { return Ok(HashMap::new()) };
    let statement = sqlx::query(include_str!("../queries/find_applied.sql")).bind(events).bind(first).bind(last);
    let rows = statement.fetch_all(connection).await?;
    rows.iter().map(content).collect()
}

/// Columns by their place in `find_applied.sql`.
fn content(row: &PgRow) -> Result<(EventId, ContentHash), StoreError> {
    let event_id = EventId(row.try_get(0)?);
    let event = Event {
        event_id,
        event_type: EventType::from_name(row.try_get(1)?),
        payment_id: PaymentId(row.try_get(2)?),
        user_id: UserId(row.try_get::<&str, _>(3)?.into()),
        merchant_id: row.try_get::<Option<&str>, _>(4)?.map(|m| MerchantId(m.into())),
        operation_id: row.try_get::<Option<Uuid>, _>(5)?.map(OperationId),
        sequence: row.try_get(6)?,
        amount_minor: row.try_get(7)?,
        currency: currency(row.try_get(8)?)?,
        occurred_at: moment(row, 9)?,
        source: row.try_get::<&str, _>(10)?.into(),
        // The hash leaves these out: a retry may change them.
        correlation_id: None,
        causation_id: None,
        metadata: Default::default(),
    };
    Ok((event_id, ContentHash::of(&event)))
}

/// A timestamptz as it comes over the wire: `extract(epoch ...)` would calculate each in decimal.
fn moment(row: &PgRow, column: usize) -> Result<Micros, StoreError> {
    Ok(moment_of(row.try_get_unchecked(column)?))
}

/// Payments of this lane with something parked before `limit`, the earliest first, at most `payments_max`.
pub async fn payments_due(
    connection: &mut PgConnection,
    partition: Partition,
    limit: Micros,
    payments_max: i64,
) -> Result<Vec<PaymentId>, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(include_str!("../queries/parked_payments_due.sql"))
        .bind(partition.0)
        .bind(limit.0)
        .bind(payments_max)
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(PaymentId).collect())
}

/// Since when the oldest parked event of this lane has waited.
pub async fn oldest_parked(connection: &mut PgConnection, partition: Partition) -> Result<Option<Micros>, StoreError> {
    let oldest: Option<i64> = sqlx::query_scalar(include_str!("../queries/oldest_parked.sql"))
        .bind(partition.0)
        .fetch_one(connection)
        .await?;
    Ok(oldest.map(Micros))
}

/// Notes of balances that a lane did not fold yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notes {
    /// Changes of one account by one batch.
    pub changes: usize,
    /// The batches.
    pub batches: usize,
}

/// The notes that whoever had this lane before left.
pub async fn notes(connection: &mut PgConnection, partition: Partition) -> Result<Notes, StoreError> {
    let (changes, batches): (i64, i64) =
        sqlx::query_as(include_str!("../queries/count_notes.sql")).bind(partition.0).fetch_one(connection).await?;
    let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Notes { changes: count(changes), batches: count(batches) })
}

/// Payments of this lane with a parked event whose type nobody knew.
pub async fn payments_of_unknown_type(
    connection: &mut PgConnection,
    partition: Partition,
) -> Result<Vec<PaymentId>, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(include_str!("../queries/parked_unknown_types.sql"))
        .bind(partition.0)
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(PaymentId).collect())
}

/// The payments that wait in this lane for what another lane may have applied: their user was moved there.
pub async fn payments_moved(connection: &mut PgConnection, partition: Partition) -> Result<Vec<PaymentId>, StoreError> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar(include_str!("../queries/parked_moved.sql")).bind(partition.0).fetch_all(connection).await?;
    Ok(ids.into_iter().map(PaymentId).collect())
}

/// What a dead letter says of the record that it keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedrivenFrom {
    /// The record's value: a redriven record has the same.
    pub value: Option<Vec<u8>>,
    /// Whether its sequence number is used up.
    pub number_used: bool,
}

/// The dead letters that redriven records name.
pub async fn dead_letters(
    connection: &mut PgConnection,
    ids: &[i64],
) -> Result<HashMap<i64, RedrivenFrom>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, Option<Vec<u8>>, bool)> =
        sqlx::query_as(include_str!("../queries/redriven_from.sql")).bind(ids).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(id, value, number_used)| (id, RedrivenFrom { value, number_used })).collect())
}
