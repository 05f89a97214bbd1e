//! The event and its rules of form: what a publisher may say.
//!
//! Spelling is left to `wire` (Avro bytes, JSON), and whether the event makes sense for its payment to `table`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use smol_str::SmolStr;
use uuid::{Uuid, Variant};

use crate::ids::{EventId, MerchantId, Micros, OperationId, PaymentId, UserId};
use crate::money::{AMOUNT_MINOR_MAX, Currency};

/// The longest user, merchant or source name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// The most entries that `metadata` may have.
pub const METADATA_ENTRIES_MAX: usize = 32;
/// The longest key of `metadata`, in bytes.
pub const METADATA_KEY_BYTES_MAX: usize = 64;
/// The longest value of `metadata`, in bytes.
pub const METADATA_VALUE_BYTES_MAX: usize = 512;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The types of v1, a closed list: a type that is not here is `EventType::Unknown`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every type of v1, in the order of the design.
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text,)* }
            }

            /// The type with this name on the wire, if v1 has it.
            pub fn from_name(name: &str) -> Option<Kind> {
                match name { $($text => Some(Kind::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A payment was begun; the amount is the intended one.
    PaymentInitiated = "payment.initiated",
    /// The issuer holds the amount.
    PaymentAuthorized = "payment.authorized",
    /// The authorized total became this amount.
    PaymentAdjusted = "payment.adjusted",
    /// The issuer said no; the payment may be tried again.
    PaymentDeclined = "payment.declined",
    /// Authorized money was taken, all of it or a part.
    PaymentCaptured = "payment.captured",
    /// Authorized and captured in one step.
    PaymentCharged = "payment.charged",
    /// Authorized money was let go, all of it or a part.
    PaymentVoided = "payment.voided",
    /// What was still open lapsed.
    PaymentExpired = "payment.expired",
    /// A refund is on its way.
    RefundInitiated = "refund.initiated",
    /// A refund arrived.
    RefundSucceeded = "refund.succeeded",
    /// A refund that was on its way came back.
    RefundFailed = "refund.failed",
    /// A credit with no payment behind it.
    RefundUnreferenced = "refund.unreferenced",
    /// The cardholder's bank took the amount back for now.
    DisputeOpened = "dispute.opened",
    /// The merchant won: the bank returned it.
    DisputeWon = "dispute.won",
    /// The merchant lost it for good.
    DisputeLost = "dispute.lost",
    /// The merchant owes a fee.
    FeeCharged = "fee.charged",
}

impl Kind {
    /// Whether an applied event of this type moves money between accounts.
    pub const fn has_ledger_entry(self) -> bool {
        use Kind::*;
        match self {
            PaymentInitiated | PaymentAuthorized | PaymentAdjusted | PaymentDeclined | PaymentVoided
            | PaymentExpired => false,
            PaymentCaptured | PaymentCharged | RefundInitiated | RefundSucceeded | RefundFailed
            | RefundUnreferenced | DisputeOpened | DisputeWon | DisputeLost | FeeCharged => true,
        }
    }

    /// Whether the type means nothing without naming its operation.
    pub const fn needs_operation(self) -> bool {
        use Kind::*;
        matches!(self, RefundInitiated | RefundFailed | DisputeOpened | DisputeWon | DisputeLost)
    }

    /// Whether an amount of 0 is well formed.
    pub const fn may_be_zero(self) -> bool {
        matches!(self, Kind::PaymentInitiated | Kind::PaymentDeclined | Kind::PaymentExpired)
    }
}

/// What kind of fact an event states: open on the wire, so that a new type breaks no reader.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EventType {
    /// A type of v1.
    Known(Kind),
    /// A type that this build does not know; it is parked until a build that knows it claims the lane.
    Unknown(Box<str>),
}

impl EventType {
    /// The type with this name.
    pub fn from_name(name: &str) -> EventType {
        Kind::from_name(name).map_or_else(|| EventType::Unknown(name.into()), EventType::Known)
    }

    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            EventType::Known(kind) => kind.as_str(),
            EventType::Unknown(name) => name,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Further text of an event by its keys, each of which comes once. Short ones take no memory of their own.
pub type Metadata = BTreeMap<SmolStr, SmolStr>;

/// One fact about a payment that keeps every rule of form. Immutable once published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Who this event is; carries the publisher's time.
    pub event_id: EventId,
    /// What it states.
    pub event_type: EventType,
    /// The payment that it is about.
    pub payment_id: PaymentId,
    /// The payment's owner, and the Kafka key.
    pub user_id: UserId,
    /// The merchant; always there where money moves.
    pub merchant_id: Option<MerchantId>,
    /// The refund, dispute, fee or single capture that it is about.
    pub operation_id: Option<OperationId>,
    /// Its number within the payment, from 1 without gaps, if the publisher numbers.
    pub sequence: Option<i64>,
    /// Minor units of `currency`, 0 to 2^53 - 1; the sign is in the type.
    pub amount_minor: i64,
    /// The currency of the amount.
    pub currency: Currency,
    /// When it happened, in microseconds since 1970.
    pub occurred_at: Micros,
    /// The service that publishes it, 1 to 64 characters.
    pub source: SmolStr,
    /// What the publisher traces it by.
    pub correlation_id: Option<SmolStr>,
    /// The event or command that caused it.
    pub causation_id: Option<SmolStr>,
    /// Further text, at most 32 entries.
    pub metadata: Metadata,
}

/// An id of a draft.
#[derive(Clone, Debug)]
pub enum DraftId<'a> {
    /// As it was spelled.
    Text(Cow<'a, str>),
    /// Read already, from its 36 characters.
    Read(Uuid),
}

impl Default for DraftId<'_> {
    fn default() -> Self {
        DraftId::Text(Cow::default())
    }
}

impl<'a> From<Cow<'a, str>> for DraftId<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        DraftId::Text(text)
    }
}

