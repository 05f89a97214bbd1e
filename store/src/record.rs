//! A Kafka record as it came, every byte of it, in a piece of memory that it may share with its neighbours.
//!
//! A record of seven headers in memory of its own is sixteen allocations, and a lane lets go of all but a few records
//! without ever looking at their parts again. What the bytes mean is left to `wire`.

use bytes::Bytes;
use millrace_domain::ids::Micros;

/// A record, whole. A clone shares its memory.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RawRecord {
    /// Key, value, then the headers, each as length and bytes of the name, length and bytes of the value.
    bytes: Bytes,
    key_bytes: Option<u32>,
    value_bytes: Option<u32>,
    /// The record's timestamp, if it has one.
    pub published_at: Option<Micros>,
}

/// The length of a header that has no value.
const NO_VALUE: u32 = u32::MAX;

impl RawRecord {
    /// A record of these parts. A header's name may be any bytes, and may come twice.
    pub fn new<'a>(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        published_at: Option<Micros>,
    ) -> RawRecord {
        let mut pack = RecordPack::default();
        pack.begin(key, value, published_at);
        headers.into_iter().for_each(|(name, value)| pack.header(name, value));
        pack.into_records().next().expect("one record was packed")
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        Some(&self.bytes[..self.key_bytes? as usize])
    }

    /// The value.
    pub fn value(&self) -> Option<&[u8]> {
        let start = self.key_bytes.unwrap_or(0) as usize;
        Some(&self.bytes[start..start + self.value_bytes? as usize])
    }

    /// The headers in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> + Clone {
        let start = self.key_bytes.unwrap_or(0) as usize + self.value_bytes.unwrap_or(0) as usize;
        let mut rest = &self.bytes[start..];
        std::iter::from_fn(move || {
            let name_bytes = take_length(&mut rest)?;
            let name = take(&mut rest, name_bytes);
            let value_bytes = take_length(&mut rest)?;
            let value = (value_bytes != NO_VALUE).then(|| take(&mut rest, value_bytes));
            Some((name, value))
        })
    }

    /// The bytes of all its parts.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }
}

fn take_length(rest: &mut &[u8]) -> Option<u32> {
    let (length, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_le_bytes(*length))
}

fn take<'a>(rest: &mut &'a [u8], bytes: u32) -> &'a [u8] {
    let (taken, behind) = rest.split_at(bytes as usize);
    *rest = behind;
    taken
}

/// Records written one behind the other into one piece of memory.
#[derive(Default)]
pub struct RecordPack {
    bytes: Vec<u8>,
    begun: Vec<Begun>,
}

struct Begun {
    start: usize,
    key_bytes: Option<u32>,
    value_bytes: Option<u32>,
    published_at: Option<Micros>,
}

impl RecordPack {
    /// A pack with room for records of so many bytes together.
    pub fn with_capacity(bytes: usize) -> RecordPack {
        RecordPack { bytes: Vec::with_capacity(bytes), begun: Vec::new() }
    }

    /// Begins the next record; its headers follow.
    pub fn begin(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, published_at: Option<Micros>) {
        let start = self.bytes.len();
        let mut put = |part: Option<&[u8]>| {
            let part = part?;
            self.bytes.extend_from_slice(part);
            Some(length(part))
        };
        let (key_bytes, value_bytes) = (put(key), put(value));
        self.begun.push(Begun { start, key_bytes, value_bytes, published_at });
    }

    /// Adds a header to the record that was begun last.
    pub fn header(&mut self, name: &[u8], value: Option<&[u8]>) {
        self.bytes.extend_from_slice(&length(name).to_le_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(&value.map_or(NO_VALUE, length).to_le_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// The bytes of all records so far.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.begun.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// The records, in the order in which they were begun.
    pub fn into_records(self) -> impl ExactSizeIterator<Item = RawRecord> {
        let mut rest = Bytes::from(self.bytes);
        let ends: Vec<usize> = self.begun.iter().skip(1).map(|next| next.start).chain([rest.len()]).collect();
        self.begun.into_iter().zip(ends).map(move |(Begun { start, key_bytes, value_bytes, published_at }, end)| {
            RawRecord { bytes: rest.split_to(end - start), key_bytes, value_bytes, published_at }
        })
    }
}

fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).expect("a Kafka record is far smaller than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Vec<(&'a [u8], Option<&'a [u8]>)>);

    fn records() -> Vec<Parts<'static>> {
        vec![
            (Some(b"user"), Some(b"value"), vec![(b"a", Some(b"1")), (b"a", None), (b"", Some(b""))]),
            (None, None, vec![]),
            (Some(b""), None, vec![(b"\xff", Some(b"\0"))]),
            (None, Some(b""), vec![]),
        ]
    }

    #[test]
    fn records_that_share_memory_keep_their_parts_apart() {
        let mut pack = RecordPack::default();
        for (key, value, headers) in records() {
            pack.begin(key, value, None);
            headers.into_iter().for_each(|(name, value)| pack.header(name, value));
        }
        let packed: Vec<RawRecord> = pack.into_records().collect();
        for (record, (key, value, headers)) in packed.iter().zip(records()) {
            assert_eq!((record.key(), record.value()), (key, value));
            assert_eq!(record.headers().collect::<Vec<_>>(), headers);
            assert_eq!(*record, RawRecord::new(key, value, headers, None));
        }
        assert_eq!(packed.len(), records().len());
    }
}
