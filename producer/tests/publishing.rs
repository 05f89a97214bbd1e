//! What 'accepted' promises, on the real cluster: order, one result each, the partition that Java would choose.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use common::{Topic, brokers, charge};
use millrace_producer::{Cause, Compression, Producer, ProducerConfig, Retry};
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, headers};

const CLOSES_WITHIN: Duration = Duration::from_secs(30);

async fn connect(topic: &Topic, change: impl FnOnce(&mut ProducerConfig)) -> Producer {
    let mut config = ProducerConfig::new(brokers(), &topic.name);
    change(&mut config);
    Producer::connect(config).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_event_is_in_the_topic_as_it_was_published_with_its_headers() {
    let topic = Topic::create("whole", 3, &[("min.insync.replicas", "2")]).await;
    let producer = connect(&topic, |_| {}).await;
    assert_eq!(producer.durability().replication_factor, 3);
    assert_eq!(producer.durability().min_insync_replicas, Some(2));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let event = charge("user-1", 1250);

    let traced = millrace_producer::Outgoing { event: &event, traceparent: Some(trace) };
    let accepted = producer.publish(traced).await.expect("the cluster accepts it");
    let untraceable = millrace_producer::Outgoing { event: &event, traceparent: Some("not a trace") };
    producer.publish(untraceable).await.expect("a bad trace stops no payment");

    let read = topic.read(2);
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].partition, accepted.partition.0);
    assert_eq!(Some(read[0].offset), accepted.offset.map(|offset| offset.0));
    assert_eq!(read[0].key.as_deref(), Some(b"user-1".as_slice()));
    let value = read[0].value.as_deref().expect("a value");
    assert_eq!(avro::decode(value, SchemaTable::built_in()).expect("decodable"), event);
    assert_eq!(read[0].headers[headers::CE_ID], event.event_id.to_string());
    assert_eq!(read[0].headers[headers::TRACEPARENT], trace);
    assert!(!read[1].headers.contains_key(headers::TRACEPARENT));
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
    topic.delete().await;
}

/// `millrace publish` now and then counted a last event as unknown that it had the result of.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_every_result_finds_nothing_in_flight() {
    let topic = Topic::create("in-flight", 1, &[]).await;
    let producer = connect(&topic, |_| {}).await;
    for number in 1..=500 {
        producer.publish(&charge("user-1", number)).await.expect("accepted");
        assert_eq!(producer.in_flight(), 0, "after event {number}");
    }
    producer.close(Duration::ZERO).await.expect("nothing is under way");
    topic.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_queue_pushes_back_and_keeps_the_order_of_each_user() {
    const EVENTS: i64 = 1_000;
    let topic = Topic::create("order", 4, &[]).await;
    let producer = connect(&topic, |config| {
        config.queue_records_max = 7;
        config.queue_bytes_max = 4_096;
        config.compression = Compression::Lz4;
    })
    .await;

    let mut deliveries = Vec::new();
    for number in 1..=EVENTS {
        let event = charge(&format!("user-{}", number % 5), number);
        deliveries.push(producer.enqueue(&event).await.expect("there is room after a while"));
        assert!(producer.in_flight() <= 7);
    }
    let mut places = HashSet::new();
    for delivery in deliveries {
        let accepted = delivery.await.expect("accepted");
        assert!(places.insert((accepted.partition, accepted.offset)), "two events at one place");
    }

    let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let read = topic.read(EVENTS as usize);
    assert_eq!(read.len(), EVENTS as usize);
    for record in read {
        let event = avro::decode(&record.value.expect("a value"), SchemaTable::built_in()).expect("decodable");
        let before = last.insert(record.key.expect("a key"), event.amount_minor).unwrap_or(0);
        assert!(before < event.amount_minor, "{} came after {before}", event.amount_minor);
    }
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
    topic.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_delivers_every_result_and_refuses_what_comes_later() {
    const EVENTS: i64 = 20_000;
    let topic = Topic::create("close", 3, &[]).await;
    let producer = connect(&topic, |config| config.linger = Duration::from_millis(50)).await;
    let mut deliveries = Vec::new();
    for number in 1..=EVENTS {
        deliveries.push(producer.enqueue(&charge("user-1", number)).await.expect("there is room"));
    }
    assert!(producer.in_flight() > 0, "the test wants to close with records under way");

    producer.close(CLOSES_WITHIN).await.expect("all acknowledged");
    assert_eq!(producer.in_flight(), 0);
    let late = producer.publish(&charge("user-1", 1)).await.expect_err("closed");
    assert_eq!((late.cause.clone(), late.retry()), (Cause::Closed, Retry::NewProducer));
    drop(producer);
    for delivery in deliveries {
        delivery.await.expect("accepted");
    }
    assert_eq!(topic.read(EVENTS as usize).len(), EVENTS as usize);
    topic.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_without_close_still_gives_each_record_its_result() {
    let topic = Topic::create("drop", 3, &[]).await;
    let producer = connect(&topic, |_| {}).await;
    let mut deliveries = Vec::new();
    for number in 1..=1_000 {
        deliveries.push(producer.enqueue(&charge("user-1", number)).await.expect("there is room"));
    }
    drop(producer);
    for delivery in deliveries {
        delivery.await.expect("the drop waits for a healthy cluster");
    }
    topic.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_to_the_partition_that_javas_partitioner_chooses() {
    // org.apache.kafka.common.utils.Utils.murmur2 of the key, as Kafka's own UtilsTest has them.
    let murmur2_of_java: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    const PARTITIONS: i32 = 12;
    let topic = Topic::create("murmur2", PARTITIONS, &[]).await;
    let producer = connect(&topic, |_| {}).await;
    for (user, murmur2) in murmur2_of_java {
        let accepted = producer.publish(&charge(user, 1)).await.expect("accepted");
        // BuiltInPartitioner: toPositive(murmur2(key)) % partitions.
        assert_eq!(accepted.partition.0, (murmur2 & 0x7fff_ffff) % PARTITIONS, "{user}");
    }
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
    topic.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_records_of_any_bytes_arrive_as_they_are() {
    let topic = Topic::create("raw", 1, &[]).await;
    let producer = connect(&topic, |_| {}).await;
    let keyed = producer.enqueue_raw(Some(b"user-1"), Some(&[0xff, 0x00]), &[("ce_id", Some(b"x"))]).await;
    keyed.expect("there is room").await.expect("accepted");
    let empty = producer.enqueue_raw(None, None, &[]).await;
    empty.expect("there is room").await.expect("accepted");

    let read = topic.read(2);
    assert_eq!(read[0].value.as_deref(), Some([0xff, 0x00].as_slice()));
    assert_eq!(read[0].headers["ce_id"], "x");
    assert_eq!((&read[1].key, &read[1].value), (&None, &None));
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
    topic.delete().await;
}
