//! One line of the stream: an event in the JSON form of the design, or a raw record that no JSON event can express.
//!
//! An [`Event`] is a plain value without heap memory: remembering thousands for republishing costs a copy each.
//! Which events make sense together is the business of `life`.

use std::fmt::{self, Display};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use uuid::Uuid;

/// One line of NDJSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// `{"event_id": ..., "event_type": ..., ...}`
    Event(Event),
    /// `{"raw": {"key": ..., "value": ..., "headers": ...}}`
    Raw(Raw),
}

/// The event types of v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation: see EventType::as_str")]
pub enum EventType {
    PaymentInitiated,
    PaymentAuthorized,
    PaymentAdjusted,
    PaymentDeclined,
    PaymentCaptured,
    PaymentCharged,
    PaymentVoided,
    PaymentExpired,
    RefundInitiated,
    RefundSucceeded,
    RefundFailed,
    RefundUnreferenced,
    DisputeOpened,
    DisputeWon,
    DisputeLost,
    FeeCharged,
}

impl EventType {
    /// Every type, in the order of the enum.
    pub const ALL: [Self; 16] = [
        Self::PaymentInitiated,
        Self::PaymentAuthorized,
        Self::PaymentAdjusted,
        Self::PaymentDeclined,
        Self::PaymentCaptured,
        Self::PaymentCharged,
        Self::PaymentVoided,
        Self::PaymentExpired,
        Self::RefundInitiated,
        Self::RefundSucceeded,
        Self::RefundFailed,
        Self::RefundUnreferenced,
        Self::DisputeOpened,
        Self::DisputeWon,
        Self::DisputeLost,
        Self::FeeCharged,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentInitiated => "payment.initiated",
            Self::PaymentAuthorized => "payment.authorized",
            Self::PaymentAdjusted => "payment.adjusted",
            Self::PaymentDeclined => "payment.declined",
            Self::PaymentCaptured => "payment.captured",
            Self::PaymentCharged => "payment.charged",
            Self::PaymentVoided => "payment.voided",
            Self::PaymentExpired => "payment.expired",
            Self::RefundInitiated => "refund.initiated",
            Self::RefundSucceeded => "refund.succeeded",
            Self::RefundFailed => "refund.failed",
            Self::RefundUnreferenced => "refund.unreferenced",
            Self::DisputeOpened => "dispute.opened",
            Self::DisputeWon => "dispute.won",
            Self::DisputeLost => "dispute.lost",
            Self::FeeCharged => "fee.charged",
        }
    }

    /// The service that publishes this type.
    pub(crate) const fn source(self) -> &'static str {
        match self {
            Self::PaymentInitiated => "checkout",
            Self::PaymentAuthorized | Self::PaymentAdjusted | Self::PaymentDeclined => "card-gateway",
            Self::PaymentCaptured | Self::PaymentCharged => "card-gateway",
            Self::PaymentVoided | Self::PaymentExpired => "order-desk",
            Self::RefundInitiated | Self::RefundSucceeded => "refund-desk",
            Self::RefundFailed | Self::RefundUnreferenced => "refund-desk",
            Self::DisputeOpened | Self::DisputeWon | Self::DisputeLost => "dispute-desk",
            Self::FeeCharged => "billing",
        }
    }
}

/// The currencies of the stream: exponents 0, 2 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "ISO 4217 codes")]
pub enum Currency {
    Gbp,
    Eur,
    Usd,
    Jpy,
    Kwd,
}

impl Currency {
    /// Every currency, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Gbp, Self::Eur, Self::Usd, Self::Jpy, Self::Kwd];

    /// The ISO 4217 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gbp => "GBP",
            Self::Eur => "EUR",
            Self::Usd => "USD",
            Self::Jpy => "JPY",
            Self::Kwd => "KWD",
        }
    }
}

