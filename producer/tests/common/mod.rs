//! A topic of its own for each test on the real cluster, and events to publish.
//!
//! A cluster that is away fails the test: `make up` starts one.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use millrace_domain::event::{Event, EventType, Kind};
use millrace_domain::ids::{EventId, MerchantId, Micros, PaymentId, UserId};
use millrace_domain::money::Currency;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

pub fn brokers() -> String {
    std::env::var("MILLRACE_BROKERS").unwrap_or_else(|_| "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094".to_owned())
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("an admin client of valid settings")
}

/// A topic with a name of its own; `delete` it at the end.
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}

impl Topic {
    pub async fn create(purpose: &str, partitions: i32, config: &[(&str, &str)]) -> Topic {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("producer-test-{purpose}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(3));
        for (key, value) in config {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        let answer = admin().create_topics([&topic], &options).await;
        let answer = answer.unwrap_or_else(|e| panic!("no cluster at {}: {e}; start it with `make up`", brokers()));
        for result in answer {
            result.unwrap_or_else(|(name, code)| panic!("topic {name} was not created: {code}"));
        }
        Topic { name, partitions }
    }

    pub async fn delete(self) {
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        admin().delete_topics(&[&self.name], &options).await.expect("the cluster answers");
    }

    /// Every record of the topic, in the order of each partition; `count` of them must be there.
    pub fn read(&self, count: usize) -> Vec<Read> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers())
            .set("group.id", "none: assigned by hand")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer of valid settings");
        let mut from = TopicPartitionList::new();
        for partition in 0..self.partitions {
            from.add_partition_offset(&self.name, partition, Offset::Beginning).expect("the beginning is an offset");
        }
        consumer.assign(&from).expect("the partitions exist");
        let until = SystemTime::now() + ANSWER_WITHIN;
        let mut records = Vec::new();
        while records.len() < count {
            assert!(SystemTime::now() < until, "{} of {count} records were read from {}", records.len(), self.name);
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                records.push(Read::from(&message.expect("a readable record")));
            }
        }
        // Whatever comes now is one too many.
        if let Some(message) = consumer.poll(Duration::from_millis(300)) {
            records.push(Read::from(&message.expect("a readable record")));
        }
        records
    }
}

/// A record as a consumer sees it.
pub struct Read {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: BTreeMap<String, String>,
}

impl Read {
    fn from(message: &rdkafka::message::BorrowedMessage<'_>) -> Read {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Read {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|h| (h.key.to_owned(), String::from_utf8_lossy(h.value.unwrap_or_default()).into_owned()))
                .collect(),
        }
    }
}

/// A charge of one user, numbered by its amount.
pub fn charge(user: &str, amount_minor: i64) -> Event {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("now is after 1970");
    Event {
        event_id: EventId(uuid_v7(now)),
        event_type: EventType::Known(Kind::PaymentCharged),
        payment_id: PaymentId(uuid_v7(now)),
        user_id: UserId(user.into()),
        merchant_id: Some(MerchantId("merchant-1".into())),
        operation_id: None,
        sequence: None,
        amount_minor,
        currency: Currency::from_code("GBP").expect("GBP is in the table"),
        occurred_at: Micros(now.as_micros() as i64),
        source: "producer-test".into(),
        correlation_id: None,
        causation_id: None,
        metadata: BTreeMap::new(),
    }
}

fn uuid_v7(now: Duration) -> Uuid {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(now.as_millis() as u64, &random).into_uuid()
}
