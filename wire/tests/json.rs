//! The JSON form: what a line may say, and what a person is told about one that may not.

mod common;

use common::{any_event, example, read};
use millrace_domain::event::Event;
use millrace_wire::json::{self, JsonError};
use proptest::prelude::*;
use serde_json::{Value, json};

const MINIMAL: &str = r#"{"event_id":"01890a5d-ac96-774b-bcce-b302099a8057","event_type":"payment.authorized",
    "payment_id":"6f9619ff-8b86-4011-b42d-00c04fc964ff","user_id":"u","amount_minor":5,"currency":"GBP",
    "occurred_at":"2026-11-23T09:30:00Z","source":"s"}"#;

fn parse(text: &str) -> Result<Event, JsonError> {
    json::parse(text.as_bytes())
}

/// The minimal event with this field set, or taken away.
fn edited(field: &str, value: Option<Value>) -> Result<Event, JsonError> {
    let mut event: Value = serde_json::from_str(MINIMAL).expect("JSON");
    let fields = event.as_object_mut().expect("an object");
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    parse(&event.to_string())
}

#[track_caller]
fn assert_refused(result: Result<Event, JsonError>, told: &[&str]) {
    let error = result.expect_err("a line that is no event").to_string();
    for part in told {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
    assert!(!error.contains('\n'), "`{error}` has more than one line");
}

#[test]
fn a_name_that_is_not_known_is_refused_by_that_name() {
    assert_refused(edited("amount", Some(json!(5))), &["amount", "unknown field"]);
    assert_refused(edited("Event_id", Some(json!("x"))), &["Event_id", "unknown field"]);
}

#[test]
fn a_name_that_stands_twice_is_refused_by_that_name() {
    let twice = MINIMAL.replace(r#""user_id":"u""#, r#""user_id":"u","user_id":"u""#);
    assert_refused(parse(&twice), &["duplicate field `user_id`"]);
    let twice = MINIMAL.replace(r#""user_id":"u""#, r#""user_id":"u","metadata":{"k":"1","k":"2"}"#);
    assert_refused(parse(&twice), &["field `metadata`: key \"k\" stands twice"]);
}

#[test]
fn a_field_that_is_missing_is_named() {
    for field in
        ["event_id", "event_type", "payment_id", "user_id", "amount_minor", "currency", "occurred_at", "source"]
    {
        assert_refused(edited(field, None), &[&format!("missing field `{field}`")]);
    }
}

#[test]
fn a_field_that_may_be_absent_may_be_null_too_but_not_metadata() {
    for field in ["merchant_id", "operation_id", "sequence", "correlation_id", "causation_id"] {
        assert_eq!(edited(field, Some(Value::Null)).ok(), parse(MINIMAL).ok(), "{field}");
    }
    assert_refused(edited("metadata", Some(Value::Null)), &["field `metadata`", "null"]);
    assert_refused(edited("user_id", Some(Value::Null)), &["field `user_id`", "null"]);
}

#[test]
fn a_wrong_type_names_its_field() {
    for (field, value) in [
        ("event_id", json!(7)),
        ("event_type", json!(["payment.captured"])),
        ("user_id", json!(7)),
        ("merchant_id", json!(7)),
        ("sequence", json!("1")),
        ("amount_minor", json!("5")),
        ("amount_minor", json!(true)),
        ("currency", json!(826)),
        ("occurred_at", json!(1_793_491_200)),
        ("metadata", json!(["k", "v"])),
    ] {
        assert_refused(edited(field, Some(value)), &[&format!("field `{field}`: invalid type")]);
    }
    assert_refused(edited("metadata", Some(json!({"tries": 3}))), &["field `metadata.tries`: invalid type"]);
}

#[test]
fn an_amount_is_a_whole_number() {
    for number in ["5.0", "5.5", "5e0", "1e2", "-0.0"] {
        let text = MINIMAL.replace(r#""amount_minor":5"#, &format!(r#""amount_minor":{number}"#));
        assert_refused(parse(&text), &["field `amount_minor`: invalid type: floating point"]);
    }
    for number in ["9223372036854775808", "18446744073709551615"] {
        let text = MINIMAL.replace(r#""amount_minor":5"#, &format!(r#""amount_minor":{number}"#));
        assert_refused(parse(&text), &["field `amount_minor`: "]);
    }
    assert_refused(edited("amount_minor", Some(json!(-5))), &["field `amount_minor`: -5 is negative"]);
}

#[test]
fn when_it_happened_is_rfc_3339_with_any_offset() {
    let micros = |text: &str| edited("occurred_at", Some(json!(text))).map(|event| event.occurred_at.0);
    for (text, wanted) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500_000),
        ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ] {
        assert_eq!(micros(text).ok(), Some(wanted), "{text}");
    }
    for text in [
        "",
        "yesterday",
        "2026-11-23",
        "2026-11-23T09:30:00",
        "2026-11-23T09:30Z",
        "2026-11-23T09:30:00+0100",
        "2026-11-23T09:30:00,5Z",
        "2026-11-23T09:30:00.Z",
        "2026-02-30T09:30:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:30:00Z ",
        "2026-11-23x09:30:00Z",
        "2026-11-23_09:30:00Z",
        "+2026-11-23T09:30:00Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "1793491200",
    ] {
        let told = format!("field `occurred_at`: {text:?} is not a time in RFC 3339 such as 2026-11-23T09:30:00.125Z");
        assert_refused(edited("occurred_at", Some(json!(text))), &[&told]);
    }
}

#[test]
fn when_it_happened_is_cut_to_microseconds_by_leaving_digits_out_before_1970_too() {
    let micros = |text: &str| edited("occurred_at", Some(json!(text))).expect("a time").occurred_at.0;
    assert_eq!(micros("1970-01-01T00:00:00.000001999Z"), 1);
    assert_eq!(micros("1970-01-01T00:00:00.000000999Z"), 0);
    // Cut is cut: the six digits that stay are those of the text, whatever side of 1970.
    assert_eq!(micros("1969-12-31T23:59:59.999999Z"), -1);
    assert_eq!(micros("1969-12-31T23:59:59.999999999Z"), -1);
    assert_eq!(micros("1969-12-31T23:59:59.9999990001Z"), -1);
}

#[test]
fn a_line_that_is_no_object_is_told_so() {
    for text in ["", " ", "7", "\"x\"", "null", "[]", "{", "{\"event_id\":", "PK\u{3}\u{4}", "{}x", "\u{feff}{}"] {
        assert_refused(parse(text), &[]);
    }
    assert_refused(json::parse(&[0xff, 0xfe, 0x00]), &["not an event in JSON"]);
    assert_refused(parse(&format!("{MINIMAL} {MINIMAL}")), &["nothing behind it"]);
    assert_refused(parse("[]"), &["not an event in JSON", "object"]);
}

#[test]
fn an_array_of_the_values_is_not_an_event() {
    let values = r#"["01890a5d-ac96-774b-bcce-b302099a8057","payment.authorized",
        "6f9619ff-8b86-4011-b42d-00c04fc964ff","u",null,null,null,5,"GBP","2026-11-23T09:30:00Z","s",null,null,{}]"#;
    assert_refused(parse(values), &["not an event in JSON", "object"]);
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    let deep = MINIMAL.replace(r#""source":"s""#, &format!(r#""source":{}"#, "[".repeat(1_000_000)));
    assert_refused(parse(&deep), &["field `source`"]);
}

#[test]
fn escapes_and_white_space_are_spelling() {
    let spelled = MINIMAL.replace("\"user_id\":\"u\"", " \"us\\u0065r_id\" : \"\\u0075\" ");
    assert_eq!(parse(&spelled).ok(), parse(MINIMAL).ok());
}

#[test]
fn a_long_wrong_value_does_not_make_a_long_message() {
    for field in ["event_id", "payment_id", "user_id", "currency", "source", "occurred_at"] {
        let error = edited(field, Some(json!("x".repeat(1_000_000)))).expect_err("too long").to_string();
        assert!(error.len() < 400, "{field}: {} bytes", error.len());
    }
    let error = edited(&"n".repeat(1_000_000), Some(json!(1))).expect_err("unknown").to_string();
    assert!(error.len() < 1000, "a name: {} bytes", error.len());
    let error = edited("na\nme", Some(json!(1))).expect_err("unknown").to_string();
    assert!(!error.contains('\n'), "{error}");
    let error = edited("amount_minor", Some(json!("x".repeat(1_000_000)))).expect_err("text").to_string();
    assert!(error.len() < 1000, "amount: {} bytes", error.len());
}

#[test]
fn the_example_is_written_on_one_line_with_every_name_of_the_schema() {
    let line = json::to_string(&example("full"));
    assert!(!line.contains('\n'));
    let (written, committed): (Value, Value) = (
        serde_json::from_str(&line).expect("JSON"),
        serde_json::from_str(&read("payment_event/examples/full.json")).expect("JSON"),
    );
    assert_eq!(written, committed);
}

#[test]
fn a_time_that_rfc_3339_cannot_tell_is_shown_as_its_number_and_not_read_again() {
    let mut event = example("full");
    event.occurred_at.0 = i64::MAX;
    let line = json::to_string(&event);
    assert!(line.contains(r#""occurred_at":"9223372036854775807""#), "{line}");
    assert_refused(parse(&line), &["field `occurred_at`"]);
}

proptest! {
    #[test]
    fn an_event_written_as_json_reads_as_itself(event in any_event()) {
        prop_assert_eq!(parse(&json::to_string(&event)).ok(), Some(event));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = edited("occurred_at", Some(json!(text)));
    }

    #[test]
    fn no_time_makes_it_panic(micros in any::<i64>()) {
        let told = json::rfc3339(millrace_domain::ids::Micros(micros));
        prop_assert_eq!(told.as_deref().and_then(json::parse_rfc3339).map(|m| m.0), told.as_ref().map(|_| micros));
    }
}
