//! Kafka's id of a topic: a topic that was deleted and made again has another.
//!
//! rust-rdkafka does not wrap DescribeTopics, so this file speaks to librdkafka itself.
#![allow(
    unsafe_code,
    reason = "librdkafka's DescribeTopics has no safe wrapper; every pointer here is owned by this file"
)]

use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

/// How long the brokers may take to tell it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the id could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TopicIdError {
    /// There is no such topic.
    #[error("topic {0:?} does not exist: declare it in topics.yaml and run `millrace topics apply`")]
    NoSuchTopic(String),
    /// The brokers did not answer, or refused.
    #[error("cannot describe topic {topic:?}: {problem}")]
    Unavailable {
        /// The topic.
        topic: String,
        /// The client's words.
        problem: String,
    },
}

/// A pointer of librdkafka's with the function that frees it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to this destructor, and is freed once.
        unsafe { (self.1)(self.0) }
    }
}

/// Asks the brokers at these addresses for the topic's id, on a connection of its own.
pub async fn of(brokers: &str, topic: &str) -> Result<String, TopicIdError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "millrace-topic-id");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let asked = topic.to_owned();
    let asking = tokio::task::spawn_blocking(move || match config.create::<BaseConsumer>() {
        Ok(client) => ask(&client, &asked, TIMEOUT),
        Err(error) => Err(unavailable(&asked, error)),
    });
    asking.await.unwrap_or_else(|died| Err(unavailable(topic, died)))
}

fn unavailable(topic: &str, problem: impl ToString) -> TopicIdError {
    TopicIdError::Unavailable { topic: topic.to_owned(), problem: problem.to_string() }
}

/// The topic's id, asked only of a cluster that answers: without a controller, librdkafka 2.12 wakes its threads a
/// hundred thousand times a second for as long as the question is open.
pub(crate) fn ask<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<String, TopicIdError> {
    match consumer.fetch_metadata(Some(topic), timeout) {
        Ok(_) => fetch(consumer, topic, timeout),
        Err(error) => Err(unavailable(topic, error)),
    }
}

/// Asks the brokers for the topic's id, as Kafka spells it. Blocks for `timeout` at most.
pub(crate) fn fetch<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<String, TopicIdError> {
    let unavailable = |problem: String| unavailable(topic, problem);
    let name = CString::new(topic).map_err(|_| TopicIdError::NoSuchTopic(topic.into()))?;
    let client = consumer.client().native_ptr();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `client` outlives this call; names, options, queue and event are owned here until after their last use,
    // and what is read out of the event is copied before the event is freed.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Owned(
            rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            rd::rd_kafka_TopicCollection_destroy,
        );
        let options = Owned(
            rd::rd_kafka_AdminOptions_new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            rd::rd_kafka_AdminOptions_destroy,
        );
        let mut problem = [0; 256];
        rd::rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, problem.as_mut_ptr(), problem.len());
        let queue = Owned(rd::rd_kafka_queue_new(client), rd::rd_kafka_queue_destroy);
        rd::rd_kafka_DescribeTopics(client, topics.0, options.0, queue.0);
        let event = rd::rd_kafka_queue_poll(queue.0, timeout_ms);
        if event.is_null() {
            return Err(unavailable(format!("no broker answered within {timeout_ms} ms")));
        }
        let event = Owned(event, rd::rd_kafka_event_destroy);
        if rd::rd_kafka_event_error(event.0) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(unavailable(text(rd::rd_kafka_event_error_string(event.0))));
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event.0);
        let mut count = 0;
        let descriptions = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if descriptions.is_null() || count == 0 {
            return Err(unavailable("the answer is empty".into()));
        }
        let description = *descriptions;
        let error = rd::rd_kafka_TopicDescription_error(description);
        match rd::rd_kafka_error_code(error) {
            _ if error.is_null() => {}
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                return Err(TopicIdError::NoSuchTopic(topic.into()));
            }
            _ => return Err(unavailable(text(rd::rd_kafka_error_string(error)))),
        }
        Ok(text(rd::rd_kafka_Uuid_base64str(rd::rd_kafka_TopicDescription_topic_id(description))))
    }
}

/// Copies a string of librdkafka's.
///
/// # Safety
/// `words` is null or points at a string that ends with NUL.
unsafe fn text(words: *const std::ffi::c_char) -> String {
    match ptr::NonNull::new(words.cast_mut()) {
        // SAFETY: as the caller promises.
        Some(words) => unsafe { CStr::from_ptr(words.as_ptr()) }.to_string_lossy().into_owned(),
        None => String::new(),
    }
}
