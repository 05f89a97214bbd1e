//! The name of a topic and the number of its partitions, as types of their own.
//!
//! Kafka's rule for names is held here; which names a file may declare is the spec's business.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Kafka's limit: the name becomes a directory name on the brokers.
const NAME_CHARS_MAX: usize = 249;

/// A topic's name that Kafka accepts: 1 to 249 of `a-z A-Z 0-9 . _ -`, but not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TopicName(String);

/// Why Kafka would refuse a topic's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidTopicName {
    /// The name is empty.
    #[error("is empty")]
    Empty,
    /// The name is longer than Kafka allows.
    #[error("has {0} characters, Kafka allows {NAME_CHARS_MAX}")]
    TooLong(usize),
    /// `.` and `..` name directories.
    #[error("must not be `.` or `..`")]
    Dots,
    /// The first character that Kafka does not allow.
    #[error("contains {0:?}, Kafka allows a-z A-Z 0-9 . _ - only")]
    Character(char),
}

impl TopicName {
    /// A name that Kafka accepts, or the reason why not.
    pub fn new(name: impl Into<String>) -> Result<TopicName, InvalidTopicName> {
        let name = name.into();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() {
            return Err(InvalidTopicName::Empty);
        }
        if name == "." || name == ".." {
            return Err(InvalidTopicName::Dots);
        }
        if let Some(c) = name.chars().find(|c| !allowed(*c)) {
            return Err(InvalidTopicName::Character(c));
        }
        if name.len() > NAME_CHARS_MAX {
            return Err(InvalidTopicName::TooLong(name.len()));
        }
        Ok(TopicName(name))
    }

    /// A name that a broker told us: it was checked when the topic was made.
    pub(crate) fn observed(name: &str) -> TopicName {
        TopicName(name.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic belongs to Kafka itself, as `__consumer_offsets` does.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with("__")
    }

    /// What Kafka's metrics call the topic: they write `_` for `.`, so two topics whose names
    /// differ only in that cannot both exist.
    pub(crate) fn metric_name(&self) -> String {
        self.0.replace('.', "_")
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TopicName {
    type Err = InvalidTopicName;

    fn from_str(name: &str) -> Result<TopicName, InvalidTopicName> {
        TopicName::new(name)
    }
}

/// A number of partitions, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Partitions(u32);

impl Partitions {
    /// More than this in one topic is a slip of the keyboard: a cluster holds some hundred
    /// thousand partitions in all.
    pub const MAX: u32 = 10_000;

    /// A single partition.
    pub const ONE: Partitions = Partitions(1);

    /// `count` partitions, if that is within 1 to [`Partitions::MAX`].
    pub fn new(count: u32) -> Option<Partitions> {
        (1..=Self::MAX).contains(&count).then_some(Partitions(count))
    }

    /// What a broker told us, whatever it is.
    pub(crate) fn observed(count: usize) -> Partitions {
        Partitions(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 partition"),
            n => write!(f, "{n} partitions"),
        }
    }
}
