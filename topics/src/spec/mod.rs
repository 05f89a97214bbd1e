//! What `topics.yaml` declares: the file's content as checked values.
//!
//! Reading starts in [`parse`]; [`Problem`] is the closed list of what a file can be refused for.
//! Whether the cluster can carry what is declared is for [`crate::plan`] to say.

mod problem;
mod yaml;

mod reader;

mod form;

mod file;

pub use file::{parse, parse_text};
pub use problem::{Position, Problem, ProblemKind, SpecErrors};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::durability::Durability;
use crate::name::{Partitions, TopicName};
use crate::settings::MIN_INSYNC_REPLICAS;

/// A `topics.yaml` that passed every check.
#[derive(Clone, Debug, Serialize)]
pub struct Spec {
    /// The file, as it was named to us.
    pub file: PathBuf,
    /// In the order of the file; a dead letter topic that the file only names follows its topic.
    pub topics: Vec<TopicSpec>,
}

/// One declared topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicSpec {
    /// The topic's name in Kafka.
    pub name: TopicName,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// Replication factor and min ISR.
    pub durability: Durability,
    /// The event's field that is the record's key. A topic with one is *keyed*: its order holds
    /// for each key, so its partitions are not simply added to.
    pub key: Option<String>,
    /// The folder with the schema's versions, as the file writes it (relative to the file).
    pub schema: Option<PathBuf>,
    /// Where dead letters are relayed to for other tools. Postgres keeps the dead letters; this
    /// topic decides nothing.
    pub dead_letter: Option<TopicName>,
    /// Kafka settings other than min.insync.replicas, in Kafka's own spelling.
    pub config: BTreeMap<String, String>,
    /// Who reads the topic, and how far behind they may be.
    pub consumers: Vec<ConsumerSpec>,
    /// Where the topic comes from.
    pub origin: Origin,
    /// Where the file says so, for messages.
    pub at: TopicPositions,
}

/// Whether a topic stands under `topics:` or follows from another one's `dead_letter:`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It has its own entry.
    Declared,
    /// `dead_letter:` of this topic names it and it has no entry of its own: one partition, the
    /// durability of that topic, no key, kept for 30 days.
    DeadLetterOf(TopicName),
}

/// A consumer group that the topic is meant for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerSpec {
    /// The group's name.
    pub group: String,
    /// How old the oldest unread record may become before someone should look.
    #[serde(rename = "max_lag_ms", serialize_with = "as_millis")]
    pub max_lag: Duration,
}

fn as_millis<S: serde::Serializer>(lag: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(lag.as_millis())
}

/// Where in the file a topic and the fields that a plan can refuse were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TopicPositions {
    /// The topic's name.
    pub topic: Position,
    /// `partitions`.
    pub partitions: Position,
    /// `replication_factor`, which may stand under `defaults`.
    pub replication_factor: Position,
}

impl Spec {
    /// A spec of one topic alone, to make it by itself: a test's or a demo's own topic.
    pub fn only(topic: TopicSpec) -> Spec {
        Spec { file: PathBuf::from("(one topic)"), topics: vec![topic] }
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&TopicSpec> {
        self.topics.iter().find(|topic| topic.name.as_str() == name)
    }
}

impl TopicSpec {
    /// The same topic under another name, for an isolated copy of it.
    pub fn renamed(&self, name: TopicName) -> TopicSpec {
        TopicSpec { name, ..self.clone() }
    }

    /// Every setting that the topic has of its own in Kafka, min.insync.replicas among them.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.config.clone();
        settings.insert(MIN_INSYNC_REPLICAS.to_owned(), self.durability.min_insync_replicas.to_string());
        settings
    }

    /// The name of one of its fields in the file, for a message: `topics.payment-events.key`.
    pub fn field(&self, field: &str) -> String {
        match &self.origin {
            Origin::Declared => format!("topics.{}.{field}", self.name),
            Origin::DeadLetterOf(topic) => format!("topics.{topic}.dead_letter"),
        }
    }
}
