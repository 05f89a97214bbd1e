//! From a Kafka record to an event, or to the reason why it is none.

use millrace_domain::content::ContentHash;
use millrace_domain::event::Event;
use millrace_domain::ids::{Offset, Position};
use millrace_store::rows::RawRecord;
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
    pub event: Event,
    /// The hash of what it says.
    pub hash: ContentHash,
    /// The dead letter that it says it was redriven from.
    pub redriven_from: Option<i64>,
}

/// Decodes a record by rule 1.
pub fn decode(position: Position, raw: &RawRecord, schemas: &SchemaTable) -> Decoded {
    // A name that is no UTF-8 is none of ours; it takes part as one that nobody knows.
    let headers =
        || raw.headers.iter().map(|(name, value)| (std::str::from_utf8(name).unwrap_or("\u{fffd}"), value.as_deref()));
    let event = record::decode(raw.key.as_deref(), raw.value.as_deref(), headers(), schemas);
    let content = event.map(|event| Content {
        hash: ContentHash::of(&event),
        event,
        redriven_from: headers().find(|(name, _)| *name == DEAD_LETTER).and_then(|(_, value)| dead_letter_id(value?)),
    });
    Decoded { position, content }
}

fn dead_letter_id(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
