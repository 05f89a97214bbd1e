//! What the stream promises, checked on its JSON alone. Whether the totals are right for the disturbed streams is
//! proved elsewhere, against the independent model and the pipeline itself.

use std::collections::{BTreeMap, BTreeSet};

use millrace_generator::{Expected, Options, Outcome, Profile, stream, write_ndjson};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

type Anything = Result<(), Box<dyn std::error::Error>>;

/// Everything that can go wrong, often.
fn rough(lines: u64) -> Options {
    Options {
        lines,
        duplicates: 0.05,
        reorder: 0.08,
        conflicts: 0.02,
        invalid: 0.02,
        mistakes: 0.05,
        start: Some(datetime!(2026-03-01 00:00 UTC)),
        ..Options::default()
    }
}

fn bytes(options: Options) -> Result<(Vec<u8>, Expected), Box<dyn std::error::Error>> {
    let mut out = Vec::new();
    let mut lines = stream(options)?;
    write_ndjson(lines.by_ref(), &mut out)?;
    Ok((out, lines.expected()))
}

fn read(options: Options) -> Result<(Vec<Value>, Expected), Box<dyn std::error::Error>> {
    let (out, expected) = bytes(options)?;
    let lines = out.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice);
    Ok((lines.collect::<Result<_, _>>()?, expected))
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

fn is_event(line: &&Value) -> bool {
    line.get("raw").is_none()
}

/// The fields of the content hash.
fn content(event: &Value) -> Vec<Value> {
    const FIELDS: [&str; 10] = [
        "event_type",
        "payment_id",
        "user_id",
        "merchant_id",
        "operation_id",
        "sequence",
        "amount_minor",
        "currency",
        "occurred_at",
        "source",
    ];
    FIELDS.map(|field| event[field].clone()).to_vec()
}

/// Republished lines with the content as before, and with another.
fn repeats(lines: &[Value]) -> (u64, u64) {
    let mut first = BTreeMap::new();
    let (mut same, mut other) = (0, 0);
    for event in lines.iter().filter(is_event) {
        match first.get(text(event, "event_id")) {
            None => {
                first.insert(text(event, "event_id"), content(event));
            }
            Some(earlier) if *earlier == content(event) => same += 1,
            Some(_) => other += 1,
        }
    }
    (same, other)
}

#[test]
fn the_same_seed_and_start_give_the_same_bytes_and_another_seed_gives_others() -> Anything {
    let first = bytes(rough(20_000))?;
    assert!(first == bytes(rough(20_000))?, "two runs of one seed differ");
    assert!(first.0 != bytes(Options { seed: 2, ..rough(20_000) })?.0, "two seeds gave the same stream");
    Ok(())
}

#[test]
fn the_totals_do_not_depend_on_when_the_stream_starts() -> Anything {
    let (_, fixed) = bytes(rough(5_000))?;
    let (_, now) = bytes(Options { start: None, ..rough(5_000) })?;
    assert_eq!(fixed.outcome.differences(&now.outcome), []);
    assert_eq!(fixed.start, "2026-03-01T00:00:00Z");
    let start = OffsetDateTime::parse(&now.start, &Rfc3339)?;
    let (age, week) = (OffsetDateTime::now_utc() - start, Duration::days(7));
    assert!(age >= week && age < week + Duration::minutes(5), "a stream without a start ends now, not {start} + 7 d");
    Ok(())
}

#[test]
fn there_are_exactly_as_many_lines_as_asked_for_and_each_is_accounted_for_once() -> Anything {
    for lines in [0, 1, 2, 3, 10, 99, 1_000, 7_777] {
        for profile in [Profile::Lifecycle, Profile::Charges] {
            let (found, expected) = read(Options { profile, ..rough(lines) })?;
            assert_eq!((found.len() as u64, expected.published), (lines, lines));
            let Outcome { applied, duplicates, rejected, parked, .. } = expected.outcome;
            let accounted = applied + duplicates + rejected.values().sum::<u64>() + parked.values().sum::<u64>();
            assert_eq!(accounted, lines, "{profile:?}");
            let ids: BTreeSet<&str> = found.iter().filter(is_event).map(|e| text(e, "event_id")).collect();
            assert_eq!(ids.len() as u64, expected.distinct, "{profile:?}");
        }
    }
    Ok(())
}

