//! Kafka headers: the CloudEvents 1.0 Kafka binding in binary mode, and W3C Trace Context's `traceparent`.
//!
//! The body is the truth. Headers may be missing; one that contradicts the body is a refusal.

use millrace_domain::event::Event;
use millrace_domain::ids::Micros;
use millrace_domain::reason::Rejection;
use uuid::Uuid;

use crate::json;
use crate::record::{Refusal, shown};

/// The event's id.
pub const CE_ID: &str = "ce_id";
/// The event's type.
pub const CE_TYPE: &str = "ce_type";
/// The publishing service.
pub const CE_SOURCE: &str = "ce_source";
/// When it happened, RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// The payment that it is about.
pub const CE_SUBJECT: &str = "ce_subject";
/// The version of CloudEvents.
pub const CE_SPECVERSION: &str = "ce_specversion";
/// The media type of the value.
pub const CONTENT_TYPE: &str = "content-type";
/// W3C Trace Context; carried, never judged.
pub const TRACEPARENT: &str = "traceparent";
/// The dead letter that a redriven record was made from: its id as a decimal number.
pub const DEAD_LETTER: &str = "millrace_dead_letter";

/// Folds the headers that belong to an event, each its name and text, in the order in which they are written.
///
/// `ce_time` is left out for a year that RFC 3339 cannot tell.
pub fn fold<T>(event: &Event, start: T, mut add: impl FnMut(T, &'static str, &str) -> T) -> T {
    let mut chars = [0; uuid::fmt::Hyphenated::LENGTH];
    let mut folded = add(start, CE_SPECVERSION, "1.0");
    folded = add(folded, CE_ID, event.event_id.0.hyphenated().encode_lower(&mut chars));
    folded = add(folded, CE_TYPE, event.event_type.as_str());
    folded = add(folded, CE_SOURCE, &event.source);
    folded = add(folded, CE_SUBJECT, event.payment_id.0.hyphenated().encode_lower(&mut chars));
    folded = add(folded, CONTENT_TYPE, "application/avro");
    match json::rfc3339(event.occurred_at) {
        Some(time) => add(folded, CE_TIME, &time),
        None => folded,
    }
}

/// The same as a list.
pub fn of(event: &Event) -> Vec<(&'static str, String)> {
    fold(event, Vec::with_capacity(7), |mut headers, name, text| {
        headers.push((name, text.to_owned()));
        headers
    })
}

/// A header that is judged: its name, and whether it agrees with the event.
type Judged = (&'static str, fn(&Event, &[u8]) -> bool);

fn judged(name: &[u8]) -> Option<Judged> {
    const ID: &[u8] = CE_ID.as_bytes();
    const TYPE: &[u8] = CE_TYPE.as_bytes();
    const SOURCE: &[u8] = CE_SOURCE.as_bytes();
    const TIME: &[u8] = CE_TIME.as_bytes();
    const SUBJECT: &[u8] = CE_SUBJECT.as_bytes();
    match name {
        ID => Some((CE_ID, |event, value| is_uuid(value, event.event_id.0))),
        TYPE => Some((CE_TYPE, |event, value| value == event.event_type.as_str().as_bytes())),
        SOURCE => Some((CE_SOURCE, |event, value| value == event.source.as_bytes())),
        TIME => Some((CE_TIME, |event, value| is_time(value, event.occurred_at))),
        SUBJECT => Some((CE_SUBJECT, |event, value| is_uuid(value, event.payment_id.0))),
        _ => None,
    }
}

/// Most publishers spell an id as we do, and comparing is quicker than reading.
fn is_uuid(value: &[u8], id: Uuid) -> bool {
    let mut chars = [0; uuid::fmt::Hyphenated::LENGTH];
    value == id.hyphenated().encode_lower(&mut chars).as_bytes()
        || Uuid::try_parse_ascii(value).is_ok_and(|found| found == id)
}

fn is_time(value: &[u8], moment: Micros) -> bool {
    std::str::from_utf8(value).ok().and_then(json::parse_rfc3339) == Some(moment)
}

/// Refuses headers that contradict the event. Values are compared, not their spelling.
pub fn check<'a, N: AsRef<[u8]>>(
    event: &Event,
    headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
) -> Result<(), Refusal> {
    for (found, value) in headers {
        let Some((name, agrees)) = judged(found.as_ref()) else { continue };
        if !value.is_some_and(|value| agrees(event, value)) {
            let found = value.map_or("nothing".into(), |v| shown(&String::from_utf8_lossy(v)));
            return Err(Refusal::new(
                Rejection::HeaderMismatch,
                format!("header {name} holds {found}, which contradicts the body"),
            ));
        }
    }
    Ok(())
}

/// Whether the text is a `traceparent` of W3C Trace Context level 1: `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero.
pub fn is_traceparent(text: &str) -> bool {
    let lower_hex = |part: &str, chars: usize| {
        part.len() == chars && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return false };
    let some_digit = |part: &str| part.bytes().any(|b| b != b'0');
    lower_hex(version, 2)
        && version != "ff"
        && lower_hex(trace, 32)
        && some_digit(trace)
        && lower_hex(parent, 16)
        && some_digit(parent)
        && lower_hex(flags, 2)
}