impl<'a> From<&'a str> for DraftId<'a> {
    fn from(text: &'a str) -> Self {
        DraftId::Text(text.into())
    }
}

impl From<String> for DraftId<'_> {
    fn from(text: String) -> Self {
        DraftId::Text(text.into())
    }
}

/// An event as it was read, before any rule was checked. Borrows from the bytes where the reader can.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the fields are those of Event, by the same names")]
pub struct Draft<'a> {
    pub event_id: DraftId<'a>,
    pub event_type: Cow<'a, str>,
    pub payment_id: DraftId<'a>,
    pub user_id: Cow<'a, str>,
    pub merchant_id: Option<Cow<'a, str>>,
    pub operation_id: Option<DraftId<'a>>,
    pub sequence: Option<i64>,
    pub amount_minor: i64,
    pub currency: Cow<'a, str>,
    pub occurred_at_micros: i64,
    pub source: Cow<'a, str>,
    pub correlation_id: Option<Cow<'a, str>>,
    pub causation_id: Option<Cow<'a, str>>,
    pub metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A broken rule of form: which field, and what to put there instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("field `{field}`: {problem}")]
pub struct FormError {
    /// The field by its name on the wire.
    pub field: &'static str,
    /// What is wrong, what was found and what is wanted.
    pub problem: String,
}

impl Draft<'_> {
    /// The ids of the event and of its payment, where both are UUIDs, whatever else is wrong.
    pub fn names(&self) -> Option<(EventId, PaymentId)> {
        let event_id = uuid("event_id", &self.event_id).ok()?;
        let payment_id = uuid("payment_id", &self.payment_id).ok()?;
        Some((EventId(event_id), PaymentId(payment_id)))
    }

    /// The event, if every rule of form holds; else the first that does not, in the order of the fields.
    pub fn check(self) -> Result<Event, FormError> {
        let event = Event {
            event_id: EventId(uuid7("event_id", &self.event_id)?),
            event_type: EventType::from_name(&self.event_type),
            payment_id: PaymentId(uuid("payment_id", &self.payment_id)?),
            user_id: UserId(user_id(&self.user_id)?.into()),
            merchant_id: match self.merchant_id {
                Some(name) => Some(MerchantId(short_name("merchant_id", &name)?.into())),
                None => None,
            },
            operation_id: match self.operation_id {
                Some(id) => Some(OperationId(uuid("operation_id", &id)?)),
                None => None,
            },
            sequence: sequence(self.sequence)?,
            amount_minor: amount_minor(self.amount_minor)?,
            currency: currency(&self.currency)?,
            occurred_at: Micros(self.occurred_at_micros),
            source: short_name("source", &self.source)?.into(),
            correlation_id: self.correlation_id.map(Into::into),
            causation_id: self.causation_id.map(Into::into),
            metadata: metadata(self.metadata)?,
        };
        match &event.event_type {
            EventType::Known(kind) => event.check_kind(*kind)?,
            EventType::Unknown(_) => {}
        }
        Ok(event)
    }
}

impl Event {
    /// What it is found by: its id and its payment's.
    pub fn names(&self) -> (EventId, PaymentId) {
        (self.event_id, self.payment_id)
    }

    /// The rules that only a type of v1 adds: its amount, its merchant, its operation.
    pub fn check_kind(&self, kind: Kind) -> Result<(), FormError> {
        let name = kind.as_str();
        if self.amount_minor == 0 && !kind.may_be_zero() {
            return refuse("amount_minor", format!("is 0, but {name} needs an amount of at least 1 minor unit"));
        }
        if self.merchant_id.is_none() && kind.has_ledger_entry() {
            return refuse("merchant_id", format!("is missing, but {name} moves money and must name the merchant"));
        }
        if self.operation_id.is_none() && kind.needs_operation() {
            return refuse(
                "operation_id",
                format!("is missing, but {name} must name the refund or dispute it is about"),
            );
        }
        Ok(())
    }
}

