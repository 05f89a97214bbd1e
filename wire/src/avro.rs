//! The Avro body and its Confluent framing: `0x00`, the schema id as a big-endian u32, the body.
//!
//! Bodies of our own schema are read and written by `body`, all others read with `serde_avro_fast` (four times as fast as
//! `apache-avro` on this record, and it borrows). `apache-avro` knows the schema best, and says whether what is written is
//! what it describes. A body must end where its schema says: too short and too long are both refused.

use std::borrow::Cow;
use std::collections::HashMap;

use apache_avro::Schema;
use millrace_domain::event::{Draft, Event, FormError, Metadata};
use millrace_domain::reason::Rejection;
use serde::{Deserialize, Serialize};

use crate::body;
use crate::entries::Entries;
use crate::json;
use crate::record::Refusal;
use crate::schemas::{SchemaId, SchemaTable, WRITER_ID};

const MAGIC: u8 = 0;
const FRAME_BYTES: usize = 5;
/// A block of a map that claims more entries than this is refused before it is read.
const MAP_ENTRIES_READ_MAX: usize = 100_000;

/// An event as Avro reads it: the fields by name, absent ones by the reader's default.
#[derive(Deserialize)]
struct AvroEvent<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    payment_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(borrow, default)]
    merchant_id: Option<&'a str>,
    #[serde(borrow, default)]
    operation_id: Option<&'a str>,
    #[serde(default)]
    sequence: Option<i64>,
    amount_minor: i64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    occurred_at: i64,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    correlation_id: Option<&'a str>,
    #[serde(borrow, default)]
    causation_id: Option<&'a str>,
    #[serde(borrow, default)]
    metadata: Entries<'a>,
}

impl<'a> From<AvroEvent<'a>> for Draft<'a> {
    fn from(e: AvroEvent<'a>) -> Draft<'a> {
        Draft {
            event_id: e.event_id.into(),
            event_type: e.event_type,
            payment_id: e.payment_id.into(),
            user_id: e.user_id,
            merchant_id: e.merchant_id.map(Cow::Borrowed),
            operation_id: e.operation_id.map(Into::into),
            sequence: e.sequence,
            amount_minor: e.amount_minor,
            currency: e.currency,
            occurred_at_micros: e.occurred_at,
            source: e.source,
            correlation_id: e.correlation_id.map(Cow::Borrowed),
            causation_id: e.causation_id.map(Cow::Borrowed),
            metadata: e.metadata.0,
        }
    }
}

/// The event in a framed value, if it can be decoded and every rule of form holds.
pub fn decode(value: &[u8], schemas: &SchemaTable) -> Result<Event, Refusal> {
    match draft(value, schemas)?.check() {
        Ok(event) => Ok(event),
        Err(error) => Err(refused(value, schemas, &error)),
    }
}

/// Checking took the draft apart; few are refused, and they are read once more.
#[cold]
fn refused(value: &[u8], schemas: &SchemaTable, error: &FormError) -> Refusal {
    let refusal = Refusal::malformed(error.to_string());
    match draft(value, schemas).ok().and_then(|draft| draft.names()) {
        Some(names) => refusal.naming(names),
        None => refusal,
    }
}

#[inline]
fn draft<'a>(value: &'a [u8], schemas: &SchemaTable) -> Result<Draft<'a>, Refusal> {
    let (id, body) = unframe(value)?;
    let own = if id == WRITER_ID { body::read(body) } else { None };
    match own {
        Some(draft) => Ok(draft),
        None => read(id, body, schemas),
    }
}

/// Reads a body with any schema of the table.
fn read<'a>(id: SchemaId, body: &'a [u8], schemas: &SchemaTable) -> Result<Draft<'a>, Refusal> {
    let schema = schemas.writer(id).ok_or_else(|| {
        Refusal::new(
            Rejection::UnknownSchema,
            format!("schema id {} is not in the table of schemas (schemas/ids.json)", id.0),
        )
    })?;
    let mut config = serde_avro_fast::de::DeserializerConfig::new(schema);
    config.max_seq_size = MAP_ENTRIES_READ_MAX;
    let reader = serde_avro_fast::de::read::SliceRead::new(body);
    let mut state = serde_avro_fast::de::DeserializerState::with_config(reader, config);
    let event = AvroEvent::deserialize(state.deserializer())
        .map_err(|e| Refusal::malformed(format!("the Avro body cannot be read with schema {}: {e}", id.0)))?;
    let left_bytes = remaining(state);
    if left_bytes > 0 {
        return Err(Refusal::malformed(format!("{left_bytes} bytes are left over behind the Avro body")));
    }
    Ok(Draft::from(event))
}

fn remaining(state: serde_avro_fast::de::DeserializerState<'_, serde_avro_fast::de::read::SliceRead<'_>>) -> usize {
    use std::io::BufRead;
    state.into_reader().fill_buf().map_or(0, <[u8]>::len)
}

fn unframe(value: &[u8]) -> Result<(SchemaId, &[u8]), Refusal> {
    let Some((frame, body)) = value.split_first_chunk::<FRAME_BYTES>() else {
        return Err(Refusal::malformed(format!("{} bytes are too few for the framing of {FRAME_BYTES}", value.len())));
    };
    let [magic, id @ ..] = *frame;
    if magic != MAGIC {
        return Err(Refusal::malformed(format!("the first byte is {magic:#04x}, the framing begins with 0x00")));
    }
    Ok((SchemaId(u32::from_be_bytes(id)), body))
}

