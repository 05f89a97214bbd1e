//! Rules 1 to 7 of the precedence, and what is remembered of events that were not applied.

mod common;

use common::{NOW_MS, check, event_id, id};
use millrace_model::form;
use millrace_model::streams::{self, MALFORMED_KINDS};
use serde_json::{Map, Value, json};

#[test]
fn what_cannot_be_decoded_is_rejected_by_its_reason() {
    check(
        "
        undecodable malformed          => rejected malformed
        undecodable unknown_schema     => rejected unknown_schema
        undecodable header_mismatch    => rejected header_mismatch
        undecodable wrong_key          => rejected wrong_key
    ",
    );
}

fn well_formed() -> Value {
    json!({
        "event_id": event_id(1, NOW_MS), "event_type": "refund.initiated", "payment_id": id(1),
        "user_id": "u-1", "merchant_id": "m-1", "operation_id": id(2), "sequence": 1,
        "amount_minor": 100, "currency": "EUR", "occurred_at": "2026-10-31T12:00:00Z",
        "source": "test", "correlation_id": null, "causation_id": "c", "metadata": {"a": "b"},
    })
}

fn keeps_the_rules(event: &Value) -> bool {
    form::parse(event).is_some_and(|event| form::keeps_rules_of_its_type(&event.content))
}

#[test]
fn every_kind_of_malformed_event_is_malformed() {
    assert!(keeps_the_rules(&well_formed()));
    for kind in 0..MALFORMED_KINDS {
        let event = streams::malformed(kind, well_formed());
        assert_ne!(event, well_formed(), "kind {kind} changes nothing");
        assert!(!keeps_the_rules(&event), "kind {kind}: {event}");
    }
    for missing in
        ["event_id", "event_type", "payment_id", "user_id", "amount_minor", "currency", "occurred_at", "source"]
    {
        let mut event = well_formed();
        event.as_object_mut().expect("an object").remove(missing);
        assert!(!keeps_the_rules(&event), "without {missing}");
    }
    assert!(!keeps_the_rules(&json!("text")));
}

#[test]
fn the_bounds_of_form_are_within_the_form() {
    let entries: Map<String, Value> = (0..32).map(|n| (format!("{n:0>64}"), json!("x".repeat(512)))).collect();
    for (name, value) in [
        ("user_id", json!("x".repeat(64))),
        ("user_id", json!("!~")),
        ("merchant_id", json!("x".repeat(64))),
        ("source", json!("x")),
        ("sequence", json!(i64::MAX)),
        ("amount_minor", json!((1_i64 << 53) - 1)),
        ("currency", json!("CLF")),
        ("occurred_at", json!("2026-10-31T14:00:00.123456789+02:00")),
        ("metadata", json!({})),
        ("metadata", Value::Object(entries)),
        ("event_id", json!(event_id(1, NOW_MS).to_string().to_uppercase())),
    ] {
        let mut event = well_formed();
        event[name] = value;
        assert!(keeps_the_rules(&event), "{event}");
    }
    for absent in ["merchant_id", "sequence", "correlation_id", "causation_id", "metadata"] {
        let mut event = well_formed();
        event["event_type"] = json!("payment.authorized");
        event.as_object_mut().expect("an object").remove(absent);
        assert!(keeps_the_rules(&event), "without {absent}");
    }
}

#[test]
fn zero_is_malformed_but_for_initiated_declined_and_expired() {
    for event_type in form::TYPES_OF_V1 {
        let mut event = well_formed();
        event["event_type"] = json!(event_type);
        event["amount_minor"] = json!(0);
        let may = ["payment.initiated", "payment.declined", "payment.expired"].contains(&event_type);
        assert_eq!(keeps_the_rules(&event), may, "{event_type}");
    }
}

#[test]
fn each_type_requires_what_its_row_needs() {
    let no_merchant = ["initiated", "authorized", "adjusted", "declined", "voided", "expired"];
    let operation = ["refund.initiated", "refund.failed", "dispute.opened", "dispute.won", "dispute.lost"];
    for event_type in form::TYPES_OF_V1 {
        let mut event = well_formed();
        event["event_type"] = json!(event_type);
        event["merchant_id"] = Value::Null;
        let may = no_merchant.iter().any(|name| event_type == format!("payment.{name}"));
        assert_eq!(keeps_the_rules(&event), may, "{event_type} without merchant");
        event["merchant_id"] = json!("m-1");
        event["operation_id"] = Value::Null;
        assert_eq!(keeps_the_rules(&event), !operation.contains(&event_type), "{event_type} without operation");
    }
}

