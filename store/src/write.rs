//! The one write path: a batch in one transaction, behind its fence and with its proof row. Batches of several lanes may
//! share a transaction: all of them are committed, or none.
//!
//! On any error the connection is given back as it is; the caller drops it unless `rollback` put it in order.

pub mod one_statement;

use std::collections::HashMap;

use millrace_domain::event::Event;
use millrace_domain::ids::Partition;
use millrace_domain::money::Currency;
use millrace_domain::payment::Payment;
use millrace_domain::posting::Account;
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::query::Query;
use sqlx::{Executor, Postgres};
use uuid::Uuid;

use crate::IS_GUARDED;
use crate::copy::{self, CopyBuffer};
use crate::error::StoreError;
use crate::record::RawRecord;
use crate::rows::{AppliedRow, Balances, Batch, Counts, DeadLetterRow, Fence, ParkedRow, PaymentRow, Stood};

/// How long a transaction of several lanes waits for a lock: what one lane must wait for, it waits for alone.
const SHARED_LOCK_TIMEOUT: &str = "1s";

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

/// A batch of a lane.
#[derive(Clone, Copy, Debug)]
pub struct LaneBatch<'a> {
    /// The lane.
    pub fence: &'a Fence,
    /// What it writes.
    pub batch: &'a Batch,
}

