//! The one write path: a batch in one transaction, behind its fence and with its proof row.
//!
//! On any error the connection is given back as it is; the caller drops it unless `rollback` put it in order.

pub mod one_statement;

use std::collections::HashMap;

use millrace_domain::event::Event;
use millrace_domain::money::Currency;
use millrace_domain::payment::Payment;
use millrace_domain::posting::{Account, Transfer};
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::query::Query;
use sqlx::{Executor, Postgres};
use uuid::Uuid;

use crate::IS_GUARDED;
use crate::copy::{self, CopyBuffer};
use crate::error::StoreError;
use crate::record::RawRecord;
use crate::rows::{AppliedRow, Balances, Batch, DeadLetterRow, Fence, ParkedRow, PaymentRow};

/// How writing a batch ended.
#[derive(Debug)]
pub enum Written {
    /// It is committed.
    Committed,
    /// It is not: its transaction has to be rolled back before the connection can be used again.
    Failed(StoreError),
    /// It is not, and the connection is as it was.
    Refused(StoreError),
    /// It was sent to be committed and the reply was lost: `lanes::find_out` tells on a new connection.
    Unknown(StoreError),
}

/// Writes the batch, the way that suits its size. `worker` is for people.
pub async fn batch(connection: &mut PgConnection, fence: &Fence, batch: &Batch, worker: &str) -> Written {
    match IS_GUARDED && one_statement::fits(batch) {
        true => one_statement::write(connection, fence, batch, worker).await,
        false => in_transaction(connection, fence, batch, worker).await,
    }
}

/// Writes any batch, in a transaction of many statements.
pub async fn in_transaction(connection: &mut PgConnection, fence: &Fence, batch: &Batch, worker: &str) -> Written {
    if let Err(error) = statements(connection, fence, batch, worker).await {
        return Written::Failed(error);
    }
    match connection.execute("COMMIT").await {
        Ok(_) => Written::Committed,
        Err(error) if was_refused(&error) => Written::Failed(error.into()),
        Err(error) => Written::Unknown(error.into()),
    }
}

/// Whether Postgres answered that it takes back what was to be committed. An answer that ends the connection (an
/// administrator, a crash of another process) may come behind the commit, and says nothing of it.
fn was_refused(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
    severity == Some(PgSeverity::Error)
}

/// Writes the batch and takes it back: whether the database would take it.
pub async fn rehearse(
    connection: &mut PgConnection,
    fence: &Fence,
    batch: &Batch,
    worker: &str,
) -> Result<(), StoreError> {
    let taken = statements(connection, fence, batch, worker).await;
    let ended = rollback(connection).await;
    taken.and(ended)
}

/// Ends a failed transaction, so that its connection can be used again.
pub async fn rollback(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("ROLLBACK").await?;
    Ok(())
}

async fn statements(
    connection: &mut PgConnection,
    fence: &Fence,
    batch: &Batch,
    worker: &str,
) -> Result<(), StoreError> {
    connection.execute("BEGIN").await?;
    if IS_GUARDED {
        move_fence(connection, fence, batch).await?;
    }
    copy_events(connection, &batch.applied).await?;
    copy_operation_events(connection, &batch.applied).await?;
    write_payments(connection, fence, &batch.payments).await?;
    // What leaves `parked` goes before what comes: an id may do both in one batch.
    unpark(connection, batch).await?;
    reject_parked(connection, batch).await?;
    copy_parked(connection, &batch.parked).await?;
    repark(connection, batch).await?;
    copy_dead_letters(connection, &batch.dead_letters).await?;
    change_balances(connection, fence, batch).await?;
    if IS_GUARDED {
        prove(connection, fence, batch, worker).await?;
    }
    Ok(())
}

async fn move_fence(connection: &mut PgConnection, fence: &Fence, batch: &Batch) -> Result<(), StoreError> {
    let statement = bind_fence(sqlx::query(include_str!("../queries/fence.sql")), fence, batch);
    match statement.execute(connection).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(not_moved(fence, batch)),
    }
}

/// Why a fence was not moved.
fn not_moved(fence: &Fence, batch: &Batch) -> StoreError {
    let partition = fence.partition;
    match batch.only_if_nothing_is_parked {
        true => StoreError::Parked { partition },
        false => StoreError::Fenced { partition },
    }
}

