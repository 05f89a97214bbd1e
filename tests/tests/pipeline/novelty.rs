//! A lane takes payments that it does not remember for new ones, once enough in a row were: here they are not.

use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::events::{charge, next, record_in, with};
use millrace_tests::worker::Worker;
use serde_json::Value;

const DRAIN_WITHIN: Duration = Duration::from_secs(60);
/// More than a lane wants to see in a row before it takes payments for new; and after one mistake.
const ENOUGH: usize = 2_500;

fn new_payments(count: usize) -> Vec<Value> {
    (0..count).map(|n| charge(&format!("u-{}", n % 50), 100 + n as i64)).collect()
}

async fn look_ups(worker: &Worker) -> u64 {
    let (_, metrics) = worker.get("/metrics").await;
    let line = metrics.lines().find(|line| line.contains("remedy=\"look_up\""));
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
