//! The first contact: whether the cluster answers, has the topic, and can keep the promise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::config::ProducerConfig;
use crate::delivery::Callbacks;
use crate::librdkafka::Voice;

/// A topic that was made a moment ago may not be known to every broker yet.
const TOPIC_APPEARS_WITHIN: Duration = Duration::from_secs(2);
const TOPIC_ASKED_EVERY: Duration = Duration::from_millis(100);
/// Reading min.insync.replicas only serves a warning: a service does not wait long for it.
const SETTINGS_ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Why there is no producer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot work.
    #[error("producer setting `{field}`: {problem}")]
    Config {
        /// The field of `ProducerConfig`.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No broker answered.
    #[error(
        "no answer from a Kafka broker at {brokers} within {waited:?} ({last_problem}): check that the cluster is up \
         and that the addresses are right"
    )]
    Unreachable {
        /// The addresses that were tried.
        brokers: String,
        /// For how long.
        waited: Duration,
        /// What was last heard.
        last_problem: String,
    },
    /// The cluster has no such topic, or does not show it to this client.
    #[error(
        "the cluster at {brokers} has no topic {topic}: run `millrace topics apply`; if the topic is there, this \
         client lacks the right to DESCRIBE it"
    )]
    TopicUnknown {
        /// The topic.
        topic: String,
        /// The addresses.
        brokers: String,
    },
    /// This build is broken: events would not be what their schema says.
    #[error(
        "this build does not write events as schemas/payment_event/1.avsc describes them: it was built from a schema \
         that was changed without its writer, and publishes nothing"
    )]
    WriterDiffers,
    /// librdkafka cannot make a producer of the settings.
    #[error("librdkafka refuses the settings: {0}")]
    Client(String),
}

/// How safe an accepted record is: what the topic promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durability {
    /// Brokers that keep each record.
    pub replication_factor: u32,
    /// Brokers that have it when it counts as accepted: `min.insync.replicas`, which Kafka silently caps at the
    /// replication factor. None where this client may not read it.
    pub min_insync_replicas: Option<u32>,
}

impl Durability {
    /// What an operator should know, if anything.
    fn warning(self) -> Option<&'static str> {
        let factor = self.replication_factor;
        match self.min_insync_replicas {
            _ if factor < 2 => Some("the topic has one replica: it loses accepted events with that broker's disk"),
            None => {
                Some("min.insync.replicas of the topic cannot be read: whether an accepted event is safe is unknown")
            }
            Some(min) if min < 2 => {
                Some("min.insync.replicas of the topic is 1: an accepted event may be on one broker only")
            }
            Some(min) if min == factor => {
                Some("min.insync.replicas equals the replication factor: without any one broker nothing is accepted")
            }
            Some(_) => None,
        }
    }
}

/// What the first contact tells.
pub(crate) struct Found {
    pub(crate) replication_factor: u32,
    pub(crate) cluster_id: Option<String>,
}

/// Blocks until the cluster has answered or the time is over.
pub(crate) fn find_topic(client: &ThreadedProducer<Callbacks>, config: &ProducerConfig) -> Result<Found, ConnectError> {
    let began = Instant::now();
    let left = || config.connect_timeout.saturating_sub(began.elapsed()).max(TOPIC_ASKED_EVERY);
    loop {
        // All topics and not the one: asking for a topic by its name may create it.
        const ALL_TOPICS: Option<&str> = None;
        let metadata =
            client.client().fetch_metadata(ALL_TOPICS, left()).map_err(|error| unreachable(client, config, &error))?;
        if let Some(replication_factor) = replication_factor(&metadata, &config.topic) {
            // Known from the answer before: this does not ask again.
            let cluster_id = client.client().fetch_cluster_id(TOPIC_ASKED_EVERY);
            // librdkafka leaves the brokers that it was given for those that the first answer names, and finds none to ask
            // for its producer id: it would wait for half a second, and with it the first record. A second answer makes it
            // ask at once. That there is none is no reason to refuse.
            let _ = client.client().fetch_metadata(Some(&config.topic), left());
            return Ok(Found { replication_factor, cluster_id });
        }
        if began.elapsed() >= TOPIC_APPEARS_WITHIN {
            return Err(ConnectError::TopicUnknown { topic: config.topic.clone(), brokers: config.brokers.clone() });
        }
        std::thread::sleep(TOPIC_ASKED_EVERY);
    }
}

fn unreachable(client: &ThreadedProducer<Callbacks>, config: &ProducerConfig, error: &KafkaError) -> ConnectError {
    let problem = client.client().context().outage.last_problem();
    ConnectError::Unreachable {
        brokers: config.brokers.clone(),
        waited: config.connect_timeout,
        last_problem: problem.unwrap_or_else(|| error.to_string()),
    }
}

/// The fewest replicas that a partition of the topic has.
fn replication_factor(metadata: &Metadata, topic: &str) -> Option<u32> {
    let topic = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none())?;
    topic.partitions().iter().map(|p| p.replicas().len() as u32).min()
}

/// Reads what the topic promises and warns of what it does not. Never refuses: the right to read it may be missing.
pub(crate) async fn durability(replication_factor: u32, config: &ProducerConfig) -> Durability {
    let min = min_insync_replicas(config).await;
    if let Err(reason) = &min {
        tracing::debug!(topic = config.topic, %reason, "min.insync.replicas cannot be read");
    }
    let durability =
        Durability { replication_factor, min_insync_replicas: min.ok().map(|min| min.min(replication_factor)) };
    if let Some(warning) = durability.warning() {
        tracing::warn!(topic = config.topic, ?durability, "{warning}");
    }
    durability
}

async fn min_insync_replicas(config: &ProducerConfig) -> Result<u32, String> {
    let admin: Arc<AdminClient<Voice>> =
        Arc::new(config.native_client().create_with_context(Voice).map_err(|e| e.to_string())?);
    let options = AdminOptions::new().request_timeout(Some(config.connect_timeout.min(SETTINGS_ANSWER_WITHIN)));
    let answer = admin.describe_configs([&ResourceSpecifier::Topic(&config.topic)], &options).await;
    // Its drop waits for its polling thread.
    drop(tokio::task::spawn_blocking(move || drop(admin)));
    let resources = answer.map_err(|e| e.to_string())?;
    let resource = resources.into_iter().next().ok_or("an empty answer")?;
    let resource = resource.map_err(|code: RDKafkaErrorCode| code.to_string())?;
    let value = resource.get("min.insync.replicas").and_then(|entry| entry.value.as_deref());
    let value = value.ok_or("no such entry")?;
    value.parse().map_err(|_| format!("{value:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_survives_no_loss_is_warned_of() {
        for (replication_factor, min_insync_replicas, warned) in [
            (3, Some(2), false),
            (5, Some(3), false),
            (3, Some(1), true),
            (3, Some(3), true),
            (2, Some(2), true),
            (1, Some(1), true),
            (3, None, true),
        ] {
            let durability = Durability { replication_factor, min_insync_replicas };
            assert_eq!(durability.warning().is_some(), warned, "{durability:?}");
        }
    }
}
