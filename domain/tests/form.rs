//! The rules of form of the design's section 2, each on both sides of its boundary.
//!
//! How a field is spelled in Avro or JSON is left to the tests of `wire`.

use std::borrow::Cow;

use millrace_domain::event::{Draft, EventType, FormError, Kind};
use millrace_domain::money::AMOUNT_MINOR_MAX;

/// Edits a well-formed capture and tells what becomes of it: nothing, or the field that is refused.
fn refused(edit: impl FnOnce(&mut Draft<'static>)) -> Option<&'static str> {
    error(edit).map(|e| e.field)
}

fn error(edit: impl FnOnce(&mut Draft<'static>)) -> Option<FormError> {
    let mut draft = well_formed();
    edit(&mut draft);
    draft.check().err()
}

fn message(edit: impl FnOnce(&mut Draft<'static>)) -> String {
    error(edit).map_or("accepted".into(), |e| e.to_string())
}

fn well_formed() -> Draft<'static> {
    Draft {
        event_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        event_type: "payment.captured".into(),
        payment_id: "6f9619ff-8b86-4011-b42d-00c04fc964ff".into(),
        user_id: "u-1".into(),
        merchant_id: Some("m-1".into()),
        operation_id: None,
        sequence: Some(1),
        amount_minor: 100,
        currency: "GBP".into(),
        occurred_at_micros: 0,
        source: "checkout".into(),
        correlation_id: None,
        causation_id: None,
        metadata: Vec::new(),
    }
}

/// `count` times this character.
fn of(character: char, count: usize) -> Cow<'static, str> {
    character.to_string().repeat(count).into()
}

#[test]
fn a_well_formed_event_is_accepted_with_every_field_as_it_was() {
    let event = well_formed().check().expect("well formed");
    assert_eq!(event.event_id.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
    assert_eq!(event.event_type, EventType::Known(Kind::PaymentCaptured));
    assert_eq!(event.payment_id.to_string(), "6f9619ff-8b86-4011-b42d-00c04fc964ff");
    assert_eq!((event.user_id.as_str(), &*event.source), ("u-1", "checkout"));
    assert_eq!(event.merchant_id.as_ref().map(|m| m.as_str()), Some("m-1"));
    assert_eq!((event.sequence, event.amount_minor, event.currency.code()), (Some(1), 100, "GBP"));
}

#[test]
fn an_event_id_is_a_uuid_of_version_7_hyphenated_in_either_case() {
    let id = |text: &'static str| refused(|d| d.event_id = text.into());
    assert_eq!(id("01890A5D-AC96-774B-BCCE-B302099A8057"), None);
    for not_7 in [
        "9e107d9d-372b-4b68-a1f3-0c4f5e7d8a90", // version 4
        "01890a5d-ac96-774b-3cce-b302099a8057", // variant of NCS
        "01890a5d-ac96-774b-ccce-b302099a8057", // variant of Microsoft
        "00000000-0000-0000-0000-000000000000", // nil
        "ffffffff-ffff-ffff-ffff-ffffffffffff", // max
        "01890a5dac96774bbcceb302099a8057",     // not hyphenated
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
        " 01890a5d-ac96-774b-bcce-b302099a8057",
        "01890a5d-ac96-774b-bcce-b302099a805g",
        "01890a5dac-96-774b-bcce-b302099a8057", // a hyphen out of place
        "",
    ] {
        assert_eq!(id(not_7), Some("event_id"), "{not_7}");
    }
    assert_eq!(
        message(|d| d.event_id = "9e107d9d-372b-4b68-a1f3-0c4f5e7d8a90".into()),
        "field `event_id`: 9e107d9d-372b-4b68-a1f3-0c4f5e7d8a90 is not a UUIDv7 (RFC 9562): make the id with a version 7 \
         generator"
    );
}

#[test]
fn a_payment_id_is_any_uuid_hyphenated_in_either_case() {
    let id = |text: &'static str| refused(|d| d.payment_id = text.into());
    for accepted in [
        "6F9619FF-8B86-4011-B42D-00C04FC964FF",
        "00000000-0000-0000-0000-000000000000",
        "01890a5d-ac96-774b-bcce-b302099a8057",
    ] {
        assert_eq!(id(accepted), None, "{accepted}");
    }
    for wrong in ["6f9619ff8b864011b42d00c04fc964ff", "", "payment-1", "6f9619ff-8b86-4011-b42d-00c04fc964f"] {
        assert_eq!(id(wrong), Some("payment_id"), "{wrong}");
    }
    assert_eq!(
        message(|d| d.payment_id = "payment-1".into()),
        "field `payment_id`: \"payment-1\" is not a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"
    );
}

#[test]
fn an_operation_id_is_absent_or_a_uuid() {
    let id = |text: &'static str| refused(|d| d.operation_id = Some(text.into()));
    assert_eq!(id("6F9619FF-8B86-4011-B42D-00C04FC964FF"), None);
    assert_eq!(id(""), Some("operation_id"));
    assert_eq!(
        message(|d| d.operation_id = Some("r1".into())),
        "field `operation_id`: \"r1\" is not a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"
    );
}

#[test]
fn a_user_id_has_1_to_64_visible_ascii_characters() {
    let id = |text: Cow<'static, str>| refused(|d| d.user_id = text);
    for accepted in [of('u', 1), of('u', 64), "!~".into(), "user@example.com".into()] {
        assert_eq!(id(accepted.clone()), None, "{accepted}");
    }
    for wrong in [of('u', 0), of('u', 65), "a b".into(), "a\t".into(), "\u{7f}".into(), "é".into(), "\0".into()] {
        assert_eq!(id(wrong.clone()), Some("user_id"), "{wrong:?}");
    }
    assert_eq!(
        message(|d| d.user_id = "a b".into()),
        "field `user_id`: \"a b\" must be 1 to 64 visible ASCII characters, without spaces"
    );
}

#[test]
fn a_merchant_id_is_absent_or_has_1_to_64_characters() {
    let id = |text: Cow<'static, str>| refused(|d| d.merchant_id = Some(text));
    for accepted in [of('m', 1), of('m', 64), of('é', 64), "Corner Shop".into()] {
        assert_eq!(id(accepted.clone()), None, "{accepted}");
    }
    for wrong in [of('m', 0), of('m', 65), of('é', 65)] {
        assert_eq!(id(wrong.clone()), Some("merchant_id"), "{wrong}");
    }
    assert_eq!(
        message(|d| d.merchant_id = Some("".into())),
        "field `merchant_id`: \"\" must be 1 to 64 characters long"
    );
}

#[test]
fn a_source_has_1_to_64_characters() {
    let source = |text: Cow<'static, str>| refused(|d| d.source = text);
    for accepted in [of('s', 1), of('s', 64), of('é', 64)] {
        assert_eq!(source(accepted.clone()), None, "{accepted}");
    }
    for wrong in [of('s', 0), of('s', 65), of('é', 65)] {
        assert_eq!(source(wrong.clone()), Some("source"), "{wrong}");
    }
    let found = format!("\"{}\"", of('s', 65));
    assert_eq!(message(|d| d.source = of('s', 65)), format!("field `source`: {found} must be 1 to 64 characters long"));
}

#[test]
fn a_sequence_is_absent_or_at_least_1() {
    let sequence = |number: Option<i64>| refused(|d| d.sequence = number);
    for accepted in [None, Some(1), Some(i64::MAX)] {
        assert_eq!(sequence(accepted), None, "{accepted:?}");
    }
    for wrong in [Some(0), Some(-1), Some(i64::MIN)] {
        assert_eq!(sequence(wrong), Some("sequence"), "{wrong:?}");
    }
    assert_eq!(
        message(|d| d.sequence = Some(0)),
        "field `sequence`: 0 is below 1: a payment's events are numbered from 1, or not at all (null)"
    );
}

#[test]
fn an_amount_is_0_to_2_to_the_53_less_1() {
    let amount = |minor: i64| refused(|d| d.amount_minor = minor);
    assert_eq!(AMOUNT_MINOR_MAX, 9_007_199_254_740_991);
    for accepted in [1, AMOUNT_MINOR_MAX] {
        assert_eq!(amount(accepted), None, "{accepted}");
    }
    for wrong in [-1, i64::MIN, AMOUNT_MINOR_MAX + 1, i64::MAX] {
        assert_eq!(amount(wrong), Some("amount_minor"), "{wrong}");
    }
    assert_eq!(
        message(|d| d.amount_minor = -5),
        "field `amount_minor`: -5 is negative: the sign is in the event type, as in refund.succeeded"
    );
    assert_eq!(
        message(|d| d.amount_minor = AMOUNT_MINOR_MAX + 1),
        "field `amount_minor`: 9007199254740992 is above 9007199254740991 (2^53 - 1) minor units"
    );
}

#[test]
fn an_amount_of_0_is_well_formed_for_initiated_declined_and_expired_alone() {
    for kind in Kind::ALL {
        let zero = refused(|d| {
            d.event_type = kind.as_str().into();
            d.operation_id = Some("6f9619ff-8b86-4011-b42d-00c04fc964ff".into());
            d.amount_minor = 0;
        });
        let may = ["payment.initiated", "payment.declined", "payment.expired"].contains(&kind.as_str());
        assert_eq!(zero, if may { None } else { Some("amount_minor") }, "{}", kind.as_str());
    }
    assert_eq!(
        message(|d| d.amount_minor = 0),
        "field `amount_minor`: is 0, but payment.captured needs an amount of at least 1 minor unit"
    );
}

#[test]
fn a_currency_is_one_of_iso_4217_that_has_a_minor_unit_in_capitals() {
    let currency = |code: &'static str| refused(|d| d.currency = code.into());
    for accepted in ["GBP", "JPY", "KWD", "CLF", "UYW", "EUR", "USD", "BHD", "KRW", "ISK"] {
        assert_eq!(currency(accepted), None, "{accepted}");
    }
    for wrong in ["XAU", "XAG", "XXX", "XTS", "XDR", "gbp", "Gbp", "GB", "GBPX", "", "ABC", "£", "826"] {
        assert_eq!(currency(wrong), Some("currency"), "{wrong}");
    }
    assert_eq!(
        message(|d| d.currency = "XAU".into()),
        "field `currency`: \"XAU\" is not an ISO 4217 code with a minor unit, in capitals, such as GBP"
    );
}

#[test]
fn any_microsecond_of_64_bits_may_be_when_it_happened() {
    for micros in [i64::MIN, -1, 0, i64::MAX] {
        assert_eq!(refused(|d| d.occurred_at_micros = micros), None, "{micros}");
    }
}

#[test]
fn correlation_and_causation_are_any_text() {
    for text in [None, Some(""), Some("trace é \n")] {
        assert_eq!(
            refused(|d| {
                d.correlation_id = text.map(Into::into);
                d.causation_id = text.map(Into::into);
            }),
            None,
            "{text:?}"
        );
    }
}

#[test]
fn metadata_has_at_most_32_entries() {
    let entries = |count: usize| (0..count).map(|n| (n.to_string().into(), "v".into())).collect::<Vec<_>>();
    assert_eq!(refused(|d| d.metadata = entries(32)), None);
    assert_eq!(message(|d| d.metadata = entries(33)), "field `metadata`: has 33 entries, at most 32 are allowed");
}

#[test]
fn a_key_of_metadata_has_at_most_64_bytes_and_its_value_512() {
    let entry = |key: Cow<'static, str>, value: Cow<'static, str>| message(|d| d.metadata = vec![(key, value)]);
    for (key, value) in [(of('k', 64), of('v', 512)), (of('é', 32), of('é', 256)), ("".into(), "".into())] {
        assert_eq!(entry(key, value), "accepted");
    }
    assert_eq!(
        entry(of('k', 65), "v".into()),
        format!("field `metadata`: key \"{}\" has 65 bytes, at most 64 are allowed", of('k', 65))
    );
    assert_eq!(
        entry("note".into(), of('v', 513)),
        "field `metadata`: the value of \"note\" has 513 bytes, at most 512 are allowed"
    );
    // Bytes, not characters.
    assert!(entry(of('é', 33), "v".into()).contains("has 66 bytes"));
    assert!(entry("k".into(), of('é', 257)).contains("has 514 bytes"));
}

#[test]
fn a_key_of_metadata_stands_once() {
    assert_eq!(
        message(|d| d.metadata = vec![("k".into(), "1".into()), ("l".into(), "1".into()), ("k".into(), "1".into())]),
        "field `metadata`: key \"k\" stands twice"
    );
}

#[test]
fn a_type_with_a_ledger_entry_names_its_merchant() {
    let free = ["initiated", "authorized", "adjusted", "declined", "voided", "expired"].map(|t| format!("payment.{t}"));
    for kind in Kind::ALL {
        let without = refused(|d| {
            d.event_type = kind.as_str().into();
            d.operation_id = Some("6f9619ff-8b86-4011-b42d-00c04fc964ff".into());
            d.merchant_id = None;
        });
        let may = free.contains(&kind.as_str().to_owned());
        assert_eq!(without, if may { None } else { Some("merchant_id") }, "{}", kind.as_str());
    }
    assert_eq!(
        message(|d| d.merchant_id = None),
        "field `merchant_id`: is missing, but payment.captured moves money and must name the merchant"
    );
}

#[test]
fn a_refund_begun_or_failed_and_a_dispute_name_their_operation() {
    let need = ["refund.initiated", "refund.failed", "dispute.opened", "dispute.won", "dispute.lost"];
    for kind in Kind::ALL {
        let without = refused(|d| d.event_type = kind.as_str().into());
        let must = need.contains(&kind.as_str());
        assert_eq!(without, if must { Some("operation_id") } else { None }, "{}", kind.as_str());
    }
    assert_eq!(
        message(|d| d.event_type = "dispute.won".into()),
        "field `operation_id`: is missing, but dispute.won must name the refund or dispute it is about"
    );
}

#[test]
fn a_type_that_this_build_does_not_know_keeps_only_the_rules_of_form() {
    for name in ["payment.teleported", "", "PAYMENT.CAPTURED", "payment.captured "] {
        let event =
            Draft { event_type: name.into(), amount_minor: 0, merchant_id: None, operation_id: None, ..well_formed() };
        let event = event.check().expect("a type that is not known adds no rule");
        assert_eq!(event.event_type, EventType::Unknown(name.into()));
        assert_eq!(event.event_type.as_str(), name);
    }
    let unknown = |edit: fn(&mut Draft<'static>)| {
        refused(|d| {
            d.event_type = "payment.teleported".into();
            edit(d);
        })
    };
    assert_eq!(unknown(|d| d.amount_minor = -1), Some("amount_minor"));
    assert_eq!(unknown(|d| d.currency = "XXX".into()), Some("currency"));
    assert_eq!(unknown(|d| d.sequence = Some(0)), Some("sequence"));
    assert_eq!(unknown(|d| d.merchant_id = Some("".into())), Some("merchant_id"));
}

#[test]
fn the_first_broken_rule_in_the_order_of_the_fields_is_told() {
    let both = refused(|d| {
        d.source = "".into();
        d.payment_id = "".into();
        d.amount_minor = 0;
    });
    assert_eq!(both, Some("payment_id"));
}

#[test]
fn an_error_message_stays_short_and_on_one_line_whatever_was_sent() {
    let told = message(|d| d.user_id = format!("{}\n{}", of('é', 40), of('x', 100_000)).into());
    assert!(told.len() < 300 && !told.contains('\n'), "{told}");
}
