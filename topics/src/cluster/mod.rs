//! The cluster itself: the only part of this crate that talks to Kafka.
//!
//! Observing and applying each live in a file; here is the connection and what can go wrong with
//! it. Retrying is left to the caller: an operator who runs a plan wants to know now. Only a partition
//! whose leader moves is asked again, for that passes within a second or two.

mod apply;
mod connection;
mod observe;

pub use apply::{Applied, ApplyError, Outcome, TopicOutcome, apply, create_topic, delete_topic};
pub use observe::partition_watermarks;

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use thiserror::Error;

use connection::Watched;

use crate::observed::BrokerId;

/// How long a cluster may take to answer the first question, and any later one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a cluster, for observing and applying.
pub struct Cluster {
    brokers: String,
    /// Metadata and offsets, and the reason when nobody answers.
    watched: Watched,
    admin: AdminClient<DefaultClientContext>,
}

/// Why the cluster could not be asked.
#[derive(Clone, Debug, Error)]
pub enum ClusterError {
    /// The list of addresses cannot be used.
    #[error(
        "brokers: `{brokers}` is not a list of broker addresses: {reason}. Give `host:port,host:port,...` by --brokers or MILLRACE_BROKERS"
    )]
    Address {
        /// As given.
        brokers: String,
        /// What the client library says.
        reason: String,
    },
    /// Nobody answered.
    #[error(
        "brokers: no Kafka broker answered at `{brokers}` within {waited_s} s: {reason}. Start the cluster (`make up` starts one on this machine), or give the right addresses by --brokers or MILLRACE_BROKERS"
    )]
    NoAnswer {
        /// As given.
        brokers: String,
        /// How long we waited.
        waited_s: u64,
        /// The last thing that the client library reported.
        reason: String,
    },
    /// The cluster answered before and one request failed.
    #[error(
        "brokers: the cluster at `{brokers}` could not {what}: {reason}. Check that every broker is up and reachable at the address that it advertises, and look into the brokers' logs"
    )]
    Request {
        /// As given.
        brokers: String,
        /// What was asked.
        what: String,
        /// What the cluster or the client library says.
        reason: String,
    },
}

impl Cluster {
    /// Prepares a connection to `host:port,host:port,...`. Nothing is asked yet, so a cluster that
    /// is away shows at the first question.
    pub fn connect(brokers: &str) -> Result<Cluster, ClusterError> {
        let address_error = |reason: String| ClusterError::Address { brokers: brokers.to_owned(), reason };
        if !brokers.split(',').all(|address| is_address(address.trim())) {
            return Err(address_error("each must be host:port".to_owned()));
        }
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("client.id", "millrace-topics")
            // Both below our own patience, so that a broker that accepts the connection and then
            // says nothing is reported as that.
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("api.version.request.timeout.ms", "5000")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Info);
        let created = |error: rdkafka::error::KafkaError| address_error(error.to_string());
        Ok(Cluster {
            brokers: brokers.to_owned(),
            watched: Watched::new(&config).map_err(created)?,
            admin: config.create().map_err(created)?,
        })
    }

    fn request_error(&self, what: impl Into<String>, reason: impl ToString) -> ClusterError {
        ClusterError::Request { brokers: self.brokers.clone(), what: what.into(), reason: reason.to_string() }
    }
}

/// The client library takes almost any text for an address and then fails to resolve it.
fn is_address(address: &str) -> bool {
    let after_protocol = address.split_once("://").map_or(address, |(_, rest)| rest);
    match after_protocol.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => false,
    }
}

fn admin_options(broker: Option<BrokerId>) -> AdminOptions {
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT));
    match broker {
        Some(BrokerId(id)) => options.broker_id(id),
        None => options,
    }
}
