//! Rule 1 as far as the body goes: from the JSON form to an [`Event`], or nothing when a rule of form is broken.
//!
//! It leaves framing, schema ids, Kafka headers and the Kafka key to whoever calls: those come in as
//! [`crate::Input::Undecodable`].

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::{Uuid, Variant};

use crate::currency;

/// The sixteen types of v1.
pub const TYPES_OF_V1: [&str; 16] = [
    "payment.initiated",
    "payment.authorized",
    "payment.adjusted",
    "payment.declined",
    "payment.captured",
    "payment.charged",
    "payment.voided",
    "payment.expired",
    "refund.initiated",
    "refund.succeeded",
    "refund.failed",
    "refund.unreferenced",
    "dispute.opened",
    "dispute.won",
    "dispute.lost",
    "fee.charged",
];

const AMOUNT_MAX: i64 = (1 << 53) - 1;

const NAMES: [&str; 14] = [
    "event_id",
    "event_type",
    "payment_id",
    "user_id",
    "merchant_id",
    "operation_id",
    "sequence",
    "amount_minor",
    "currency",
    "occurred_at",
    "source",
    "correlation_id",
    "causation_id",
    "metadata",
];

/// An event that keeps the rules of form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// UUIDv7, the publisher's.
    pub id: Uuid,
    /// What the content hash covers.
    pub content: Content,
}

/// The fields that the content hash covers, as values: two events have the same hash when these are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of section 2
pub struct Content {
    pub event_type: String,
    pub payment_id: Uuid,
    pub user_id: String,
    pub merchant_id: Option<String>,
    pub operation_id: Option<Uuid>,
    pub sequence: Option<i64>,
    pub amount_minor: i64,
    pub currency: String,
    pub occurred_at_us: i128,
    pub source: String,
}

impl Event {
    /// The time that the UUIDv7 carries, in milliseconds since 1970.
    pub fn id_time_ms(&self) -> i64 {
        (self.id.as_u128() >> 80) as i64
    }
}

/// The event id of a record, as far as one can be read, even where the rest is malformed.
pub fn event_id(value: &Value) -> Option<Uuid> {
    uuid(value.get("event_id")?)
}

/// The event, if it keeps every rule of form that holds for all types, known or not.
pub fn parse(value: &Value) -> Option<Event> {
    let fields = value.as_object()?;
    if !fields.keys().all(|name| NAMES.contains(&name.as_str())) {
        return None;
    }
    optional(fields, "correlation_id", text)?;
    optional(fields, "causation_id", text)?;
    optional(fields, "metadata", metadata)?;
    Some(Event {
        id: uuid(fields.get("event_id")?).filter(is_version_7)?,
        content: Content {
            event_type: text(fields.get("event_type")?)?,
            payment_id: uuid(fields.get("payment_id")?)?,
            user_id: text(fields.get("user_id")?).filter(|t| from_1_to_64(t) && visible_ascii(t))?,
            merchant_id: optional(fields, "merchant_id", |v| text(v).filter(|t| from_1_to_64(t)))?,
            operation_id: optional(fields, "operation_id", uuid)?,
            sequence: optional(fields, "sequence", |v| v.as_i64().filter(|s| *s >= 1))?,
            amount_minor: fields.get("amount_minor")?.as_i64().filter(|a| (0..=AMOUNT_MAX).contains(a))?,
            currency: text(fields.get("currency")?).filter(|c| currency::exponent(c).is_some())?,
            occurred_at_us: occurred_at_us(fields.get("occurred_at")?)?,
            source: text(fields.get("source")?).filter(|t| from_1_to_64(t))?,
        },
    })
}

/// The rules of form that hang on the type: they can be kept only by who knows the type.
pub fn keeps_rules_of_its_type(event: &Content) -> bool {
    let may_be_zero = matches!(event.event_type.as_str(), "payment.initiated" | "payment.declined" | "payment.expired");
    // Every type with a ledger entry.
    let needs_merchant = matches!(
        event.event_type.as_str(),
        "payment.captured"
            | "payment.charged"
            | "refund.initiated"
            | "refund.succeeded"
            | "refund.failed"
            | "refund.unreferenced"
            | "dispute.opened"
            | "dispute.won"
            | "dispute.lost"
            | "fee.charged"
    );
    let needs_operation = matches!(
        event.event_type.as_str(),
        "refund.initiated" | "refund.failed" | "dispute.opened" | "dispute.won" | "dispute.lost"
    );
    (event.amount_minor > 0 || may_be_zero)
        && (event.merchant_id.is_some() || !needs_merchant)
        && (event.operation_id.is_some() || !needs_operation)
}

/// Absent and null are the same; outer `None` means that the value is there and wrong.
fn optional<T>(fields: &Map<String, Value>, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Option<T>> {
    match fields.get(name) {
        None => Some(None),
        Some(Value::Null) if name != "metadata" => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn from_1_to_64(text: &str) -> bool {
    (1..=64).contains(&text.chars().count())
}

fn visible_ascii(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

/// Hyphenated as RFC 9562 writes it, in either case.
fn uuid(value: &Value) -> Option<Uuid> {
    let text = value.as_str().filter(|t| t.len() == 36)?;
    Uuid::try_parse(text).ok()
}

fn is_version_7(id: &Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
}

/// RFC 3339, cut to microseconds since 1970.
fn occurred_at_us(value: &Value) -> Option<i128> {
    let time = OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos().div_euclid(1_000))
}

fn metadata(value: &Value) -> Option<()> {
    let entries = value.as_object()?;
    let fits =
        |(key, value): (&String, &Value)| key.len() <= 64 && value.as_str().is_some_and(|text| text.len() <= 512);
    (entries.len() <= 32 && entries.iter().all(fits)).then_some(())
}
