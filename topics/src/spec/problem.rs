//! What a `topics.yaml` is refused for: one closed list, each with its place, its reason and what
//! to do about it.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer, ser::SerializeStruct};
use thiserror::Error;

use crate::durability::{MinInsyncReplicas, ReplicationFactor};
use crate::name::{InvalidTopicName, TopicName};

/// A place in the file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// Why the file was not taken.
#[derive(Debug, Error)]
pub enum SpecErrors {
    /// The file could not be read at all.
    #[error("{}: cannot be read: {reason}. Name the file (`millrace topics plan FILE`), or run in the folder that has a topics.yaml", file.display())]
    Unreadable {
        /// The file, as it was named to us.
        file: PathBuf,
        /// What the operating system or the text decoder says.
        reason: String,
    },
    /// The file's content is refused. Never empty; in the order of the file.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Problem>),
}

impl SpecErrors {
    /// The problems of a file that could be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            SpecErrors::Unreadable { .. } => &[],
            SpecErrors::Refused(problems) => problems,
        }
    }
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to us.
    pub file: PathBuf,
    /// Where.
    pub at: Position,
    /// The field's path, such as `topics.payment-events.partitions`; empty for the whole file.
    pub field: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.at.line, self.at.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        self.kind.fmt(f)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Problem", 6)?;
        out.serialize_field("kind", self.kind.kind())?;
        out.serialize_field("file", &self.file)?;
        out.serialize_field("line", &self.at.line)?;
        out.serialize_field("column", &self.at.column)?;
        out.serialize_field("field", &self.field)?;
        out.serialize_field("reason", &self.kind.to_string())?;
        out.end()
    }
}

/// The reasons, each a sentence that ends with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProblemKind {
    #[error("is not valid YAML: {info}. Correct the syntax here")]
    Syntax { info: String },
    #[error("uses {what}, which topics.yaml does not take. {instead}")]
    Unsupported { what: &'static str, instead: &'static str },
    #[error("must be {expected}, but is {found}. Correct the value")]
    WrongType { expected: &'static str, found: String },
    #[error("is not a key known here.{} Known: {known}", did_you_mean(nearest))]
    UnknownKey { nearest: Option<String>, known: String },
    #[error("is given twice, first in line {}. Keep one of the two", first.line)]
    DuplicateKey { first: Position },
    #[error("is missing. Add {example}")]
    MissingKey { example: &'static str },
    #[error(
        "is {found}, and this build reads version 1 only. Write `version: 1`, or use the build that the file was written for"
    )]
    UnsupportedVersion { found: u64 },
    #[error("is {found}, but must be from {min} to {max}. Correct the number")]
    OutOfRange { found: String, min: u64, max: u64 },
    #[error("the topic's name {reason}. Rename the topic")]
    InvalidTopicName { reason: InvalidTopicName },
    #[error("names that begin with `__` belong to Kafka itself. Rename the topic")]
    InternalTopicName,
    #[error(
        "collides with topic `{other}`: Kafka's metrics write `_` for `.`, so it lets only one of the two exist. Rename one"
    )]
    CollidingTopicName { other: TopicName },
    #[error("is {min_isr}, above the replication factor {factor}. Kafka would not complain: it clamps min ISR to the factor in silence, and the topic would look safer than it is. Lower min_insync_replicas to {}, or raise replication_factor", factor.get().saturating_sub(1).max(1))]
    MinIsrAboveFactor { min_isr: MinInsyncReplicas, factor: ReplicationFactor },
    #[error("is {min_isr}, equal to the replication factor: as soon as one broker is down, every publish is refused. Lower min_insync_replicas or raise replication_factor{}; if the topic may stop with any broker, say so by `allow_no_broker_loss: true` on it", if factor.get() == 1 { " (with one copy, a lost disk is lost records)" } else { "" })]
    MinIsrEqualsFactor { min_isr: MinInsyncReplicas, factor: ReplicationFactor },
    #[error("{path} {reason}. Correct the path (it is relative to this file), or add the schema: a folder with 1.avsc, 2.avsc, ...", path = path.display())]
    SchemaMissing { path: PathBuf, reason: String },
    #[error("is `{key}`, but {schema} has no field of that name. Name one of its fields: {fields}", schema = schema.display())]
    KeyNotInSchema { key: String, schema: PathBuf, fields: String },
    #[error("is `{value}`, but must be {expected}. Correct the value")]
    InvalidValue { value: String, expected: String },
    #[error(
        "is not a topic setting that Kafka knows.{} The names are those of Kafka's topic configuration",
        did_you_mean(nearest)
    )]
    UnknownSetting { nearest: Option<String> },
    #[error(
        "has a key of its own. Write `min_insync_replicas: {value}` on the topic instead, where it is checked against the replication factor"
    )]
    MinIsrUnderConfig { value: String },
    #[error(
        "is `{policy}`, but the topic has a key and must be delete-only: the worker demands every offset in its turn, and compaction removes records in the middle, so a lane would halt at the first hole. Write `cleanup.policy: delete`, or take `key` away"
    )]
    CompactedKeyedTopic { policy: String },
    #[error(
        "is true, but the topic has a key: an unclean election throws acknowledged records away and hands their offsets out again. Write false, or take `key` away"
    )]
    UncleanElectionOfKeyedTopic,
    #[error(
        "is `{value}`, and group `{group}` may be {max_lag} behind: what it has not read yet would be deleted, and its lane would halt at the hole. Raise `retention.ms`, or lower the group's `max_lag`"
    )]
    RetentionWithinLag { value: String, group: String, max_lag: String },
    #[error("names the topic itself. Name another topic, or take `dead_letter` away")]
    DeadLetterIsItself,
    #[error(
        "`{name}` is the dead letter topic of `{other}` as well and has no entry of its own. Add it under `topics`, to say how it is to be, or name another"
    )]
    DeadLetterShared { name: TopicName, other: TopicName },
    #[error("group `{group}` is listed twice. Keep one of the two")]
    DuplicateGroup { group: String },
}

