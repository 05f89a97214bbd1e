//! The content hash: whether two events under one id say the same.
//!
//! It covers values and not their spelling, and leaves out what a retry may change: bytes, schema id, correlation,
//! causation, metadata. It is derived and never stored, so that it can change without a migration.

use crate::event::Event;

/// The first 128 bits of BLAKE3 over an event's type, payment, user, merchant, operation, sequence, amount,
/// currency, occurred_at and source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    /// The hash of what this event says.
    pub fn of(event: &Event) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        let mut text = |value: &str| {
            // The length first: "ab" + "c" must not hash as "a" + "bc".
            hasher.update(&(value.len() as u64).to_be_bytes());
            hasher.update(value.as_bytes());
        };
        text(event.event_type.as_str());
        text(event.user_id.as_str());
        text(&event.source);
        text(event.currency.code());
        // A merchant has at least one character, so that empty means none.
        text(event.merchant_id.as_ref().map_or("", |m| m.as_str()));
        hasher.update(event.payment_id.0.as_bytes());
        match event.operation_id {
            Some(id) => hasher.update(&[1]).update(id.0.as_bytes()),
            None => hasher.update(&[0]),
        };
        // A sequence starts at 1, so that 0 means none.
        hasher.update(&event.sequence.unwrap_or(0).to_be_bytes());
        hasher.update(&event.amount_minor.to_be_bytes());
        hasher.update(&event.occurred_at.0.to_be_bytes());
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        ContentHash(out)
    }
}
