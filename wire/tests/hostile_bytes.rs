//! Bytes that no well-behaved publisher sends: refused by name, quickly, and never with a panic.

mod common;

use std::time::{Duration, Instant};

use common::{example, example_bytes, example_names, long, string};
use millrace_domain::event::Event;
use millrace_domain::reason::Rejection;
use millrace_wire::avro;
use millrace_wire::record::{self, Refusal};
use millrace_wire::schemas::SchemaTable;
use proptest::prelude::*;

fn decode(value: &[u8]) -> Result<Event, Refusal> {
    avro::decode(value, SchemaTable::built_in())
}

#[track_caller]
fn assert_refused(value: &[u8], reason: Rejection, detail: &str) {
    match decode(value) {
        Ok(event) => panic!("accepted: {event:?}"),
        Err(refusal) => {
            assert_eq!(refusal.reason, reason, "{refusal}");
            assert!(refusal.detail.contains(detail), "`{}` does not say `{detail}`", refusal.detail);
        }
    }
}

/// The full example up to its metadata, which begins with the count of the first block.
fn before_metadata() -> Vec<u8> {
    let bytes = example_bytes("full");
    let entries = [string("channel"), string("web"), string("note"), string("café – table 4")].concat();
    bytes[..bytes.len() - 1 - entries.len() - long(2).len()].to_vec()
}

fn with_metadata(blocks: &[Vec<u8>]) -> Vec<u8> {
    [before_metadata(), blocks.concat()].concat()
}

#[test]
fn a_body_cut_off_at_any_byte_is_refused() {
    for name in example_names() {
        let bytes = example_bytes(&name);
        for length in 0..bytes.len() {
            let refusal = decode(&bytes[..length]).err().unwrap_or_else(|| panic!("{name}: {length} bytes accepted"));
            assert_eq!(refusal.reason, Rejection::Malformed);
        }
    }
    assert_refused(&[], Rejection::Malformed, "0 bytes are too few for the framing of 5");
    assert_refused(&[0, 0, 0, 0], Rejection::Malformed, "4 bytes are too few");
    assert_refused(&[0, 0, 0, 0, 1], Rejection::Malformed, "cannot be read with schema 1");
}

#[test]
fn bytes_behind_the_body_are_refused() {
    for name in example_names() {
        for more in [&[0][..], &[0xff], &[0; 1000], &example_bytes(&name)] {
            let overlong = [example_bytes(&name), more.to_vec()].concat();
            assert_refused(&overlong, Rejection::Malformed, &format!("{} bytes are left over", more.len()));
        }
    }
}

#[test]
fn another_first_byte_is_not_the_framing() {
    let mut bytes = example_bytes("full");
    bytes[0] = 1;
    assert_refused(&bytes, Rejection::Malformed, "the first byte is 0x01, the framing begins with 0x00");
    // Plain JSON, the usual mistake.
    assert_refused(b"{\"event_id\":1}", Rejection::Malformed, "the first byte is 0x7b");
}

#[test]
fn a_schema_id_that_is_not_in_the_table_is_unknown_schema() {
    for id in [0_u32, 2, u32::MAX] {
        let mut bytes = example_bytes("full");
        bytes[1..5].copy_from_slice(&id.to_be_bytes());
        assert_refused(&bytes, Rejection::UnknownSchema, &format!("schema id {id} is not in the table of schemas"));
    }
}

#[test]
fn a_record_without_a_value_is_malformed() {
    let refusal = record::decode::<&str>(Some(b"u"), None, [], SchemaTable::built_in()).expect_err("a tombstone");
    assert_eq!(refusal.reason, Rejection::Malformed);
    assert!(refusal.detail.contains("no value"), "{refusal}");
}

#[test]
fn a_broken_rule_of_form_in_the_body_names_its_field() {
    let mut bytes = example_bytes("full");
    let at = bytes.windows(3).position(|three| three == b"GBP").expect("the currency");
    bytes[at..at + 3].copy_from_slice(b"XAU");
    assert_refused(&bytes, Rejection::Malformed, "field `currency`: \"XAU\"");
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let mut bytes = example_bytes("full");
    let at = bytes.windows(8).position(|eight| eight == b"checkout").expect("the source");
    bytes[at] = 0xff;
    assert_refused(&bytes, Rejection::Malformed, "utf-8");
}

