//! The streams are worth something only if they reach every row and every reason; and whatever they do, the model
//! must keep the invariants of the design.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use millrace_model::form::TYPES_OF_V1;
use millrace_model::payment::Payment;
use millrace_model::streams::{self, NOW_MS};
use millrace_model::table::{self, Verdict};
use millrace_model::{Config, Disposition, Input, Model, Outcome, Record};
use serde_json::Value;

const SEEDS: u64 = 8;
const HOUR_MS: i64 = 3_600_000;

/// What the design says that each type may come to, by the table and the rules around it.
const ROWS: [(&str, &str); 16] = [
    ("payment.initiated", "applied already_initiated is_credit"),
    ("payment.authorized", "applied already_authorized is_credit"),
    ("payment.declined", "applied already_authorized is_credit"),
    ("payment.charged", "applied already_authorized is_credit"),
    ("payment.captured", "applied missing_authorization capture_exceeds_authorized is_credit"),
    ("payment.voided", "applied missing_authorization void_exceeds_authorized is_credit"),
    ("payment.expired", "applied missing_authorization authorization_closed amount_mismatch is_credit"),
    ("payment.adjusted", "applied missing_authorization authorization_closed adjust_below_captured is_credit"),
    ("refund.initiated", "applied missing_capture refund_exceeds_captured duplicate operation_conflict is_credit"),
    (
        "refund.succeeded",
        "applied amount_mismatch operation_closed missing_capture refund_exceeds_captured duplicate \
         operation_conflict is_credit",
    ),
    ("refund.failed", "applied missing_operation operation_closed amount_mismatch operation_conflict is_credit"),
    ("refund.unreferenced", "applied payment_exists is_credit"),
    ("dispute.opened", "applied missing_capture dispute_exceeds_captured operation_conflict is_credit"),
    ("dispute.won", "applied missing_operation operation_closed amount_mismatch operation_conflict is_credit"),
    ("dispute.lost", "applied missing_operation operation_closed amount_mismatch operation_conflict is_credit"),
    ("fee.charged", "applied missing_capture nothing_captured amount_overflow is_credit"),
];

/// Every reason of section 3, but for those that need a Kafka record or a database to come about.
const REASONS: &str = "malformed id_conflict outside_window sequence_conflict missing_sequence owner_mismatch \
    currency_mismatch merchant_mismatch unknown_type operation_conflict already_initiated already_authorized \
    capture_exceeds_authorized void_exceeds_authorized authorization_closed amount_mismatch adjust_below_captured \
    refund_exceeds_captured dispute_exceeds_captured nothing_captured operation_closed payment_exists is_credit \
    missing_authorization missing_operation missing_capture missing_predecessor amount_overflow";

/// A lane's life: records, now and then the parking limit, and claims by older and newer workers.
struct Run {
    model: Model,
    events: Vec<Value>,
    /// The outcomes that each call returned, with the partition that it was about.
    steps: Vec<Vec<Outcome>>,
    by_offset: BTreeMap<(i32, i64), usize>,
}

/// All tests look at the same runs, over two lanes.
static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| (0..SEEDS).map(|seed| run(seed, 2)).collect());

fn run(seed: u64, partitions: i32) -> Run {
    let events = streams::stream(seed, 5, 400, 12_000);
    let mut model = Model::new(Config::default());
    let (mut steps, mut by_offset) = (Vec::new(), BTreeMap::new());
    let older = || TYPES_OF_V1.into_iter().filter(|t| *t != "fee.charged" && *t != "dispute.won");
    for (offset, event) in events.iter().enumerate() {
        let partition = streams::partition_of(event, partitions);
        // Five days pass, a quarter of a day at a time, so that some wait too long.
        let quarters = (offset * 20 / events.len()) as i64;
        let now_ms = NOW_MS + quarters * 6 * HOUR_MS;
        by_offset.insert((partition, offset as i64), offset);
        let offset_i64 = offset as i64;
        steps.push(model.record(&Record { partition, offset: offset_i64, input: Input::Event(event), now_ms }));
        if offset % 100 == 0 {
            (0..partitions).for_each(|p| steps.push(model.expire(p, now_ms)));
        }
        match offset % 2_000 {
            500 => (0..partitions).for_each(|p| steps.push(model.claim(p, older()))),
            900 => (0..partitions).for_each(|p| steps.push(model.claim(p, TYPES_OF_V1))),
            _ => {}
        }
    }
    Run { model, events, steps, by_offset }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome.disposition {
        Disposition::Applied { .. } => "applied",
        Disposition::Duplicate => "duplicate",
        Disposition::Parked { reason } | Disposition::Rejected { reason } => reason,
    }
}

