//! The producer: encodes, waits for room, hands over to librdkafka, and ends without losing anything.
//!
//! Batching, retries and the idempotent sequence are librdkafka's. Trying again after a result is the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_domain::event::Event;
use millrace_domain::ids::EventId;
use millrace_wire::{avro, headers};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;

use crate::config::ProducerConfig;
use crate::connect::{self, ConnectError, Durability};
use crate::delivery::{Accepted, Callbacks, Delivery, Pending};
use crate::error::{Cause, PublishError, Unflushed};
use crate::room::Room;

/// What a record costs beside its key and value: headers, librdkafka's and our own bookkeeping.
const RECORD_OVERHEAD_BYTES: usize = 768;
/// How long a dropped producer waits for what is under way.
const DROP_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long to wait when librdkafka's queue is full although ours is not.
const NATIVE_QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);

/// An event and what goes with it. An event alone becomes one by `into()`.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The event.
    pub event: &'a Event,
    /// The `traceparent` of W3C Trace Context, carried as a header. One that is not well formed is left out.
    pub traceparent: Option<&'a str>,
}

impl<'a> From<&'a Event> for Outgoing<'a> {
    fn from(event: &'a Event) -> Outgoing<'a> {
        Outgoing { event, traceparent: None }
    }
}

/// Publishes events to one topic. Share it behind an `Arc`; end it by [`Producer::close`].
///
/// Dropping it without `close` blocks for up to 2 seconds, then gives up what has no result yet: those deliveries
/// answer `Cause::GivenUp`, and the log says how many.
pub struct Producer {
    client: ThreadedProducer<Callbacks>,
    room: Room,
    topic: Arc<str>,
    durability: Durability,
    cluster_id: Option<String>,
    closed: AtomicBool,
}

impl Producer {
    /// A producer for a topic that exists on a cluster that answers.
    ///
    /// Warns in the log of a topic that would lose accepted events with a single broker.
    pub async fn connect(config: ProducerConfig) -> Result<Producer, ConnectError> {
        config.check()?;
        if !avro::writes_by_the_schema() {
            return Err(ConnectError::WriterDiffers);
        }
        let callbacks = Callbacks::new(&config.topic, config.delivery_timeout);
        let client: ThreadedProducer<Callbacks> = config
            .native_producer()
            .create_with_context(callbacks)
            .map_err(|error| ConnectError::Client(error.to_string()))?;
        let asking = (client.clone(), config.clone());
        let found = tokio::task::spawn_blocking(move || connect::find_topic(&asking.0, &asking.1))
            .await
            .map_err(|error| ConnectError::Client(error.to_string()))??;
        client.client().context().outage.connected();
        Ok(Producer {
            room: Room::new(config.queue_records_max, config.queue_bytes_max),
            durability: connect::durability(found.replication_factor, &config).await,
            cluster_id: found.cluster_id,
            topic: config.topic.into(),
            client,
            closed: AtomicBool::new(false),
        })
    }

