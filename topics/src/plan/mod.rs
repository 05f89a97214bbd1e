//! The plan: for each topic what will be done and why, or why it is refused.
//!
//! A pure value, computed once from (desired, observed), printed by a dry run and carried out by
//! [`crate::Cluster::apply`]: the two cannot differ.

mod compute;
mod refusal;
mod text;

pub(crate) use compute::is_done;
pub use compute::plan;
pub use refusal::{Refusal, RefusalKind};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::durability::Durability;
use crate::name::{Partitions, TopicName};
use crate::observed::Broker;

/// What a person allowed by name, for this plan alone.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Keyed topics that may get more partitions.
    pub grow_keyed: BTreeSet<TopicName>,
    /// Topics to delete.
    pub delete: BTreeSet<TopicName>,
}

/// What leads from the observed to the desired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The file that declares the desired.
    pub file: PathBuf,
    /// The brokers that were up.
    pub brokers: Vec<Broker>,
    /// Declared topics in the order of the file, then those to be deleted.
    pub topics: Vec<TopicPlan>,
    /// Topics that the file does not name: left alone.
    pub unmanaged: Vec<UnmanagedTopic>,
}

/// One topic's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicPlan {
    /// The topic.
    pub topic: TopicName,
    /// What it will survive; nothing for one that goes.
    pub durability: Option<Durability>,
    /// What it survives now, if it exists.
    pub observed_durability: Option<Durability>,
    /// What will be done.
    #[serde(flatten)]
    pub action: Action,
    /// What an operator should know and that changes nothing: replicas out of sync and the like.
    pub notes: Vec<String>,
}

/// What will be done to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It is not there and will be made.
    Create {
        /// With so many partitions.
        partitions: Partitions,
        /// With all of these settings.
        settings: BTreeMap<String, String>,
        /// The reason.
        why: String,
    },
    /// It is there and differs.
    Change {
        /// More partitions.
        grow: Option<Grow>,
        /// Settings, none if only the partitions grow.
        settings: Option<SettingsChange>,
    },
    /// It will be deleted with all that it holds.
    Delete {
        /// Records that are lost, if they could be counted.
        records: Option<u64>,
        /// The reason.
        why: String,
    },
    /// Nothing.
    Same,
    /// Nothing, and nothing else in this plan either, until this is resolved.
    Refused {
        /// All of them.
        refusals: Vec<Refusal>,
    },
}

/// More partitions for an existing topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grow {
    /// Today.
    pub from: Partitions,
    /// Then.
    pub to: Partitions,
    /// The reason, and for a keyed topic what to mind.
    pub why: String,
}

/// Other settings for an existing topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingsChange {
    /// What differs.
    pub changes: Vec<SettingChange>,
    /// All settings that the topic will have of its own: Kafka's request replaces the whole set.
    pub all: BTreeMap<String, String>,
}

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// Its name.
    pub name: String,
    /// Today; nothing where the broker's default holds.
    pub from: Option<String>,
    /// Then; nothing where it goes back to the broker's default.
    pub to: Option<String>,
    /// The reason.
    pub why: String,
}

/// A topic that the file does not name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnmanagedTopic {
    /// The topic.
    pub topic: TopicName,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// What it survives.
    pub durability: Durability,
}

/// How many topics of a plan have which action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named for the actions")]
pub struct Summary {
    pub create: usize,
    pub change: usize,
    pub delete: usize,
    pub same: usize,
    pub refused: usize,
    pub unmanaged: usize,
}

impl Plan {
    /// The counts.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { unmanaged: self.unmanaged.len(), ..Summary::default() };
        for topic in &self.topics {
            match topic.action {
                Action::Create { .. } => summary.create += 1,
                Action::Change { .. } => summary.change += 1,
                Action::Delete { .. } => summary.delete += 1,
                Action::Same => summary.same += 1,
                Action::Refused { .. } => summary.refused += 1,
            }
        }
        summary
    }

    /// Whether it can be carried out; if not, none of it is.
    pub fn is_refused(&self) -> bool {
        self.summary().refused > 0
    }

    /// Whether carrying it out would change anything.
    pub fn has_changes(&self) -> bool {
        let Summary { create, change, delete, .. } = self.summary();
        create + change + delete > 0
    }

    /// The refusals of all topics.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.topics.iter().flat_map(|topic| match &topic.action {
            Action::Refused { refusals } => refusals.as_slice(),
            _ => &[],
        })
    }
}
