//! What cannot be applied: kept whole, with its reason, while everything around it goes on.

use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::events::{charge, event, next, record, record_in, with};
use millrace_tests::kafka::{Place, Raw};
use millrace_tests::ledger::by_reason;
use serde_json::{Value, json};

const DRAIN_WITHIN: Duration = Duration::from_secs(60);

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