    /// Publishes and waits: `Ok` means that `min.insync.replicas` brokers hold the event.
    pub async fn publish<'a>(&self, event: impl Into<Outgoing<'a>>) -> Result<Accepted, PublishError> {
        self.enqueue(event).await?.await
    }

    /// Puts the event into the queue, waiting for room, and returns its result to come.
    ///
    /// A task that enqueues one event after the other keeps their order. An error means that this event is not in
    /// the queue. Dropping the future before it is ready leaves nothing in the queue.
    pub async fn enqueue<'a>(&self, event: impl Into<Outgoing<'a>>) -> Result<Delivery, PublishError> {
        let Outgoing { event, traceparent } = event.into();
        let value = avro::encode(event);
        let key = event.user_id.as_str().as_bytes();
        self.hand_over(Some(event.event_id), Some(key), Some(&value), || {
            let native = headers::fold(event, OwnedHeaders::new_with_capacity(8), |native, key, text| {
                native.insert(Header { key, value: Some(text) })
            });
            match traceparent {
                Some(text) if headers::is_traceparent(text) => {
                    native.insert(Header { key: headers::TRACEPARENT, value: Some(text) })
                }
                _ => native,
            }
        })
        .await
    }

    /// A record of any bytes, decodable or not: a dead letter that is published again, or a test's. Services publish events.
    ///
    /// A record without a key goes to a random partition.
    pub async fn enqueue_raw(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<Delivery, PublishError> {
        self.hand_over(None, key, value, || {
            headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |native, (name, bytes)| {
                native.insert(Header { key: name, value: *bytes })
            })
        })
        .await
    }

    async fn hand_over(
        &self,
        event_id: Option<EventId>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl FnOnce() -> OwnedHeaders,
    ) -> Result<Delivery, PublishError> {
        let called_at = Instant::now();
        let value_bytes = value.map_or(0, <[u8]>::len);
        let bytes = value_bytes + key.map_or(0, <[u8]>::len) + RECORD_OVERHEAD_BYTES;
        let callbacks = self.client.client().context();
        let fail = |cause: Cause| {
            callbacks.meters.failed(cause.kind());
            PublishError { event_id, topic: Arc::clone(&self.topic), cause }
        };
        if let Some(dead) = callbacks.dead() {
            return Err(fail(dead));
        }
        let place = self.room.take(bytes).await.map_err(|_closed| fail(Cause::Closed))?;

        let (sender, result) = oneshot::channel();
        let pending = Box::new(Pending { result: sender, called_at, place });
        let mut record: BaseRecord<'_, [u8], [u8], Box<Pending>> =
            BaseRecord::with_opaque_to(&self.topic, pending).headers(headers());
        record.key = key;
        record.payload = value;
        loop {
            // Before the hand-over, for the result may come before it returns.
            callbacks.meters.enqueued();
            let Err((error, returned)) = self.client.send(record) else {
                return Ok(Delivery { result, topic: Arc::clone(&self.topic), event_id });
            };
            callbacks.meters.settled();
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => {}
                Some(RDKafkaErrorCode::Fatal) => {
                    // The call may be quicker than the callback that tells of the death.
                    if let Some((code, reason)) = self.client.client().fatal_error() {
                        callbacks.die(&format!("{code}: {reason}"));
                    }
                    return Err(fail(callbacks.cause(&error, value_bytes)));
                }
                _ => return Err(fail(callbacks.cause(&error, value_bytes))),
            }
            // Not the normal case: our bound is the smaller one. The caller waits here, so its order holds.
            record = returned;
            tokio::time::sleep(NATIVE_QUEUE_FULL_WAIT).await;
        }
    }

    /// Records that are enqueued and have no result yet.
    pub fn in_flight(&self) -> usize {
        self.room.taken()
    }

    /// How safe an accepted record is, as the topic was set when the producer connected.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The id that the cluster gave itself when it was formatted, if it tells it.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What librdkafka last said about a broker that it cannot reach; for a message to people who wait.
    pub fn last_problem(&self) -> Option<String> {
        self.client.client().context().outage.last_problem()
    }

    /// Takes nothing more, and waits until every enqueued record has its result or the deadline is over.
    ///
    /// Calls after this fail with `Cause::Closed`.
    pub async fn close(&self, deadline: Duration) -> Result<(), Unflushed> {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let until = Instant::now() + deadline;
        self.room.close();
        self.closed.store(true, Ordering::Release);
        // The records under way need nobody to push them: linger is short, and the polling thread of the client
        // serves the callbacks.
        while self.in_flight() > 0 {
            if Instant::now() >= until {
                return Err(Unflushed { count: self.in_flight() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.in_flight() == 0 {
            return;
        }
        if !self.closed.load(Ordering::Acquire) {
            tracing::warn!(
                topic = &*self.topic,
                in_flight = self.in_flight(),
                "the producer is dropped without close(); waiting up to {DROP_WAIT_MAX:?} for what is under way"
            );
            // A time-out shows in the count below.
            let _ = self.client.flush(DROP_WAIT_MAX);
        }
        let given_up = self.in_flight();
        if given_up > 0 {
            tracing::error!(
                topic = &*self.topic,
                given_up,
                "records without an acknowledgement are given up; it is unknown whether they arrived: publish them \
                 again under the same event ids"
            );
        }
    }
}
