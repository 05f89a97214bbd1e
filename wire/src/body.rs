//! The Avro body of the schema that this build writes, straight from and into the fields of an event.
//!
//! Nearly every body that is met has this schema, and to walk its tree anew for each costs more than to read or write it.
//! What this reader does not understand it leaves to the general one, which reads every schema of the table and says what
//! is wrong: here there are no errors. Tests hold both directions against libraries that know the schema and not us.

use std::borrow::Cow;

use millrace_domain::event::{Draft, DraftId, Event, is_uuid7, read_uuid};
use uuid::Uuid;

type Entry<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A block of metadata with more entries than this is left to the general reader.
const ENTRIES_MAX: i64 = 64;

/// The event in a body of schema `WRITER_ID`, if it is one from its first byte to its last.
pub(crate) fn read(body: &[u8]) -> Option<Draft<'_>> {
    let mut body = Body { rest: body, tail: "" };
    // In the order of schemas/payment_event/1.avsc; Rust evaluates fields as they are written.
    let draft = Draft {
        event_id: body.uuid7()?,
        event_type: body.text()?,
        payment_id: body.uuid()?,
        user_id: body.text()?,
        merchant_id: body.maybe(Body::text)?,
        operation_id: body.maybe(Body::uuid)?,
        sequence: body.maybe(Body::long)?,
        amount_minor: body.long()?,
        currency: body.text()?,
        occurred_at_micros: body.long()?,
        source: body.tail().text()?,
        correlation_id: body.maybe(Body::text)?,
        causation_id: body.maybe(Body::text)?,
        metadata: body.entries()?,
    };
    body.rest.is_empty().then_some(draft)
}

struct Body<'a> {
    /// What is left of it.
    rest: &'a [u8],
    /// Its end, where that is known to be text from here on.
    tail: &'a str,
}

impl<'a> Body<'a> {
    /// A zigzag number of 7 bits a byte, the lowest first.
    fn long(&mut self) -> Option<i64> {
        const BITS: u32 = 7;
        let mut zigzag = 0_u64;
        // Nine bytes hold 63 bits: a number that needs a tenth is left to the general reader.
        for shift in (0..u64::BITS - 1).step_by(BITS as usize) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let bytes = usize::try_from(self.long()?).ok()?;
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    /// Looks at once whether all that is left is text, the short lengths between the strings included: that is quicker
    /// than to look at each of them.
    fn tail(&mut self) -> &mut Self {
        self.tail = std::str::from_utf8(self.rest).unwrap_or_default();
        self
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let bytes = self.bytes()?;
        let text = match self.in_tail(bytes.len()) {
            Some(text) => text,
            None => std::str::from_utf8(bytes).ok()?,
        };
        Some(Cow::Borrowed(text))
    }

    /// The bytes before what is left, if they are known to be text.
    fn in_tail(&self, bytes: usize) -> Option<&'a str> {
        let end = self.tail.len().checked_sub(self.rest.len())?;
        self.tail.get(end.checked_sub(bytes)?..end)
    }

    /// An id in its 36 characters. What is none is left to the general reader, which tells it by its text.
    fn uuid(&mut self) -> Option<DraftId<'a>> {
        read_uuid(self.bytes()?).map(DraftId::Read)
    }

    fn uuid7(&mut self) -> Option<DraftId<'a>> {
        read_uuid(self.bytes()?).filter(|id| is_uuid7(*id)).map(DraftId::Read)
    }

    /// A union of null and something else, null first.
    fn maybe<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.long()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// A map: blocks of entries, until an empty one. A block that also tells its size in bytes (a negative count) is
    /// left to the general reader.
    fn entries(&mut self) -> Option<Vec<Entry<'a>>> {
        let mut entries = Vec::new();
        loop {
            match self.long()? {
                0 => return Some(entries),
                count @ 1..=ENTRIES_MAX => {
                    for _ in 0..count {
                        entries.push((self.text()?, self.text()?));
                    }
                }
                _ => return None,
            }
        }
    }
}

/// Writes the body of schema `WRITER_ID`, in the order of schemas/payment_event/1.avsc.
pub(crate) fn write(event: &Event, out: &mut Vec<u8>) {
    let mut body = Writing(out);
    body.uuid(event.event_id.0);
    body.text(event.event_type.as_str());
    body.uuid(event.payment_id.0);
    body.text(event.user_id.as_str());
    body.maybe(event.merchant_id.as_ref().map(|id| id.as_str()), Writing::text);
    body.maybe(event.operation_id.map(|id| id.0), Writing::uuid);
    body.maybe(event.sequence, Writing::long);
    body.long(event.amount_minor);
    body.text(event.currency.code());
    body.long(event.occurred_at.0);
    body.text(&event.source);
    body.maybe(event.correlation_id.as_deref(), Writing::text);
    body.maybe(event.causation_id.as_deref(), Writing::text);
    body.entries(event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())));
}

/// A body as it grows.
struct Writing<'a>(&'a mut Vec<u8>);

impl Writing<'_> {
    fn long(&mut self, number: i64) {
        let mut zigzag = ((number << 1) ^ (number >> (i64::BITS - 1))) as u64;
        while zigzag >= 0x80 {
            self.0.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        self.0.push(zigzag as u8);
    }

    fn text(&mut self, text: &str) {
        // A length never comes near the bounds of the number: the rules of form have smaller ones.
        self.long(text.len() as i64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn uuid(&mut self, id: Uuid) {
        let mut chars = [0; uuid::fmt::Hyphenated::LENGTH];
        self.text(id.as_hyphenated().encode_lower(&mut chars));
    }

    /// A union of null and something else, null first.
    fn maybe<T>(&mut self, value: Option<T>, write: fn(&mut Self, T)) {
        self.long(i64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A map: one block of all entries, and the empty one that ends it.
    fn entries<'e>(&mut self, entries: impl ExactSizeIterator<Item = (&'e str, &'e str)>) {
        if entries.len() > 0 {
            self.long(entries.len() as i64);
        }
        for (key, value) in entries {
            self.text(key);
            self.text(value);
        }
        self.long(0);
    }
}