/// A statement with its arguments.
type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// Binds what both statements that move a fence begin with.
fn bind_fence<'q>(statement: Statement<'q>, fence: &'q Fence, batch: &Batch) -> Statement<'q> {
    statement
        .bind(&fence.topic)
        .bind(fence.partition.0)
        .bind(fence.epoch)
        .bind(batch.from.0)
        .bind(batch.to.0)
        .bind(&fence.topic_id)
        .bind(batch.only_if_nothing_is_parked)
}

async fn copy_events(connection: &mut PgConnection, applied: &[AppliedRow]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 20;
    copy::rows(connection, include_str!("../queries/copy_events.sql"), COLUMNS, applied, put_event).await
}

fn put_event(copy: &mut CopyBuffer, row: &AppliedRow) {
    let event = &row.event;
    copy.uuid(event.event_id.0)
        .uuid(event.payment_id.0)
        .int8(row.version)
        .int8(row.position.offset.0)
        .int8(event.amount_minor)
        .moment(event.occurred_at)
        .maybe(row.published_at, CopyBuffer::moment)
        .maybe(event.sequence, CopyBuffer::int8)
        .maybe(event.operation_id.map(|id| id.0), CopyBuffer::uuid)
        .int4(row.position.partition.0)
        .maybe(row.transfer.as_ref().map(|t| account_class(&t.debit)), CopyBuffer::text)
        .maybe(row.transfer.as_ref().map(|t| account_class(&t.credit)), CopyBuffer::text)
        .text(event.currency.code())
        .text(event.event_type.as_str())
        .text(event.user_id.as_str())
        .maybe(event.merchant_id.as_ref().map(|m| m.as_str()), CopyBuffer::text)
        .text(&event.source)
        .maybe(event.correlation_id.as_deref(), CopyBuffer::text)
        .maybe(event.causation_id.as_deref(), CopyBuffer::text);
    copy.maybe(metadata_json(event), |copy, json| copy.jsonb(json.as_bytes()));
}

/// Null where the publisher gave none.
fn metadata_json(event: &Event) -> Option<String> {
    let json = || serde_json::to_string(&event.metadata).expect("a map of strings always has a JSON form");
    (!event.metadata.is_empty()).then(json)
}

/// The letter of an account's class; `millrace.account_name` gives it back its name.
fn account_class(account: &Account) -> &'static str {
    match account {
        Account::PspReceivable => "p",
        Account::MerchantPayable(_) => "m",
        Account::RefundsInTransit => "t",
        Account::DisputeReceivable => "d",
        Account::FeeRevenue => "f",
    }
}

async fn copy_operation_events(connection: &mut PgConnection, applied: &[AppliedRow]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 5;
    let rows = applied.iter().filter_map(|row| Some((row, row.event.operation_id?)));
    copy::rows(connection, include_str!("../queries/copy_operation_events.sql"), COLUMNS, rows, |copy, (row, id)| {
        copy.uuid(row.event.payment_id.0)
            .uuid(id.0)
            .text(row.event.event_type.as_str())
            .int8(row.event.amount_minor)
            .int4(row.position.partition.0);
    })
    .await
}

async fn write_payments(connection: &mut PgConnection, fence: &Fence, rows: &[PaymentRow]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 20;
    let fresh = rows.iter().filter(|row| row.stood.is_none());
    copy::rows(connection, include_str!("../queries/copy_payments.sql"), COLUMNS, fresh, |copy, row| {
        put_payment(copy, fence, row);
    })
    .await?;
    update_payments(connection, fence, rows).await
}

fn put_payment(copy: &mut CopyBuffer, fence: &Fence, PaymentRow { payment_id, state, .. }: &PaymentRow) {
    let (c, owner) = (&state.counters, state.owner.as_ref());
    copy.uuid(payment_id.0).int8(state.version).int8(state.last_sequence);
    for counter in [c.authorized, c.captured, c.voided, c.refund_pending, c.refunded, c.disputed, c.lost, c.fees] {
        copy.int8(counter);
    }
    copy.maybe(state.intended_minor, CopyBuffer::int8)
        .int4(fence.partition.0)
        .bool(state.declined)
        .bool(state.credit)
        .maybe(owner.map(|o| o.currency.code()), CopyBuffer::text)
        .maybe(state.status().map(|s| s.as_str()), CopyBuffer::text)
        .maybe(owner.map(|o| o.user_id.as_str()), CopyBuffer::text)
        .maybe(state.merchant_id.as_ref().map(|m| m.as_str()), CopyBuffer::text)
        .maybe(state.first_event_id.map(|id| id.0), CopyBuffer::uuid);
}

