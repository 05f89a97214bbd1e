//! The content hash: whether two events under one id say the same.
//!
//! It covers values and not their spelling, and leaves out what a retry may change: bytes, schema id, correlation,
//! causation, metadata. It is derived and never stored, so that it can change without a migration.

use crate::event::Event;

/// Room for what most events say: names take at most 64 characters each and seldom half of that.
const SAID_BYTES_USUAL: usize = 256;

/// The first 128 bits of BLAKE3 over an event's type, payment, user, merchant, operation, sequence, amount,
/// currency, occurred_at and source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    /// The hash of what this event says.
    pub fn of(event: &Event) -> ContentHash {
        // Hashed in one go: many small updates take several times as long.
        let mut said = Vec::with_capacity(SAID_BYTES_USUAL);
        let mut text = |value: &str| {
            // The length first: "ab" + "c" must not hash as "a" + "bc".
            said.extend_from_slice(&(value.len() as u64).to_be_bytes());
            said.extend_from_slice(value.as_bytes());
        };
        text(event.event_type.as_str());
        text(event.user_id.as_str());
        text(&event.source);
        text(event.currency.code());
        // A merchant has at least one character, so that empty means none.
        text(event.merchant_id.as_ref().map_or("", |m| m.as_str()));
        said.extend_from_slice(event.payment_id.0.as_bytes());
        match event.operation_id {
            Some(id) => {
                said.push(1);
                said.extend_from_slice(id.0.as_bytes());
            }
            None => said.push(0),
        }
        // A sequence starts at 1, so that 0 means none.
        said.extend_from_slice(&event.sequence.unwrap_or(0).to_be_bytes());
        said.extend_from_slice(&event.amount_minor.to_be_bytes());
        said.extend_from_slice(&event.occurred_at.0.to_be_bytes());
        let mut out = [0; 16];
        out.copy_from_slice(&blake3::hash(&said).as_bytes()[..16]);
        ContentHash(out)
    }
}