#[test]
fn every_event_keeps_the_rules_of_form() -> Anything {
    const NAMES: [&str; 14] = [
        "amount_minor",
        "causation_id",
        "correlation_id",
        "currency",
        "event_id",
        "event_type",
        "merchant_id",
        "metadata",
        "occurred_at",
        "operation_id",
        "payment_id",
        "sequence",
        "source",
        "user_id",
    ];
    let may_be_0 = ["payment.initiated", "payment.declined", "payment.expired"];
    let names_operation = ["refund.initiated", "refund.failed", "dispute.opened", "dispute.won", "dispute.lost"];
    for event in read(rough(50_000))?.0.iter().filter(is_event) {
        let names: Vec<&str> = event.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        assert_eq!(BTreeSet::from_iter(names), BTreeSet::from(NAMES), "{event}");
        for field in ["event_id", "payment_id", "operation_id", "causation_id"] {
            if let Some(id) = event[field].as_str() {
                assert_eq!(Uuid::parse_str(id)?.get_version_num(), 7, "{field} of {event}");
            }
        }
        let kind = text(event, "event_type");
        let amount = event["amount_minor"].as_i64().ok_or("amount_minor is no integer")?;
        assert!(amount > 0 || (amount == 0 && may_be_0.contains(&kind)), "{event}");
        assert!(amount < 1 << 53, "{event}");
        assert!(["GBP", "EUR", "USD", "JPY", "KWD"].contains(&text(event, "currency")), "{event}");
        for field in ["user_id", "source"] {
            assert!((1..=64).contains(&text(event, field).len()), "{event}");
        }
        let is_free = ["payment.initiated", "payment.declined"].contains(&kind);
        assert!(is_free || event["merchant_id"].is_string(), "{event}");
        assert!(!names_operation.contains(&kind) || event["operation_id"].is_string(), "{event}");
        assert!(event["sequence"].is_null() || event["sequence"].as_u64() >= Some(1), "{event}");
        assert!(event["metadata"].as_object().is_some_and(|map| map.values().all(Value::is_string)), "{event}");
    }
    Ok(())
}

#[test]
fn the_time_of_an_event_is_within_the_span_and_in_its_id() -> Anything {
    let (start, end) = (datetime!(2026-03-01 00:00 UTC), datetime!(2026-03-08 00:00 UTC));
    let (mut ancient, mut first) = (0, BTreeSet::new());
    let (lines, expected) = read(rough(20_000))?;
    for event in lines.iter().filter(is_event).filter(|event| first.insert(text(event, "event_id").to_owned())) {
        let at = OffsetDateTime::parse(text(event, "occurred_at"), &Rfc3339)?;
        let id_ms = Uuid::parse_str(text(event, "event_id"))?.as_u128() >> 80;
        assert_eq!(id_ms as i128, at.unix_timestamp_nanos() / 1_000_000, "{event}");
        ancient += u64::from(at.year() == 1971);
        assert!(at.year() == 1971 || (start..end).contains(&at), "{event}");
    }
    assert_eq!(expected.outcome.rejected.get("outside_window"), Some(&ancient));
    Ok(())
}

#[test]
fn the_rates_are_met() -> Anything {
    let options = rough(100_000);
    let (lines, expected) = read(options.clone())?;
    let total = lines.len() as f64;
    let (same, other) = repeats(&lines);
    let raw = lines.iter().filter(|line| !is_event(line)).count() as f64;
    let events = expected.distinct as f64;
    // Duplicates that are not republished lines are operations under a second event id.
    let wrong = expected.outcome.rejected.values().chain(expected.outcome.parked.values()).sum::<u64>();
    let mistakes = wrong as f64 - raw - other as f64 + (expected.outcome.duplicates - same) as f64;
    let rates = [
        ("duplicates", same as f64 / total, options.duplicates),
        ("conflicts", other as f64 / total, options.conflicts),
        ("invalid", raw / total, options.invalid),
        ("reorder", expected.late as f64 / events, options.reorder),
        // Overtaken refund initiations are duplicates too: a few more.
        ("mistakes", mistakes / events, options.mistakes),
    ];
    for (name, found, asked) in rates {
        assert!((found / asked - 1.0).abs() < 0.15, "{name}: {found} instead of {asked}");
    }
    assert_eq!(expected.outcome.rejected.get("id_conflict"), Some(&other));
    Ok(())
}

