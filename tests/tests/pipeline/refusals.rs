//! What cannot be applied: kept whole, with its reason, while everything around it goes on.

use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::events::{charge, event, next, record, record_in, with};
use millrace_tests::kafka::{Place, Raw};
use millrace_tests::ledger::by_reason;
use serde_json::{Value, json};

const DRAIN_WITHIN: Duration = Duration::from_secs(60);
const EXCEEDS: &str = "capture_exceeds_authorized";

/// Well-formed by the rules, and nothing that Postgres can store.
fn refused_by_postgres() -> Vec<Value> {
    vec![
        with(charge("u-1", 1), "source", "a\0b"),
        with(charge("u-2", 2), "metadata", json!({ "note": "a\0b" })),
        with(charge("u-3", 3), "metadata", json!({ "no\0te": "b" })),
        with(charge("u-4", 4), "merchant_id", "m\0"),
        with(charge("u-5", 5), "correlation_id", "\0"),
        with(charge("u-6", 6), "occurred_at", json!({ "micros": -300_000_000_000_000_000_i64 })),
        with(charge("u-7", 7), "occurred_at", json!({ "micros": i64::MIN })),
        // Counted from 2000, as Postgres does, this would be its -infinity.
        with(charge("u-8", 8), "occurred_at", json!({ "micros": i64::MIN + 946_684_800_000_000 })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_database_refuses_are_rejected_one_by_one_and_the_rest_of_the_batch_applies() {
    let pipeline = Pipeline::of("refused", 1, "").await;
    let culprits = refused_by_postgres();
    let mut events: Vec<Value> = (0..4_000).map(|n| charge(&format!("u-{}", n % 50), 100 + n)).collect();
    for (index, culprit) in culprits.iter().enumerate() {
        events.insert(index * 500 + 123, culprit.clone());
    }
    let places = pipeline.publish(events.iter().map(record)).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    let letters = pipeline.ledger.dead_letters().await;
    assert_eq!(by_reason(&letters), [("refused_by_store", culprits.len())].into());
    let wanted: Vec<Place> = (0..culprits.len()).map(|index| places[index * 500 + 123]).collect();
    assert_eq!(letters.iter().map(|letter| letter.place).collect::<Vec<_>>(), wanted);
    assert_eq!(pipeline.ledger.counts().await["applied"], 4_000);
    let told = "SELECT count(*) FROM millrace.dead_letters WHERE detail LIKE '%; the database refuses it: Postgres: % (SQLSTATE 22%'";
    assert_eq!(pipeline.ledger.number(told).await, culprits.len() as i64, "each tells Postgres' own words");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_database_refuses_when_it_is_drained_is_rejected_and_its_cause_applies() {
    let pipeline = Pipeline::of("refused-drained", 1, "").await;
    let parked = with(event("payment.captured", "u-1", 40), "source", "a\0b");
    let other = next(&parked, "payment.captured", 30);
    let cause = next(&parked, "payment.authorized", 100);
    pipeline.publish([&parked, &other].map(|event| record_in(0, event))).await;
    let _worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(pipeline.ledger.parked().await.len(), 2);
    pipeline.publish([record_in(0, &cause)]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let counts = pipeline.ledger.counts().await;
    let found = (counts["parked"], counts["applied"], counts["drained_applied"], counts["drained_rejected"]);
    assert_eq!(found, (2, 1, 1, 1), "{counts:?}");
    assert_eq!(by_reason(&pipeline.ledger.dead_letters().await), [("refused_by_store", 1)].into());
    // And the payment goes on.
    pipeline.publish([record_in(0, &next(&parked, "payment.captured", 70))]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(pipeline.ledger.number("SELECT captured FROM millrace.payments").await, 100);
    pipeline.finish().await;
}

/// The same with text that Postgres cannot hold.
fn nul(event: Value) -> Value {
    with(event, "correlation_id", "a\0")
}

fn numbered(event: Value, sequence: i64) -> Value {
    with(event, "sequence", sequence)
}

/// What became of each record of a payment, in their order.
async fn fates(pipeline: &Pipeline, payment: &Value) -> Vec<String> {
    let id = payment["payment_id"].as_str().expect("an id");
    let all = pipeline
        .ledger
        .texts(
            "SELECT payment_id || ' ' || fate FROM (
                 SELECT payment_id, \"offset\", 'applied' AS fate FROM millrace.events
                 UNION ALL SELECT payment_id, \"offset\", reason FROM millrace.dead_letters
                 UNION ALL SELECT payment_id, \"offset\", 'parked ' || reason FROM millrace.parked) AS fates
             ORDER BY \"offset\"",
        )
        .await
        .expect("the ledger answers");
    all.iter().filter_map(|fate| fate.strip_prefix(id)).map(|fate| fate.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_of_one_record_and_not_of_the_next_under_its_id() {
    let pipeline = Pipeline::of("refused-once", 1, "").await;
    let first = event("payment.authorized", "u-1", 20);
    let captured = next(&first, "payment.captured", 10);
    let elsewhere = charge("u-2", 5);
    let clean = with(charge("u-3", 777), "event_id", elsewhere["event_id"].clone());
    // All of one batch: they wait before the worker starts.
    let records = [first.clone(), nul(captured.clone()), captured, nul(elsewhere.clone()), clean.clone()];
    pipeline.publish(records.iter().map(|event| record_in(0, event))).await;
    let _worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(fates(&pipeline, &first).await, ["applied", "refused_by_store", "applied"]);
    assert_eq!(fates(&pipeline, &elsewhere).await, ["refused_by_store"]);
    assert_eq!(fates(&pipeline, &clean).await, ["applied"]);
    pipeline.finish().await;
}

/// Of parked events that the database refuses, each as it comes to be written: where the refusal of one lets the next apply,
/// that one too, and whoever set them free applies.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_drains_several_that_the_database_refuses_is_not_to_blame() {
    const REFUSED: &str = "refused_by_store";
    let pipeline = Pipeline::of("refused-chain", 1, "").await;
    let of = |user: &str| event("payment.authorized", user, 20);
    let (a, b, c, d) = (of("u-1"), of("u-2"), of("u-3"), of("u-4"));
    let operation = |event: Value| with(event, "operation_id", charge("x", 1)["event_id"].clone());
    let before = [
        nul(next(&a, "payment.expired", 0)),
        nul(next(&a, "payment.expired", 0)),
        nul(operation(next(&b, "refund.succeeded", 20))),
        nul(operation(next(&b, "refund.succeeded", 20))),
        next(&b, "fee.charged", 1),
        next(&c, "payment.captured", 20),
        nul(next(&c, "payment.captured", 1)),
        nul(next(&c, "fee.charged", 1)),
        next(&c, "fee.charged", 1),
        d.clone(),
        numbered(nul(next(&d, "payment.expired", 0)), 2),
        numbered(nul(next(&d, "payment.expired", 0)), 3),
    ];
    pipeline.publish(before.iter().map(|event| record_in(0, event))).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    let causes = [
        a.clone(),
        with(b.clone(), "event_type", "payment.charged"),
        c.clone(),
        numbered(operation(next(&d, "refund.failed", 5)), 1),
    ];
    pipeline.publish(causes.iter().map(|event| record_in(0, event))).await;
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    assert_eq!(fates(&pipeline, &a).await, [REFUSED, REFUSED, "applied"]);
    assert_eq!(fates(&pipeline, &b).await, [REFUSED, REFUSED, "applied", "applied"]);
    assert_eq!(fates(&pipeline, &c).await, ["applied", EXCEEDS, REFUSED, "applied", "applied"]);
    assert_eq!(fates(&pipeline, &d).await, ["applied", REFUSED, REFUSED, "parked missing_operation"]);
    let told = "SELECT count(*) FROM millrace.dead_letters
                WHERE detail LIKE 'was parked as % since %; % minor units of EUR%; the database refuses it: Postgres: %'";
    assert_eq!(pipeline.ledger.number(told).await, 7, "each tells that it was parked, and Postgres' own words");
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_beyond_the_parking_limit_costs_no_bystander_anything() {
    const REFUSED: &str = "refused_by_store";
    const MISSING: &str = "missing_predecessor";
    let pipeline = Pipeline::of("refused-limit", 1, "").await;
    let waiting = |user: &str| numbered(event("payment.initiated", user, 20), 2);
    let follows = |first: &Value, what: &str, amount, sequence| numbered(next(first, what, amount), sequence);
    let innocent: Vec<Value> = (0..30).map(|n| waiting(&format!("i-{n}"))).collect();
    let (expired, mixed) = (waiting("u-1"), waiting("u-2"));
    let mut events: Vec<Value> = Vec::new();
    for (index, first) in innocent.iter().enumerate() {
        events.extend([first.clone(), follows(first, "payment.authorized", 20, 3)]);
        if index == 15 {
            events.push(expired.clone());
            events.push(follows(&expired, "payment.authorized", 20, 3));
            events.extend([4, 5].map(|number| nul(follows(&expired, "payment.expired", 0, number))));
            events.push(mixed.clone());
            events.push(follows(&mixed, "payment.authorized", 20, 3));
            events.push(follows(&mixed, "payment.captured", 20, 4));
            events.push(nul(follows(&mixed, "payment.captured", 1, 5)));
        }
    }
    pipeline.publish(events.iter().map(|event| record_in(0, event))).await;
    let mut first = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    first.terminate();
    first.ended(DRAIN_WITHIN).await;
    assert_eq!(pipeline.ledger.parked().await.len(), events.len());
    let mut second = pipeline.worker().with(&["--parking-limit", "1s"]).start();
    pipeline.nothing_parked(DRAIN_WITHIN).await;
    second.assert_running();
    assert_eq!(fates(&pipeline, &expired).await, [MISSING, "applied", REFUSED, REFUSED]);
    assert_eq!(fates(&pipeline, &mixed).await, [MISSING, "applied", "applied", EXCEEDS]);
    for first in &innocent {
        assert_eq!(fates(&pipeline, first).await, [MISSING, "applied"]);
    }
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_redriven_once_its_cause_is_mended_and_another_is_discarded() {
    let pipeline = Pipeline::of("redrive", 1, "").await;
    let first = numbered(event("payment.authorized", "u-1", 100), 1);
    let above = numbered(next(&first, "payment.captured", 150), 2);
    let hopeless = next(&first, "payment.captured", 900);
    let tagged =
        Raw { headers: vec![(b"\xff".to_vec(), None)], ..record_in(0, &next(&first, "payment.captured", 800)) };
    let _worker = pipeline.worker().start();
    pipeline.publish([record_in(0, &first), record_in(0, &above), record_in(0, &hopeless), tagged]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.publish([record_in(0, &numbered(next(&first, "payment.adjusted", 200), 3))]).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let says = async |arguments: &[&str], code, words: &str| {
        pipeline.says(&[["dead-letters"].as_slice(), arguments].concat(), code, words, DRAIN_WITHIN).await;
    };
    // Nothing is done where one of them cannot be.
    says(&["redrive", "1", "9", "--by", "me"], 1, "there is no dead letter 9: nothing was done").await;
    let elsewhere = Pipeline::of("redrive-elsewhere", 1, "").await;
    let asked = ["redrive", "1", "--by", "me", "--topic", &elsewhere.name];
    says(&asked, 1, "nothing was published: this database holds the ledger of topic").await;
    let reader = format!("{}?options[default_transaction_read_only]=on", pipeline.stack.url_of(&pipeline.name));
    let asked = ["redrive", "1", "--by", "me", "--database-url", &reader];
    says(&asked, 1, "nothing was published, for what is redriven could not be marked so").await;
    elsewhere.remove().await;
    says(&["redrive", "1", "--by", "me", "--note", "adjusted"], 0, "1 dead letter is published again").await;
    pipeline.drained(DRAIN_WITHIN).await;
    assert_eq!(fates(&pipeline, &first).await, ["applied", EXCEEDS, EXCEEDS, EXCEEDS, "applied", "applied"]);
    assert_eq!(pipeline.ledger.number("SELECT captured FROM millrace.payments").await, 150);
    says(&["redrive", "1", "--by", "you"], 1, "dead letter 1 is redriven already, by me: nothing was done").await;
    says(&["discard", "2", "--note", "a mistake", "--by", "me"], 0, "1 dead letter is given up, and kept").await;
    says(
        &["redrive", "--reason", EXCEEDS, "--by", "me"],
        1,
        "dead letter 3 stays open: it has a header whose name is no text",
    )
    .await;
    says(&["redrive", "--reason", "malformed", "--by", "me"], 0, "no open dead letter of that reason").await;
    says(&["list", "--handling", "any", "-o", "json"], 0, "\"handled_by\": \"me\"").await;
    let handled = pipeline.ledger.texts("SELECT handling FROM millrace.dead_letters ORDER BY dead_letter_id").await;
    assert_eq!(handled.expect("the ledger answers"), ["redriven", "discarded", "open"]);
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_any_bytes_become_dead_letters_that_keep_every_byte() {
    let pipeline = Pipeline::of("bytes", 1, ", max.message.bytes: 2MB").await;
    let good = || record_in(0, &charge("u-1", 100));
    let header = |name: &[u8], value: Option<&[u8]>| (name.to_vec(), value.map(<[u8]>::to_vec));
    let garbage: Vec<u8> = (1..900_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let records = [
        ("wrong_key", Raw { key: None, ..good() }),
        ("wrong_key", Raw { key: Some(b"somebody-else".to_vec()), ..good() }),
        ("malformed", Raw { value: None, ..good() }),
        ("malformed", Raw { value: Some(Vec::new()), ..good() }),
        ("malformed", Raw { value: Some(garbage), key: Some(vec![0xff, 0, 0xfe]), ..good() }),
        ("unknown_schema", Raw { value: Some(vec![0, 0, 0, 0, 99, 1, 2, 3]), ..good() }),
        ("header_mismatch", Raw { headers: vec![header(b"ce_type", Some(b"payment.voided"))], ..good() }),
        ("header_mismatch", Raw { headers: vec![header(b"ce_id", None)], ..good() }),
        (
            "malformed",
            Raw {
                value: Some(b"\0\0\0\0\x01".to_vec()),
                headers: vec![
                    header(b"\xff\xfe not text", Some(b"\0\xff")),
                    header(b"twice", Some(b"1")),
                    header(b"twice", None),
                    header(b"empty", Some(b"")),
                ],
                ..good()
            },
        ),
    ];
    // A header that nobody knows is no reason to refuse an event, whatever its name is made of.
    let applied = Raw { headers: vec![header(b"\xc3\x28", Some(b"x")), header(b"other", None)], ..good() };
    let places = pipeline.publish(records.iter().map(|(_, record)| record.clone()).chain([applied])).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    let letters = pipeline.ledger.dead_letters().await;
    assert_eq!(letters.len(), records.len());
    for ((letter, (reason, record)), place) in letters.iter().zip(&records).zip(&places) {
        assert_eq!((letter.place, letter.reason.as_str()), (*place, *reason));
        assert_eq!(letter.key, record.key, "{place:?}");
        assert!(letter.value == record.value, "{place:?}: the value is not kept byte for byte");
        assert_eq!(letter.headers, record.headers, "{place:?}");
    }
    assert_eq!(pipeline.ledger.counts().await["applied"], 1);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_is_kept_whole_too() {
    let pipeline = Pipeline::of("parked-bytes", 1, "").await;
    let parked = event("payment.captured", "u-1", 40);
    let headers = vec![(b"\xff".to_vec(), Some(b"\0".to_vec())), (b"none".to_vec(), None)];
    let raw = Raw { headers, ..record_in(0, &parked) };
    pipeline.publish([raw.clone()]).await;
    let _worker = pipeline.worker().start();
    pipeline.drained(DRAIN_WITHIN).await;
    let kept = pipeline.ledger.parked().await.remove(0);
    assert_eq!((kept.key, kept.value, kept.headers), (raw.key, raw.value, raw.headers));
    pipeline.finish().await;
}
