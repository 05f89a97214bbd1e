//! Kafka away, a broker killed, a topic made again, records that retention took: nothing is skipped.

use std::process::Command;
use std::time::Duration;

use millrace_tests::events::{charge, record_in};
use millrace_tests::kafka::Raw;
use millrace_tests::stack::{heavy, repository};
use millrace_tests::{Pipeline, until};

use crate::load::four_streams;

const DRAIN_WITHIN: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(40);

/// So many charges for partition 0.
fn charges_in_0(count: i64) -> impl Iterator<Item = Raw> {
    (0..count).map(|n| record_in(0, &charge("u-1", 100 + n)))
}

/// A ledger of ten charges, whose worker has ended.
async fn ten_applied(name: &str) -> Pipeline {
    let pipeline = Pipeline::of(name, 1, "").await;
    pipeline.publish(charges_in_0(10)).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(SOON).await;
    worker.terminate();
    worker.ended(SOON).await;
    pipeline
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_brokers_says_so_once_is_not_ready_and_can_be_stopped() {
    let pipeline = Pipeline::of("no-broker", 1, "").await;
    let mut worker = pipeline.worker().set("MILLRACE_BROKERS", "127.0.0.1:1").start();
    worker.says("Kafka is away", SOON).await;
    let (status, body) = worker.get("/readyz").await;
    assert_eq!((status, body.contains("Kafka is away")), (503, true), "{body}");
    worker.assert_running();
    worker.terminate();
    assert!(worker.ended(SOON).await.success(), "{}", worker.tail());
    assert_eq!(worker.times_said("Kafka is away"), 1, "{}", worker.said());
    pipeline.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_topic_is_not_there_is_not_ready_and_says_why() {
    let pipeline = Pipeline::of("no-topic", 1, "").await;
    let mut worker = pipeline.worker().set("MILLRACE_TOPIC", &format!("{}-nosuch", pipeline.name)).start();
    worker.says("waiting for the topic", SOON).await;
    let (status, body) = worker.get("/readyz").await;
    assert_eq!((status, body.contains("the topic does not exist")), (503, true), "{body}");
    worker.assert_running();
    worker.terminate();
    assert!(worker.ended(SOON).await.success(), "{}", worker.tail());
    pipeline.remove().await;
}

/// The stack's own command, if it is this checkout's stack that the tests run on.
fn stack_of_this_checkout(brokers: &str, arguments: &[&str]) -> Result<(), String> {
    let script = repository().join("compose/stack");
    let run = |arguments: &[&str]| Command::new(&script).args(arguments).output().map_err(|e| e.to_string());
    let settings = run(&["env"])?;
    if !String::from_utf8_lossy(&settings.stdout).contains(brokers) {
        return Err(format!("the brokers at {brokers} are not those of {}", script.display()));
    }
    let done = run(arguments)?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(()) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_under_load_costs_nothing() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("broker").await;
    let brokers = pipeline.stack.brokers.clone();
    if let Err(why) = stack_of_this_checkout(&brokers, &["status"]) {
        // Somebody else's brokers are not ours to kill. Said, and not counted as proved.
        eprintln!("LEFT OUT: no broker is killed, for {why}");
        return pipeline.remove().await;
    }
    let mut worker = pipeline.worker().with(&["--batch-records-max", "40"]).start();
    let records = four_streams(81, 8_000);
    let publishing = async {
        for some in records.chunks(400) {
            pipeline.publish(some.to_vec()).await;
        }
    };
    let killing = async {
        pipeline.consumed(800, SOON).await;
        stack_of_this_checkout(&brokers, &["kill-broker", "2"]).expect("the broker is killed");
        let consumed = pipeline.consumed(4_000, SOON).await;
        stack_of_this_checkout(&brokers, &["start-broker", "2"]).expect("the broker starts again");
        consumed
    };
    tokio::join!(publishing, killing);
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_and_made_again_ends_the_worker_and_nothing_of_it_is_read() {
    let pipeline = Pipeline::of("again", 2, "").await;
    let charges = |count| (0..count).map(|n| record_in(n % 2, &charge("u-1", 100))).collect::<Vec<_>>();
    pipeline.publish(charges(10)).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(SOON).await;
    pipeline.topic.delete().await;
    pipeline.topic.make_again().await;
    let status = worker.ended(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", worker.tail());
    // It finds out by the topic's new id, or by offsets that are gone, whichever comes first, and says the same.
    assert!(worker.said().contains("was deleted and made again"), "{}", worker.said());

    // The new topic has the offsets that the ledger would go on with, and another id.
    pipeline.publish(charges(30)).await;
    let mut second = pipeline.worker().start();
    let status = second.ended(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", second.tail());
    assert!(second.said().contains("was deleted and made again"), "{}", second.said());
    assert_eq!(pipeline.ledger.number("SELECT count(*) FROM millrace.events").await, 10);
    // Who looks is told the same: the offsets alone would tell of a ledger that lacks nothing but a backlog.
    for command in ["verify", "status"] {
        let mut looking = pipeline.run(&[command]);
        let status = looking.ended(SOON).await;
        assert_eq!(status.code(), Some(1), "{}", looking.tail());
        assert!(looking.said().contains("was deleted and made again"), "{}", looking.said());
    }
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_retention_passed_by_halts_and_the_others_go_on() {
    let pipeline = Pipeline::of("retention", 2, "").await;
    let charges = |partition: i32, count| {
        (0..count).map(|n| record_in(partition, &charge(&format!("u-{n}"), 100 + n))).collect::<Vec<_>>()
    };
    pipeline.publish(charges(0, 20).into_iter().chain(charges(1, 20))).await;
    let mut first = pipeline.worker().start();
    pipeline.drained(SOON).await;
    first.terminate();
    first.ended(SOON).await;
    pipeline.publish(charges(0, 20).into_iter().chain(charges(1, 20))).await;
    pipeline.topic.delete_records(0, 30).await;

    let mut worker = pipeline.worker().start();
    worker.says("lane halted", SOON).await;
    assert!(
        worker.said().contains("partition 0: the next offset is 20, but Kafka holds 30 to 40"),
        "{}",
        worker.said()
    );
    until("the other lane goes on", SOON, async || {
        let behind = pipeline.behind().await?;
        if behind == [(0, 20)] { Ok(()) } else { Err(format!("{behind:?}; {}", worker.tail())) }
    })
    .await;
    pipeline.publish(charges(1, 5)).await;
    until("and on", SOON, async || {
        let behind = pipeline.behind().await?;
        if behind == [(0, 20)] { Ok(()) } else { Err(format!("{behind:?}; {}", worker.tail())) }
    })
    .await;
    let (status, body) = worker.get("/readyz").await;
    assert_eq!((status, body.contains("lane halted")), (503, true), "{body}");
    worker.assert_running();
    assert_eq!(pipeline.ledger.number("SELECT count(*) FROM millrace.events").await, 65);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_nothing_but_halted_lanes_ends_with_the_reason() {
    let pipeline = ten_applied("retention-all").await;
    pipeline.publish(charges_in_0(10)).await;
    pipeline.topic.delete_records(0, 15).await;
    let mut worker = pipeline.worker().start();
    let status = worker.ended(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", worker.tail());
    assert!(worker.said().contains("the next offset is 10, but Kafka holds 15 to 20"), "{}", worker.said());
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_lost_before_the_first_claim_is_said_and_of_a_partition_that_came_later_is_a_hole() {
    let mut pipeline = Pipeline::of("before", 1, "").await;
    let charges = |partition: i32| (0..20).map(move |n| record_in(partition, &charge(&format!("u-{n}"), 100 + n)));
    pipeline.publish(charges(0)).await;
    pipeline.topic.delete_records(0, 5).await;
    let mut first = pipeline.worker().start();
    pipeline.drained(SOON).await;
    pipeline.says(&["verify"], 0, "begin partition 0: the ledger begins at offset 5", SOON).await;
    assert!(first.said().contains("the ledger begins at offset 5 of the partition"), "{}", first.said());
    first.terminate();
    first.ended(SOON).await;

    pipeline.topic.grow(2).await;
    pipeline.publish(charges(1)).await;
    pipeline.topic.delete_records(1, 10).await;
    let mut second = pipeline.worker().start();
    until("the lane halts at the hole", SOON, async || {
        match second.said().contains("partition 1: the next offset is 0, but Kafka holds 10 to 20") {
            true => Ok(()),
            false => Err(second.tail()),
        }
    })
    .await;
    second.terminate();
    second.ended(SOON).await;
    pipeline.says(&["verify"], 1, "Kafka deleted offsets 0 to 9 before a worker read them", SOON).await;
    let gap = ["accept-gap", "--partition", "1", "--from", "0", "--to", "10", "--reason", "a test's", "--by", "me"];
    pipeline.says(&gap, 0, "offsets 0 to 9 (10 records) are accepted as lost", SOON).await;
    let _third = pipeline.worker().start();
    pipeline.drained(SOON).await;
    assert_eq!(pipeline.ledger.number("SELECT count(*) FROM millrace.events").await, 25);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_a_person_accepts_is_stepped_over_and_named_by_verify() {
    let pipeline = ten_applied("accept-gap").await;
    pipeline.publish(charges_in_0(10)).await;
    pipeline.topic.delete_records(0, 15).await;
    let says = async |arguments: &[&str], code, words: &str| pipeline.says(arguments, code, words, SOON * 2).await;
    let accept = async |from: &str, to: &str, code: i32, words: &str| {
        let gap = ["--partition", "0", "--from", from, "--to", to, "--reason", "a test's retention", "--by", "me"];
        says(&[["accept-gap"].as_slice(), &gap].concat(), code, words).await;
    };
    says(&["verify"], 1, "Kafka deleted offsets 10 to 14").await;
    for (from, to) in [("10", "14"), ("10", "16"), ("9", "15"), ("11", "15")] {
        accept(from, to, 1, "the gap is --from 10 --to 15").await;
    }
    assert_eq!(pipeline.ledger.number("SELECT next_offset FROM millrace.lanes").await, 10);
    accept("10", "15", 0, "offsets 10 to 14 (5 records) are accepted as lost, by me at").await;
    accept("10", "15", 1, "nothing is missing: the lane stands at offset 15").await;

    let mut second = pipeline.worker().start();
    until("the lane goes on behind the gap", SOON, async || {
        match pipeline.ledger.number("SELECT next_offset FROM millrace.lanes").await {
            20 => Ok(()),
            at => Err(format!("it stands at {at}; {}", second.tail())),
        }
    })
    .await;
    second.terminate();
    second.ended(SOON).await;
    assert_eq!(pipeline.ledger.number("SELECT count(*) FROM millrace.events").await, 15);
    says(&["verify", "--drained"], 0, "without the 5 that people accepted as lost").await;
    says(&["status"], 0, "offsets 10 to 14 (5 records) are accepted as lost, by me at").await;
    says(&["verify"], 0, "a test's retention").await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_a_lane_that_stands_still_before_records_that_wait() {
    let pipeline = ten_applied("standing").await;
    for statement in [
        "UPDATE millrace.batches SET committed_at = committed_at - interval '1 hour'",
        "UPDATE millrace.lanes SET claimed_at = claimed_at - interval '1 hour'",
    ] {
        pipeline.ledger.execute(statement).await;
    }
    pipeline.says(&["status"], 0, "no backlog", SOON).await;
    pipeline.publish(charges_in_0(3)).await;
    pipeline.says(&["status"], 1, "partition 0: 3 records wait, and nothing was heard of its lane for 1h", SOON).await;
    let _second = pipeline.worker().start();
    pipeline.drained(SOON).await;
    pipeline.says(&["status"], 0, "no backlog", SOON).await;
    pipeline.finish().await;
}
