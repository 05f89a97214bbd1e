//! What goes wrong: each failure has its cause, says what to do, and leaves no record half accounted.

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::{Topic, brokers, charge};
use millrace_producer::{Cause, ConnectError, Producer, ProducerConfig, Retry};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

const CLOSES_WITHIN: Duration = Duration::from_secs(30);

async fn connect(topic: &Topic) -> Producer {
    let config = ProducerConfig::new(brokers(), &topic.name);
    Producer::connect(config).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_for_good_and_the_next_one_is_accepted() {
    let topic = Topic::create("large", 1, &[("max.message.bytes", "20000")]).await;
    let producer = connect(&topic).await;
    let mut above_client = charge("user-1", 1);
    above_client.correlation_id = Some("x".repeat(2_000_000).into());
    let mut above_topic = charge("user-1", 2);
    above_topic.correlation_id = Some(incompressible(40_000).into());

    for event in [above_client, above_topic] {
        let error = producer.publish(&event).await.expect_err("too large");
        assert!(matches!(error.cause, Cause::TooLarge { bytes } if bytes > 40_000), "{error}");
        assert_eq!(error.retry(), Retry::Never);
        assert_eq!(error.event_id, Some(event.event_id));
    }
    producer.publish(&charge("user-1", 3)).await.expect("a normal one is accepted");
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
    topic.delete().await;
}

/// Text that zstd cannot make much smaller: digits of a xorshift generator, in hex.
fn incompressible(chars: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::with_capacity(chars + 16);
    while text.len() < chars {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("{state:016x}"));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_does_not_exist_is_refused_at_once_and_is_not_created() {
    let config = ProducerConfig::new(brokers(), "producer-test-no-such-topic");
    for _ in 0..2 {
        let error = Producer::connect(config.clone()).await.err().expect("no such topic");
        assert!(matches!(error, ConnectError::TopicUnknown { .. }), "{error}");
        assert!(error.to_string().contains("millrace topics apply"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_under_the_producer_fails_each_record_for_good() {
    let topic = Topic::create("deleted", 1, &[]).await;
    let producer = connect(&topic).await;
    producer.publish(&charge("user-1", 1)).await.expect("accepted");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("an admin client");
    admin.delete_topics(&[&topic.name], &AdminOptions::new()).await.expect("the cluster answers");

    let began = Instant::now();
    loop {
        match producer.publish(&charge("user-1", 2)).await {
            Err(error) if error.retry() == Retry::SameEventId => {
                // What was under way when the client dropped its leader: as a caller would, we publish it again.
                assert!(began.elapsed() < Duration::from_secs(60), "still to be tried again: {error}");
            }
            Err(error) => {
                assert_eq!((&error.cause, error.retry()), (&Cause::TopicUnknown, Retry::Never), "{error}");
                break;
            }
            // The brokers may take some for a moment longer.
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(60), "still accepted"),
        }
    }
    producer.close(CLOSES_WITHIN).await.expect("nothing is under way");
}

async fn unreachable(address: &str, named: &str) {
    let mut config = ProducerConfig::new(address, "payment-events");
    config.connect_timeout = Duration::from_secs(3);
    let began = Instant::now();
    let error = Producer::connect(config).await.err().expect("nobody answers there");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(address) && error.to_string().contains(named), "{error}");
    assert!(began.elapsed() < Duration::from_secs(6), "took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_is_named_with_what_was_heard_from_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    drop(listener);
    unreachable(&address, "Connection refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_answers_with_nothing_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    unreachable(&address, "no answer from a Kafka broker").await;
}

/// A producer of one mock broker, with the error that the broker gives to its next requests of this kind.
async fn mocked(
    cluster: &MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    delivery_timeout: Duration,
) -> Producer {
    cluster.create_topic("payment-events", 1, 1).expect("a mock topic");
    let mut config = ProducerConfig::new(cluster.bootstrap_servers(), "payment-events");
    config.delivery_timeout = delivery_timeout;
    Producer::connect(config).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_ends_the_producer_and_every_later_call_fails_with_its_reason() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[refused; 20]);
    let producer = mocked(&cluster, Duration::from_secs(30)).await;

    let began = Instant::now();
    let first = producer.publish(&charge("user-1", 1)).await.expect_err("no producer id, no idempotence");
    let later = producer.publish(&charge("user-1", 2)).await.expect_err("dead");
    assert!(began.elapsed() < Duration::from_secs(10), "a dead producer fails at once");
    for error in [&first, &later] {
        assert_eq!((error.kind(), error.retry()), ("dead", Retry::NewProducer), "{error}");
    }
    assert!(later.to_string().to_lowercase().contains("authorization failed"), "{later}");
    producer.close(Duration::from_secs(5)).await.expect("nothing is under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_goes_away_makes_the_result_unknown_after_the_delivery_timeout() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let producer = mocked(&cluster, Duration::from_secs(2)).await;
    producer.publish(&charge("user-1", 1)).await.expect("accepted");
    cluster.broker_down(1).expect("the mock broker goes down");

    let mut deliveries = Vec::new();
    for number in 2..=50 {
        deliveries.push(producer.enqueue(&charge("user-1", number)).await.expect("there is room"));
    }
    let unflushed = producer.close(Duration::from_millis(100)).await.expect_err("nobody acknowledges");
    assert_eq!(unflushed.count, 49);
    for delivery in deliveries {
        let error = delivery.await.expect_err("nobody acknowledged it");
        assert_eq!(error.cause, Cause::TimedOut { after: Duration::from_secs(2) });
        assert_eq!(error.retry(), Retry::SameEventId);
    }
    producer.close(Duration::from_millis(100)).await.expect("each has its result");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_by_a_drop_still_gets_a_result() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let producer = mocked(&cluster, Duration::from_secs(60)).await;
    producer.publish(&charge("user-1", 1)).await.expect("accepted");
    cluster.broker_down(1).expect("the mock broker goes down");
    let delivery = producer.enqueue(&charge("user-1", 2)).await.expect("there is room");
    drop(producer);
    let error = delivery.await.expect_err("nobody acknowledged it");
    assert_eq!((error.cause.clone(), error.retry()), (Cause::GivenUp, Retry::NewProducer));
}
