//! The form of `topics.yaml`: which keys there are, what each may be, and the rules between them.
//!
//! Pure but for one question that it asks its caller: whether a schema exists.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Position, ProblemKind, nearest};
use super::reader::{self, Problems, Section};
use super::yaml::{Node, Value};
use super::{ConsumerSpec, Origin, TopicPositions, TopicSpec};
use crate::durability::{Durability, MinInsyncReplicas, ReplicationFactor};
use crate::name::{Partitions, TopicName};
use crate::settings::{self, MIN_INSYNC_REPLICAS};

const FILE_KEYS: [&str; 3] = ["version", "defaults", "topics"];
const DEFAULTS_KEYS: [&str; 2] = ["replication_factor", "min_insync_replicas"];
const TOPIC_KEYS: [&str; 9] = [
    "partitions",
    "replication_factor",
    "min_insync_replicas",
    "allow_no_broker_loss",
    "key",
    "schema",
    "dead_letter",
    "config",
    "consumers",
];
const RETENTION: &str = "retention.ms";
const CONSUMER_KEYS: [&str; 2] = ["group", "max_lag"];

/// How long a dead letter topic without an entry of its own keeps its records: 30 days.
const DEAD_LETTER_RETENTION_MS: &str = "2592000000";

/// What is wrong about a topic's schema, by the field that it is about.
pub(super) enum SchemaRefusal {
    Schema(ProblemKind),
    Key(ProblemKind),
}

/// Says whether there is a schema at a path, and whether it has the field that is the key.
pub(super) type SchemaCheck<'c> = dyn Fn(&str, Option<&str>) -> Result<(), SchemaRefusal> + 'c;

/// The topics of the file. Complete only if no problem was added.
pub(super) fn topics(root: &Node, schema: &SchemaCheck<'_>, problems: &mut Problems) -> Vec<TopicSpec> {
    let Some(file) = Section::closed(root, "", Position::START, &FILE_KEYS, problems) else {
        return Vec::new();
    };
    if let Some(node) = file.required("version", "`version: 1` at the top", problems)
        && let Some(found) = reader::integer(node, "version", 0, u64::MAX, problems)
        && found != 1
    {
        problems.add(node.at, "version", ProblemKind::UnsupportedVersion { found });
    }
    let defaults =
        file.get("defaults").and_then(|node| Section::closed(node, "defaults", node.at, &DEFAULTS_KEYS, problems));
    let defaults = defaults.map(|section| Copies::read(&section, problems)).unwrap_or_default();
    let Some(node) = file.required("topics", "`topics:` with an entry for each topic", problems) else {
        return Vec::new();
    };
    let Some(section) = Section::open(node, "topics", node.at, problems) else {
        return Vec::new();
    };
    let mut topics = Vec::new();
    for entry in section.entries() {
        let form = TopicForm { path: section.field(&entry.key), at: entry.key_at, defaults: &defaults, schema };
        let name = form.name(&entry.key, &topics, problems);
        let topic = form.read(name, &entry.value, problems);
        topics.extend(topic);
    }
    with_dead_letters(topics, problems)
}

/// The two numbers of durability with their places; `defaults` and a topic write them alike.
#[derive(Clone, Copy, Default)]
struct Copies {
    factor: Option<(ReplicationFactor, Position)>,
    min_isr: Option<(MinInsyncReplicas, Position)>,
}

impl Copies {
    fn read(section: &Section<'_>, problems: &mut Problems) -> Copies {
        let mut number = |key: &str| {
            let node = section.get(key)?;
            let max = u64::from(ReplicationFactor::MAX);
            let number = reader::integer(node, &section.field(key), 1, max, problems)?;
            Some((u16::try_from(number).ok()?, node.at))
        };
        let factor = number("replication_factor");
        let min_isr = number("min_insync_replicas");
        Copies {
            factor: factor.and_then(|(n, at)| Some((ReplicationFactor::new(n)?, at))),
            min_isr: min_isr.and_then(|(n, at)| Some((MinInsyncReplicas::new(n)?, at))),
        }
    }
}

