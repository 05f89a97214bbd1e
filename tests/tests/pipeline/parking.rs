//! What waits: the parking limit without a record that comes along, what it drains, and the accepted window.

use std::time::Duration;

use millrace_model::Config;
use millrace_tests::compare::{self, Judged};
use millrace_tests::events::{charge, event, id_of, new_id, next, now_ms, record_in, with};
use millrace_tests::ledger::by_reason;
use millrace_tests::{Pipeline, until};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_too_long_is_rejected_without_a_record_and_its_followers_are_drained() {
    let pipeline = Pipeline::of("limit", 2, "").await;
    let unknown = event("payout.sent", "u-1", 100);
    let early = event("payment.captured", "u-1", 100);
    let no_operation = with(event("refund.failed", "u-2", 50), "operation_id", charge("x", 1)["event_id"].clone());
    // Number 1 never comes: number 2 is given up, its number counts as used, and number 3 applies.
    let second = with(event("payment.captured", "u-2", 100), "sequence", 2);
    let third = with(next(&second, "payment.authorized", 100), "sequence", 3);
    let records = [(0, &unknown), (0, &early), (1, &no_operation), (1, &second), (1, &third)];
    pipeline.publish(records.map(|(partition, event)| record_in(partition, event))).await;
    let mut worker = pipeline.worker().with(&["--parking-limit", "2s"]).start();
    pipeline.drained(SOON).await;
    pipeline.nothing_parked(SOON).await;
    worker.assert_running();
    let letters = pipeline.ledger.dead_letters().await;
    assert_eq!(by_reason(&letters), [("missing_predecessor", 3), ("unknown_type", 1)].into());
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["parked"], counts["drained_rejected"], counts["drained_applied"]), (5, 4, 1), "{counts:?}");
    let empty = "SELECT count(*) FROM millrace.batches WHERE from_offset = to_offset AND drained_rejected > 0";
    assert!(pipeline.ledger.number(empty).await >= 2, "each lane writes a batch of its own for it");

    let mut judged = Judged::new(Config { parking_limit_ms: 2_000, ..Config::default() });
    judged.feed(&pipeline.topic.read(), &pipeline.ledger.proofs().await);
    (0..2).for_each(|partition| judged.expire(partition, 60_000));
    compare::assert_none(&judged.differences(&pipeline.ledger).await, &pipeline.name);

    // Whoever comes with a number that was given up is too late.
    let first = with(next(&second, "payment.initiated", 100), "sequence", 1);
    pipeline.publish([record_in(1, &first)]).await;
    pipeline.drained(SOON).await;
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await)["sequence_conflict"], 1);
    pipeline.finish().await;
}

/// As when more partitions move a user: what the old lane applies is nothing that the new one wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_rejects_nothing_by_what_it_remembers_of_a_payment_that_another_lane_has_changed() {
    let pipeline = Pipeline::of("remembered", 2, "").await;
    let authorized = with(event("payment.authorized", "u-1", 1_000), "sequence", 1);
    let waits = with(next(&authorized, "payment.captured", 500), "sequence", 2);
    pipeline.publish([record_in(0, &waits)]).await;
    let mut worker = pipeline.worker().with(&["--parking-limit", "5s"]).start();
    pipeline.drained(SOON).await;
    pipeline.publish([&authorized, &next(&authorized, "payment.captured", 300)].map(|e| record_in(1, e))).await;
    pipeline.nothing_parked(SOON).await;
    let captured = "SELECT captured FROM millrace.payments";
    assert_eq!(pipeline.ledger.number(captured).await, 800, "the old lane's is applied when it would be too old");
    // More than the new lane has captured by itself.
    let refund = with(next(&authorized, "refund.succeeded", 700), "operation_id", new_id().to_string());
    pipeline.publish([record_in(1, &refund)]).await;
    pipeline.drained(SOON).await;
    worker.assert_running();
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [].into());
    assert_eq!(pipeline.ledger.number("SELECT refunded FROM millrace.payments").await, 700);
    pipeline.finish().await;
}

/// As when more partitions move a user to another lane while something of hers waits in the old one.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_one_lane_is_applied_when_another_lane_has_applied_what_it_waits_for() {
    let pipeline = Pipeline::of("moved", 2, "").await;
    let early = event("payment.captured", "u-1", 100);
    let alone = event("payment.captured", "u-2", 100);
    pipeline.publish([record_in(0, &early), record_in(0, &alone)]).await;
    let mut worker = pipeline.worker().with(&["--parking-limit", "5s"]).start();
    pipeline.drained(SOON).await;
    assert_eq!(pipeline.ledger.parked().await.len(), 2);
    pipeline.publish([record_in(1, &next(&early, "payment.authorized", 100))]).await;
    pipeline.nothing_parked(SOON).await;
    worker.assert_running();
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["drained_applied"], counts["drained_rejected"]), (1, 1), "{counts:?}");
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("missing_predecessor", 1)].into());
    pipeline.audit().await;
    pipeline.finish().await;
}

