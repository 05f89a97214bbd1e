//! PostgreSQL's binary COPY format, for the types of our tables.
//!
//! Source: PostgreSQL manual, COPY, "Binary Format". sqlx carries the bytes but does not make them.

use std::pin::Pin;

use millrace_domain::ids::Micros;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::error::StoreError;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const NULL: i32 = -1;
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// Postgres counts from 2000-01-01, in microseconds.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// A moment that no timestamptz can hold, so that Postgres refuses it. i64::MIN itself would mean -infinity.
const OUT_OF_RANGE: i64 = i64::MIN + 1;
const OID_BYTEA: i32 = 17;
/// Rows are sent when so many bytes have come together: Postgres works on them while the next are encoded, and no
/// batch needs a large piece of memory of its own.
const CHUNK_BYTES: usize = 64 << 10;

/// A moment as Postgres holds a timestamptz.
pub(crate) fn micros_since_2000(moment: Micros) -> i64 {
    moment.0.checked_sub(POSTGRES_EPOCH_MICROS).unwrap_or(OUT_OF_RANGE).max(OUT_OF_RANGE)
}

/// The moment that Postgres holds so.
pub(crate) fn moment_of(micros_since_2000: i64) -> Micros {
    Micros(micros_since_2000.saturating_add(POSTGRES_EPOCH_MICROS))
}

/// A boxed future: the compiler cannot prove that a future over any iterator may move between threads.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// Sends rows into one table with this COPY statement; without rows, nothing is sent. `put` appends a row's columns.
pub(crate) fn rows<'a, T: Send + 'a>(
    connection: &'a mut PgConnection,
    statement: &'a str,
    columns: i16,
    rows: impl IntoIterator<Item = T, IntoIter: Send + 'a>,
    put: impl Fn(&mut CopyBuffer, T) + Send + 'a,
) -> Sending<'a> {
    let mut rows = rows.into_iter().peekable();
    Box::pin(async move {
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut copy = connection.copy_in_raw(statement).await?;
        let mut buffer = CopyBuffer::with_header();
        for row in rows {
            buffer.bytes.extend_from_slice(&columns.to_be_bytes());
            put(&mut buffer, row);
            if buffer.bytes.len() >= CHUNK_BYTES {
                copy.send(buffer.bytes.as_slice()).await?;
                buffer.bytes.clear();
            }
        }
        buffer.bytes.extend_from_slice(&TRAILER);
        copy.send(buffer.bytes.as_slice()).await?;
        copy.finish().await?;
        Ok(())
    })
}

/// Rows on their way into one table, column after column.
pub(crate) struct CopyBuffer {
    bytes: Vec<u8>,
}

impl CopyBuffer {
    fn with_header() -> CopyBuffer {
        let mut bytes = SIGNATURE.to_vec();
        // No flags, no header extension.
        bytes.extend_from_slice(&[0; 8]);
        CopyBuffer { bytes }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
        self
    }

    pub(crate) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn int8(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn int4(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes(&[u8::from(value)])
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn moment(&mut self, value: Micros) -> &mut Self {
        self.int8(micros_since_2000(value))
    }

    /// A column that may be null.
    pub(crate) fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        match value {
            Some(value) => put(self, value),
            None => self.null(),
        }
    }

    /// jsonb: a version byte, then the text.
    pub(crate) fn jsonb(&mut self, text: &[u8]) -> &mut Self {
        self.length(text.len() + 1);
        self.bytes.push(1);
        self.bytes.extend_from_slice(text);
        self
    }

    /// bytea[], of one dimension.
    pub(crate) fn bytes_array<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&NULL.to_be_bytes());
        let count = values.clone().count() as i32;
        let dimensions = i32::from(count > 0);
        for word in [dimensions, 1, OID_BYTEA] {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
        if count > 0 {
            self.bytes.extend_from_slice(&count.to_be_bytes());
            self.bytes.extend_from_slice(&1_i32.to_be_bytes());
        }
        for value in values {
            self.maybe(value, |copy, value| copy.bytes(value));
        }
        let length = (self.bytes.len() - start - size_of::<i32>()) as i32;
        self.bytes[start..start + size_of::<i32>()].copy_from_slice(&length.to_be_bytes());
        self
    }

    fn length(&mut self, bytes: usize) {
        let length = i32::try_from(bytes).expect("a Kafka record is far smaller than 2 GiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
    }
}