/// One entry under `topics:`.
struct TopicForm<'f> {
    path: String,
    at: Position,
    defaults: &'f Copies,
    schema: &'f SchemaCheck<'f>,
}

impl TopicForm<'_> {
    fn name(&self, written: &str, before: &[TopicSpec], problems: &mut Problems) -> Option<TopicName> {
        let name = declarable(written, self.at, &self.path, problems)?;
        if let Some(other) = before.iter().find(|other| other.name.metric_name() == name.metric_name()) {
            problems.add(self.at, &self.path, ProblemKind::CollidingTopicName { other: other.name.clone() });
        }
        Some(name)
    }

    /// Reads on after a problem, so that all are found; the topic comes only if its necessary
    /// parts are there.
    fn read(&self, name: Option<TopicName>, node: &Node, problems: &mut Problems) -> Option<TopicSpec> {
        let section = Section::closed(node, &self.path, self.at, &TOPIC_KEYS, problems)?;
        let partitions = self.partitions(&section, problems);
        let durability = self.durability(&section, problems);
        let key = text(&section, "key", problems);
        let config = config(&section, key.as_deref(), problems);
        let schema = text(&section, "schema", problems);
        self.check_schema(&section, schema.as_deref(), key.as_deref(), problems);
        let dead_letter = dead_letter(&section, name.as_ref(), problems);
        let consumers = consumers(&section, problems);
        check_retention(&section, &config, &consumers, problems);
        let (partitions, partitions_at) = partitions?;
        let (durability, factor_at) = durability?;
        Some(TopicSpec {
            name: name?,
            partitions,
            durability,
            key,
            schema: schema.map(PathBuf::from),
            dead_letter,
            config,
            consumers,
            origin: Origin::Declared,
            at: TopicPositions { topic: self.at, partitions: partitions_at, replication_factor: factor_at },
        })
    }

    fn partitions(&self, section: &Section<'_>, problems: &mut Problems) -> Option<(Partitions, Position)> {
        let node = section.required("partitions", "`partitions: 12`, for example", problems)?;
        let count = reader::integer(node, &section.field("partitions"), 1, u64::from(Partitions::MAX), problems)?;
        Some((Partitions::new(u32::try_from(count).ok()?)?, node.at))
    }

    fn durability(&self, section: &Section<'_>, problems: &mut Problems) -> Option<(Durability, Position)> {
        let own = Copies::read(section, problems);
        let accepts_no_loss = section
            .get("allow_no_broker_loss")
            .and_then(|node| reader::boolean(node, &section.field("allow_no_broker_loss"), problems));
        let mut missing = |key: &str, example| {
            // A value that was there and refused is not missing.
            if section.get(key).is_none() {
                problems.add(section.at, section.field(key), ProblemKind::MissingKey { example });
            }
        };
        let factor = own.factor.or(self.defaults.factor);
        let min_isr = own.min_isr.or(self.defaults.min_isr);
        if factor.is_none() {
            missing("replication_factor", "`replication_factor: 3` here or under `defaults`");
        }
        if min_isr.is_none() {
            missing("min_insync_replicas", "`min_insync_replicas: 2` here or under `defaults`");
        }
        let ((factor, factor_at), (min_isr, min_isr_at)) = (factor?, min_isr?);
        let field = section.field("min_insync_replicas");
        if min_isr.get() > factor.get() {
            problems.add(min_isr_at, field, ProblemKind::MinIsrAboveFactor { min_isr, factor });
        } else if min_isr.get() == factor.get() && accepts_no_loss != Some(true) {
            problems.add(min_isr_at, field, ProblemKind::MinIsrEqualsFactor { min_isr, factor });
        }
        Some((Durability { replication_factor: factor, min_insync_replicas: min_isr }, factor_at))
    }

    fn check_schema(&self, section: &Section<'_>, schema: Option<&str>, key: Option<&str>, problems: &mut Problems) {
        let Some(path) = schema else { return };
        let (field, kind) = match (self.schema)(path, key) {
            Ok(()) => return,
            Err(SchemaRefusal::Schema(kind)) => ("schema", kind),
            Err(SchemaRefusal::Key(kind)) => ("key", kind),
        };
        let at = section.get(field).map_or(section.at, |node| node.at);
        problems.add(at, section.field(field), kind);
    }
}