/// The same where all that the other lane did was to use a number up.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_one_lane_for_a_number_that_another_lane_used_up_is_applied() {
    let pipeline = Pipeline::of("moved-number", 2, "").await;
    let second = with(event("payment.authorized", "u-1", 100), "sequence", 2);
    let first = with(next(&second, "payout.sent", 1), "sequence", 1);
    let mut worker = pipeline.worker().start();
    for (partition, event) in [(0, &second), (1, &first)] {
        pipeline.publish([record_in(partition, event)]).await;
        pipeline.drained(SOON).await;
    }
    worker.terminate();
    worker.ended(SOON).await;
    assert_eq!(pipeline.ledger.parked().await.len(), 2);
    // Nothing is rejected before it was looked at once more.
    let _second = pipeline.worker().with(&["--parking-limit", "1s"]).start();
    pipeline.nothing_parked(SOON).await;
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("unknown_type", 1)].into());
    assert_eq!(pipeline.ledger.number("SELECT authorized FROM millrace.payments").await, 100);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_counts_on_while_no_worker_runs() {
    let pipeline = Pipeline::of("limit-away", 1, "").await;
    pipeline.publish([record_in(0, &event("payment.captured", "u-1", 100))]).await;
    let mut first = pipeline.worker().start();
    pipeline.drained(SOON).await;
    first.kill_9();
    assert_eq!(pipeline.ledger.parked().await.len(), 1);
    pipeline.ledger.execute("UPDATE millrace.parked SET since = since - interval '73 hours'").await;
    let _second = pipeline.worker().start();
    until("it is rejected", SOON, async || {
        let letters = pipeline.ledger.dead_letters().await;
        if by_reason(&letters) == [("missing_predecessor", 1)].into() { Ok(()) } else { Err(format!("{letters:?}")) }
    })
    .await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_outside_of_the_window_is_rejected_and_a_wider_window_takes_it() {
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    let pipeline = Pipeline::of("window", 1, "").await;
    let of_year = |years: i64| with(charge("u-1", 100), "event_id", id_of(now_ms() - years * YEAR_MS).to_string());
    let (old, older) = (of_year(3), of_year(12));
    let ahead = with(charge("u-1", 100), "event_id", id_of(now_ms() + 2 * 3_600_000).to_string());
    let all = || [&old, &older, &ahead].map(|event| record_in(0, event));
    pipeline.publish(all()).await;
    let mut narrow = pipeline.worker().start();
    pipeline.drained(SOON).await;
    narrow.kill_9();
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("outside_window", 3)].into());
    pipeline.agrees_with_the_model().await;

    pipeline.publish(all()).await;
    let wide = ["--window-back", "13y", "--window-ahead", "3h"];
    let _wide = pipeline.worker().with(&wide).start();
    pipeline.drained(SOON).await;
    assert_eq!(pipeline.ledger.counts().await["applied"], 3);
    let months = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'millrace.events'::regclass";
    assert!(pipeline.ledger.number(months).await > 13 * 12, "a month for all of the window");
    pipeline.finish().await;
}

/// Whatever a lane expects of the stream: after enough new payments it looks for none.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_stands_is_a_duplicate_or_a_conflict_beyond_the_window_too() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let pipeline = Pipeline::of("window-later", 1, "").await;
    let old = with(charge("u-1", 100), "event_id", id_of(now_ms() - 60 * DAY_MS).to_string());
    let mut wide = pipeline.worker().start();
    pipeline.publish([record_in(0, &old)]).await;
    pipeline.drained(SOON).await;
    wide.kill_9();
    let _narrow = pipeline.worker().with(&["--window-back", "30d", "--batch-records-max", "10"]).start();
    let thief = with(charge("u-2", 5), "event_id", old["event_id"].clone());
    let new = || (0..300).map(|n| record_in(0, &charge("u-3", 100 + n))).collect::<Vec<_>>();
    pipeline.publish(new()).await;
    pipeline.publish([record_in(0, &old), record_in(0, &charge("u-3", 1)), record_in(0, &thief)]).await;
    pipeline.publish(new()).await;
    pipeline.drained(SOON).await;
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["duplicate"], counts["rejected"]), (602, 1, 1), "{counts:?}");
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("id_conflict", 1)].into());
    pipeline.finish().await;
}
