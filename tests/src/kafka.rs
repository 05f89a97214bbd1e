//! Records to Kafka and back, with a plain client of our own.
//!
//! What a record means is left to others; here it is bytes in a place.
#![allow(unsafe_code, reason = "rust-rdkafka writes and reads no header name that is not UTF-8; other clients do")]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use millrace_topics::spec::parse_text;
use millrace_topics::{TopicName, TopicSpec, partition_watermarks};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::bindings as rd;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use crate::wait::until;

/// How long the brokers may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How long a broker may be down that a test killed.
const BROKER_BACK_WITHIN: Duration = Duration::from_secs(60);

/// Where a record stands: partition and offset.
pub type Place = (i32, i64);

/// Headers as bytes: any name, and perhaps no value.
pub type RawHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A record to publish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Raw {
    /// None: by the key, as Java's default partitioner does.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: RawHeaders,
}

/// A record as it stands in the topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumed {
    /// Partition and offset.
    pub place: Place,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: RawHeaders,
}

fn client(brokers: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("message.max.bytes", "8000000");
    for (name, value) in more {
        client.set(*name, *value);
    }
    client
}

fn producer(brokers: &str) -> FutureProducer {
    let producer = [("acks", "all"), ("enable.idempotence", "true"), ("partitioner", "murmur2_random")];
    client(brokers, &producer).set("linger.ms", "2").create().expect("the settings are valid")
}

/// One topic on the cluster.
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    brokers: String,
    producer: FutureProducer,
    asking: BaseConsumer,
}

impl Topic {
    /// Makes a topic of replication factor 3 with the shipped crate, as `topics apply` does.
    pub async fn create(brokers: &str, name: &str, partitions: i32, config: &str) -> Topic {
        // A broker that another test has killed comes back.
        until("a topic of three replicas can be made; is the stack up? run make up", BROKER_BACK_WITHIN, async || {
            millrace_topics::create_topic(brokers, &spec(name, partitions, config)).await
        })
        .await;
        let consumer = [("group.id", "nobody: assigned by hand"), ("enable.auto.commit", "false")];
        let asking = client(brokers, &consumer).set("fetch.queue.backoff.ms", "2").create();
        Topic {
            name: name.to_owned(),
            partitions,
            brokers: brokers.to_owned(),
            producer: producer(brokers),
            asking: asking.expect("the settings are valid"),
        }
    }

    /// Deletes the topic and waits until the cluster says that it is gone.
    pub async fn delete(&self) {
        let name = TopicName::new(self.name.clone()).expect("it was created under this name");
        // As in `create`: a broker that another test has killed comes back.
        until(&format!("topic {} can be deleted", self.name), BROKER_BACK_WITHIN, async || {
            millrace_topics::delete_topic(&self.brokers, &name).await
        })
        .await;
        until(&format!("topic {} is gone", self.name), ANSWER_WITHIN, async || {
            let metadata = self.asking.fetch_metadata(None, ANSWER_WITHIN).map_err(|error| error.to_string())?;
            match metadata.topics().iter().any(|topic| topic.name() == self.name) {
                true => Err("the cluster still lists it".to_owned()),
                false => Ok(()),
            }
        })
        .await;
    }