/// A name that Kafka accepts and that is not one of Kafka's own.
fn declarable(written: &str, at: Position, field: &str, problems: &mut Problems) -> Option<TopicName> {
    match TopicName::new(written) {
        Ok(name) if name.is_internal() => problems.add(at, field, ProblemKind::InternalTopicName),
        Ok(name) => return Some(name),
        Err(reason) => problems.add(at, field, ProblemKind::InvalidTopicName { reason }),
    }
    None
}

fn text(section: &Section<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    let node = section.get(key)?;
    reader::text(node, &section.field(key), problems).map(str::to_owned)
}

fn config(topic: &Section<'_>, key: Option<&str>, problems: &mut Problems) -> BTreeMap<String, String> {
    let path = topic.field("config");
    let mut config = BTreeMap::new();
    if key.is_some() {
        // Said outright, for a broker's own default may be compact.
        config.insert("cleanup.policy".to_owned(), "delete".to_owned());
    }
    let Some(section) = topic.get("config").and_then(|node| Section::open(node, &path, node.at, problems)) else {
        return config;
    };
    for entry in section.entries() {
        let (name, at, field) = (entry.key.as_str(), entry.value.at, section.field(&entry.key));
        if !settings::is_known(name) {
            let nearest = nearest(name, settings::names().filter(|known| *known != MIN_INSYNC_REPLICAS));
            problems.add(entry.key_at, field, ProblemKind::UnknownSetting { nearest });
            continue;
        }
        let Some(value) = reader::scalar(&entry.value, &field, problems) else { continue };
        if name == MIN_INSYNC_REPLICAS {
            problems.add(entry.key_at, field, ProblemKind::MinIsrUnderConfig { value: value.to_owned() });
            continue;
        }
        match settings::canonical(name, value) {
            Err(expected) => problems.add(at, field, ProblemKind::InvalidValue { value: value.to_owned(), expected }),
            Ok(policy) if name == "cleanup.policy" && policy != "delete" && key.is_some() => {
                problems.add(at, field, ProblemKind::CompactedKeyedTopic { policy });
            }
            Ok(unclean) if name == "unclean.leader.election.enable" && unclean == "true" && key.is_some() => {
                problems.add(at, field, ProblemKind::UncleanElectionOfKeyedTopic);
            }
            Ok(value) => {
                config.insert(name.to_owned(), value);
            }
        }
    }
    config
}

fn dead_letter(section: &Section<'_>, topic: Option<&TopicName>, problems: &mut Problems) -> Option<TopicName> {
    let written = text(section, "dead_letter", problems)?;
    let at = section.get("dead_letter").map_or(section.at, |node| node.at);
    let name = declarable(&written, at, &section.field("dead_letter"), problems)?;
    if Some(&name) == topic {
        problems.add(at, section.field("dead_letter"), ProblemKind::DeadLetterIsItself);
        return None;
    }
    Some(name)
}

fn consumers(topic: &Section<'_>, problems: &mut Problems) -> Vec<ConsumerSpec> {
    let path = topic.field("consumers");
    let Some(items) = topic.get("consumers").and_then(|node| reader::sequence(node, &path, problems)) else {
        return Vec::new();
    };
    let mut consumers: Vec<ConsumerSpec> = Vec::new();
    for (i, node) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Some(section) = Section::closed(node, &path, node.at, &CONSUMER_KEYS, problems) else { continue };
        let group = section.required("group", "`group: ledger`, for example", problems);
        let group =
            group.and_then(|node| Some((reader::text(node, &section.field("group"), problems)?.to_owned(), node.at)));
        let max_lag = section.required("max_lag", "`max_lag: 30s`, for example", problems);
        let max_lag = max_lag.and_then(|node| duration(node, &section.field("max_lag"), problems));
        let Some((group, group_at)) = group else { continue };
        if consumers.iter().any(|other| other.group == group) {
            problems.add(group_at, section.field("group"), ProblemKind::DuplicateGroup { group: group.clone() });
        }
        consumers.extend(max_lag.map(|max_lag| ConsumerSpec { group, max_lag }));
    }
    consumers
}

