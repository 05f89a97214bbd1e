//! From a Kafka record to an event, or to the reason why it is none.

use std::sync::Arc;

use millrace_domain::event::Event;
use millrace_domain::ids::{Offset, Position};
use millrace_store::record::RawRecord;
use millrace_wire::headers::DEAD_LETTER;
use millrace_wire::record::{self, Refusal};
use millrace_wire::schemas::SchemaTable;

/// A record of a lane, as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its offset.
    pub offset: Offset,
    /// Its bytes.
    pub raw: RawRecord,
}

/// A record after rule 1.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Where it stands.
    pub position: Position,
    /// The event that it holds, or why it holds none.
    pub content: Result<Content, Refusal>,
}

/// The event of a record that passed rule 1.
#[derive(Clone, Debug)]
pub struct Content {
    /// The event.
    pub event: Arc<Event>,
    /// The dead letter that it says it was redriven from.
    pub redriven_from: Option<i64>,
}

/// Decodes a record by rule 1.
pub fn decode(position: Position, raw: &RawRecord, schemas: &SchemaTable) -> Decoded {
    let mut redriven_from = None;
    let headers = raw.headers().inspect(|(name, value)| {
        if *name == DEAD_LETTER.as_bytes() {
            // The first of that name counts.
            redriven_from.get_or_insert(value.and_then(dead_letter_id));
        }
    });
    let event = record::decode(raw.key(), raw.value(), headers, schemas);
    let content = event.map(|event| Content { event: Arc::new(event), redriven_from: redriven_from.flatten() });
    Decoded { position, content }
}

fn dead_letter_id(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