async fn update_payments(connection: &mut PgConnection, fence: &Fence, rows: &[PaymentRow]) -> Result<(), StoreError> {
    let mut standing: Vec<_> = rows.iter().filter_map(|row| Some((row.stood?, row))).collect();
    if standing.is_empty() {
        return Ok(());
    }
    // In key order, so that two lanes which meet on a payment wait for each other and do not deadlock.
    standing.sort_unstable_by_key(|(_, row)| row.payment_id);
    let rows = standing.iter().map(|(_, row)| *row);
    let statement = sqlx::query(include_str!("../queries/update_payments.sql"))
        .bind(fence.partition.0)
        .bind(rows.clone().map(|row| row.payment_id.0).collect::<Vec<Uuid>>())
        .bind(standing.iter().map(|(stood, _)| stood.version).collect::<Vec<i64>>())
        .bind(standing.iter().map(|(stood, _)| stood.last_sequence).collect::<Vec<i64>>());
    let updated = bind_states(statement, rows).execute(connection).await?;
    if updated.rows_affected() != standing.len() as u64 {
        return Err(StoreError::Stale { partition: fence.partition });
    }
    Ok(())
}

/// Binds the columns of the states that both statements on payments share, in their order.
fn bind_states<'q>(statement: Statement<'q>, rows: impl Iterator<Item = &'q PaymentRow> + Clone) -> Statement<'q> {
    let states = rows.map(|row| &row.state);
    let numbers = |of: fn(&Payment) -> i64| states.clone().map(of).collect::<Vec<i64>>();
    let texts = |of: fn(&'q Payment) -> Option<&'q str>| states.clone().map(of).collect::<Vec<Option<&'q str>>>();
    statement
        .bind(numbers(|s| s.version))
        .bind(numbers(|s| s.last_sequence))
        .bind(numbers(|s| s.counters.authorized))
        .bind(numbers(|s| s.counters.captured))
        .bind(numbers(|s| s.counters.voided))
        .bind(numbers(|s| s.counters.refund_pending))
        .bind(numbers(|s| s.counters.refunded))
        .bind(numbers(|s| s.counters.disputed))
        .bind(numbers(|s| s.counters.lost))
        .bind(numbers(|s| s.counters.fees))
        .bind(states.clone().map(|s| s.intended_minor).collect::<Vec<Option<i64>>>())
        .bind(states.clone().map(|s| s.declined).collect::<Vec<bool>>())
        .bind(states.clone().map(|s| s.credit).collect::<Vec<bool>>())
        .bind(texts(|s| Some(s.owner.as_ref()?.currency.code())))
        .bind(texts(|s| Some(s.status()?.as_str())))
        .bind(texts(|s| Some(s.owner.as_ref()?.user_id.as_str())))
        .bind(texts(|s| Some(s.merchant_id.as_ref()?.as_str())))
        .bind(states.clone().map(|s| s.first_event_id.map(|id| id.0)).collect::<Vec<Option<Uuid>>>())
}

async fn copy_parked(connection: &mut PgConnection, parked: &[ParkedRow]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 11;
    copy::rows(connection, include_str!("../queries/copy_parked.sql"), COLUMNS, parked, |copy, row| {
        copy.uuid(row.event_id.0)
            .uuid(row.payment_id.0)
            .int4(row.position.partition.0)
            .int8(row.position.offset.0)
            .text(row.reason.kind())
            .moment(row.since)
            .maybe(row.record.published_at, CopyBuffer::moment);
        whole_record(copy, &row.record);
    })
    .await
}

fn whole_record(copy: &mut CopyBuffer, record: &RawRecord) {
    copy.maybe(record.key(), CopyBuffer::bytes)
        .maybe(record.value(), CopyBuffer::bytes)
        .bytes_array(record.headers().map(|(name, _)| Some(name)))
        .bytes_array(record.headers().map(|(_, value)| value));
}

async fn unpark(connection: &mut PgConnection, batch: &Batch) -> Result<(), StoreError> {
    if batch.unparked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = batch.unparked.iter().map(|id| id.0).collect();
    sqlx::query(include_str!("../queries/unpark.sql")).bind(ids).execute(connection).await?;
    Ok(())
}

async fn repark(connection: &mut PgConnection, batch: &Batch) -> Result<(), StoreError> {
    if batch.reparked.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = batch.reparked.iter().map(|(id, _)| id.0).collect();
    let reasons: Vec<&str> = batch.reparked.iter().map(|(_, reason)| reason.kind()).collect();
    sqlx::query(include_str!("../queries/repark.sql")).bind(ids).bind(reasons).execute(connection).await?;
    Ok(())
}

async fn reject_parked(connection: &mut PgConnection, batch: &Batch) -> Result<(), StoreError> {
    if batch.rejected_parked.is_empty() {
        return Ok(());
    }
    let rows = &batch.rejected_parked;
    sqlx::query(include_str!("../queries/reject_parked.sql"))
        .bind(rows.iter().map(|row| row.event_id.0).collect::<Vec<Uuid>>())
        .bind(rows.iter().map(|row| row.reason.kind()).collect::<Vec<&str>>())
        .bind(rows.iter().map(|row| row.number_used).collect::<Vec<bool>>())
        .bind(rows.iter().map(|row| text_of(&row.detail)).collect::<Vec<String>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn copy_dead_letters(connection: &mut PgConnection, letters: &[DeadLetterRow]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 13;
    copy::rows(connection, include_str!("../queries/copy_dead_letters.sql"), COLUMNS, letters, |copy, row| {
        let detail = row.detail.as_deref().map(text_of);
        copy.int4(row.position.partition.0)
            .int8(row.position.offset.0)
            .text(row.reason.kind())
            .maybe(detail.as_deref(), CopyBuffer::text)
            .maybe(row.event_id.map(|id| id.0), CopyBuffer::uuid)
            .maybe(row.payment_id.map(|id| id.0), CopyBuffer::uuid)
            .bool(row.number_used)
            .bool(false)
            .maybe(row.record.published_at, CopyBuffer::moment);
        whole_record(copy, &row.record);
    })
    .await
}

/// Text of Postgres holds no NUL; the record itself is kept as bytes.
fn text_of(detail: &str) -> String {
    detail.replace('\0', "\u{fffd}")
}

async fn change_balances(connection: &mut PgConnection, fence: &Fence, batch: &Batch) -> Result<(), StoreError> {
    let net = net_changes(batch.applied.iter().filter_map(|row| row.transfer.as_ref()));
    let statement = match batch.balances {
        Balances::Fold => include_str!("../queries/fold_balances.sql"),
        Balances::Note if net.is_empty() => return Ok(()),
        Balances::Note => include_str!("../queries/note_balances.sql"),
    };
    let (accounts, currencies, amounts) = balance_columns(&net);
    sqlx::query(statement)
        .bind(fence.partition.0)
        .bind(accounts)
        .bind(currencies)
        .bind(amounts)
        .execute(connection)
        .await?;
    Ok(())
}

type NetChanges<'a> = HashMap<(&'a Account, Currency), i128, foldhash::fast::RandomState>;

/// Accounts, currencies and amounts, as the statements take them.
fn balance_columns<'n>(net: &'n NetChanges<'_>) -> (Vec<String>, Vec<&'n str>, Vec<String>) {
    let accounts = net.keys().map(|(account, _)| account.to_string()).collect();
    let currencies = net.keys().map(|(_, currency)| currency.code()).collect();
    (accounts, currencies, net.values().map(i128::to_string).collect())
}

/// Debits minus credits by account and currency. An account whose changes cancel out stays in: it exists from now on.
fn net_changes<'a>(transfers: impl Iterator<Item = &'a Transfer>) -> NetChanges<'a> {
    let mut net = HashMap::default();
    for transfer in transfers {
        let amount = i128::from(transfer.amount_minor);
        *net.entry((&transfer.debit, transfer.currency)).or_insert(0) += amount;
        *net.entry((&transfer.credit, transfer.currency)).or_insert(0) -= amount;
    }
    net
}

async fn prove(connection: &mut PgConnection, fence: &Fence, batch: &Batch, worker: &str) -> Result<(), StoreError> {
    let counts = &batch.counts;
    sqlx::query(include_str!("../queries/prove_batch.sql"))
        .bind(&fence.topic_id)
        .bind(fence.partition.0)
        .bind(batch.from.0)
        .bind(batch.to.0)
        .bind(fence.epoch)
        .bind(counts.applied)
        .bind(counts.duplicate)
        .bind(counts.parked)
        .bind(counts.rejected)
        .bind(counts.drained_applied)
        .bind(counts.drained_duplicate)
        .bind(counts.drained_rejected)
        .bind(worker)
        .execute(connection)
        .await?;
    Ok(())
}
