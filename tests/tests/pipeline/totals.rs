//! Totals: what a quiet run must end with, to the last unit.

use std::time::Duration;

use millrace_generator::{Line, Options, Outcome};
use millrace_model::streams;
use millrace_producer::{Producer, ProducerConfig};
use millrace_tests::Pipeline;
use millrace_tests::events::{charge, now_ms, record, record_in};
use millrace_tests::kafka::Raw;
use millrace_tests::stack::heavy;

use crate::load::four_streams;

const DRAIN_WITHIN: Duration = Duration::from_secs(90);

/// The seeds of an ordinary run; `MILLRACE_SEEDS=100..120` and `MILLRACE_STREAM_LEN=50000` ask for others.
fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let given = std::env::var("MILLRACE_SEEDS").ok();
    let range = given.as_deref().and_then(|text| text.split_once(".."));
    range.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?)).unwrap_or(default)
}

fn stream_len(default: usize) -> usize {
    std::env::var("MILLRACE_STREAM_LEN").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_life_cycles_end_in_the_totals_of_the_generator_and_of_the_model() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("quiet").await;
    let options =
        Options { seed: 11, lines: 20_000, users: 2_000, invalid: 0.005, mistakes: 0.01, ..Options::default() };
    let mut stream = millrace_generator::stream(options).expect("the options make sense");
    let producer = Producer::connect(ProducerConfig::new(&*pipeline.stack.brokers, &*pipeline.name)).await;
    let producer = producer.expect("the topic is there");
    let mut deliveries = Vec::new();
    for line in stream.by_ref() {
        deliveries.push(match line {
            Line::Event(event) => {
                let json = serde_json::to_vec(&event).expect("an event has a JSON form");
                let event = millrace_wire::json::parse(&json).expect("the generator keeps the rules of form");
                producer.enqueue(&event).await.expect("there is room")
            }
            Line::Raw(raw) => {
                let headers: Vec<_> = raw.headers.iter().map(|(name, text)| (*name, Some(text.as_bytes()))).collect();
                producer.enqueue_raw(raw.key.as_deref(), Some(&raw.value), &headers).await.expect("there is room")
            }
        });
    }
    for delivery in deliveries {
        delivery.await.expect("it is accepted");
    }
    producer.close(Duration::from_secs(10)).await.expect("nothing is left");

    let _workers = [pipeline.worker().start(), pipeline.worker().start()];
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.agrees_with_the_model().await;
    let differences = stream.expected().outcome.differences(&outcome_of(&pipeline).await);
    assert!(differences.is_empty(), "{differences:#?}");
    pipeline.finish().await;
}

/// What the ledger holds, in the generator's figures.
async fn outcome_of(pipeline: &Pipeline) -> Outcome {
    let ledger = &pipeline.ledger;
    let counts = ledger.counts().await;
    let count = |name: &str| counts[name] as u64;
    let mut outcome = Outcome {
        applied: count("applied") + count("drained_applied"),
        duplicates: count("duplicate") + count("drained_duplicate"),
        drained_applied: count("drained_applied"),
        ..Outcome::default()
    };
    for kept in ledger.dead_letters().await {
        *outcome.rejected.entry(kept.reason).or_default() += 1;
    }
    for kept in ledger.parked().await {
        *outcome.parked.entry(kept.reason).or_default() += 1;
    }
    for applied in ledger.applied().await {
        let text = |name: &str| applied.event[name].as_str().unwrap_or_default().to_owned();
        *outcome.by_type.entry(text("event_type")).or_default() += 1;
        let amount = applied.event["amount_minor"].as_i64().expect("an amount");
        *outcome.sum_minor.entry(format!("{} {}", text("event_type"), text("currency"))).or_default() += amount;
    }
    for line in ledger.payments().await.values() {
        let status = line["status ".len()..].split(',').next().expect("a status").to_owned();
        *outcome.payments_by_status.entry(status).or_default() += 1;
    }
    outcome.transfers = ledger.transfers().await.len() as u64;
    for (account, sum) in ledger.balances().await {
        let sum: i64 = sum.parse().expect("a number");
        if account.starts_with("merchant_payable:") {
            let currency = account.rsplit(' ').next().expect("a currency").to_owned();
            *outcome.merchant_payable_minor.entry(currency).or_default() += sum;
        }
        outcome.balances_minor.insert(account, sum);
    }
    outcome
}

/// Publishes the records, has workers with these bounds apply them, and compares.
async fn check(purpose: &str, seed: u64, records: Vec<Raw>, bounds: &[&str]) {
    let pipeline = Pipeline::new(&format!("{purpose}-{seed}")).await;
    pipeline.publish(records).await;
    let arguments = [bounds, &["--remembered-payments-max", "120"]].concat();
    let _workers = [pipeline.worker().with(&arguments).start(), pipeline.worker().with(&arguments).start()];
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adversarial_streams_end_as_the_model_says_in_batches_of_seven() {
    // And in buffers so small that lanes are paused and read on.
    let bounds = ["--batch-records-max", "7", "--buffer-mib-max", "1"];
    for seed in seeds(1..4) {
        let _turn = heavy().await;
        check("small", seed, four_streams(seed, stream_len(3_000)), &bounds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adversarial_streams_end_as_the_model_says_in_batches_of_thousands() {
    for seed in seeds(4..7) {
        let _turn = heavy().await;
        check("big", seed, four_streams(seed, stream_len(17_000)), &["--batch-records-max", "5000"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_different_partitions_who_fight_for_payments_end_as_the_model_says() {
    for seed in seeds(7..10) {
        let _turn = heavy().await;
        let pipeline = Pipeline::new(&format!("strangers-{seed}")).await;
        let _worker = pipeline.worker().with(&["--batch-records-max", "50"]).start();
        // Numbers are a lane's own business where two lanes meet, and the design leaves that open.
        let len = stream_len(1_200).min(20_000);
        let mut events = streams::stream_at(seed, 8, len / 40, len, now_ms());
        events.iter_mut().for_each(|event| event["sequence"] = serde_json::Value::Null);
        // In turns, so that the order between the lanes is one and the same for both sides.
        for some in events.chunks(len / 30) {
            let lane = |event| streams::partition_of(event, 4);
            for partition in 0..4 {
                let theirs = some.iter().filter(|event| lane(event) == partition);
                pipeline.publish(theirs.map(|event| record_in(partition, event)).collect::<Vec<_>>()).await;
                pipeline.drained(DRAIN_WITHIN).await;
            }
        }
        pipeline.agrees_with_the_model().await;
        pipeline.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_without_a_partition_of_their_own_land_where_the_key_says() {
    let pipeline = Pipeline::new("key").await;
    let events: Vec<_> = (0..20).map(|n| charge(&format!("u-{}", n % 5), 100 + n)).collect();
    let places = pipeline.publish(events.iter().map(record)).await;
    let producer = Producer::connect(ProducerConfig::new(&*pipeline.stack.brokers, &*pipeline.name)).await;
    let producer = producer.expect("the topic is there");
    for (event, (partition, _)) in events.iter().zip(&places) {
        let event = millrace_wire::json::parse(event.to_string().as_bytes()).expect("a well-formed event");
        let accepted = producer.publish(&event).await.expect("it is accepted");
        assert_eq!(accepted.partition.0, *partition);
    }
    let _worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    let counts = pipeline.ledger.counts().await;
    assert_eq!((counts["applied"], counts["duplicate"]), (20, 20));
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