#[test]
fn the_totals_of_a_clean_stream_are_those_of_its_lines() -> Anything {
    let (lines, expected) = read(Options { lines: 30_000, ..Options::clean() })?;
    let (mut by_type, mut sum_minor) = (BTreeMap::new(), BTreeMap::new());
    for event in &lines {
        let (kind, currency) = (text(event, "event_type"), text(event, "currency"));
        *by_type.entry(kind.to_owned()).or_insert(0) += 1;
        *sum_minor.entry(format!("{kind} {currency}")).or_insert(0) += event["amount_minor"].as_i64().unwrap_or(0);
    }
    let outcome = &expected.outcome;
    assert_eq!((outcome.applied, outcome.duplicates, outcome.drained_applied), (30_000, 0, 0));
    assert_eq!((&outcome.by_type, &outcome.sum_minor), (&by_type, &sum_minor));
    for currency in ["GBP", "EUR", "USD", "JPY", "KWD"] {
        let sum = |kind: &str| sum_minor.get(&format!("{kind} {currency}")).copied().unwrap_or(0);
        let balance = |account: &str| outcome.balances_minor[&format!("{account} {currency}")];
        let taken = sum("payment.captured") + sum("payment.charged") + sum("dispute.won");
        let given = sum("refund.succeeded") + sum("refund.unreferenced") + sum("dispute.opened");
        assert_eq!(balance("psp_receivable"), taken - given, "{currency}");
        assert_eq!(balance("fee_revenue"), -sum("fee.charged"), "{currency}");
        let disputed = sum("dispute.opened") - sum("dispute.won") - sum("dispute.lost");
        assert_eq!(balance("dispute_receivable"), disputed, "{currency}");
    }
    let payments: BTreeSet<&str> = lines.iter().map(|event| text(event, "payment_id")).collect();
    assert_eq!(outcome.payments_by_status.values().sum::<u64>(), payments.len() as u64);
    Ok(())
}

#[test]
fn the_expected_balances_sum_up_to_0_in_each_currency() -> Anything {
    let (_, expected) = bytes(rough(50_000))?;
    let (mut sums, mut merchants) = (BTreeMap::new(), BTreeMap::new());
    for (name, minor) in &expected.outcome.balances_minor {
        let (account, currency) = name.split_once(' ').ok_or("a balance has an account and a currency")?;
        *sums.entry(currency.to_owned()).or_insert(0) += minor;
        if account.starts_with("merchant_payable:") {
            *merchants.entry(currency.to_owned()).or_insert(0) += minor;
        }
    }
    assert_eq!(sums.into_iter().collect::<Vec<_>>(), ["EUR", "GBP", "JPY", "KWD", "USD"].map(|c| (c.to_owned(), 0)));
    assert_eq!(merchants, expected.outcome.merchant_payable_minor);
    Ok(())
}

#[test]
fn every_type_status_and_reason_occurs() -> Anything {
    let Outcome { rejected, parked, by_type, payments_by_status, drained_applied, .. } =
        bytes(rough(100_000))?.1.outcome;
    let reasons = "adjust_below_captured already_authorized already_initiated amount_mismatch authorization_closed \
        capture_exceeds_authorized currency_mismatch dispute_exceeds_captured id_conflict is_credit malformed \
        merchant_mismatch nothing_captured operation_closed operation_conflict outside_window payment_exists \
        refund_exceeds_captured sequence_conflict unknown_schema void_exceeds_authorized";
    let statuses = "authorized captured charged_back credit declined disputed initiated partially_captured \
        partially_refunded refunded voided";
    let waiting = "missing_authorization missing_capture missing_operation missing_sequence";
    for (found, names) in [(rejected, reasons), (payments_by_status, statuses), (parked, waiting)] {
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), names.split_whitespace().collect::<Vec<_>>());
    }
    assert_eq!(by_type.len(), 16);
    assert!(drained_applied > 0);
    Ok(())
}

