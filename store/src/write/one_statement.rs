//! A small batch in one statement: one round trip in place of a dozen.
//!
//! At a few thousand events a second a batch has a handful of records, and nearly all of its time goes into waiting for
//! one statement after the other. Rows in arrays cost Postgres more than rows by COPY, so that a large batch goes the
//! other way.

use millrace_domain::ids::Micros;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Row, Type};

use super::{
    Statement, Written, account_class, balance_columns, bind_fence, bind_states, metadata_json, net_changes, not_moved,
    was_refused,
};
use crate::copy::micros_since_2000;
use crate::error::StoreError;
use crate::rows::{AppliedRow, Balances, Batch, Counts, Fence, PaymentRow};

/// Up to here one statement costs less CPU, of Postgres and the worker together, than a transaction with COPY: 227 against
/// 351 us an event in batches of 4 single charges, which are 8 rows, 41 against 42 in batches of 50, 35 against 27 of 100.
const ROWS_MAX: usize = 64;
/// Of the division that takes the statement back: there is no other in it.
const DIVISION_BY_ZERO: &str = "22012";

/// Whether the statement can write this batch: a small one that only applies events and counts duplicates.
pub fn fits(batch: &Batch) -> bool {
    let Counts { applied, duplicate, .. } = batch.counts;
    batch.applied.len() + batch.payments.len() <= ROWS_MAX
        && batch.counts == Counts { applied, duplicate, ..Counts::default() }
        && batch.to > batch.from
        && batch.balances == Balances::Note
        && batch.parked.is_empty()
        && batch.reparked.is_empty()
        && batch.unparked.is_empty()
        && batch.rejected_parked.is_empty()
        && batch.dead_letters.is_empty()
}

/// Writes a batch that `fits`. It is its own transaction: where Postgres refuses it, nothing is left to roll back.
pub async fn write(connection: &mut PgConnection, fence: &Fence, batch: &Batch, worker: &str) -> Written {
    let net = net_changes(batch.applied.iter().filter_map(|row| row.transfer.as_ref()));
    let (accounts, currencies, amounts) = balance_columns(&net);
    let statement = bind_fence(sqlx::query(include_str!("../../queries/write_small.sql")), fence, batch);
    let statement = bind_events(statement, &batch.applied);
    let statement = bind_payments(statement, &batch.payments)
        .bind(accounts)
        .bind(currencies)
        .bind(amounts)
        .bind(batch.counts.applied)
        .bind(batch.counts.duplicate)
        .bind(worker);
    match statement.fetch_one(connection).await.and_then(|row| row.try_get::<i64, _>(0)) {
        Ok(1) => Written::Committed,
        Ok(_) => Written::Refused(not_moved(fence, batch)),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DIVISION_BY_ZERO) => {
            Written::Refused(StoreError::Stale { partition: fence.partition })
        }
        Err(error) if was_refused(&error) => Written::Refused(error.into()),
        Err(error) => Written::Unknown(error.into()),
    }
}

fn bind_events<'q>(statement: Statement<'q>, rows: &'q [AppliedRow]) -> Statement<'q> {
    statement
        .bind(each(rows, |row| row.event.event_id.0))
        .bind(each(rows, |row| row.event.payment_id.0))
        .bind(each(rows, |row| row.version))
        .bind(each(rows, |row| row.position.offset.0))
        .bind(each(rows, |row| row.event.amount_minor))
        .bind(each(rows, |row| Moment(row.event.occurred_at)))
        .bind(each(rows, |row| row.published_at.map(Moment)))
        .bind(each(rows, |row| row.event.sequence))
        .bind(each(rows, |row| row.event.operation_id.map(|id| id.0)))
        .bind(each(rows, |row| row.transfer.as_ref().map(|t| account_class(&t.debit))))
        .bind(each(rows, |row| row.transfer.as_ref().map(|t| account_class(&t.credit))))
        .bind(each(rows, |row| row.event.currency.code()))
        .bind(each(rows, |row| row.event.event_type.as_str()))
        .bind(each(rows, |row| row.event.user_id.as_str()))
        .bind(each(rows, |row| row.event.merchant_id.as_ref().map(|m| m.as_str())))
        .bind(each(rows, |row| &*row.event.source))
        .bind(each(rows, |row| row.event.correlation_id.as_deref()))
        .bind(each(rows, |row| row.event.causation_id.as_deref()))
        .bind(each(rows, |row| metadata_json(&row.event)))
}

fn bind_payments<'q>(statement: Statement<'q>, rows: &'q [PaymentRow]) -> Statement<'q> {
    let statement = statement
        .bind(each(rows, |row| row.payment_id.0))
        .bind(each(rows, |row| row.stood.map(|stood| stood.version)))
        .bind(each(rows, |row| row.stood.map(|stood| stood.last_sequence)));
    bind_states(statement, rows.iter())
}

fn each<'q, R, T>(rows: &'q [R], of: impl Fn(&'q R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A moment as Postgres holds it, to the microsecond and without a calendar in between.
struct Moment(Micros);

impl Moment {
    const OID: Oid = Oid(1184);
    const ARRAY_OID: Oid = Oid(1185);
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Self::OID)
    }
}

impl PgHasArrayType for Moment {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Self::ARRAY_OID)
    }
}

impl Encode<'_, Postgres> for Moment {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&micros_since_2000(self.0).to_be_bytes());
        Ok(IsNull::No)
    }
}
