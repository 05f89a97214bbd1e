//! Events in their JSON form, and how they become records.
//!
//! What they do is left to the model.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::avro;
use crate::kafka::Raw;

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    since.as_millis() as i64
}

/// A UUIDv7 of this moment; no two are the same, in this process and in others.
pub fn new_id() -> Uuid {
    id_of(now_ms())
}

/// A UUIDv7 of that moment.
pub fn id_of(time_ms: i64) -> Uuid {
    // The hasher's keys are the standard library's own randomness, new for each.
    let random = || RandomState::new().build_hasher().finish().to_be_bytes();
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&random());
    bytes[8..].copy_from_slice(&random()[..2]);
    uuid::Builder::from_unix_timestamp_millis(time_ms as u64, &bytes).into_uuid()
}

/// An event of a new payment.
pub fn event(event_type: &str, user: &str, amount_minor: i64) -> Value {
    json!({
        "event_id": new_id().to_string(),
        "event_type": event_type,
        "payment_id": new_id().to_string(),
        "user_id": user,
        "merchant_id": "m-1",
        "operation_id": null,
        "sequence": null,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "occurred_at": "2026-10-31T12:00:00Z",
        "source": "tests",
        "correlation_id": null,
        "causation_id": null,
        "metadata": {},
    })
}

/// A charge on a new payment.
pub fn charge(user: &str, amount_minor: i64) -> Value {
    event("payment.charged", user, amount_minor)
}

/// An event of the payment of another.
pub fn next(of: &Value, event_type: &str, amount_minor: i64) -> Value {
    let mut event = event(event_type, of["user_id"].as_str().expect("a user"), amount_minor);
    event["payment_id"] = of["payment_id"].clone();
    event
}

/// The event with one field changed.
pub fn with(mut event: Value, field: &str, value: impl Into<Value>) -> Value {
    event[field] = value.into();
    event
}

/// The record of an event, as any publisher makes it: key = user id. What Avro cannot carry becomes a body that
/// nobody can decode.
pub fn record(event: &Value) -> Raw {
    const TRUNCATED: &[u8] = &[0, 0, 0, 0, 1, 72, b'0'];
    Raw {
        partition: None,
        key: event["user_id"].as_str().map(|user| user.as_bytes().to_vec()),
        value: Some(avro::encode(event).unwrap_or_else(|| TRUNCATED.to_vec())),
        headers: Vec::new(),
    }
}

/// The same in a partition of the caller's choice.
pub fn record_in(partition: i32, event: &Value) -> Raw {
    Raw { partition: Some(partition), ..record(event) }
}