#[test]
fn each_kind_of_lateness_occurs() -> Anything {
    let (lines, _) = read(Options { lines: 50_000, reorder: 0.08, ..Options::clean() })?;
    let mut seen: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for event in &lines {
        let before = seen.entry(text(event, "payment_id")).or_default();
        let came = |kind: &str| before.iter().any(|earlier| text(earlier, "event_type").starts_with(kind));
        let own = |kind: &str| {
            before.iter().any(|e| text(e, "event_type") == kind && e["operation_id"] == event["operation_id"])
        };
        if event["sequence"].is_u64() {
            let is_late = before.iter().any(|e| e["sequence"].as_u64() > event["sequence"].as_u64());
            found.extend(is_late.then_some("numbered, in any order"));
        } else {
            let late = match text(event, "event_type") {
                "payment.authorized" => came("payment.captured").then_some("captured before authorized"),
                "payment.captured" => came("refund.").then_some("refunded before captured"),
                "payment.charged" => came("refund.").then_some("refunded before charged"),
                "payment.initiated" => (!before.is_empty()).then_some("initiated last"),
                "refund.initiated" if own("refund.failed") => Some("refund failed before initiated"),
                "refund.initiated" => own("refund.succeeded").then_some("refund succeeded before initiated"),
                "dispute.opened" => came("dispute.").then_some("dispute ended before opened"),
                _ => None,
            };
            found.extend(late);
        }
        before.push(event);
    }
    assert_eq!(found.len(), 8, "{found:?}");
    Ok(())
}

#[test]
fn all_events_of_a_payment_have_one_user_and_name_the_one_before_as_their_cause() -> Anything {
    let (lines, _) = read(Options { lines: 20_000, ..Options::clean() })?;
    let mut payments: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for event in &lines {
        let (user, id) = (text(event, "user_id"), text(event, "event_id"));
        let before = payments.insert(text(event, "payment_id"), (user, id));
        assert_eq!(before.map_or(user, |(user, _)| user), user, "{event}");
        assert_eq!(event["causation_id"].as_str(), before.map(|(_, id)| id), "{event}");
    }
    Ok(())
}

#[test]
fn popularity_is_skewed_and_one_user_can_be_made_hot() -> Anything {
    let share_of_first = |options| -> Result<f64, Box<dyn std::error::Error>> {
        let (lines, _) = read(options)?;
        let first = lines.iter().filter(|event| text(event, "user_id") == "user-0000001").count();
        Ok(first as f64 / lines.len() as f64)
    };
    let charges = Options { lines: 50_000, profile: Profile::Charges, ..Options::clean() };
    let skewed = share_of_first(charges.clone())?;
    assert!((0.01..0.1).contains(&skewed), "{skewed}");
    let hot = share_of_first(Options { hot_user_share: 0.4, ..charges })?;
    assert!((0.4..0.5).contains(&hot), "{hot}");
    Ok(())
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let refused = |options: Options| stream(options).map(|_| ()).map_err(|error| error.to_string());
    let cases = [
        (Options { duplicates: 0.6, ..Options::default() }, "duplicates: 0.6"),
        (Options { reorder: -0.1, ..Options::default() }, "reorder: -0.1"),
        (Options { mistakes: f64::NAN, ..Options::default() }, "mistakes: NaN"),
        (Options { duplicates: 0.3, invalid: 0.3, ..Options::default() }, "together 0.6"),
        (Options { users: 0, ..Options::default() }, "users: 0"),
        (Options { merchants: 0, ..Options::default() }, "merchants: 0"),
        (Options { span: Duration::ZERO, ..Options::default() }, "span: 0"),
        (Options { start: Some(datetime!(1969-01-01 00:00 UTC)), ..Options::default() }, "start: 1969"),
    ];
    for (options, start) in cases {
        let error = refused(options).expect_err(start);
        assert!(error.contains(start), "{error}");
    }
}

#[test]
fn a_single_unit_that_is_missing_is_a_difference_and_nothing_else_is() -> Anything {
    let (_, expected) = bytes(rough(5_000))?;
    let mut found: Expected = serde_json::from_str(&serde_json::to_string(&expected)?)?;
    assert_eq!(found, expected);
    *found.outcome.balances_minor.entry("psp_receivable GBP".to_owned()).or_default() -= 1;
    found.outcome.rejected.insert("unheard_of".to_owned(), 1);
    found.outcome.parked.insert("missing_nothing".to_owned(), 0);
    let differences = expected.outcome.differences(&found.outcome);
    let figures: Vec<&str> = differences.iter().map(|difference| difference.figure.as_str()).collect();
    assert_eq!(figures, ["balances_minor psp_receivable GBP", "rejected unheard_of"]);
    Ok(())
}
