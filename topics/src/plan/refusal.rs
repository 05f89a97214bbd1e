//! What a plan is refused for: one closed list, in the order in which it is checked.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

use crate::durability::ReplicationFactor;
use crate::name::{Partitions, TopicName};
use crate::spec::Position;

/// One reason why nothing of the plan will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file that declares the topic.
    pub file: PathBuf,
    /// Where; nothing for what the command line asked for.
    pub at: Option<Position>,
    /// The field in the file, or the option of the command line.
    pub field: String,
    /// What is wrong.
    pub kind: RefusalKind,
}

/// The reasons, each a sentence that ends with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RefusalKind {
    #[error("is {factor}, but only {brokers} up: each copy needs a broker of its own. Start the missing brokers, or lower replication_factor", brokers = up(*brokers))]
    FactorAboveBrokers { factor: ReplicationFactor, brokers: usize },
    #[error(
        "is {declared}, but the topic has {observed}, and apply does not move replicas. Move them with Kafka's kafka-reassign-partitions.sh and plan again, or declare {observed}"
    )]
    FactorChange { declared: ReplicationFactor, observed: ReplicationFactor },
    #[error("is {}, but the topic has {}: Kafka cannot take partitions away. Declare {}, or make a topic with a new name and move to it", declared.get(), observed.get(), observed.get())]
    FewerPartitions { declared: Partitions, observed: Partitions },
    #[error("is {}, not a multiple of the {} that the topic has: the keys of several partitions would be mixed into one, and no offset would tell them apart. Declare {} or another multiple, so that each partition splits and none mix", declared.get(), observed.get(), observed.get().saturating_mul(2))]
    NotAMultiple { declared: Partitions, observed: Partitions },
    #[error("is {}, more than the {} that the topic has, and the topic has a key: keys move to other partitions, and with them their order, the lane that owns them and their stripe of the balances. If that is meant: stop the publishers, let the workers drain the topic, and allow it by name: --grow-keyed {topic}", declared.get(), observed.get())]
    GrowsKeyedTopic { topic: TopicName, declared: Partitions, observed: Partitions },
    #[error("names a topic that the file does not declare. Correct the name, or leave the option out")]
    GrowUndeclared,
    #[error("names a topic that the file declares. Take it out of the file first, or leave the option out")]
    DeleteDeclared,
    #[error("names a topic of Kafka itself, which is never deleted. Leave the option out")]
    DeleteInternal,
}

impl RefusalKind {
    /// The stable label, for programs that read the JSON output.
    pub fn kind(&self) -> &'static str {
        match self {
            RefusalKind::FactorAboveBrokers { .. } => "factor_above_brokers",
            RefusalKind::FactorChange { .. } => "factor_change",
            RefusalKind::FewerPartitions { .. } => "fewer_partitions",
            RefusalKind::NotAMultiple { .. } => "not_a_multiple",
            RefusalKind::GrowsKeyedTopic { .. } => "grows_keyed_topic",
            RefusalKind::GrowUndeclared => "grow_undeclared",
            RefusalKind::DeleteDeclared => "delete_declared",
            RefusalKind::DeleteInternal => "delete_internal",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{}:{}:{}: ", self.file.display(), at.line, at.column)?;
        }
        write!(f, "{}: {}", self.field, self.kind)
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Refusal", 6)?;
        out.serialize_field("kind", self.kind.kind())?;
        out.serialize_field("file", &self.file)?;
        out.serialize_field("line", &self.at.map(|at| at.line))?;
        out.serialize_field("column", &self.at.map(|at| at.column))?;
        out.serialize_field("field", &self.field)?;
        out.serialize_field("reason", &self.kind.to_string())?;
        out.end()
    }
}

fn up(brokers: usize) -> String {
    if brokers == 1 { "1 broker is".to_owned() } else { format!("{brokers} brokers are") }
}