impl ProblemKind {
    /// The stable label, for programs that read the JSON output.
    pub fn kind(&self) -> &'static str {
        match self {
            ProblemKind::Syntax { .. } => "syntax",
            ProblemKind::Unsupported { .. } => "unsupported",
            ProblemKind::WrongType { .. } => "wrong_type",
            ProblemKind::UnknownKey { .. } => "unknown_key",
            ProblemKind::DuplicateKey { .. } => "duplicate_key",
            ProblemKind::MissingKey { .. } => "missing_key",
            ProblemKind::UnsupportedVersion { .. } => "unsupported_version",
            ProblemKind::OutOfRange { .. } => "out_of_range",
            ProblemKind::InvalidTopicName { .. } => "invalid_topic_name",
            ProblemKind::InternalTopicName => "internal_topic_name",
            ProblemKind::CollidingTopicName { .. } => "colliding_topic_name",
            ProblemKind::MinIsrAboveFactor { .. } => "min_isr_above_factor",
            ProblemKind::MinIsrEqualsFactor { .. } => "min_isr_equals_factor",
            ProblemKind::SchemaMissing { .. } => "schema_missing",
            ProblemKind::KeyNotInSchema { .. } => "key_not_in_schema",
            ProblemKind::InvalidValue { .. } => "invalid_value",
            ProblemKind::UnknownSetting { .. } => "unknown_setting",
            ProblemKind::MinIsrUnderConfig { .. } => "min_isr_under_config",
            ProblemKind::CompactedKeyedTopic { .. } => "compacted_keyed_topic",
            ProblemKind::UncleanElectionOfKeyedTopic => "unclean_election_of_keyed_topic",
            ProblemKind::RetentionWithinLag { .. } => "retention_within_lag",
            ProblemKind::DeadLetterIsItself => "dead_letter_is_itself",
            ProblemKind::DeadLetterShared { .. } => "dead_letter_shared",
            ProblemKind::DuplicateGroup { .. } => "duplicate_group",
        }
    }
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!(" Did you mean `{key}`?")).unwrap_or_default()
}

/// The candidate that was probably meant, if one is near enough to be more than a guess.
pub(super) fn nearest<'k>(written: &str, candidates: impl Iterator<Item = &'k str>) -> Option<String> {
    let near_enough = 0.8;
    candidates
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= near_enough)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