fn refuse<T>(field: &'static str, problem: String) -> Result<T, FormError> {
    Err(FormError { field, problem })
}

/// A value as an error message may show it: short, and on one line.
fn shown(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// The id in its 36 characters.
pub fn read_uuid(text: &[u8]) -> Option<Uuid> {
    const HYPHENATED_CHARS: usize = 36;
    if text.len() == HYPHENATED_CHARS { Uuid::try_parse_ascii(text).ok() } else { None }
}

fn uuid(field: &'static str, id: &DraftId<'_>) -> Result<Uuid, FormError> {
    match id {
        DraftId::Read(id) => Ok(*id),
        DraftId::Text(text) => match read_uuid(text.as_bytes()) {
            Some(id) => Ok(id),
            None => {
                refuse(field, format!("{} is not a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057", shown(text)))
            }
        },
    }
}

/// Whether the id is a UUIDv7 (RFC 9562).
pub fn is_uuid7(id: Uuid) -> bool {
    id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
}

fn uuid7(field: &'static str, draft: &DraftId<'_>) -> Result<Uuid, FormError> {
    let id = uuid(field, draft)?;
    if is_uuid7(id) {
        return Ok(id);
    }
    let text = match draft {
        DraftId::Text(text) => text.to_string(),
        DraftId::Read(id) => id.to_string(),
    };
    refuse(field, format!("{text} is not a UUIDv7 (RFC 9562): make the id with a version 7 generator"))
}

fn user_id(text: &str) -> Result<&str, FormError> {
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if visible && (1..=NAME_CHARS_MAX).contains(&text.len()) {
        return Ok(text);
    }
    refuse("user_id", format!("{} must be 1 to {NAME_CHARS_MAX} visible ASCII characters, without spaces", shown(text)))
}

fn short_name<'a>(field: &'static str, text: &'a str) -> Result<&'a str, FormError> {
    // A character is a byte at least: most names need not be counted.
    let short = text.len() <= NAME_CHARS_MAX || text.chars().count() <= NAME_CHARS_MAX;
    if short && !text.is_empty() {
        return Ok(text);
    }
    refuse(field, format!("{} must be 1 to {NAME_CHARS_MAX} characters long", shown(text)))
}

fn sequence(number: Option<i64>) -> Result<Option<i64>, FormError> {
    match number {
        Some(n) if n < 1 => {
            refuse("sequence", format!("{n} is below 1: a payment's events are numbered from 1, or not at all (null)"))
        }
        other => Ok(other),
    }
}

fn amount_minor(amount: i64) -> Result<i64, FormError> {
    if amount < 0 {
        return refuse(
            "amount_minor",
            format!("{amount} is negative: the sign is in the event type, as in refund.succeeded"),
        );
    }
    if amount > AMOUNT_MINOR_MAX {
        return refuse("amount_minor", format!("{amount} is above {AMOUNT_MINOR_MAX} (2^53 - 1) minor units"));
    }
    Ok(amount)
}

fn currency(code: &str) -> Result<Currency, FormError> {
    match Currency::from_code(code) {
        Some(currency) => Ok(currency),
        None => refuse(
            "currency",
            format!("{} is not an ISO 4217 code with a minor unit, in capitals, such as GBP", shown(code)),
        ),
    }
}

fn metadata(entries: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> Result<Metadata, FormError> {
    if entries.len() > METADATA_ENTRIES_MAX {
        return refuse(
            "metadata",
            format!("has {} entries, at most {METADATA_ENTRIES_MAX} are allowed", entries.len()),
        );
    }
    let mut checked = Metadata::new();
    for (key, value) in entries {
        if key.len() > METADATA_KEY_BYTES_MAX {
            return refuse(
                "metadata",
                format!("key {} has {} bytes, at most {METADATA_KEY_BYTES_MAX} are allowed", shown(&key), key.len()),
            );
        }
        if value.len() > METADATA_VALUE_BYTES_MAX {
            return refuse(
                "metadata",
                format!(
                    "the value of {} has {} bytes, at most {METADATA_VALUE_BYTES_MAX} are allowed",
                    shown(&key),
                    value.len()
                ),
            );
        }
        // Whoever says it twice may mean either, and a map of Avro or JSON would keep the last in silence.
        if checked.contains_key(&*key) {
            return refuse("metadata", format!("key {} stands twice", shown(&key)));
        }
        checked.insert(key.into(), value.into());
    }
    Ok(checked)
}
