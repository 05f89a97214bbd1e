//! `payments.v1.PaymentEvent`, schema id 1, to bytes and back, by hand.
//!
//! A second codec on purpose: what the product reads must not have been written by its own code only. It carries what
//! the rules of form refuse (a negative amount, a text that is no UUID), for that is what the tests publish.
//!
//! Source: Avro 1.12, "Binary Encoding"; Confluent's framing: 0x00, schema id as big-endian u32, body.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The frame of schema id 1.
const FRAME: [u8; 5] = [0, 0, 0, 0, 1];

/// Why bytes are no event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Not framed, or the body does not end where it must.
    Malformed,
    /// Framed under an id that is not 1.
    UnknownSchema,
}

/// The bytes of an event; none where Avro has no place for what a field holds.
pub fn encode(event: &Value) -> Option<Vec<u8>> {
    let fields = event.as_object()?;
    let mut out = FRAME.to_vec();
    for name in ["event_id", "event_type", "payment_id", "user_id"] {
        text(&mut out, fields.get(name)?.as_str()?);
    }
    optional(&mut out, fields, "merchant_id", |out, v| v.as_str().map(|t| text(out, t)))?;
    optional(&mut out, fields, "operation_id", |out, v| v.as_str().map(|t| text(out, t)))?;
    optional(&mut out, fields, "sequence", |out, v| v.as_i64().map(|n| long(out, n)))?;
    long(&mut out, fields.get("amount_minor")?.as_i64()?);
    text(&mut out, fields.get("currency")?.as_str()?);
    long(&mut out, micros(fields.get("occurred_at")?)?);
    text(&mut out, fields.get("source")?.as_str()?);
    optional(&mut out, fields, "correlation_id", |out, v| v.as_str().map(|t| text(out, t)))?;
    optional(&mut out, fields, "causation_id", |out, v| v.as_str().map(|t| text(out, t)))?;
    map(&mut out, fields.get("metadata"))?;
    // A name that the schema does not have cannot be carried either.
    (fields.len() == 14).then_some(out)
}

/// RFC 3339, or the microseconds themselves, for moments that no calendar tells.
fn micros(value: &Value) -> Option<i64> {
    match value.as_str() {
        None => value.get("micros")?.as_i64(),
        Some(text) => {
            let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000)).ok()
        }
    }
}

fn optional(
    out: &mut Vec<u8>,
    fields: &Map<String, Value>,
    name: &str,
    put: impl Fn(&mut Vec<u8>, &Value) -> Option<()>,
) -> Option<()> {
    match fields.get(name) {
        None | Some(Value::Null) => long(out, 0),
        Some(value) => {
            long(out, 1);
            put(out, value)?;
        }
    }
    Some(())
}

fn map(out: &mut Vec<u8>, value: Option<&Value>) -> Option<()> {
    let entries = value?.as_object()?;
    if !entries.is_empty() {
        long(out, entries.len() as i64);
        for (key, value) in entries {
            text(out, key);
            text(out, value.as_str()?);
        }
    }
    long(out, 0);
    Some(())
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

/// Zigzag, then 7 bits a byte, the lowest first.
fn long(out: &mut Vec<u8>, n: i64) {
    let mut left = ((n << 1) ^ (n >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// The event in its JSON form.
pub fn decode(value: &[u8]) -> Result<Value, Refused> {
    let (frame, body) = value.split_at_checked(FRAME.len()).ok_or(Refused::Malformed)?;
    match frame {
        [0, ..] if frame == FRAME => {}
        [0, ..] => return Err(Refused::UnknownSchema),
        _ => return Err(Refused::Malformed),
    }
    let mut reader = Reader(body);
    let event = reader.event().ok_or(Refused::Malformed)?;
    if reader.0.is_empty() { Ok(event) } else { Err(Refused::Malformed) }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn event(&mut self) -> Option<Value> {
        let event_id = self.text()?;
        let event_type = self.text()?;
        let payment_id = self.text()?;
        let user_id = self.text()?;
        let merchant_id = self.optional(Self::text)?;
        let operation_id = self.optional(Self::text)?;
        let sequence = self.optional(Self::long)?;
        let amount_minor = self.long()?;
        let currency = self.text()?;
        let occurred_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.long()?) * 1_000).ok()?;
        let source = self.text()?;
        let correlation_id = self.optional(Self::text)?;
        let causation_id = self.optional(Self::text)?;
        Some(json!({
            "event_id": event_id,
            "event_type": event_type,
            "payment_id": payment_id,
            "user_id": user_id,
            "merchant_id": merchant_id,
            "operation_id": operation_id,
            "sequence": sequence,
            "amount_minor": amount_minor,
            "currency": currency,
            "occurred_at": occurred_at.format(&Rfc3339).ok()?,
            "source": source,
            "correlation_id": correlation_id,
            "causation_id": causation_id,
            "metadata": self.map()?,
        }))
    }

    fn long(&mut self) -> Option<i64> {
        let mut n = 0_u64;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some((n >> 1) as i64 ^ -((n & 1) as i64));
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.long()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn optional<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.long()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    fn map(&mut self) -> Option<Map<String, Value>> {
        let mut entries = Map::new();
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Some(entries);
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes.
                count = count.checked_neg()?;
                self.long()?;
            }
            for _ in 0..count {
                let key = self.text()?;
                entries.insert(key, json!(self.text()?));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_golden_example_is_written_and_read_to_the_byte() {
        let examples = crate::stack::repository().join("schemas/payment_event/examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(&examples).expect("the examples are there") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).expect("readable");
                let hex = std::fs::read_to_string(path.with_extension("hex")).expect("its bytes");
                let hex: String = hex.split_whitespace().collect();
                let bytes: Vec<u8> = (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
                    .collect();
                let read = decode(&bytes).expect("a golden example can be read");
                let first = decode(&encode(&read).expect("it can be written")).expect("and read again");
                assert_eq!(first, read, "{}", path.display());
                let wanted: Value = serde_json::from_str(&text).expect("JSON");
                for (name, value) in wanted.as_object().expect("an object") {
                    if name != "occurred_at" {
                        assert_eq!(&read[name], value, "{}: {name}", path.display());
                    }
                }
                seen += 1;
            }
        }
        assert!(seen >= 6, "only {seen} examples in {}", examples.display());
    }
}
