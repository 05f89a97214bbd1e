//! Headers and key: the body is the truth, and what contradicts it is refused by name.

mod common;

use common::{any_event, example, example_bytes};
use millrace_domain::event::Event;
use millrace_domain::reason::Rejection;
use millrace_wire::record::{self, Refusal};
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, headers};
use proptest::prelude::*;

/// What becomes of the full example with these headers and this key.
fn decode(key: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Result<Event, Refusal> {
    let value = example_bytes("full");
    record::decode(key, Some(&value), headers.iter().copied(), SchemaTable::built_in())
}

fn with_header(name: &str, value: &str) -> Result<Event, Refusal> {
    decode(Some(b"u-82913"), &[(name, Some(value.as_bytes()))])
}

#[track_caller]
fn assert_contradicts(result: Result<Event, Refusal>, detail: &str) {
    let refusal = result.expect_err("a header that contradicts the body");
    assert_eq!((refusal.reason, refusal.detail.as_str()), (Rejection::HeaderMismatch, detail));
}

#[test]
fn a_record_without_headers_is_accepted() {
    assert_eq!(decode(Some(b"u-82913"), &[]), Ok(example("full")));
}

#[test]
fn the_headers_that_are_written_with_an_event_agree_with_it() {
    let event = example("full");
    let written = headers::of(&event);
    let names: Vec<&str> = written.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "content-type", "ce_time"]);
    let read: Vec<(&str, Option<&[u8]>)> = written.iter().map(|(n, v)| (*n, Some(v.as_bytes()))).collect();
    assert_eq!(decode(Some(b"u-82913"), &read), Ok(event.clone()));
    for (absent, name) in names.iter().enumerate() {
        let mut fewer = read.clone();
        fewer.remove(absent);
        assert_eq!(decode(Some(b"u-82913"), &fewer), Ok(example("full")), "without {name}");
    }
}

#[test]
fn each_header_that_says_something_else_is_refused() {
    for (name, other) in [
        ("ce_id", "01890a5d-ac96-774b-bcce-b302099a8058"),
        ("ce_id", "event-1"),
        ("ce_type", "payment.charged"),
        ("ce_type", "Payment.Captured"),
        ("ce_source", "checkout2"),
        ("ce_source", ""),
        ("ce_time", "2026-11-23T09:30:00.125002Z"),
        ("ce_time", "2026-11-23T09:30:00.125001+01:00"),
        ("ce_time", "yesterday"),
        ("ce_subject", "6f9619ff-8b86-4011-b42d-00c04fc964fe"),
        ("ce_subject", "01890a5d-ac96-774b-bcce-b302099a8057"),
    ] {
        assert_contradicts(
            with_header(name, other),
            &format!("header {name} holds {other:?}, which contradicts the body"),
        );
    }
}

#[test]
fn a_header_without_a_value_or_not_utf_8_is_refused() {
    for name in ["ce_id", "ce_type", "ce_source", "ce_time", "ce_subject"] {
        assert_contradicts(
            decode(Some(b"u-82913"), &[(name, None)]),
            &format!("header {name} holds nothing, which contradicts the body"),
        );
        let refusal = decode(Some(b"u-82913"), &[(name, Some(&[0xff, 0xfe]))]).expect_err("not UTF-8");
        assert_eq!(refusal.reason, Rejection::HeaderMismatch);
    }
}

#[test]
fn values_are_compared_and_not_their_spelling() {
    for (name, same) in [
        ("ce_id", "01890A5D-AC96-774B-BCCE-B302099A8057"),
        ("ce_subject", "6F9619FF-8B86-4011-B42D-00C04FC964FF"),
        ("ce_time", "2026-11-23T09:30:00.125001Z"),
        ("ce_time", "2026-11-23t09:30:00.125001z"),
        ("ce_time", "2026-11-23T10:30:00.125001000+01:00"),
        ("ce_time", "2026-11-23T04:00:00.1250019-05:30"),
    ] {
        assert_eq!(with_header(name, same), Ok(example("full")), "{name}: {same}");
    }
}

