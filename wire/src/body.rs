//! The Avro body of the schema that this build writes, read straight into the fields of an event.
//!
//! Nearly every body that a worker meets has this schema, and to walk its tree anew for each costs more than to read
//! it. What this reader does not understand it leaves to the general one, which reads every schema of the table and
//! says what is wrong: here there are no errors. A test holds the two against each other.

use std::borrow::Cow;

use millrace_domain::event::Draft;

type Entry<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A block of metadata with more entries than this is left to the general reader.
const ENTRIES_MAX: i64 = 64;

/// The event in a body of schema `WRITER_ID`, if it is one from its first byte to its last.
pub(crate) fn read(body: &[u8]) -> Option<Draft<'_>> {
    let mut body = Body(body);
    // In the order of schemas/payment_event/1.avsc; Rust evaluates fields as they are written.
    let draft = Draft {
        event_id: body.text()?,
        event_type: body.text()?,
        payment_id: body.text()?,
        user_id: body.text()?,
        merchant_id: body.maybe(Body::text)?,
        operation_id: body.maybe(Body::text)?,
        sequence: body.maybe(Body::long)?,
        amount_minor: body.long()?,
        currency: body.text()?,
        occurred_at_micros: body.long()?,
        source: body.text()?,
        correlation_id: body.maybe(Body::text)?,
        causation_id: body.maybe(Body::text)?,
        metadata: body.entries()?,
    };
    body.0.is_empty().then_some(draft)
}

/// What is left of a body.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// A zigzag number of 7 bits a byte, the lowest first.
    fn long(&mut self) -> Option<i64> {
        const BITS: u32 = 7;
        let mut zigzag = 0_u64;
        // Nine bytes hold 63 bits: a number that needs a tenth is left to the general reader.
        for shift in (0..u64::BITS - 1).step_by(BITS as usize) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            }
        }
        None
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let bytes = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Cow::Borrowed)
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
