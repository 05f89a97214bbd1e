//! Small batches in one statement: one round trip in place of a dozen.
//!
//! At a few thousand events a second a batch has a handful of records, and nearly all of its time goes into waiting for
//! one statement after the other. Rows in arrays cost Postgres more than rows by COPY, so that large batches go the
//! other way.

use millrace_domain::ids::{Micros, Partition};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgConnection, PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Row, Type};

use super::{
    LaneBatch, NetChanges, Statement, Written, account_class, applied, balance_columns, bind_fences, bind_payments,
    each_part, metadata_json, net_changes, not_moved, payments, was_refused,
};
use crate::copy::micros_since_2000;
use crate::error::StoreError;
use crate::rows::{AppliedRow, Balances, Batch, Counts};

/// Up to here one statement costs less CPU, of Postgres and the worker together, than a transaction with COPY: 227 against
/// 351 us an event in batches of 4 single charges, which are 8 rows, 41 against 42 in batches of 50, 35 against 27 of 100.
const ROWS_MAX: usize = 64;
/// Of the division that takes the statement back: there is no other in it. Of several batches it is not known whose.
const DIVISION_BY_ZERO: &str = "22012";

/// Whether the statement can write these batches: small ones that only apply events and count duplicates.
pub fn fits(parts: &[LaneBatch<'_>]) -> bool {
    parts.iter().all(|part| is_plain(part.batch))
        && parts.iter().map(|part| rows(part.batch)).sum::<usize>() <= ROWS_MAX
}

/// How many rows a batch has for the event log and the payments.
pub fn rows(batch: &Batch) -> usize {
    batch.applied.len() + batch.payments.len()
}

/// Whether a batch only applies events and counts duplicates.
pub fn is_plain(batch: &Batch) -> bool {
    let Counts { applied, duplicate, .. } = batch.counts;
    batch.counts == Counts { applied, duplicate, ..Counts::default() }
        && batch.to > batch.from
        && batch.balances == Balances::Note
        && batch.parked.is_empty()
        && batch.reparked.is_empty()
        && batch.unparked.is_empty()
        && batch.rejected_parked.is_empty()
        && batch.dead_letters.is_empty()
}

/// Writes batches that `fit`. It is its own transaction: where Postgres refuses it, nothing is left to roll back.
pub async fn write(connection: &mut PgConnection, parts: &[LaneBatch<'_>], worker: &str) -> Written {
    let nets: Vec<_> = parts.iter().map(|part| (part.fence.partition, net_changes(part.batch))).collect();
    let statement = bind_fences(sqlx::query(include_str!("../../queries/write_small.sql")), parts)
        .bind(each_part(parts, |_, batch| batch.counts.applied))
        .bind(each_part(parts, |_, batch| batch.counts.duplicate))
        .bind(worker);
    let statement = bind_payments(bind_events(statement, parts), payments(parts));
    match bind_notes(statement, &nets).fetch_one(connection).await.and_then(|row| row.try_get::<i64, _>(0)) {
        Ok(0) => Written::Refused(not_moved(parts)),
        Ok(_) => Written::Committed,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DIVISION_BY_ZERO) => {
            Written::Refused(StoreError::Stale { partition: parts[0].fence.partition })
        }
        Err(error) if was_refused(&error) => Written::Refused(error.into()),
        Err(error) => Written::Unknown(error.into()),
    }
}

/// Binds the net changes of all lanes, one behind the other.
fn bind_notes<'q>(statement: Statement<'q>, nets: &'q [(Partition, NetChanges<'_>)]) -> Statement<'q> {
    let mut columns: (Vec<i32>, Vec<String>, Vec<&str>, Vec<String>) = Default::default();
    for (partition, net) in nets {
        let (accounts, currencies, amounts) = balance_columns(net);
        columns.0.extend(accounts.iter().map(|_| partition.0));
        columns.1.extend(accounts);
        columns.2.extend(currencies);
        columns.3.extend(amounts);
    }
    let (partitions, accounts, currencies, amounts) = columns;
    statement.bind(partitions).bind(accounts).bind(currencies).bind(amounts)
}

fn bind_events<'q>(statement: Statement<'q>, parts: &[LaneBatch<'q>]) -> Statement<'q> {
    let rows = applied(parts);
    statement
        .bind(each(&rows, |row| row.position.partition.0))
        .bind(each(&rows, |row| row.event.event_id.0))
        .bind(each(&rows, |row| row.event.payment_id.0))
        .bind(each(&rows, |row| row.version))
        .bind(each(&rows, |row| row.position.offset.0))
        .bind(each(&rows, |row| row.event.amount_minor))
        .bind(each(&rows, |row| Moment(row.event.occurred_at)))
        .bind(each(&rows, |row| row.published_at.map(Moment)))
        .bind(each(&rows, |row| row.event.sequence))
        .bind(each(&rows, |row| row.event.operation_id.map(|id| id.0)))
        .bind(each(&rows, |row| row.transfer.as_ref().map(|t| account_class(&t.debit))))
        .bind(each(&rows, |row| row.transfer.as_ref().map(|t| account_class(&t.credit))))
        .bind(each(&rows, |row| row.event.currency.code()))
        .bind(each(&rows, |row| row.event.event_type.as_str()))
        .bind(each(&rows, |row| row.event.user_id.as_str()))
        .bind(each(&rows, |row| row.event.merchant_id.as_ref().map(|m| m.as_str())))
        .bind(each(&rows, |row| &*row.event.source))
        .bind(each(&rows, |row| row.event.correlation_id.as_deref()))
        .bind(each(&rows, |row| row.event.causation_id.as_deref()))
        .bind(each(&rows, |row| metadata_json(&row.event)))
}

fn each<'q, T>(rows: &(impl Iterator<Item = &'q AppliedRow> + Clone), of: impl Fn(&'q AppliedRow) -> T) -> Vec<T> {
    rows.clone().map(of).collect()
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
