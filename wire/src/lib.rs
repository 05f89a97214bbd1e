//! Events as they travel: Avro bytes with their framing, Kafka headers, and the JSON form.
//!
//! Spelling only: what the fields may hold is `domain::event`'s, what an event does is `domain::table`'s.

pub mod avro;
mod body;
mod entries;
pub mod headers;
pub mod json;
pub mod record;
pub mod schemas;
