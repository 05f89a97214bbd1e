//! Where two lanes meet: a payment of two users, an event id under two payments. The keys decide, once.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::events::{charge, event, next, record_in, with};
use millrace_tests::ledger::by_reason;
use serde_json::Value;

const DRAIN_WITHIN: Duration = Duration::from_secs(60);
const PAIRS: i64 = 300;

/// Publishes pairs to two partitions before any worker runs, so that the two lanes race; each second one loses.
async fn race(purpose: &str, rival: impl Fn(&Value) -> Value) -> Pipeline {
    let pairs: Vec<Value> = (0..PAIRS).map(|n| charge("first", 100 + n)).collect();
    let pipeline = race_of(purpose, &pairs, rival).await;
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["rejected"]), (PAIRS, PAIRS), "{counts:?}");
    pipeline
}

async fn race_of(purpose: &str, pairs: &[Value], rival: impl Fn(&Value) -> Value) -> Pipeline {
    let pipeline = Pipeline::of(purpose, 2, "").await;
    let rivals: Vec<Value> = pairs.iter().map(rival).collect();
    pipeline.publish(pairs.iter().map(|event| record_in(0, event))).await;
    pipeline.publish(rivals.iter().map(|event| record_in(1, event))).await;
    let plan = || pipeline.worker().with(&["--batch-records-max", "3"]);
    let _workers = [plan().start(), plan().start()];
    pipeline.drained(DRAIN_WITHIN).await;
    let applied = pipeline.ledger.applied().await;
    let mut by_lane: BTreeMap<i32, usize> = BTreeMap::new();
    applied.iter().for_each(|applied| *by_lane.entry(applied.place.0).or_default() += 1);
    eprintln!("{purpose}: won by partition {by_lane:?}");
    pipeline
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_users_who_race_for_a_payment_exactly_one_owns_it() {
    let other_user = |event: &Value| next(&with(event.clone(), "user_id", "second"), "payment.charged", 55);
    let pipeline = race("owners", other_user).await;
    let letters = pipeline.ledger.dead_letters().await;
    assert_eq!(by_reason(&letters), [("owner_mismatch", PAIRS as usize)].into());
    assert_eq!(pipeline.ledger.payments().await.len(), PAIRS as usize);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_that_races_under_two_payments_is_applied_once() {
    let other_payment = |event: &Value| with(charge("second", 66), "event_id", event["event_id"].clone());
    let pipeline = race("ids", other_payment).await;
    let letters = pipeline.ledger.dead_letters().await;
    assert_eq!(by_reason(&letters), [("id_conflict", PAIRS as usize)].into());
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

/// One lane may look at the ids before the other commits, and at the payments behind that.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_meets_two_lanes_at_once_is_applied_once_and_a_duplicate_once() {
    const EVENTS: i64 = 3_000;
    let numbered = |n: i64| with(charge("first", 100 + n), "sequence", if n % 2 == 0 { Value::Null } else { 1.into() });
    let events: Vec<Value> = (0..EVENTS).map(numbered).collect();
    let pipeline = race_of("same", &events, Value::clone).await;
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [].into());
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["duplicate"]), (EVENTS, EVENTS), "{counts:?}");
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_that_is_parked_in_one_lane_stands_in_every_other() {
    let pipeline = Pipeline::of("parked-ids", 2, "").await;
    let _worker = pipeline.worker().start();
    let parked = event("payment.captured", "first", 100);
    pipeline.publish([record_in(0, &parked)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let thief = with(charge("second", 100), "event_id", parked["event_id"].clone());
    pipeline.publish([record_in(1, &thief)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("id_conflict", 1)].into());
    let cause = next(&parked, "payment.authorized", 100);
    pipeline.publish([record_in(0, &cause)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["drained_applied"]), (1, 1), "{counts:?}");
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

/// Two lanes cannot see what the other has not committed: one may apply an id and the other park it. Both cannot stand.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_that_one_lane_parks_while_another_applies_it_ends_as_a_conflict() {
    let pipeline = Pipeline::of("parked-race", 2, "").await;
    const IDS: i64 = 1_500;
    let parked: Vec<Value> = (0..IDS).map(|n| event("payment.captured", "first", 100 + n)).collect();
    let thief = |event: &Value| with(charge("second", 66), "event_id", event["event_id"].clone());
    pipeline.publish(parked.iter().map(|event| record_in(0, event))).await;
    pipeline.publish(parked.iter().map(|event| record_in(1, &thief(event)))).await;
    let plan = || pipeline.worker().with(&["--batch-records-max", "3"]);
    let mut workers = [plan().start(), plan().start()];
    pipeline.drained(DRAIN_WITHIN).await;
    let both = "SELECT count(*) FROM millrace.parked JOIN millrace.events USING (event_id)";
    eprintln!("parked-race: {} ids are both applied and parked", pipeline.ledger.number(both).await);
    let mut verify = pipeline.run(&["verify", "--drained"]);
    assert!(verify.ended(DRAIN_WITHIN).await.success(), "{}", verify.said());
    for worker in &mut workers {
        worker.terminate();
        worker.ended(DRAIN_WITHIN).await;
    }
    let mut last = pipeline.worker().with(&["--parking-limit", "1s"]).start();
    pipeline.nothing_parked(DRAIN_WITHIN).await;
    last.assert_running();
    let applied = pipeline.ledger.applied().await.len();
    let letters = pipeline.ledger.dead_letters().await;
    let mut wanted = BTreeMap::from([("id_conflict", IDS as usize)]);
    if applied < IDS as usize {
        wanted.insert("missing_predecessor", IDS as usize - applied);
    }
    assert_eq!(by_reason(&letters), wanted);
    pipeline.finish().await;
}

/// The same with a ledger that was put into that state by hand, and what they wait for coming by.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_under_an_id_that_was_applied_is_rejected_when_it_would_be_drained() {
    let pipeline = Pipeline::of("parked-applied", 2, "").await;
    let _worker = pipeline.worker().start();
    let waits = event("payment.captured", "first", 40);
    let other = charge("second", 100);
    pipeline.publish([record_in(0, &waits), record_in(1, &other)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let (id, payment) = (waits["event_id"].as_str().expect("an id"), other["payment_id"].as_str().expect("an id"));
    pipeline
        .ledger
        .execute(format!(
            "UPDATE millrace.events SET event_id = '{id}' WHERE payment_id = '{payment}';
             UPDATE millrace.payments SET first_event_id = '{id}' WHERE payment_id = '{payment}'"
        ))
        .await;
    let clean = next(&waits, "payment.captured", 30);
    let cause = next(&waits, "payment.authorized", 100);
    pipeline.publish([record_in(0, &clean), record_in(0, &cause)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let counts = pipeline.ledger.counts().await;
    let found = (counts["parked"], counts["applied"], counts["drained_applied"], counts["drained_rejected"]);
    assert_eq!(found, (2, 2, 1, 1), "{counts:?}");
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("id_conflict", 1)].into());
    pipeline.finish().await;
}

/// Numbers belong to the lane of the payment's owner, whatever another lane finds parked for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_parked_changes_nothing_of_the_payment_when_it_is_judged_again_or_too_old() {
    let pipeline = Pipeline::of("stranger", 2, "").await;
    let numbered = |event: Value, number: i64| with(event, "sequence", number);
    let owned = |user: &str| numbered(event("payment.authorized", user, 20), 1);
    let of_stranger = |of: &Value, what: &str| with(next(of, what, 5), "user_id", "stranger");
    let (first, second) = (owned("owner"), owned("owner"));
    // One waits for a number, the others are judged again when the lane is claimed, for nobody knows the type.
    let strangers = [
        numbered(of_stranger(&first, "payment.captured"), 7),
        of_stranger(&second, "payout.sent"),
        numbered(of_stranger(&second, "payment.captured"), 2),
    ];
    let mut worker = pipeline.worker().start();
    pipeline.publish(strangers.iter().map(|event| record_in(0, event))).await;
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.publish([record_in(1, &first), record_in(1, &second)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    worker.terminate();
    worker.ended(DRAIN_WITHIN).await;
    assert_eq!(pipeline.ledger.parked().await.len(), 3);
    let _second = pipeline.worker().with(&["--parking-limit", "1s"]).start();
    pipeline.nothing_parked(DRAIN_WITHIN).await;
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("owner_mismatch", 3)].into());
    let rows = pipeline.ledger.texts("SELECT format('%s %s', partition, last_sequence) FROM millrace.payments").await;
    assert_eq!(rows.expect("the ledger answers"), ["1 1", "1 1"]);
    let captured = [&first, &second].map(|of| record_in(1, &numbered(next(of, "payment.captured", 20), 2)));
    pipeline.publish(captured).await;
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(pipeline.ledger.number("SELECT sum(captured)::bigint FROM millrace.payments").await, 40);
    pipeline.finish().await;
}