/// Records must outlive what the consumers are allowed.
fn check_retention(
    topic: &Section<'_>,
    config: &BTreeMap<String, String>,
    consumers: &[ConsumerSpec],
    problems: &mut Problems,
) {
    // -1 is for ever.
    let Some(retention_ms) = config.get(RETENTION).and_then(|ms| ms.parse::<u64>().ok()) else { return };
    let slowest = consumers.iter().max_by_key(|consumer| consumer.max_lag);
    let Some(ConsumerSpec { group, max_lag }) = slowest else { return };
    let retention = Duration::from_millis(retention_ms);
    if retention > *max_lag {
        return;
    }
    let written = topic.get("config").and_then(|node| match &node.value {
        Value::Mapping(entries) => entries.iter().find(|entry| entry.key == RETENTION),
        _ => None,
    });
    let at = written.map_or(topic.at, |entry| entry.value.at);
    let [value, max_lag] = [retention, *max_lag].map(|time| humantime::format_duration(time).to_string());
    let kind = ProblemKind::RetentionWithinLag { value, group: group.clone(), max_lag };
    problems.add(at, format!("{}.{RETENTION}", topic.field("config")), kind);
}

fn duration(node: &Node, field: &str, problems: &mut Problems) -> Option<Duration> {
    let written = reader::scalar(node, field, problems)?;
    let duration = humantime::parse_duration(written).ok().filter(|duration| !duration.is_zero());
    if duration.is_none() {
        let expected = "a time above 0 such as 30s, 5m or 1h".to_owned();
        problems.add(node.at, field, ProblemKind::InvalidValue { value: written.to_owned(), expected });
    }
    duration
}

/// Adds the dead letter topics that have no entry of their own, each behind the topic it serves.
fn with_dead_letters(declared: Vec<TopicSpec>, problems: &mut Problems) -> Vec<TopicSpec> {
    let mut all: Vec<TopicSpec> = Vec::with_capacity(declared.len());
    for topic in &declared {
        all.push(topic.clone());
        let Some(name) = &topic.dead_letter else { continue };
        if declared.iter().any(|other| other.name == *name) {
            continue;
        }
        if let Some(Origin::DeadLetterOf(other)) = all.iter().find(|t| t.name == *name).map(|t| t.origin.clone()) {
            let kind = ProblemKind::DeadLetterShared { name: name.clone(), other };
            problems.add(topic.at.topic, topic.field("dead_letter"), kind);
            continue;
        }
        if let Some(other) = declared.iter().find(|other| other.name.metric_name() == name.metric_name()) {
            let kind = ProblemKind::CollidingTopicName { other: other.name.clone() };
            problems.add(topic.at.topic, topic.field("dead_letter"), kind);
        }
        all.push(dead_letter_topic(topic, name.clone()));
    }
    all
}

/// One partition is enough for what a person looks at, and has one order; it may grow later, for
/// it has no key.
fn dead_letter_topic(topic: &TopicSpec, name: TopicName) -> TopicSpec {
    let config = [("cleanup.policy", "delete"), (RETENTION, DEAD_LETTER_RETENTION_MS)];
    TopicSpec {
        name,
        partitions: Partitions::ONE,
        key: None,
        schema: None,
        dead_letter: None,
        config: config.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        consumers: Vec::new(),
        origin: Origin::DeadLetterOf(topic.name.clone()),
        ..topic.clone()
    }
}
