//! What operators and other languages see: endpoints, metrics, latency, a plain Java producer.

use std::process::Command;
use std::time::{Duration, Instant};

use millrace_tests::events::{charge, event, record};
use millrace_tests::ledger::by_reason;
use millrace_tests::stack::repository;
use millrace_tests::{Pipeline, until};

const SOON: Duration = Duration::from_secs(40);

/// The names, by hand: dashboards and alerts use them, so that a rename must be seen in a review.
const WORKER_METRICS: &[&str] = &[
    "millrace_batch_records",
    "millrace_batch_retries_total",
    "millrace_batch_seconds",
    "millrace_batches_total",
    "millrace_buffered_bytes",
    "millrace_drained_total",
    "millrace_kafka_up",
    "millrace_lag_records",
    "millrace_lanes",
    "millrace_lanes_halted",
    "millrace_postgres_up",
    "millrace_publish_to_commit_seconds",
    "millrace_records_total",
    "millrace_transaction_batches",
];

#[test]
fn the_names_of_the_metrics_are_an_interface() {
    use millrace_consumers::metrics as worker;
    let mut names = [
        worker::RECORDS,
        worker::DRAINED,
        worker::BATCHES,
        worker::BATCH_RECORDS,
        worker::BATCH_SECONDS,
        worker::TRANSACTION_BATCHES,
        worker::PUBLISH_TO_COMMIT_SECONDS,
        worker::RETRIES,
        worker::LANES,
        worker::LANES_HALTED,
        worker::BUFFERED_BYTES,
        worker::POSTGRES_UP,
        worker::KAFKA_UP,
        worker::LAG_RECORDS,
    ];
    names.sort_unstable();
    assert_eq!(names, WORKER_METRICS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_answers_whether_it_lives_is_ready_and_what_it_measured() {
    let pipeline = Pipeline::of("endpoints", 2, "").await;
    let worker = pipeline.worker().start();
    pipeline.publish((0..10).map(|n| record(&charge("u-1", 100 + n)))).await;
    pipeline.drained(SOON).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(worker.get(path).await, (200, "ok\n".to_owned()), "{path}");
    }
    let lines = [
        "millrace_records_total{disposition=\"applied\",reason=\"\"} 10",
        "millrace_lanes 2",
        "millrace_lanes_halted 0",
        "millrace_postgres_up 1",
        "millrace_kafka_up 1",
    ];
    // Gauges are set once a second.
    let text = until("every metric is there", SOON, async || {
        let (status, text) = worker.get("/metrics").await;
        assert_eq!(status, 200);
        match lines.iter().find(|line| !text.lines().any(|found| found == **line)) {
            Some(line) => Err(format!("no line {line:?} in\n{text}")),
            None => Ok(text),
        }
    })
    .await;
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for family in families.filter_map(|rest| rest.split(' ').next()) {
        assert!(WORKER_METRICS.contains(&family), "{family} is not in the list of names");
    }
    assert_eq!(worker.get("/nothing").await.0, 404);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_goes_on_though_its_log_cannot_be_written() {
    let pipeline = Pipeline::of("unheard", 2, "").await;
    let mut worker = pipeline.worker().start_unheard();
    pipeline.publish((0..10).map(|n| record(&charge("u-1", 100 + n)))).await;
    pipeline.drained(SOON).await;
    worker.terminate();
    assert_eq!(worker.ended(SOON).await.code(), Some(0), "it says that it stops, and stops");
    let ended = pipeline.command(&["publish", "/nowhere"]).start_unheard().ended(SOON).await;
    assert_eq!(ended.code(), Some(1), "the error that it cannot say");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lone_events_are_committed_one_by_one_as_they_come() {
    const EVENTS: usize = 50;
    let pipeline = Pipeline::of("lone", 1, "").await;
    let _worker = pipeline.worker().start();
    pipeline.publish([record(&charge("u-1", 1))]).await;
    pipeline.drained(SOON).await;
    let mut waits = Vec::new();
    for n in 1..=EVENTS {
        let began = Instant::now();
        pipeline.publish([record(&charge("u-1", 100))]).await;
        pipeline.consumed(n as i64 + 1, SOON).await;
        waits.push(began.elapsed());
    }
    waits.sort();
    // Not asserted: the machine is shared. The database's own clock says what a reader of the ledger saw.
    let inside = pipeline.ledger.texts(
        "SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM committed_at - published_at)) * 1000)::text
         FROM millrace.batches b JOIN millrace.events e ON e.partition = b.partition AND e.\"offset\" = b.from_offset",
    );
    let inside = inside.await.expect("the median");
    eprintln!("a lone event: p50 {} ms from publish to commit, {:?} with the question", inside[0], waits[EVENTS / 2]);
    let batches = pipeline.ledger.number("SELECT count(*) FROM millrace.batches").await;
    assert_eq!(batches as usize, EVENTS + 1, "each was a batch of its own");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_producer_reaches_the_same_partition_and_is_applied() {
    let pipeline = Pipeline::of("java", 12, "").await;
    let examples = repository().join("schemas/payment_event/examples");
    let hex = std::fs::read_to_string(examples.join("minimal.hex")).expect("the golden bytes");
    let json = std::fs::read_to_string(examples.join("minimal.json")).expect("the golden event");
    let event: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let user = event["user_id"].as_str().expect("a user");
    let program = repository().join("tests/java/PublishGolden.java");
    let java = Command::new(repository().join("compose/stack"))
        .arg("java")
        .arg(&program)
        .args([&*pipeline.stack.brokers, &pipeline.name, user, &hex.split_whitespace().collect::<String>()])
        .output()
        .expect("compose/stack runs");
    let said = String::from_utf8_lossy(&java.stdout).into_owned();
    assert!(java.status.success(), "{said}{}", String::from_utf8_lossy(&java.stderr));
    let place = said.lines().last().expect("a line for the record").to_owned();

    let file = std::env::temp_dir().join(format!("{}.ndjson", pipeline.name));
    std::fs::write(&file, format!("{event}\n")).expect("a file to publish");
    let mut publish = pipeline.run(&["publish", file.to_str().expect("a path in UTF-8")]);
    let status = publish.ended(SOON).await;
    assert!(status.success(), "{}", publish.said());
    std::fs::remove_file(&file).expect("it was written");

    let _worker = pipeline.worker().with(&["--window-back", "50y"]).start();
    pipeline.drained(SOON).await;
    let places: Vec<_> = pipeline.topic.read().into_keys().collect();
    assert_eq!(places.len(), 2);
    assert_eq!(place, format!("{} {}", places[0].0, places[0].1), "Java's record came first");
    assert_eq!(places[0].0, places[1].0, "both are in the same partition");
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["duplicate"]), (1, 1), "{counts:?}");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_accepts_types_that_this_build_does_not_know_and_says_so() {
    let pipeline = Pipeline::of("types", 1, "").await;
    let lines = [charge("u-1", 5), event("payout.sent", "u-1", 5), event("payout.sent", "u-2", 5)];
    let file = std::env::temp_dir().join(format!("{}.ndjson", pipeline.name));
    std::fs::write(&file, lines.map(|line| format!("{line}\n")).concat()).expect("a file to publish");
    let path = file.to_str().expect("a path in UTF-8");
    for (form, words) in [
        ("json", r#""unknown_types":{"events":2,"first_line":2,"first_type":"payout.sent"}"#),
        ("text", r#"2 events, the first in line 2 ("payout.sent")"#),
    ] {
        let mut publish = pipeline.run(&["publish", path, "-o", form]);
        assert!(publish.ended(SOON).await.success(), "{}", publish.said());
        assert!(publish.said().contains(words), "no {words:?} in {}", publish.said());
    }
    std::fs::remove_file(&file).expect("it was written");
    std::fs::remove_file(format!("{path}.checkpoint")).expect("a checkpoint beside it");
    let _worker = pipeline.worker().start();
    pipeline.drained(SOON).await;
    assert_eq!(by_reason(&pipeline.ledger.parked().await), [("unknown_type", 2)].into());
    pipeline.finish().await;
}