/// A payment event. Amounts are in the currency's minor units, times in microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// UUIDv7; its time is that of `occurred_at_us`.
    pub event_id: Uuid,
    /// The type.
    pub event_type: EventType,
    /// UUIDv7 of the payment's beginning.
    pub payment_id: Uuid,
    /// Rank of the user by popularity, from 1; [`Event::user_id`] is the name.
    pub user: u32,
    /// Rank of the merchant by popularity, from 1.
    pub merchant: Option<u32>,
    /// The refund, dispute, fee or single capture.
    pub operation_id: Option<Uuid>,
    /// From 1, for numbered payments.
    pub sequence: Option<u32>,
    /// 0 to 2^53 - 1.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Microseconds since 1970, UTC.
    pub occurred_at_us: i64,
    /// The publishing service.
    pub source: &'static str,
    /// The order that the payment belongs to.
    pub correlation: Option<u32>,
    /// The event of the same payment that was published before.
    pub causation_id: Option<Uuid>,
    /// A little of everything.
    pub metadata: Metadata,
}

/// What a publisher adds that no rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Metadata {
    /// `channel`: where the customer paid.
    pub channel: Option<&'static str>,
    /// `note`: free text, not only ASCII.
    pub note: Option<&'static str>,
    /// `attempt`: how often the publisher sent it, on some republished events.
    pub attempt: Option<u32>,
}

impl Event {
    /// The Kafka key: `user-0000001`.
    pub fn user_id(&self) -> String {
        UserId(self.user).to_string()
    }

    /// `merchant-00001`.
    pub fn merchant_id(&self) -> Option<String> {
        self.merchant.map(|rank| MerchantId(rank).to_string())
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(14))?;
        map.serialize_entry("event_id", &self.event_id)?;
        map.serialize_entry("event_type", self.event_type.as_str())?;
        map.serialize_entry("payment_id", &self.payment_id)?;
        map.serialize_entry("user_id", &Text(UserId(self.user)))?;
        map.serialize_entry("merchant_id", &self.merchant.map(|rank| Text(MerchantId(rank))))?;
        map.serialize_entry("operation_id", &self.operation_id)?;
        map.serialize_entry("sequence", &self.sequence)?;
        map.serialize_entry("amount_minor", &self.amount_minor)?;
        map.serialize_entry("currency", self.currency.code())?;
        map.serialize_entry("occurred_at", &Text(Rfc3339(self.occurred_at_us)))?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("correlation_id", &self.correlation.map(|order| Text(OrderId(order))))?;
        map.serialize_entry("causation_id", &self.causation_id)?;
        map.serialize_entry("metadata", &self.metadata)?;
        map.end()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(channel) = self.channel {
            map.serialize_entry("channel", channel)?;
        }
        if let Some(note) = self.note {
            map.serialize_entry("note", note)?;
        }
        if let Some(attempt) = self.attempt {
            map.serialize_entry("attempt", &Text(attempt))?;
        }
        map.end()
    }
}

/// A record as bytes, for `millrace publish --allow-raw`: what cannot be decoded cannot be a JSON event.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw {
    /// The Kafka key; `None` is a record without one.
    pub key: Option<Vec<u8>>,
    /// The Kafka value.
    pub value: Vec<u8>,
    /// The Kafka headers, as text.
    pub headers: Vec<(&'static str, &'static str)>,
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("raw", &RawBody(self))?;
        map.end()
    }
}

struct RawBody<'a>(&'a Raw);

impl Serialize for RawBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers: std::collections::BTreeMap<_, _> = self.0.headers.iter().copied().collect();
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("key", &self.0.key.as_ref().map(|key| STANDARD.encode(key)))?;
        map.serialize_entry("value", &STANDARD.encode(&self.0.value))?;
        map.serialize_entry("headers", &headers)?;
        map.end()
    }
}

pub(crate) struct UserId(pub u32);
pub(crate) struct MerchantId(pub u32);
struct OrderId(u32);
struct Rfc3339(i64);

impl Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user-{:07}", self.0)
    }
}

impl Display for MerchantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merchant-{:05}", self.0)
    }
}

impl Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order-{:08x}", self.0)
    }
}

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).map_err(|_| fmt::Error)?;
        let (hour, minute, second, micros) = t.to_hms_micro();
        let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Serializes what can be displayed as a JSON string, without an allocation.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