/// An event as Avro writes it, field by field in the order of the schema.
#[derive(Serialize)]
struct AvroFields<'a> {
    event_id: &'a str,
    event_type: &'a str,
    payment_id: &'a str,
    user_id: &'a str,
    merchant_id: Option<&'a str>,
    operation_id: Option<&'a str>,
    sequence: Option<i64>,
    amount_minor: i64,
    currency: &'a str,
    occurred_at: i64,
    source: &'a str,
    correlation_id: Option<&'a str>,
    causation_id: Option<&'a str>,
    metadata: &'a Metadata,
}

/// The event as a framed value, written with `WRITER_ID`.
pub fn encode(event: &Event) -> Vec<u8> {
    const TYPICAL_BYTES: usize = 256;
    let mut value = Vec::with_capacity(TYPICAL_BYTES);
    value.push(MAGIC);
    value.extend_from_slice(&WRITER_ID.0.to_be_bytes());
    body::write(event, &mut value);
    value
}

/// Whether `encode` writes what the schema says, by an event with every field and one with as few as may be: `apache-avro`
/// writes both from the schema alone.
///
/// A producer asks this before it publishes anything. A schema that was changed and not its writer would be read wrongly
/// by everyone who trusts the schema, without an error.
pub fn writes_by_the_schema() -> bool {
    EXAMPLES.iter().all(|line| {
        json::parse(line.as_bytes())
            .is_ok_and(|event| by_the_schema(&event).is_ok_and(|body| encode(&event)[FRAME_BYTES..] == body))
    })
}

const EXAMPLES: [&str; 2] = [
    r#"{"event_id":"01890a5d-ac96-774b-bcce-b302099a8057","event_type":"refund.initiated",
        "payment_id":"6f1c9a34-0d2e-4a8f-9b7e-1f2d3c4b5a69","user_id":"u-1","merchant_id":"Caf\u00e9","operation_id":
        "0b5c8f5e-8f5b-4f0e-9f6d-2a1b3c4d5e6f","sequence":300,"amount_minor":9007199254740991,"currency":"JPY",
        "occurred_at":"1969-12-31T23:59:59.999999Z","source":"s","correlation_id":"","causation_id":"c",
        "metadata":{"a":"1","b":"","":"\u20ac"}}"#,
    r#"{"event_id":"01890a5d-ac96-774b-bcce-b302099a8057","event_type":"x",
        "payment_id":"6f1c9a34-0d2e-4a8f-9b7e-1f2d3c4b5a69","user_id":"u","amount_minor":0,"currency":"EUR",
        "occurred_at":"2026-01-01T00:00:00Z","source":"s"}"#,
];

/// The body as `apache-avro` writes it.
fn by_the_schema(event: &Event) -> Result<Vec<u8>, Box<apache_avro::Error>> {
    let schema = Schema::parse_str(include_str!("../../schemas/payment_event/1.avsc")).map_err(Box::new)?;
    let mut uuid_chars = [[0; uuid::fmt::Hyphenated::LENGTH]; 3];
    let [event_id, payment_id, operation_id] = &mut uuid_chars;
    let fields = AvroFields {
        event_id: event.event_id.0.as_hyphenated().encode_lower(event_id),
        event_type: event.event_type.as_str(),
        payment_id: event.payment_id.0.as_hyphenated().encode_lower(payment_id),
        user_id: event.user_id.as_str(),
        merchant_id: event.merchant_id.as_ref().map(|m| m.as_str()),
        operation_id: event.operation_id.map(|id| &*id.0.as_hyphenated().encode_lower(operation_id)),
        sequence: event.sequence,
        amount_minor: event.amount_minor,
        currency: event.currency.code(),
        occurred_at: event.occurred_at.0,
        source: &event.source,
        correlation_id: event.correlation_id.as_deref(),
        causation_id: event.causation_id.as_deref(),
        metadata: &event.metadata,
    };
    let mut body = Vec::new();
    apache_avro::write_avro_datum_ref(&schema, &HashMap::new(), &fields, &mut body).map_err(Box::new)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use millrace_domain::event::Draft;
    use proptest::prelude::*;

    use super::{EXAMPLES, FRAME_BYTES, body, encode, read, writes_by_the_schema};
    use crate::json;
    use crate::schemas::{SchemaTable, WRITER_ID};

    /// Bodies as this build writes them: with everything, and with as little as may be.
    fn bodies() -> Vec<Vec<u8>> {
        let body = |line: &str| encode(&json::parse(line.as_bytes()).expect("a valid event"))[FRAME_BYTES..].to_vec();
        EXAMPLES.map(body).into()
    }

    /// What comes of it: the event, or what is wrong.
    fn said(draft: Draft<'_>) -> String {
        format!("{:?}", draft.check())
    }

    /// Where the own reader reads anything, the general one reads the same.
    fn agrees(body: &[u8]) -> bool {
        let own = body::read(body);
        let general = read(WRITER_ID, body, SchemaTable::built_in());
        own.is_none_or(|own| general.is_ok_and(|general| said(own) == said(general)))
    }

    #[test]
    fn what_is_written_is_what_the_schema_says() {
        assert!(writes_by_the_schema());
    }

    #[test]
    fn the_own_reader_reads_what_this_build_writes() {
        for body in bodies() {
            assert!(body::read(&body).is_some());
            assert!(agrees(&body));
            for end in 0..body.len() {
                assert!(body::read(&body[..end]).is_none(), "cut at {end}");
            }
            assert!(body::read(&[body.as_slice(), &[0]].concat()).is_none(), "a byte too many");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn both_readers_agree_on_damaged_bodies(
            which in 0..2_usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut body = bodies().swap_remove(which);
            for (place, byte) in damage {
                let place = place.index(body.len());
                body[place] = byte;
            }
            prop_assert!(agrees(&body), "{body:?}");
        }
    }
}