#[test]
fn headers_of_others_are_not_judged() {
    for (name, value) in [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("traceparent", "rubbish"),
        ("ce_specversion", "0.3"),
        ("ce_dataschema", "x"),
        ("CE_ID", "other"),
        ("content-type", "application/json"),
        ("x-retry", "3"),
        ("", ""),
    ] {
        assert_eq!(with_header(name, value), Ok(example("full")), "{name}: {value}");
    }
}

#[test]
fn a_header_that_stands_twice_must_agree_twice() {
    let agrees = ("ce_type", Some(&b"payment.captured"[..]));
    let contradicts = ("ce_type", Some(&b"payment.voided"[..]));
    assert!(decode(Some(b"u-82913"), &[agrees, agrees]).is_ok());
    assert!(decode(Some(b"u-82913"), &[agrees, contradicts]).is_err());
}

#[test]
fn the_key_is_the_user_id_byte_for_byte() {
    let user: Option<&[u8]> = Some(b"u-82913");
    assert!(decode(user, &[]).is_ok());
    for (key, found) in [
        (None, "missing"),
        (Some(&b""[..]), "\"\""),
        (Some(b"U-82913"), "\"U-82913\""),
        (Some(b"u-82913 "), "\"u-82913 \""),
        (Some(b"u-8291"), "\"u-8291\""),
        (Some(b"\"u-82913\""), "\"\\\"u-82913\\\"\""),
    ] {
        let refusal = decode(key, &[]).expect_err("another key");
        let detail = format!("the Kafka key is {found}, it must be the user id \"u-82913\"");
        assert_eq!((refusal.reason, refusal.detail), (Rejection::WrongKey, detail));
    }
    assert_eq!(decode(Some(&[0xff]), &[]).expect_err("not UTF-8").reason, Rejection::WrongKey);
}

#[test]
fn what_is_refused_is_found_by_the_ids_that_its_body_names() {
    let event = decode(Some(b"u-82913"), &[]).expect("the example");
    let another_key = decode(None, &[]).expect_err("no key");
    let another_type = with_header("ce_type", "payment.voided").expect_err("a header that contradicts the body");
    let malformed = avro::decode(&avro::encode(&Event { amount_minor: -1, ..event.clone() }), SchemaTable::built_in())
        .expect_err("a negative amount");
    for refusal in [another_key, another_type, malformed] {
        assert_eq!(refusal.names.as_deref(), Some(&event.names()), "{refusal}");
    }
    let cut = avro::decode(&example_bytes("full")[..40], SchemaTable::built_in()).expect_err("cut");
    assert_eq!(cut.names, None);
}

#[test]
fn a_long_header_or_key_does_not_make_a_long_message() {
    let long = "x".repeat(1_000_000);
    let messages = [with_header("ce_type", &long), decode(Some(long.as_bytes()), &[])];
    for refusal in messages.map(|result| result.expect_err("wrong")) {
        assert!(refusal.detail.len() < 300, "{} bytes", refusal.detail.len());
    }
}

#[test]
fn the_body_is_judged_before_the_headers_and_they_before_the_key() {
    let wrong: &[(&str, Option<&[u8]>)] = &[("ce_type", Some(b"payment.voided"))];
    let value = [example_bytes("full"), vec![0]].concat();
    let table = SchemaTable::built_in();
    let reason =
        |value: &[u8]| record::decode(None, Some(value), wrong.iter().copied(), table).expect_err("wrong").reason;
    assert_eq!(reason(&value), Rejection::Malformed);
    assert_eq!(reason(&example_bytes("full")), Rejection::HeaderMismatch);
}

#[test]
fn a_traceparent_is_of_w3c_trace_context() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert!(headers::is_traceparent(good));
    for bad in [
        "",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-02",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    ] {
        assert!(!headers::is_traceparent(bad), "{bad}");
    }
}

proptest! {
    #[test]
    fn what_is_written_beside_an_event_never_contradicts_it(event in any_event()) {
        let written = headers::of(&event);
        let read = written.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        prop_assert_eq!(headers::check(&event, read), Ok(()));
    }
}