#[test]
fn an_event_id_applied_or_parked_stands_under_whatever_payment() {
    check(
        "
        payment.charged 300 id=1               => applied 1
        payment.charged 300 id=1               => duplicate
        payment.charged 301 id=1               => rejected id_conflict
        payment.charged 300 id=1 pay=2         => rejected id_conflict
        payment.charged 300 id=1 part=1        => duplicate
        payment.charged 300 id=1 user=u-2 part=1 => rejected id_conflict
        payment.captured 100 id=2 pay=3        => parked missing_authorization
        payment.captured 100 id=2 pay=3        => duplicate
        payment.captured 101 id=2 pay=3        => rejected id_conflict
        state version=1
    ",
    );
}

#[test]
fn the_content_hash_covers_ten_fields_and_nothing_else() {
    for change in ["op=9", "mer=m-2", "user=u-2", "cur=USD", "seq=1", "at=1", "src=other"] {
        check(&format!(
            "
            payment.charged 300 id=1           => applied 1
            payment.charged 300 id=1 {change}  => rejected id_conflict
        "
        ));
    }
    check(
        "
        payment.charged 300 id=1               => applied 1
        payment.authorized 300 id=1            => rejected id_conflict
    ",
    );
    let mut other = well_formed();
    for (name, value) in [
        ("event_id", json!(event_id(1, NOW_MS).to_string().to_uppercase())),
        ("occurred_at", json!("2026-10-31T13:00:00.0000009+01:00")),
        ("correlation_id", json!("other")),
        ("causation_id", Value::Null),
        ("metadata", json!({})),
    ] {
        other[name] = value;
    }
    assert_eq!(form::parse(&well_formed()), form::parse(&other));
}

#[test]
fn an_id_outside_the_window_is_rejected_unless_it_is_already_there() {
    check(
        "
        payment.charged 300 pay=1 idtime_ms=3600000       => applied 1
        payment.charged 300 pay=2 idtime_ms=3600001       => rejected outside_window
        payment.charged 300 pay=3 idtime_ms=-63072000000  => applied 1
        payment.charged 300 pay=4 idtime_ms=-63072000001  => rejected outside_window
        payment.charged 300 pay=5 seq=1 idtime=2          => rejected outside_window
        state pay=5 last=0
    ",
    );
    check(
        "
        payment.charged 300 id=1               => applied 1
        clock +20000h
        payment.charged 300 id=1               => duplicate
        payment.charged 301 id=1               => rejected id_conflict
        payment.charged 300 id=2 pay=2         => rejected outside_window
    ",
    );
}

#[test]
fn a_number_is_used_once() {
    check(
        "
        payment.authorized 300 seq=1           => applied 1
        payment.captured 100 seq=1             => rejected sequence_conflict
        payment.captured 100 seq=3             => parked missing_sequence
        payment.captured 50 seq=3              => rejected sequence_conflict
        payment.captured 10                    => applied 2
        payment.captured 20 seq=2              => applied 3; #3 applied 4
        state last=3 captured=130
        payment.captured 50 seq=3              => rejected sequence_conflict
    ",
    );
}

