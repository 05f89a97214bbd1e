//! The counted functions: callgrind switches its count on when one is entered and off when it is left.
//!
//! What a stage makes is dropped inside: giving memory back is part of its price. No closures here: their names hold the
//! function's name, and would switch the count off.

use std::hint::black_box;

use millrace_consumers::flow::books::{ByPayment, Entry};
use millrace_consumers::flow::decode::{Decoded, Record, decode};
use millrace_consumers::flow::judge::{Judged, Setting, Standing, judge};
use millrace_consumers::flow::work::Work;
use millrace_domain::event::Event;
use millrace_domain::ids::Offset;
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, headers, json};

use crate::input;

/// JSON lines to events.
#[inline(never)]
pub fn counted_parse(lines: &[Vec<u8>]) {
    for line in lines {
        drop(black_box(json::parse(black_box(line))));
    }
}

/// Events to framed Avro values and headers.
#[inline(never)]
pub fn counted_encode(events: &[Event]) {
    for event in events {
        drop(black_box(avro::encode(black_box(event))));
        headers::fold(event, (), take_header);
    }
}

fn take_header((): (), name: &'static str, text: &str) {
    black_box((name, text));
}

/// Records to events.
#[inline(never)]
pub fn counted_decode(records: &[Record]) {
    for record in records {
        drop(black_box(decode(input::position(record), black_box(&record.raw), SchemaTable::built_in())));
    }
}

/// One batch, from what stands to what is to be written.
#[inline(never)]
pub fn counted_judge(
    setting: &Setting<'_>,
    batch: &[(Record, Decoded)],
    from: Offset,
    entries: ByPayment<Box<Entry>>,
    standing: &Standing,
) -> Judged {
    black_box(judge(setting, Work::Records(batch), from, entries, standing))
}
