//! A lane expects more of what it saw last, new payments or a replay or nothing parked: here it is wrong.

use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::events::{charge, event, next, record_in, with};
use millrace_tests::worker::Worker;
use serde_json::Value;

const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// More than a lane wants to see in a row before it takes payments for new; and after one mistake.
const ENOUGH: usize = 2_500;

fn new_payments(count: usize) -> Vec<Value> {
    (0..count).map(|n| charge(&format!("u-{}", n % 50), 100 + n as i64)).collect()
}

async fn look_ups(worker: &Worker) -> u64 {
    retries(worker, "look_up").await
}

async fn retries(worker: &Worker, remedy: &str) -> u64 {
    let (_, metrics) = worker.get("/metrics").await;
    let line = metrics.lines().find(|line| line.contains(&format!("remedy=\"{remedy}\"")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

async fn publish(pipeline: &Pipeline, events: &[Value]) {
    pipeline.publish(events.iter().map(|event| record_in(0, event))).await;
    pipeline.drained(DRAIN_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_taken_for_new_and_is_not_ends_as_if_it_had_been_read() {
    let pipeline = Pipeline::of("novelty", 1, "").await;
    // It remembers next to nothing, so that every old payment is one that it would have to read.
    let worker = pipeline.worker().with(&["--remembered-payments-max", "1", "--batch-records-max", "500"]).start();
    let old = new_payments(ENOUGH);
    publish(&pipeline, &old).await;
    assert_eq!(look_ups(&worker).await, 0, "so far every payment was new");

    // Taken for new, neither of these would apply, and so meets no key that could catch it.
    publish(&pipeline, &[next(&old[0], "refund.succeeded", 40)]).await;
    publish(&pipeline, &[next(&old[1], "payment.captured", 1)]).await;
    assert_eq!(look_ups(&worker).await, 0, "an event that does not apply is looked up before anything is written");

    // And what would apply meets the key of payments, or of events.
    publish(&pipeline, &new_payments(8 * ENOUGH)).await;
    publish(&pipeline, &[next(&old[2], "payment.charged", 7)]).await;
    assert_eq!(look_ups(&worker).await, 1, "the key of payments caught it");
    let mut mixed = new_payments(16 * ENOUGH);
    mixed.extend([
        next(&old[3], "refund.succeeded", 10),
        old[4].clone(),
        with(old[5].clone(), "amount_minor", 1),
        next(&old[6], "payment.voided", 5),
        next(&old[7], "payment.charged", 9),
    ]);
    publish(&pipeline, &mixed).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_payments_are_those_that_are_remembered_and_a_publisher_that_tries_again_costs_no_batch() {
    let pipeline = Pipeline::of("latest", 1, "").await;
    let worker = pipeline.worker().with(&["--remembered-payments-max", "50", "--batch-records-max", "500"]).start();
    publish(&pipeline, &new_payments(ENOUGH)).await;
    for _ in 0..5 {
        let events = new_payments(700);
        publish(&pipeline, &events).await;
        publish(&pipeline, &events[660..]).await;
    }
    assert_eq!(look_ups(&worker).await, 0, "not one of them was taken for new");
    assert_eq!(pipeline.ledger.counts().await["duplicate"], 5 * 40);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_within_a_replay_is_judged_by_its_payment_and_what_is_not_by_its_id() {
    let pipeline = Pipeline::of("replay", 1, "").await;
    let worker = pipeline.worker().with(&["--remembered-payments-max", "1", "--batch-records-max", "500"]).start();
    let first = new_payments(ENOUGH);
    let waits = next(&first[0], "refund.succeeded", 999_999_999);
    let waits_on_nothing = with(waits.clone(), "payment_id", new_payments(1)[0]["payment_id"].clone());
    publish(&pipeline, &first).await;
    publish(&pipeline, std::slice::from_ref(&waits_on_nothing)).await;

    // The first batches tell the lane that it is a replay; then other things come in between.
    let mut again = first.clone();
    again.splice(
        1_500..1_500,
        [
            next(&first[1], "refund.succeeded", 40),
            with(first[2].clone(), "amount_minor", 1),
            next(&first[3], "payment.voided", 5),
            next(&first[4], "payment.charged", 9),
            waits_on_nothing.clone(),
            waits,
        ],
    );
    again.extend(new_payments(300));
    again.extend(first.iter().take(700).cloned());
    publish(&pipeline, &again).await;
    assert_eq!(look_ups(&worker).await, 1, "a key said once that the replay had begun");
    publish(&pipeline, &new_payments(ENOUGH)).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_lane_parked_is_found_though_nothing_was_expected() {
    let pipeline = Pipeline::of("quiet", 2, "").await;
    let worker = pipeline.worker().with(&["--remembered-payments-max", "1"]).start();
    let publish = async |partition, events: &[&Value]| {
        pipeline.publish(events.iter().map(|event| record_in(partition, event))).await;
        pipeline.drained(DRAIN_WITHIN).await;
    };
    let (first, second) = (charge("u-1", 100), charge("u-2", 100));
    publish(0, &[&first]).await;
    publish(1, &[&second]).await;
    assert_eq!(retries(&worker, "look_for_parked").await, 0, "nothing is parked");

    // The lane of partition 1 has not seen these, and still expects nothing.
    let early = event("payment.captured", "u-1", 100);
    let too_much = next(&first, "refund.succeeded", 70);
    publish(0, &[&early, &too_much]).await;
    publish(1, &[&early, &with(too_much.clone(), "amount_minor", 71)]).await;
    assert_eq!(retries(&worker, "look_for_parked").await, 1, "the fence said that something is parked");

    // Then it looks, in a large batch too: what waits is drained, whose id is parked is not applied twice.
    let many = new_payments(300);
    publish(1, &many.iter().chain([&early]).collect::<Vec<_>>()).await;
    publish(0, &[&next(&early, "payment.authorized", 100)]).await;
    publish(0, &many.iter().take(5).chain([&early]).collect::<Vec<_>>()).await;
    assert_eq!(retries(&worker, "look_for_parked").await, 1);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_that_expects_nothing_parked_looks_too() {
    let pipeline = Pipeline::of("quiet-large", 2, "").await;
    let early = event("payment.captured", "u-1", 100);
    let (many, more) = (new_payments(2_000), new_payments(2_000));
    pipeline.publish([record_in(0, &early)]).await;
    let mut parks = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    parks.kill_9();

    // A backlog: the first batch of each lane is large, and expects nothing.
    pipeline.publish(many.iter().map(|event| record_in(0, event))).await;
    pipeline.publish([record_in(0, &next(&early, "payment.authorized", 100))]).await;
    pipeline.publish(more.iter().chain([&early]).map(|event| record_in(1, event))).await;
    let worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    assert!(retries(&worker, "look_for_parked").await >= 1);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
