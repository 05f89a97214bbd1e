//! What one line is: an event, a raw record if those are allowed, or bad, with the reason in words.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_domain::event::Event;
use millrace_wire::json;
use serde::Deserialize;

/// A record as bytes, for tests and demos of what the worker does with undecodable ones.
#[derive(PartialEq, Eq, Debug)]
pub struct Raw {
    /// The Kafka key.
    pub key: Option<Vec<u8>>,
    /// The Kafka value.
    pub value: Option<Vec<u8>>,
    /// The Kafka headers, as text.
    pub headers: Vec<(String, String)>,
}

/// What a line holds.
#[derive(PartialEq, Eq, Debug)]
pub enum Record {
    /// An event; boxed, for it is much larger than the others.
    Event(Box<Event>),
    /// Bytes to publish as they are.
    Raw(Raw),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLine {
    raw: RawFields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFields {
    key: Option<String>,
    value: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The record of a line, none for a blank one, or why it is neither.
pub fn parse(line: &[u8], allow_raw: bool) -> Result<Option<Record>, String> {
    let text = line.trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    if is_raw(text) {
        if !allow_raw {
            return Err("a raw record, which only --allow-raw publishes".to_owned());
        }
        return raw(text).map(|raw| Some(Record::Raw(raw)));
    }
    match json::parse(text) {
        Ok(event) => Ok(Some(Record::Event(Box::new(event)))),
        Err(error) => Err(reason(text, &error)),
    }
}

/// Whether the first name in the object is `raw`, which no event has.
fn is_raw(text: &[u8]) -> bool {
    let Some(inside) = text.strip_prefix(b"{") else { return false };
    inside.trim_ascii_start().starts_with(br#""raw""#)
}

fn raw(text: &[u8]) -> Result<Raw, String> {
    let line: RawLine = serde_json::from_slice(text).map_err(|e| in_a_line(&format!("not a raw record: {e}")))?;
    let bytes = |field: &str, base64: Option<String>| match base64 {
        None => Ok(None),
        Some(text) => STANDARD.decode(&text).map(Some).map_err(|e| format!("field `raw.{field}`: not base64: {e}")),
    };
    Ok(Raw {
        key: bytes("key", line.raw.key)?,
        value: bytes("value", line.raw.value)?,
        headers: line.raw.headers.into_iter().collect(),
    })
}

/// The reason as people read it: the parser's, or what the bytes really are.
fn reason(text: &[u8], error: &json::JsonError) -> String {
    if let Some(format) = other_format(text) {
        return format.to_owned();
    }
    if let Err(utf8) = std::str::from_utf8(text) {
        return format!("not UTF-8: byte {} of the line is {:#04x}", utf8.valid_up_to() + 1, text[utf8.valid_up_to()]);
    }
    in_a_line(&error.to_string())
}

/// What people publish by mistake.
const OTHER_FORMATS: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "compressed with gzip, not JSON: `zcat FILE | millrace publish -`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, not JSON: `zstdcat FILE | millrace publish -`"),
    (b"PK\x03\x04", "a zip archive, not JSON: `unzip -p FILE | millrace publish -`"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (ARRAY, "a JSON array: one object a line is wanted: `jq -c '.[]' FILE | millrace publish -`"),
    (OPEN, "a JSON object over many lines: one object a line is wanted: `jq -c . FILE | millrace publish -`"),
];
const ARRAY: &[u8] = b"[";
const OPEN: &[u8] = b"{";
const UTF_16: &str = "not UTF-8: it begins as text in UTF-16 does. If all of FILE is that: `iconv -f UTF-16 -t UTF-8 FILE | \
                      millrace publish -`";

fn other_format(text: &[u8]) -> Option<&'static str> {
    let is_of = |magic: &[u8]| if magic == OPEN { text == OPEN } else { text.starts_with(magic) };
    let found = OTHER_FORMATS.iter().find(|(magic, _)| is_of(magic));
    found.map(|(_, what)| *what).or_else(|| text.contains(&0).then_some("binary data (it has bytes of 0), not JSON"))
}

/// Whether a first line says that the whole input has another format. An array that ends within its line is one bad line.
pub fn begins_other_format(first_line: &[u8]) -> bool {
    OTHER_FORMATS.iter().any(|(magic, _)| match *magic {
        ARRAY | OPEN => first_line.trim_ascii() == *magic,
        magic => first_line.starts_with(magic),
    })
}

/// serde_json counts lines within the text, of which there is one.
fn in_a_line(message: &str) -> String {
    message.replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"event_id":"019ab0e1-7c00-7a3b-9f00-5d1c9e2b4a01","event_type":"payment.charged","payment_id":"0d2f6c1e-3b7a-4e53-9c40-8d8b1f6a7c21","user_id":"user-17","merchant_id":"merchant-4","amount_minor":1250,"currency":"GBP","occurred_at":"2025-11-23T09:30:00Z","source":"checkout"}"#;

    #[test]
    fn an_event_may_have_blanks_around_it_and_a_blank_line_is_nothing() {
        for line in [EVENT.to_owned(), format!("  {EVENT}\t")] {
            assert!(matches!(parse(line.as_bytes(), false), Ok(Some(Record::Event(_)))));
        }
        assert_eq!(parse(b" \t ", false), Ok(None));
    }

    #[test]
    fn a_bad_line_tells_its_field_or_what_the_bytes_are() {
        let wrong_currency = EVENT.replace("GBP", "XXX");
        let negative = EVENT.replace("1250", "-5");
        let latin1 = [EVENT.as_bytes().split_at(20).0, b"\xe9\""].concat();
        for (line, part) in [
            (wrong_currency.as_bytes(), "field `currency`"),
            (negative.as_bytes(), "field `amount_minor`"),
            (b"{\"event_id\": 5}".as_slice(), "field `event_id`"),
            (b"{\"event_id\": ".as_slice(), "at column "),
            (b"hello".as_slice(), "not an event in JSON"),
            (b"[1, 2]".as_slice(), "jq -c '.[]'"),
            (b"{".as_slice(), "jq -c . FILE"),
            (b"\xff\xfe{\x00".as_slice(), "If all of FILE is that: `iconv"),
            (b"\x1f\x8b\x08\x00".as_slice(), "zcat"),
            (b"\x7fELF\x02\x00\x00".as_slice(), "binary data"),
            (latin1.as_slice(), "not UTF-8: byte 21 of the line is 0xe9"),
        ] {
            let reason = parse(line, false).expect_err("a bad line");
            assert!(reason.contains(part), "{reason}");
            assert!(!reason.contains("line 1"), "{reason}");
        }
    }

    #[test]
    fn a_first_line_may_tell_that_all_of_the_input_is_something_else() {
        let inputs: [&[u8]; 4] = [b"{\r", b"\x1f\x8b\x08\x00", b"\xff\xfe{\x00", b"[\r"];
        assert!(inputs.into_iter().all(begins_other_format));
        let lines: [&[u8]; 4] = [b"[{}]", b"hello", b"\x7fELF\x00", EVENT.as_bytes()];
        assert!(!lines.into_iter().any(begins_other_format));
    }

    #[test]
    fn a_raw_record_is_published_only_when_it_is_allowed() {
        let line = br#"{ "raw": {"key": "dXNlcg==", "value": null, "headers": {"ce_id": "x"}}}"#;
        assert!(parse(line, false).expect_err("not allowed").contains("--allow-raw"));
        let raw = Raw { key: Some(b"user".to_vec()), value: None, headers: vec![("ce_id".into(), "x".into())] };
        assert_eq!(parse(line, true), Ok(Some(Record::Raw(raw))));
        let wrong = parse(br#"{"raw": {"key": "?", "value": null}}"#, true).expect_err("not base64");
        assert!(wrong.starts_with("field `raw.key`: not base64"), "{wrong}");
    }
}