#[test]
fn a_map_in_several_blocks_and_with_sizes_is_accepted() {
    let channel = [string("channel"), string("web")].concat();
    let note = [string("note"), string("café – table 4")].concat();
    let both = [channel.clone(), note.clone()].concat();
    let end = long(0);
    let sized = |count: i64, entries: &[u8]| [long(-count), long(entries.len() as i64), entries.to_vec()].concat();
    let plain = |count: i64, entries: &[u8]| [long(count), entries.to_vec()].concat();
    for blocks in [
        vec![plain(2, &both), end.clone()],
        vec![plain(1, &channel), plain(1, &note), end.clone()],
        vec![sized(2, &both), end.clone()],
        vec![sized(1, &note), plain(1, &channel), end.clone()],
        vec![sized(1, &channel), sized(1, &note), end.clone()],
    ] {
        assert_eq!(decode(&with_metadata(&blocks)), Ok(example("full")), "{blocks:?}");
    }
}

#[test]
fn a_key_that_stands_twice_in_a_map_is_refused() {
    let twice = [long(1), string("k"), string("1"), long(1), string("k"), string("2"), long(0)];
    assert_refused(&with_metadata(&twice), Rejection::Malformed, "field `metadata`: key \"k\" stands twice");
}

#[test]
fn a_block_that_claims_more_than_it_has_is_refused_at_once() {
    let started = Instant::now();
    for count in [3, 1_000, 100_000, 100_001, 1 << 31, 1 << 40, i64::MAX, -3, -100_001, i64::MIN, i64::MIN + 1] {
        let size = if count < 0 { long(1 << 40) } else { Vec::new() };
        for tail in [Vec::new(), [string("k"), string("v")].concat()] {
            let value = with_metadata(&[long(count), size.clone(), tail]);
            assert_refused(&value, Rejection::Malformed, "cannot be read");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
}

#[test]
fn a_map_of_very_many_tiny_entries_is_refused_within_bounds() {
    let entries = vec![0_u8; 2 * 90_000];
    let value = with_metadata(&[long(90_000), entries, long(0)]);
    assert_refused(&value, Rejection::Malformed, "field `metadata`: has 90000 entries");
    // Block after block below the bound of one: the bound holds for the sum.
    let block = [long(50_000), vec![0_u8; 2 * 50_000]].concat();
    let value = with_metadata(&[block.clone(), block.clone(), block, long(0)]);
    assert_refused(&value, Rejection::Malformed, "cannot be read");
}

#[test]
fn a_string_that_claims_more_than_there_is_or_less_than_nothing_is_refused_at_once() {
    let started = Instant::now();
    for length in [37, 1 << 31, 1 << 40, i64::MAX, -1, i64::MIN] {
        let value = [vec![0, 0, 0, 0, 1], long(length), vec![b'0'; 36]].concat();
        assert_refused(&value, Rejection::Malformed, "cannot be read");
    }
    assert!(started.elapsed() < Duration::from_secs(1), "took {:?}", started.elapsed());
}

#[test]
fn a_union_branch_that_there_is_not_is_refused() {
    let full = example_bytes("full");
    let merchant = [long(1), string("m-corner-shop")].concat();
    let at = full.windows(merchant.len()).position(|part| part == merchant).expect("the merchant");
    for branch in [2, -1, i64::MAX, i64::MIN] {
        let value = [&full[..at], &long(branch), &full[at + 1..]].concat();
        assert_refused(&value, Rejection::Malformed, "cannot be read");
    }
}

#[test]
fn a_number_of_more_bytes_than_64_bits_have_is_refused() {
    let amount = long(1999);
    let full = example_bytes("full");
    let at = full.windows(2 + 4).position(|part| part == [&amount[..], b"\x06GBP"].concat()).expect("the amount");
    for endless in [vec![0x80; 11], vec![0xff; 20], [vec![0xff; 10], vec![0]].concat()] {
        let value = [&full[..at], &endless, &full[at + 2..]].concat();
        assert!(decode(&value).is_err(), "{endless:02x?}");
    }
}

#[test]
fn one_flipped_bit_is_refused_or_another_event_but_never_a_panic() {
    for name in example_names() {
        let bytes = example_bytes(&name);
        let original = example(&name);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A uuid has two spellings of each letter: the same event may come out.
            if let Ok(event) = decode(&flipped) {
                let case_only = flipped.eq_ignore_ascii_case(&bytes);
                assert!(event != original || case_only, "{name}: bit {bit} makes no difference");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_never_panic(value in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&value);
    }

    #[test]
    fn random_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&[vec![0, 0, 0, 0, 1], body].concat());
    }

    #[test]
    fn examples_with_bytes_replaced_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        tail in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let names = example_names();
        let mut value = example_bytes(which.get::<String>(&names));
        for (at, byte) in changes {
            let at = at.index(value.len());
            value[at] = byte;
        }
        value.extend(tail);
        let _ = decode(&value);
    }
}
