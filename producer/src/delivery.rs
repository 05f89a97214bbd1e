//! The result of each record: from librdkafka's delivery callback to the one who waits for it.
//!
//! One `Pending` travels with each record through librdkafka and comes back exactly once.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use millrace_domain::ids::{EventId, Offset, Partition};
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::oneshot;

use crate::error::{Cause, PublishError};
use crate::librdkafka::{self, Outage};
use crate::metrics::Meters;
use crate::room::Place;

/// `min.insync.replicas` brokers hold the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The partition that holds it.
    pub partition: Partition,
    /// Its offset there. None where a retry was answered with 'already there' and no place: rare, and no less safe.
    pub offset: Option<Offset>,
    /// From the call to the acknowledgement, the wait for room in the queue included.
    pub latency: Duration,
}

/// The result of one enqueued record, once it is known. Dropping it does not take the record back.
#[derive(Debug)]
#[must_use = "only the result says whether the record was accepted"]
pub struct Delivery {
    pub(crate) result: oneshot::Receiver<Result<Accepted, Cause>>,
    pub(crate) topic: Arc<str>,
    pub(crate) event_id: Option<EventId>,
}

impl Delivery {
    /// The event; none for a raw record.
    pub fn event_id(&self) -> Option<EventId> {
        self.event_id
    }
}

impl Future for Delivery {
    type Output = Result<Accepted, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map(|received| {
            // The sender is only dropped unused when librdkafka is destroyed with the record inside.
            received.unwrap_or(Err(Cause::GivenUp)).map_err(|cause| PublishError {
                event_id: self.event_id,
                topic: Arc::clone(&self.topic),
                cause,
            })
        })
    }
}

/// What travels with a record.
pub(crate) struct Pending {
    pub(crate) result: oneshot::Sender<Result<Accepted, Cause>>,
    pub(crate) called_at: Instant,
    /// Held until the result is known.
    pub(crate) place: Place,
}

/// What librdkafka calls back into.
pub(crate) struct Callbacks {
    pub(crate) meters: Meters,
    pub(crate) outage: Outage,
    delivery_timeout: Duration,
    dead: OnceLock<Arc<str>>,
}

impl Callbacks {
    pub(crate) fn new(topic: &str, delivery_timeout: Duration) -> Callbacks {
        Callbacks { meters: Meters::new(topic), outage: Outage::default(), delivery_timeout, dead: OnceLock::new() }
    }

    /// The fatal error, if there was one.
    pub(crate) fn dead(&self) -> Option<Cause> {
        self.dead.get().map(|reason| Cause::Dead { reason: Arc::clone(reason) })
    }

    /// Ends the producer: every later call fails with this reason.
    pub(crate) fn die(&self, reason: &str) {
        if self.dead.set(reason.into()).is_ok() {
            tracing::error!(reason, "the producer met a fatal error and is dead: every further publish fails");
        }
    }

    /// The cause behind an error of one record.
    pub(crate) fn cause(&self, error: &KafkaError, value_bytes: usize) -> Cause {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        // librdkafka takes back what it has when it dies; the death is then the cause.
        self.dead().unwrap_or_else(|| Cause::of(code, value_bytes, self.delivery_timeout))
    }
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        librdkafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.die(reason),
            code => self.outage.heard(code == Some(RDKafkaErrorCode::AllBrokersDown), reason),
        }
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, pending: Box<Pending>) {
        let result = match delivered {
            Ok(message) => {
                let latency = pending.called_at.elapsed();
                self.meters.accepted(latency);
                self.outage.over();
                Ok(Accepted {
                    partition: Partition(message.partition()),
                    offset: (message.offset() >= 0).then(|| Offset(message.offset())),
                    latency,
                })
            }
            Err((error, message)) => {
                let cause = self.cause(error, message.payload_len());
                self.meters.failed(cause.kind());
                Err(cause)
            }
        };
        let Pending { result: sender, place, .. } = *pending;
        self.meters.settled();
        // Before the result is told: who has every result must find nothing in flight.
        drop(place);
        // Who dropped the `Delivery` does not want to know.
        let _ = sender.send(result);
    }
}