/// Writes batches, at least one, each of another lane of one topic, in one transaction and the way that suits their size: all
/// of them, or none. `worker` is for people.
pub async fn batches(connection: &mut PgConnection, parts: &[LaneBatch<'_>], worker: &str) -> Written {
    match IS_GUARDED && one_statement::fits(parts) {
        true => one_statement::write(connection, parts, worker).await,
        false => in_transaction(connection, parts, worker).await,
    }
}

/// Writes any batches, in a transaction of many statements.
pub async fn in_transaction(connection: &mut PgConnection, parts: &[LaneBatch<'_>], worker: &str) -> Written {
    if let Err(error) = statements(connection, parts, worker).await {
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
pub async fn rehearse(connection: &mut PgConnection, part: LaneBatch<'_>, worker: &str) -> Result<(), StoreError> {
    let taken = statements(connection, &[part], worker).await;
    let ended = rollback(connection).await;
    taken.and(ended)
}

/// Ends a failed transaction, so that its connection can be used again.
pub async fn rollback(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("ROLLBACK").await?;
    Ok(())
}

async fn statements(connection: &mut PgConnection, parts: &[LaneBatch<'_>], worker: &str) -> Result<(), StoreError> {
    connection.execute("BEGIN").await?;
    if IS_GUARDED {
        move_fences(connection, parts).await?;
    }
    copy_events(connection, parts).await?;
    copy_operation_events(connection, parts).await?;
    write_payments(connection, parts).await?;
    for LaneBatch { fence, batch } in parts {
        // What leaves `parked` goes before what comes: an id may do both in one batch.
        unpark(connection, batch).await?;
        reject_parked(connection, batch).await?;
        copy_parked(connection, &batch.parked).await?;
        repark(connection, batch).await?;
        copy_dead_letters(connection, &batch.dead_letters).await?;
        change_balances(connection, fence, batch).await?;
    }
    if IS_GUARDED {
        prove(connection, parts, worker).await?;
    }
    Ok(())
}

async fn move_fences(connection: &mut PgConnection, parts: &[LaneBatch<'_>]) -> Result<(), StoreError> {
    let statement = bind_fences(sqlx::query(include_str!("../queries/fence.sql")), parts);
    let moved = statement.execute(connection).await?.rows_affected();
    match moved == parts.len() as u64 {
        true => Ok(()),
        false => Err(not_moved(parts)),
    }
}

/// Why not all fences were moved. Of several batches it is not known whose.
fn not_moved(parts: &[LaneBatch<'_>]) -> StoreError {
    let hopeful = parts.iter().find(|part| part.batch.only_if_nothing_is_parked);
    match hopeful {
        Some(part) => StoreError::Parked { partition: part.fence.partition },
        None => StoreError::Fenced { partition: parts[0].fence.partition },
    }
}

/// A statement with its arguments.
type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// One value of each part, as an array.
fn each_part<'q, T>(parts: &[LaneBatch<'q>], of: impl Fn(&'q Fence, &'q Batch) -> T) -> Vec<T> {
    parts.iter().map(|part| of(part.fence, part.batch)).collect()
}

/// Binds what both statements that move fences begin with.
fn bind_fences<'q>(statement: Statement<'q>, parts: &[LaneBatch<'q>]) -> Statement<'q> {
    statement
        .bind(&parts[0].fence.topic)
        .bind(each_part(parts, |fence, _| fence.partition.0))
        .bind(each_part(parts, |fence, _| fence.epoch))
        .bind(each_part(parts, |_, batch| batch.from.0))
        .bind(each_part(parts, |_, batch| batch.to.0))
        .bind(each_part(parts, |fence, _| fence.topic_id.as_str()))
        .bind(each_part(parts, |_, batch| batch.only_if_nothing_is_parked))
        .bind((parts.len() > 1).then_some(SHARED_LOCK_TIMEOUT))
}

/// The rows of the event log of all parts.
fn applied<'q>(parts: &[LaneBatch<'q>]) -> impl Iterator<Item = &'q AppliedRow> + Clone {
    parts.iter().flat_map(|part| &part.batch.applied)
}

/// The payments of all parts, each with the lane that owns it.
fn payments<'q>(parts: &[LaneBatch<'q>]) -> impl Iterator<Item = (Partition, &'q PaymentRow)> + Clone {
    parts.iter().flat_map(|part| part.batch.payments.iter().map(|row| (part.fence.partition, row)))
}

async fn copy_events(connection: &mut PgConnection, parts: &[LaneBatch<'_>]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 20;
    copy::rows(connection, include_str!("../queries/copy_events.sql"), COLUMNS, applied(parts), put_event).await
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

async fn copy_operation_events(connection: &mut PgConnection, parts: &[LaneBatch<'_>]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 5;
    let rows = applied(parts).filter_map(|row| Some((row, row.event.operation_id?)));
    copy::rows(connection, include_str!("../queries/copy_operation_events.sql"), COLUMNS, rows, |copy, (row, id)| {
        copy.uuid(row.event.payment_id.0)
            .uuid(id.0)
            .text(row.event.event_type.as_str())
            .int8(row.event.amount_minor)
            .int4(row.position.partition.0);
    })
    .await
}

async fn write_payments(connection: &mut PgConnection, parts: &[LaneBatch<'_>]) -> Result<(), StoreError> {
    const COLUMNS: i16 = 20;
    let fresh = payments(parts).filter(|(_, row)| row.stood.is_none());
    copy::rows(connection, include_str!("../queries/copy_payments.sql"), COLUMNS, fresh, |copy, (owner, row)| {
        put_payment(copy, owner, row);
    })
    .await?;
    update_payments(connection, parts).await
}

fn put_payment(copy: &mut CopyBuffer, partition: Partition, PaymentRow { payment_id, state, .. }: &PaymentRow) {
    let (c, owner) = (&state.counters, state.owner.as_ref());
    copy.uuid(payment_id.0).int8(state.version).int8(state.last_sequence);
    for counter in [c.authorized, c.captured, c.voided, c.refund_pending, c.refunded, c.disputed, c.lost, c.fees] {
        copy.int8(counter);
    }
    copy.maybe(state.intended_minor, CopyBuffer::int8)
        .int4(partition.0)
        .bool(state.declined)
        .bool(state.credit)
        .maybe(owner.map(|o| o.currency.code()), CopyBuffer::text)
        .maybe(state.status().map(|s| s.as_str()), CopyBuffer::text)
        .maybe(owner.map(|o| o.user_id.as_str()), CopyBuffer::text)
        .maybe(state.merchant_id.as_ref().map(|m| m.as_str()), CopyBuffer::text)
        .maybe(state.first_event_id.map(|id| id.0), CopyBuffer::uuid);
}

async fn update_payments(connection: &mut PgConnection, parts: &[LaneBatch<'_>]) -> Result<(), StoreError> {
    let mut standing: Vec<_> = payments(parts).filter(|(_, row)| row.stood.is_some()).collect();
    let Some((partition, _)) = standing.first().copied() else { return Ok(()) };
    // In key order, so that two lanes which meet on a payment wait for each other and do not deadlock.
    standing.sort_unstable_by_key(|(_, row)| row.payment_id);
    let statement =
        bind_payments(sqlx::query(include_str!("../queries/update_payments.sql")), standing.iter().copied());
    let updated = statement.execute(connection).await?;
    if updated.rows_affected() != standing.len() as u64 {
        return Err(StoreError::Stale { partition });
    }
    Ok(())
}

/// Binds payments, with what stood of them: the columns that both statements on payments share, in their order.
fn bind_payments<'q>(
    statement: Statement<'q>,
    rows: impl Iterator<Item = (Partition, &'q PaymentRow)> + Clone,
) -> Statement<'q> {
    let stood = |of: fn(Stood) -> i64| rows.clone().map(|(_, row)| row.stood.map(of)).collect::<Vec<Option<i64>>>();
    let states = rows.clone().map(|(_, row)| &row.state);
    let numbers = |of: fn(&Payment) -> i64| states.clone().map(of).collect::<Vec<i64>>();
    let texts = |of: fn(&'q Payment) -> Option<&'q str>| states.clone().map(of).collect::<Vec<Option<&'q str>>>();
    statement
        .bind(rows.clone().map(|(partition, _)| partition.0).collect::<Vec<i32>>())
        .bind(rows.clone().map(|(_, row)| row.payment_id.0).collect::<Vec<Uuid>>())
        .bind(stood(|stood| stood.version))
        .bind(stood(|stood| stood.last_sequence))
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
    let net = net_changes(batch);
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
fn net_changes(batch: &Batch) -> NetChanges<'_> {
    let mut net = NetChanges::default();
    for transfer in batch.applied.iter().filter_map(|row| row.transfer.as_ref()) {
        let amount = i128::from(transfer.amount_minor);
        *net.entry((&transfer.debit, transfer.currency)).or_insert(0) += amount;
        *net.entry((&transfer.credit, transfer.currency)).or_insert(0) -= amount;
    }
    net
}

async fn prove(connection: &mut PgConnection, parts: &[LaneBatch<'_>], worker: &str) -> Result<(), StoreError> {
    let counts = |of: fn(&Counts) -> i32| each_part(parts, |_, batch| of(&batch.counts));
    sqlx::query(include_str!("../queries/prove_batches.sql"))
        .bind(each_part(parts, |fence, _| fence.topic_id.as_str()))
        .bind(each_part(parts, |fence, _| fence.partition.0))
        .bind(each_part(parts, |_, batch| batch.from.0))
        .bind(each_part(parts, |_, batch| batch.to.0))
        .bind(each_part(parts, |fence, _| fence.epoch))
        .bind(counts(|c| c.applied))
        .bind(counts(|c| c.duplicate))
        .bind(counts(|c| c.parked))
        .bind(counts(|c| c.rejected))
        .bind(counts(|c| c.drained_applied))
        .bind(counts(|c| c.drained_duplicate))
        .bind(counts(|c| c.drained_rejected))
        .bind(worker)
        .execute(connection)
        .await?;
    Ok(())
}
