//! One payment, and one dead letter, with all that the ledger knows of it.
//!
//! Records come out as the bytes that they are: decoding them is left to the caller, for this crate knows no wire.

use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::error::StoreError;

/// A payment with its whole history.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PaymentReport {
    /// Its row; none where nothing of it was applied and no sequence number used up.
    pub state: Option<PaymentStateReport>,
    /// Its events by version.
    pub events: Vec<EventReport>,
    /// Its refunds and disputes.
    pub operations: Vec<OperationReport>,
    /// What waits for it.
    pub parked: Vec<ParkedReport>,
    /// The dead letters that name it.
    pub dead_letters: Vec<DeadLetterReport>,
}

/// A payment's row. Amounts in minor units of its currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.payments")]
pub struct PaymentStateReport {
    pub payment_id: Uuid,
    pub status: Option<String>,
    pub user_id: Option<String>,
    pub merchant_id: Option<String>,
    pub currency: Option<String>,
    pub authorized: i64,
    pub captured: i64,
    pub voided: i64,
    pub refund_pending: i64,
    pub refunded: i64,
    pub disputed: i64,
    pub lost: i64,
    pub fees: i64,
    pub intended: Option<i64>,
    pub declined: bool,
    pub credit: bool,
    pub last_sequence: i64,
    pub version: i64,
    pub partition: i32,
}

/// An applied event with its transfer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.events and millrace.transfers")]
pub struct EventReport {
    pub version: i64,
    pub event_id: Uuid,
    pub event_type: String,
    pub amount_minor: i64,
    pub currency: String,
    pub operation_id: Option<Uuid>,
    pub sequence: Option<i64>,
    pub user_id: String,
    pub merchant_id: Option<String>,
    pub source: String,
    pub occurred_at: String,
    pub published_at: Option<String>,
    pub partition: i32,
    pub offset: i64,
    pub correlation_id: Option<String>,
    pub causation_id: Option<String>,
    /// A JSON object of strings, as text.
    #[serde(skip)]
    pub metadata: Option<String>,
    pub debit_account: Option<String>,
    pub credit_account: Option<String>,
}

/// A refund or dispute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.operations")]
pub struct OperationReport {
    pub operation_id: Uuid,
    pub kind: String,
    pub status: String,
    pub amount_minor: i64,
}

/// A record as it came.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct StoredRecord {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers' names, in their order.
    pub header_names: Vec<Vec<u8>>,
    /// Their values, in the same order.
    pub header_values: Vec<Option<Vec<u8>>>,
}

impl StoredRecord {
    /// The headers in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.header_names.iter().map(Vec::as_slice).zip(self.header_values.iter().map(Option::as_deref))
    }
}

/// A record that waits.
#[derive(Clone, PartialEq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.parked")]
pub struct ParkedReport {
    pub event_id: Uuid,
    pub reason: String,
    pub since: String,
    pub age_seconds: f64,
    pub partition: i32,
    pub offset: i64,
    pub published_at: Option<String>,
    #[serde(skip)]
    #[sqlx(flatten)]
    pub record: StoredRecord,
}

/// A dead letter without its record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.dead_letters")]
pub struct DeadLetterReport {
    pub dead_letter_id: i64,
    pub reason: String,
    pub detail: Option<String>,
    pub event_id: Option<Uuid>,
    pub payment_id: Option<Uuid>,
    pub partition: i32,
    pub offset: i64,
    pub number_used: bool,
    pub was_parked: bool,
    pub rejected_at: String,
    pub published_at: Option<String>,
    pub handling: String,
    pub handled_at: Option<String>,
    pub handled_by: Option<String>,
    pub note: Option<String>,
}

/// A dead letter with its record.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct WholeDeadLetter {
    /// All but the record.
    #[sqlx(flatten)]
    pub letter: DeadLetterReport,
    /// The record.
    #[sqlx(flatten)]
    pub record: StoredRecord,
}

/// Everything about a payment, in one snapshot. None: nothing in the ledger names it.
pub async fn payment(connection: &mut PgConnection, payment_id: Uuid) -> Result<Option<PaymentReport>, StoreError> {
    use sqlx::Executor as _;
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let report = PaymentReport {
        state: sqlx::query_as(include_str!("../queries/report_payment.sql"))
            .bind(payment_id)
            .fetch_optional(&mut *connection)
            .await?,
        events: sqlx::query_as(include_str!("../queries/report_payment_events.sql"))
            .bind(payment_id)
            .fetch_all(&mut *connection)
            .await?,
        operations: sqlx::query_as(include_str!("../queries/report_payment_operations.sql"))
            .bind(payment_id)
            .fetch_all(&mut *connection)
            .await?,
        parked: sqlx::query_as(include_str!("../queries/report_payment_parked.sql"))
            .bind(payment_id)
            .fetch_all(&mut *connection)
            .await?,
        dead_letters: sqlx::query_as(include_str!("../queries/report_payment_dead_letters.sql"))
            .bind(payment_id)
            .fetch_all(&mut *connection)
            .await?,
    };
    connection.execute("COMMIT").await?;
    let is_named = report.state.is_some() || !report.parked.is_empty() || !report.dead_letters.is_empty();
    Ok((is_named || !report.events.is_empty()).then_some(report))
}

/// The payment that an event belongs to.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct OwnerOfEvent {
    /// The payment.
    pub payment_id: Uuid,
    /// What became of the event: `applied`, `parked` or `rejected`.
    pub stands: String,
}

/// Whose event this is. Costs a scan of `dead_letters` where it is neither applied nor parked.
pub async fn payment_of_event(
    connection: &mut PgConnection,
    event_id: Uuid,
) -> Result<Option<OwnerOfEvent>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/report_payment_of_event.sql"));
    Ok(query.bind(event_id).fetch_optional(connection).await?)
}

/// Which dead letters to list.
#[derive(Clone, Copy, Default, Debug)]
pub struct DeadLetterFilter<'a> {
    /// Of this reason, or of any.
    pub reason: Option<&'a str>,
    /// With this handling (`open`, `redriven`, `discarded`), or any.
    pub handling: Option<&'a str>,
    /// At most this many.
    pub limit: i64,
}

/// Dead letters, the latest first.
pub async fn dead_letters(
    connection: &mut PgConnection,
    filter: DeadLetterFilter<'_>,
) -> Result<Vec<DeadLetterReport>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/report_dead_letters.sql"));
    Ok(query.bind(filter.reason).bind(filter.handling).bind(filter.limit).fetch_all(connection).await?)
}

/// One dead letter, whole.
pub async fn dead_letter(connection: &mut PgConnection, id: i64) -> Result<Option<WholeDeadLetter>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/select_dead_letters.sql"));
    Ok(query.bind([id]).bind(None::<&str>).bind(1_i64).bind(true).fetch_optional(connection).await?)
}
