//! The input of the stages: one seeded stream of whole payment lives, with its duplicates, disorder and mistakes.
//!
//! The same bytes on every machine and every day: the seed and the start are fixed.

use anyhow::Context;
use millrace_consumers::flow::decode::{Decoded, Record, decode};
use millrace_domain::event::Event;
use millrace_domain::ids::{Micros, Offset, Partition, Position};
use millrace_generator::{Options, stream};
use millrace_store::record::RawRecord;
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, headers, json};
use time::macros::datetime;

/// How many events each stage is given.
pub const EVENTS: usize = 12_000;
/// How many records a batch has, as a worker's by default.
const BATCH_RECORDS: usize = 3_000;
const SEED: u64 = 1;
/// The lane of all records.
pub const PARTITION: Partition = Partition(0);
/// When they are judged: after the last of them.
pub const NOW: Micros = Micros(1_767_225_600_000_000);

/// The stream as a publisher has it: one JSON object a line.
pub fn lines() -> anyhow::Result<Vec<Vec<u8>>> {
    let start = Some(datetime!(2025-06-01 0:00 UTC));
    let options = Options { seed: SEED, lines: EVENTS as u64, start, ..Options::default() };
    stream(options)?.map(|line| serde_json::to_vec(&line).context("a generated line")).collect()
}

/// The stream as events.
pub fn events() -> anyhow::Result<Vec<Event>> {
    lines()?.iter().map(|line| json::parse(line).context("a generated line")).collect()
}

/// The stream as a worker has it: records of one partition, with their headers.
pub fn records() -> anyhow::Result<Vec<Record>> {
    let events = events()?;
    Ok(events.iter().zip(0..).map(|(event, offset)| Record { offset: Offset(offset), raw: raw(event) }).collect())
}

fn raw(event: &Event) -> RawRecord {
    let headers = headers::of(event);
    let headers = headers.iter().map(|(name, text)| (name.as_bytes(), Some(text.as_bytes())));
    let value = avro::encode(event);
    RawRecord::new(Some(event.user_id.as_str().as_bytes()), Some(&value), headers, Some(event.occurred_at))
}

/// Where a record stands.
pub fn position(record: &Record) -> Position {
    Position { partition: PARTITION, offset: record.offset }
}

/// The records in a worker's batches, decoded.
pub fn batches(records: &[Record]) -> impl Iterator<Item = Vec<(Record, Decoded)>> {
    let decoded = |record: &Record| decode(position(record), &record.raw, SchemaTable::built_in());
    records
        .chunks(BATCH_RECORDS)
        .map(move |batch| batch.iter().map(|record| (record.clone(), decoded(record))).collect())
}