#[test]
fn a_number_above_the_next_waits_before_anything_else_is_looked_at() {
    check("
        payment.authorized 300 seq=1           => applied 1
        payment.captured 100 seq=3 user=u-2    => parked missing_sequence
        payment.captured 900 seq=4             => parked missing_sequence
        payout.sent 900 seq=5                  => parked missing_sequence
        payment.voided 100 seq=2               => applied 2; #2 rejected owner_mismatch; #3 rejected capture_exceeds_authorized
        state last=5 waiting=unknown_type
    ");
}

#[test]
fn a_number_is_used_up_whatever_follows() {
    check(
        "
        payment.captured 100 seq=1             => parked missing_authorization
        payment.captured 50 seq=1              => rejected sequence_conflict
        payment.authorized 300 seq=2           => applied 1; #1 applied 2
        payment.authorized 300 seq=3           => rejected already_authorized
        payment.captured 10 seq=4 cur=USD      => rejected currency_mismatch
        payout.sent 10 seq=5                   => parked unknown_type
        payment.captured 20 op=1 seq=6         => applied 3
        payment.captured 20 op=1 seq=7         => duplicate
        payment.captured 30 seq=8              => applied 4
        state last=8
    ",
    );
}

#[test]
fn a_rejected_event_or_a_duplicate_published_again_is_judged_again() {
    check(
        "
        payment.captured 400 id=1              => parked missing_authorization
        payment.authorized 300                 => applied 1; #1 rejected capture_exceeds_authorized
        payment.captured 400 id=1              => rejected capture_exceeds_authorized
        payment.adjusted 500                   => applied 2
        payment.captured 400 id=1              => applied 3
        payment.captured 400 id=1              => duplicate
    ",
    );
    check(
        "
        payment.captured 400 seq=1 id=1        => parked missing_authorization
        payment.authorized 300 seq=2           => applied 1; #1 rejected capture_exceeds_authorized
        payment.captured 400 seq=1 id=1        => rejected sequence_conflict
    ",
    );
    check(
        "
        payment.charged 300 seq=1              => applied 1
        fee.charged 5 op=1 seq=2               => applied 2
        fee.charged 5 op=1 seq=3 id=1          => duplicate
        fee.charged 5 op=1 seq=3 id=1          => rejected sequence_conflict
    ",
    );
}

#[test]
fn user_currency_and_merchant_are_held_against_a_known_payment_in_this_order() {
    check(
        "
        payment.authorized 300 mer=-                   => applied 1
        state merchant=- user=u-1 currency=EUR
        payment.captured 10 mer=m-7                    => applied 2
        state merchant=m-7
        payment.captured 10 user=u-2 cur=USD mer=m-8   => rejected owner_mismatch
        payment.captured 10 mer=m-8 cur=USD            => rejected currency_mismatch
        payment.captured 10 mer=m-8                    => rejected merchant_mismatch
        payment.voided 10 mer=m-8                      => rejected merchant_mismatch
        payment.voided 10 mer=-                        => applied 3
        payout.sent 10 user=u-2 mer=m-7                => rejected owner_mismatch
    ",
    );
}

#[test]
fn a_payment_is_not_known_until_something_was_applied_to_it() {
    check(
        "
        payment.captured 10 user=u-2 cur=USD seq=1     => parked missing_authorization
        payment.charged 300 seq=2                      => applied 1; #1 rejected owner_mismatch
        state version=1 user=u-1
    ",
    );
}

#[test]
fn a_type_unknown_to_this_build_is_parked_by_the_rules_of_form_alone() {
    check(
        "
        payout.sent 0 mer=-                            => parked unknown_type
        Payment.Charged 0                              => parked unknown_type
        payout.sent 10 op=1                            => parked unknown_type
        payout.sent 20 op=1                            => parked unknown_type
    ",
    );
}

#[test]
fn an_operation_and_type_already_applied_is_a_duplicate_or_a_conflict() {
    check(
        "
        payment.charged 300                            => applied 1
        fee.charged 5 op=1                             => applied 2
        fee.charged 5 op=1                             => duplicate
        fee.charged 6 op=1                             => rejected operation_conflict
        fee.charged 5                                  => applied 3
        fee.charged 5                                  => applied 4
        refund.succeeded 5 op=1                        => applied 5
        refund.succeeded 900 op=1                      => rejected operation_conflict
        payment.captured 900 op=1                      => rejected capture_exceeds_authorized
        payment.charged 300 pay=2                      => applied 1
        fee.charged 6 op=1 pay=2                       => applied 2
    ",
    );
    check(
        "
        refund.unreferenced 100 op=1                   => applied 1
        refund.unreferenced 100 op=1                   => duplicate
        refund.unreferenced 90 op=1                    => rejected operation_conflict
    ",
    );
}

#[test]
fn an_operation_and_type_parked_past_rule_4_counts_but_not_one_that_waits_for_its_number() {
    check(
        "
        dispute.won 100 op=1                           => parked missing_operation
        dispute.won 100 op=1                           => duplicate
        dispute.won 90 op=1                            => rejected operation_conflict
        dispute.won 100 op=1 cur=USD                   => rejected operation_conflict
    ",
    );
    check(
        "
        payment.captured 100 op=1 seq=3                => parked missing_sequence
        payment.captured 100 op=1                      => parked missing_authorization
        payment.authorized 300 seq=1                   => applied 1; #2 applied 2
        payment.initiated 300 seq=2                    => applied 3; #1 duplicate
        state captured=100 last=3
    ",
    );
}
