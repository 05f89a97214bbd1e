//! A stored record as people and programs read it: decoded where it can be, else why not, and its bytes in hex.

use millrace_domain::event::Event;
use millrace_store::report::StoredRecord;
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, json, record};
use serde::Serialize;

use crate::show::major;

/// The event of a record.
#[derive(Serialize)]
pub struct Decoded {
    /// In its JSON form; none if the value cannot be decoded.
    event: Option<serde_json::Value>,
    /// Why the record is refused by its form, if it is: a value that decodes may still contradict its headers or key.
    problem: Option<String>,
    #[serde(skip)]
    parsed: Option<Event>,
}

impl Decoded {
    /// Decodes a record.
    pub fn of(stored: &StoredRecord) -> Decoded {
        let schemas = SchemaTable::built_in();
        let parsed = stored.value.as_deref().and_then(|value| avro::decode(value, schemas).ok());
        let headers = stored.headers().map(|(name, value)| (std::str::from_utf8(name).unwrap_or("\u{fffd}"), value));
        let refusal = record::decode(stored.key.as_deref(), stored.value.as_deref(), headers, schemas).err();
        Decoded {
            event: parsed.as_ref().and_then(|event| serde_json::from_str(&json::to_string(event)).ok()),
            problem: refusal.map(|refusal| refusal.to_string()),
            parsed,
        }
    }

    /// The event in its JSON form, laid out for people.
    pub fn event_text(&self) -> Option<String> {
        serde_json::to_string_pretty(self.event.as_ref()?).ok()
    }

    /// Why the record is refused by its form.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Type, amount and number in a few words.
    pub fn in_short(&self) -> String {
        let Some(event) = &self.parsed else { return "(cannot be decoded)".to_owned() };
        let currency = event.currency.code();
        let amount = major(event.amount_minor.into(), currency);
        match event.sequence {
            Some(sequence) => format!("{} {amount} {currency}, sequence {sequence}", event.event_type),
            None => format!("{} {amount} {currency}", event.event_type),
        }
    }
}

/// Bytes as text where they are visible text, else in hex.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bytes {
    /// UTF-8 without control characters.
    Text(String),
    /// Anything else: two digits for each byte.
    Hex(String),
}

impl Bytes {
    /// The form in which these bytes are shown.
    pub fn of(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Bytes::Text(text.to_owned()),
            _ => Bytes::Hex(hex(bytes)),
        }
    }
}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bytes::Text(text) => f.write_str(text),
            Bytes::Hex(hex) => write!(f, "0x{hex}"),
        }
    }
}

/// Two digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As `hexdump -C` shows them: offset, sixteen bytes, and what is visible of them.
pub fn hex_dump(bytes: &[u8]) -> String {
    let line = |(index, bytes): (usize, &[u8])| {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let visible = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let text: String = bytes.iter().map(visible).collect();
        format!("  {:08x}  {:<47}  |{text}|\n", index * 16, digits.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_visible_text_are_shown_in_hex() {
        assert_eq!(Bytes::of(b"user-1").to_string(), "user-1");
        assert_eq!(Bytes::of(b"\xff\x00").to_string(), "0xff00");
        assert_eq!(Bytes::of(b"a\x1b[2J").to_string(), "0x611b5b324a");
        assert_eq!(hex_dump(b"\x00ab"), format!("  00000000  {:<47}  |.ab|\n", "00 61 62"));
    }

    #[test]
    fn a_record_that_holds_no_event_says_why() {
        let stored =
            StoredRecord { key: None, value: Some(b"hello".to_vec()), header_names: vec![], header_values: vec![] };
        let decoded = Decoded::of(&stored);
        assert_eq!((decoded.event_text(), decoded.in_short()), (None, "(cannot be decoded)".to_owned()));
        assert!(decoded.problem().is_some_and(|problem| problem.starts_with("malformed")), "{:?}", decoded.problem());
    }
}
