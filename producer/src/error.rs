//! Why a record was not accepted, and what the caller may do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_domain::ids::EventId;
use rdkafka::types::RDKafkaErrorCode;

/// What the caller may do with the event of a failed publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Publish it again under the same event id. If it did arrive, the second one counts as a duplicate.
    SameEventId,
    /// Publish it again under the same event id, with a new producer: this one is at its end.
    NewProducer,
    /// Do not: it would fail in the same way until somebody changes the event, the topic or the rights.
    Never,
}

/// Why a record was not accepted: a closed list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No acknowledgement within the delivery time-out. It is unknown whether the record arrived.
    TimedOut {
        /// The delivery time-out.
        after: Duration,
    },
    /// The brokers could not take it now, and librdkafka does not try such an error again.
    Broker {
        /// What the broker said.
        reason: String,
    },
    /// The record is larger than the producer or the topic allows.
    TooLarge {
        /// Bytes of the encoded value.
        bytes: usize,
    },
    /// The topic is not there any more.
    TopicUnknown,
    /// This client may not write to the topic.
    NotAuthorised {
        /// What the broker said.
        reason: String,
    },
    /// The brokers refuse this record for good.
    Refused {
        /// What the broker said.
        reason: String,
    },
    /// The producer was closed before the call.
    Closed,
    /// The producer went away before the record was acknowledged. It is unknown whether it arrived.
    GivenUp,
    /// The idempotent producer met a fatal error: it can promise neither order nor uniqueness any more.
    Dead {
        /// The fatal error.
        reason: Arc<str>,
    },
}

impl Cause {
    /// The stable name, shared by metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Cause::TimedOut { .. } => "timed_out",
            Cause::Broker { .. } => "broker",
            Cause::TooLarge { .. } => "too_large",
            Cause::TopicUnknown => "topic_unknown",
            Cause::NotAuthorised { .. } => "not_authorised",
            Cause::Refused { .. } => "refused",
            Cause::Closed => "closed",
            Cause::GivenUp => "given_up",
            Cause::Dead { .. } => "dead",
        }
    }

    /// What the caller may do.
    pub const fn retry(&self) -> Retry {
        match self {
            Cause::TimedOut { .. } | Cause::Broker { .. } => Retry::SameEventId,
            Cause::TooLarge { .. } | Cause::TopicUnknown | Cause::NotAuthorised { .. } | Cause::Refused { .. } => {
                Retry::Never
            }
            Cause::Closed | Cause::GivenUp | Cause::Dead { .. } => Retry::NewProducer,
        }
    }

    /// The cause behind an error code of librdkafka or of a broker.
    pub(crate) fn of(code: RDKafkaErrorCode, value_bytes: usize, delivery_timeout: Duration) -> Cause {
        use RDKafkaErrorCode as Code;
        let reason = || code.to_string();
        match code {
            Code::MessageTimedOut | Code::OperationTimedOut | Code::RequestTimedOut => {
                Cause::TimedOut { after: delivery_timeout }
            }
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => Cause::TooLarge { bytes: value_bytes },
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Cause::TopicUnknown,
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed | Code::SaslAuthenticationFailed => {
                Cause::NotAuthorised { reason: reason() }
            }
            Code::InvalidTopic
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidRequiredAcks
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::InvalidArgument => Cause::Refused { reason: reason() },
            Code::PurgeQueue | Code::PurgeInflight => Cause::GivenUp,
            Code::Fatal => Cause::Dead { reason: reason().into() },
            _ => Cause::Broker { reason: reason() },
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::TimedOut { after } => {
                write!(f, "no acknowledgement within {after:?}, so it is unknown whether it arrived")
            }
            Cause::Broker { reason } => write!(f, "the brokers did not take it: {reason}"),
            Cause::TooLarge { bytes } => {
                write!(f, "its {bytes} bytes are more than the producer or the topic (max.message.bytes) allows")
            }
            Cause::TopicUnknown => f.write_str("the topic does not exist (any more): run `millrace topics apply`"),
            Cause::NotAuthorised { reason } => {
                write!(f, "this client may not write there ({reason}): grant it WRITE on the topic")
            }
            Cause::Refused { reason } => write!(f, "the brokers refuse it for good: {reason}"),
            Cause::Closed => f.write_str("the producer is closed"),
            Cause::GivenUp => {
                f.write_str("the producer ended before an acknowledgement, so it is unknown whether it arrived")
            }
            Cause::Dead { reason } => write!(f, "the producer met a fatal error and is dead: {reason}"),
        }
    }
}

/// A record that was not accepted: which one, why, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct PublishError {
    /// The event; none for a raw record.
    pub event_id: Option<EventId>,
    /// The topic that it was for.
    pub topic: Arc<str>,
    /// What happened.
    pub cause: Cause,
}

impl PublishError {
    /// What the caller may do.
    pub const fn retry(&self) -> Retry {
        self.cause.retry()
    }

    /// The stable name of the cause.
    pub const fn kind(&self) -> &'static str {
        self.cause.kind()
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event_id {
            Some(id) => write!(f, "event {id}, topic {}: ", self.topic)?,
            None => write!(f, "raw record, topic {}: ", self.topic)?,
        }
        write!(f, "{}", self.cause)?;
        f.write_str(match self.retry() {
            Retry::SameEventId => "; publish it again under the same event id",
            Retry::NewProducer => "; publish it again under the same event id, with a new producer",
            Retry::Never => "",
        })
    }
}

/// Records that had no result when the deadline of `Producer::close` was over.
///
/// Their deliveries resolve when the producer is dropped. Publish them again under the same event ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{count} records had no acknowledgement when the deadline was over, so it is unknown whether they arrived; publish \
     them again under the same event ids"
)]
pub struct Unflushed {
    /// How many.
    pub count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_by_a_method_whether_to_publish_again() {
        use RDKafkaErrorCode as Code;
        for (code, kind, retry) in [
            (Code::MessageTimedOut, "timed_out", Retry::SameEventId),
            (Code::RequestTimedOut, "timed_out", Retry::SameEventId),
            (Code::NotEnoughReplicas, "broker", Retry::SameEventId),
            (Code::NotEnoughReplicasAfterAppend, "broker", Retry::SameEventId),
            (Code::OutOfOrderSequenceNumber, "broker", Retry::SameEventId),
            (Code::MessageSizeTooLarge, "too_large", Retry::Never),
            (Code::UnknownTopicOrPartition, "topic_unknown", Retry::Never),
            (Code::UnknownTopic, "topic_unknown", Retry::Never),
            (Code::TopicAuthorizationFailed, "not_authorised", Retry::Never),
            (Code::PolicyViolation, "refused", Retry::Never),
            (Code::PurgeQueue, "given_up", Retry::NewProducer),
            (Code::PurgeInflight, "given_up", Retry::NewProducer),
            (Code::Fatal, "dead", Retry::NewProducer),
        ] {
            let cause = Cause::of(code, 0, Duration::from_secs(1));
            assert_eq!((cause.kind(), cause.retry()), (kind, retry), "{code:?}");
        }
    }

    #[test]
    fn a_time_out_tells_the_event_and_that_nobody_knows_whether_it_arrived() {
        let error = PublishError {
            event_id: None,
            topic: "payment-events".into(),
            cause: Cause::TimedOut { after: Duration::from_secs(120) },
        };
        assert_eq!(
            error.to_string(),
            "raw record, topic payment-events: no acknowledgement within 120s, so it is unknown whether it arrived; \
             publish it again under the same event id"
        );
    }
}