    /// Makes the topic of the same name again, after `delete`.
    pub async fn make_again(&self) {
        until("the topic can be made again", ANSWER_WITHIN, async || {
            millrace_topics::create_topic(&self.brokers, &spec(&self.name, self.partitions, "")).await
        })
        .await;
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.brokers, &[]).create().expect("the settings are valid")
    }

    /// Adds partitions, up to so many.
    pub async fn grow(&mut self, partitions: i32) {
        let admin = self.admin();
        let count = usize::try_from(partitions).expect("a number of partitions");
        // A second try finds that they are there.
        until("the topic has more partitions", BROKER_BACK_WITHIN, async || {
            let grown = [NewPartitions::new(&self.name, count)];
            let answer = admin.create_partitions(&grown, &AdminOptions::new()).await.map_err(|e| e.to_string())?;
            let metadata = self.asking.fetch_metadata(Some(&self.name), ANSWER_WITHIN).map_err(|e| e.to_string())?;
            match metadata.topics().iter().any(|topic| topic.partitions().len() == count) {
                true => Ok(()),
                false => Err(format!("{answer:?}")),
            }
        })
        .await;
        self.partitions = partitions;
        // One that knows them.
        self.producer = producer(&self.brokers);
    }

    /// Publishes in this order, and returns where each record stands once every in-sync replica has it.
    pub async fn publish(&self, records: impl IntoIterator<Item = Raw>) -> Vec<Place> {
        const IN_FLIGHT_MAX: usize = 20_000;
        let mut under_way: VecDeque<DeliveryFuture> = VecDeque::new();
        let mut places = Vec::new();
        for record in records {
            if under_way.len() >= IN_FLIGHT_MAX
                && let Some(first) = under_way.pop_front()
            {
                places.push(place_of(first).await);
            }
            under_way.push_back(self.hand_over(&record).await);
        }
        for delivery in under_way {
            places.push(place_of(delivery).await);
        }
        places
    }

    async fn hand_over(&self, record: &Raw) -> DeliveryFuture {
        let mut message: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&self.name).headers(native(&record.headers));
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.partition = record.partition;
        loop {
            match self.producer.send_result(message) {
                Ok(delivery) => return delivery,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    message = returned;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err((error, _)) => panic!("{} refuses the record: {error}", self.name),
            }
        }
    }

    /// First offset and high watermark of each partition.
    pub fn watermarks(&self) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
        let of = |partition| {
            let marks = partition_watermarks(self.asking.client(), &self.name, partition, ANSWER_WITHIN)?;
            Ok((partition, (marks.low, marks.high)))
        };
        (0..self.partitions).map(of).collect()
    }

    /// Deletes what stands before an offset, as retention does.
    pub async fn delete_records(&self, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(before)).expect("an offset");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        // Every replica has to: another test may have killed one.
        until("the records are deleted", BROKER_BACK_WITHIN, async || {
            // A new client each time: one keeps asking who led the partition when it came.
            let admin = self.admin();
            let answer = admin.delete_records(&list, &options).await?;
            answer.elements().iter().try_for_each(|element| element.error())
        })
        .await;
    }

    /// Every record that stands in the topic now, by place.
    pub fn read(&self) -> BTreeMap<Place, Consumed> {
        let marks = self.watermarks().expect("the brokers answer");
        let mut from = TopicPartitionList::new();
        let mut left: usize = 0;
        for (partition, (low, high)) in marks {
            left += (high - low) as usize;
            from.add_partition_offset(&self.name, partition, Offset::Offset(low)).expect("an offset");
        }
        self.asking.assign(&from).expect("the partitions exist");
        let mut records = BTreeMap::new();
        let mut silent = 0;
        while records.len() < left {
            match self.asking.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record = consumed(&message);
                    records.insert(record.place, record);
                    silent = 0;
                }
                // A broker that a test killed: the client finds another one, or the silence ends the wait.
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure) => {
                    silent += 1;
                }
                Some(Err(error)) => panic!("{}: {error}", self.name),
                None => silent += 1,
            }
            assert!(silent < 40, "{} of {left} records were read back from {}", records.len(), self.name);
        }
        self.asking.unassign().expect("nothing is assigned any more");
        records
    }
}

fn spec(name: &str, partitions: i32, config: &str) -> TopicSpec {
    let text = format!(
        "version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  {name}: {{ partitions: \
         {partitions}, key: user_id, config: {{ cleanup.policy: delete{config} }} }}\n"
    );
    let mut spec = parse_text("a test's topics.yaml".as_ref(), &text).unwrap_or_else(|error| panic!("{error}"));
    spec.topics.remove(0)
}

async fn place_of(delivery: DeliveryFuture) -> Place {
    match delivery.await.expect("the producer lives") {
        Ok(delivery) => (delivery.partition, delivery.offset),
        Err((error, _)) => panic!("a record was not accepted: {error}"),
    }
}

fn native(headers: &RawHeaders) -> OwnedHeaders {
    let native = OwnedHeaders::new_with_capacity(headers.len());
    let list = ptr::from_ref::<BorrowedHeaders>(native.as_borrowed()).cast_mut().cast::<rd::rd_kafka_headers_t>();
    for (name, value) in headers {
        let (value, bytes) = value.as_ref().map_or((ptr::null(), 0), |v| (v.as_ptr(), v.len()));
        // SAFETY: `native` owns the list and outlives the call; name and value are copied by it.
        let answer = unsafe {
            rd::rd_kafka_header_add(
                list,
                name.as_ptr().cast::<c_char>(),
                name.len() as isize,
                value.cast(),
                bytes as isize,
            )
        };
        assert_eq!(answer, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    native
}

fn consumed(message: &BorrowedMessage<'_>) -> Consumed {
    let mut headers = RawHeaders::new();
    // SAFETY: the message and its headers live for the whole block, and every byte is copied.
    unsafe {
        let mut list = ptr::null_mut();
        rd::rd_kafka_message_headers(message.ptr(), &mut list);
        for index in 0.. {
            let (mut name, mut value, mut bytes) = (ptr::null(), ptr::null(), 0);
            if list.is_null()
                || rd::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut bytes)
                    != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                break;
            }
            let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast::<u8>(), bytes).to_vec());
            headers.push((CStr::from_ptr(name).to_bytes().to_vec(), value));
        }
    }
    Consumed {
        place: (message.partition(), message.offset()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}
