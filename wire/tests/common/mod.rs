//! The committed examples and small makers of events and bytes that the tests of this crate share.

#![allow(dead_code, reason = "each test program takes what it needs")]

use std::fs;
use std::path::PathBuf;

use millrace_domain::event::{Draft, Event, Kind};
use proptest::prelude::*;
use proptest::sample::select;

/// A file or directory under `schemas/`.
pub fn schemas(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas")).join(path)
}

/// The text of a file under `schemas/`.
pub fn read(path: &str) -> String {
    let path = schemas(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names of the committed examples, in order.
pub fn example_names() -> Vec<String> {
    let directory = schemas("payment_event/examples");
    let files = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names
}

/// The event of an example's JSON.
pub fn example(name: &str) -> Event {
    let text = read(&format!("payment_event/examples/{name}.json"));
    millrace_wire::json::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{name}.json: {e}"))
}

/// The framed value of an example's hexadecimal text.
pub fn example_bytes(name: &str) -> Vec<u8> {
    unhex(&read(&format!("payment_event/examples/{name}.hex")))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal");
    digits.chunks(2).map(byte).collect()
}

/// A long or a length as Avro writes it: zigzag, then seven bits a byte, the low ones first.
pub fn long(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

fn varint(mut rest: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A string as Avro writes it.
pub fn string(text: &str) -> Vec<u8> {
    [long(text.len() as i64), text.as_bytes().to_vec()].concat()
}

/// Any event that keeps the rules of form and has a time that RFC 3339 can tell.
pub fn any_event() -> impl Strategy<Value = Event> {
    const YEAR_0: i64 = -62_167_219_200_000_000;
    const YEAR_9999_END: i64 = 253_402_300_799_999_999;
    let types = prop_oneof![
        8 => select(Kind::ALL.to_vec()).prop_map(|kind| kind.as_str().to_owned()),
        1 => any::<String>(),
    ];
    let ids = (any::<u128>(), any::<u128>(), prop::option::of(any::<u128>()));
    let names = ("[!-~]{1,64}", prop::option::of(text(1, 64)), text(1, 64));
    let numbers = (
        prop::option::of(prop_oneof![1..=9_i64, 1..=i64::MAX]),
        prop_oneof![0..=9_i64, 0..=(1_i64 << 53) - 1],
        prop_oneof![YEAR_0..=YEAR_9999_END, -9..9_i64, Just(YEAR_0), Just(YEAR_9999_END)],
    );
    let currencies = select(vec!["GBP", "EUR", "JPY", "KWD", "CLF", "USD"]);
    let traces = (prop::option::of(any::<String>()), prop::option::of(any::<String>()));
    let metadata = prop::collection::btree_map("\\PC{0,16}", "\\PC{0,128}", 0..=32);
    let fields = (types, ids, names, numbers, currencies, traces, metadata);
    fields.prop_filter_map("breaks a rule of form", |(event_type, ids, names, numbers, currency, traces, metadata)| {
        let v7 = ids.0 & !(0xf << 76) & !(0b11 << 62) | 7 << 76 | 2 << 62;
        let draft = Draft {
            event_id: uuid::Uuid::from_u128(v7).to_string().into(),
            event_type: event_type.into(),
            payment_id: uuid::Uuid::from_u128(ids.1).to_string().into(),
            user_id: names.0.into(),
            merchant_id: names.1.map(Into::into),
            operation_id: ids.2.map(|id| uuid::Uuid::from_u128(id).to_string().into()),
            sequence: numbers.0,
            amount_minor: numbers.1,
            currency: currency.into(),
            occurred_at_micros: numbers.2,
            source: names.2.into(),
            correlation_id: traces.0.map(Into::into),
            causation_id: traces.1.map(Into::into),
            metadata: metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        };
        draft.check().ok()
    })
}

fn text(chars_min: usize, chars_max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), chars_min..=chars_max).prop_map(|chars| chars.into_iter().collect())
}