#[test]
fn over_a_few_seeds_every_row_and_every_reason_occurs() {
    let mut rows: BTreeMap<(String, &str, bool), u64> = BTreeMap::new();
    for run in RUNS.iter() {
        for outcome in run.steps.iter().flatten() {
            let event = &run.events[run.by_offset[&(outcome.partition, outcome.offset)]];
            let event_type = event["event_type"].as_str().unwrap_or("").to_owned();
            *rows.entry((event_type, name(outcome), outcome.drained)).or_default() += 1;
        }
    }
    let seen = |t: &str, n: &str| rows.keys().any(|(a, b, _)| a == t && *b == n);
    let mut missing = Vec::new();
    for (event_type, names) in ROWS {
        let unseen = names.split_whitespace().filter(|n| !seen(event_type, n));
        missing.extend(unseen.map(|n| format!("{event_type} {n}")));
    }
    let reasons: BTreeSet<&str> = rows.keys().map(|(_, n, _)| *n).collect();
    missing.extend(REASONS.split_whitespace().filter(|r| !reasons.contains(r)).map(str::to_owned));
    for drained in ["applied", "duplicate", "operation_conflict", "sequence_conflict", "unknown_type"] {
        if !rows.keys().any(|(_, n, d)| *d && *n == drained) {
            missing.push(format!("drained: {drained}"));
        }
    }
    assert!(missing.is_empty(), "never seen: {missing:#?}\nseen: {rows:#?}");
}

#[test]
fn every_record_has_exactly_one_disposition_and_every_parked_one_leaves_at_most_once() {
    for run in RUNS.iter() {
        let mut first: BTreeMap<(i32, i64), &Disposition> = BTreeMap::new();
        let mut left = BTreeSet::new();
        for outcome in run.steps.iter().flatten() {
            let at = (outcome.partition, outcome.offset);
            if outcome.drained {
                assert!(matches!(first[&at], Disposition::Parked { .. }), "{outcome:?} was never parked");
                assert!(!matches!(outcome.disposition, Disposition::Parked { .. }), "{outcome:?}");
                assert!(left.insert(at), "{outcome:?} left twice");
            } else {
                assert!(first.insert(at, &outcome.disposition).is_none(), "{outcome:?} came twice");
            }
        }
        assert_eq!(first.len(), run.events.len());
        let parked: BTreeSet<(i32, i64)> =
            first.iter().filter(|(_, d)| matches!(d, Disposition::Parked { .. })).map(|(at, _)| *at).collect();
        let waiting: BTreeSet<(i32, i64)> = run.model.parked().iter().map(|(p, w)| (*p, w.offset)).collect();
        assert_eq!(parked.difference(&left).copied().collect::<BTreeSet<_>>(), waiting);
    }
}

#[test]
fn balances_add_up_to_zero_and_every_transfer_is_positive_between_two_accounts() {
    for Run { model, .. } in RUNS.iter() {
        let mut by_currency: BTreeMap<String, i128> = BTreeMap::new();
        for ((_, currency), sum) in model.balances() {
            *by_currency.entry(currency).or_default() += sum;
        }
        assert!(by_currency.len() > 3 && by_currency.values().all(|sum| *sum == 0), "{by_currency:?}");
        for t in model.transfers() {
            assert!(t.amount_minor > 0 && t.debit_account != t.credit_account, "{t:?}");
        }
    }
}

#[test]
fn counters_stay_within_what_was_authorized_and_captured() {
    for Run { model, .. } in RUNS.iter() {
        for (id, p) in model.payments() {
            assert!(p.captured + p.voided <= p.authorized, "{id} {p:?}");
            assert!(p.refunded + p.refund_pending <= p.captured || p.credit, "{id} {p:?}");
            assert!(p.disputed + p.lost <= p.captured, "{id} {p:?}");
            assert!(p.counters().iter().all(|(_, sum)| *sum >= 0), "{id} {p:?}");
        }
    }
}

#[test]
fn no_event_id_is_applied_twice_and_none_has_a_transfer_without_being_applied() {
    for run in RUNS.iter() {
        let mut applied = BTreeSet::new();
        for outcome in run.steps.iter().flatten().filter(|o| name(o) == "applied") {
            assert!(applied.insert(outcome.event_id), "{outcome:?} a second time");
        }
        assert!(run.model.transfers().iter().all(|t| applied.contains(&Some(t.event_id))));
    }
}

#[test]
fn folding_a_payments_events_by_version_gives_its_state_but_for_the_last_sequence() {
    for Run { model, .. } in RUNS.iter() {
        for (id, state) in model.payments() {
            let mut folded = Payment::default();
            for event in model.applied(&id) {
                match table::decide(&folded, &event.content) {
                    Verdict::Apply(next, _) => folded = *next,
                    other => panic!("{id}: {event:?} would be {other:?}"),
                }
            }
            // Numbers that rejected events used up are in no applied event.
            folded.last_sequence = state.last_sequence;
            assert_eq!(&folded, state);
        }
    }
}

#[test]
fn a_stream_is_a_function_of_its_arguments() {
    assert_eq!(streams::stream(7, 3, 9, 500), streams::stream(7, 3, 9, 500));
    assert_ne!(streams::stream(7, 3, 9, 500), streams::stream(8, 3, 9, 500));
    assert_eq!(streams::stream(7, 1, 1, 10).len(), 10);
}
