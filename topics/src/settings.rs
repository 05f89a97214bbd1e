//! The settings that Kafka knows for a topic, and how `topics.yaml` may write their values.
//!
//! The table is Kafka 4.3's (`LogConfig`); a test on the cluster holds it against what a broker
//! itself answers. Times may be written `7d`, sizes `10MB`; what goes to Kafka, and what is
//! compared, is the plain number.

use std::collections::BTreeSet;

/// What a setting's value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Milliseconds; at least `min`. A negative `min` is a word of Kafka's own, such as -1 for
    /// "without limit".
    Ms {
        min: i64,
    },
    /// Bytes from `min` to `max`.
    Bytes {
        min: i64,
        max: i64,
    },
    Integer {
        min: i64,
        max: i64,
    },
    Ratio,
    Boolean,
    OneOf(&'static [&'static str]),
    SomeOf(&'static [&'static str]),
    /// `partition:broker` pairs, written by Kafka's reassignment tool and checked by the broker.
    Throttle,
}

const INT_MAX: i64 = i32::MAX as i64;

const SETTINGS: &[(&str, Kind)] = &[
    ("cleanup.policy", Kind::SomeOf(&["compact", "delete"])),
    ("compression.gzip.level", Kind::Integer { min: -1, max: 9 }),
    ("compression.lz4.level", Kind::Integer { min: 1, max: 17 }),
    ("compression.type", Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Kind::Integer { min: -131_072, max: 22 }),
    ("delete.retention.ms", Kind::Ms { min: 0 }),
    ("file.delete.delay.ms", Kind::Ms { min: 0 }),
    ("flush.messages", Kind::Integer { min: 1, max: i64::MAX }),
    ("flush.ms", Kind::Ms { min: 0 }),
    ("follower.replication.throttled.replicas", Kind::Throttle),
    ("index.interval.bytes", Kind::Bytes { min: 0, max: INT_MAX }),
    ("leader.replication.throttled.replicas", Kind::Throttle),
    ("local.retention.bytes", Kind::Bytes { min: -2, max: i64::MAX }),
    ("local.retention.ms", Kind::Ms { min: -2 }),
    ("max.compaction.lag.ms", Kind::Ms { min: 1 }),
    ("max.message.bytes", Kind::Bytes { min: 0, max: INT_MAX }),
    ("message.timestamp.after.max.ms", Kind::Ms { min: 0 }),
    ("message.timestamp.before.max.ms", Kind::Ms { min: 0 }),
    ("message.timestamp.type", Kind::OneOf(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Kind::Ratio),
    ("min.compaction.lag.ms", Kind::Ms { min: 0 }),
    (MIN_INSYNC_REPLICAS, Kind::Integer { min: 1, max: INT_MAX }),
    ("preallocate", Kind::Boolean),
    ("remote.log.copy.disable", Kind::Boolean),
    ("remote.log.delete.on.disable", Kind::Boolean),
    ("remote.storage.enable", Kind::Boolean),
    ("retention.bytes", Kind::Bytes { min: -1, max: i64::MAX }),
    ("retention.ms", Kind::Ms { min: -1 }),
    ("segment.bytes", Kind::Bytes { min: 1_048_576, max: INT_MAX }),
    ("segment.index.bytes", Kind::Bytes { min: 4, max: INT_MAX }),
    ("segment.jitter.ms", Kind::Ms { min: 0 }),
    ("segment.ms", Kind::Ms { min: 1 }),
    ("unclean.leader.election.enable", Kind::Boolean),
];

/// The setting that has a key of its own in `topics.yaml`.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Settings that Kafka's reassignment tool writes while it moves replicas. A change of another
/// setting must carry them along, or it would lift the throttle in the middle of a move.
pub(crate) const OWNED_BY_REASSIGNMENT: [&str; 2] =
    ["follower.replication.throttled.replicas", "leader.replication.throttled.replicas"];

/// The names of all settings of a topic, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _)| *name)
}

/// Whether Kafka knows a topic setting of this name.
pub fn is_known(name: &str) -> bool {
    kind(name).is_some()
}

fn kind(name: &str) -> Option<Kind> {
    SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The value in the one spelling that is sent to Kafka and compared with what it has, or what the
/// value must be instead.
pub(crate) fn canonical(name: &str, value: &str) -> Result<String, String> {
    match kind(name) {
        Some(Kind::Ms { min }) => integer_or(value, milliseconds)
            .filter(|ms| *ms >= min)
            .map(|ms| ms.to_string())
            .ok_or_else(|| format!("a time such as 7d, 12h or 500ms, or milliseconds, {}", from(min))),
        Some(Kind::Bytes { min, max }) => integer_or(value, bytes)
            .filter(|bytes| (min..=max).contains(bytes))
            .map(|bytes| bytes.to_string())
            .ok_or_else(|| format!("a size such as 10MB (10000000) or 64MiB, or bytes, {}", range(min, max))),
        Some(Kind::Integer { min, max }) => integer_or(value, |_| None)
            .filter(|n| (min..=max).contains(n))
            .map(|n| n.to_string())
            .ok_or_else(|| format!("a whole number {}", range(min, max))),
        Some(Kind::Ratio) => value
            .parse::<f64>()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .map(|ratio| ratio.to_string())
            .ok_or_else(|| "a number from 0 to 1".to_owned()),
        Some(Kind::Boolean) => match value {
            "true" | "false" => Ok(value.to_owned()),
            _ => Err("true or false".to_owned()),
        },
        Some(Kind::OneOf(words)) if words.contains(&value) => Ok(value.to_owned()),
        Some(Kind::OneOf(words)) => Err(format!("one of {}", words.join(", "))),
        Some(Kind::SomeOf(words)) => {
            let parts: BTreeSet<&str> = value.split(',').map(str::trim).collect();
            if parts.iter().all(|part| words.contains(part)) {
                Ok(parts.into_iter().collect::<Vec<_>>().join(","))
            } else {
                Err(format!("one or more of {}, separated by commas", words.join(", ")))
            }
        }
        Some(Kind::Throttle) | None => Ok(value.to_owned()),
    }
}

/// The value as a person reads it: `604800000 (7days)`.
pub(crate) fn readable(name: &str, value: &str) -> String {
    match (kind(name), value.parse::<u64>()) {
        (Some(Kind::Ms { .. }), Ok(ms)) if (1000..=i64::MAX as u64 / 2).contains(&ms) => {
            format!("{value} ({})", humantime::format_duration(std::time::Duration::from_millis(ms)))
        }
        _ => value.to_owned(),
    }
}

fn integer_or(value: &str, otherwise: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    value.parse::<i64>().ok().or_else(|| otherwise(value))
}

/// Whole milliseconds only: a finer time would be cut in silence.
fn milliseconds(value: &str) -> Option<i64> {
    let duration = humantime::parse_duration(value).ok()?;
    let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
    whole.then(|| i64::try_from(duration.as_millis()).ok()).flatten()
}

fn bytes(value: &str) -> Option<i64> {
    i64::try_from(parse_size::parse_size(value).ok()?).ok()
}

fn from(min: i64) -> String {
    format!("from {min}")
}

fn range(min: i64, max: i64) -> String {
    if max == i64::MAX { from(min) } else { format!("from {min} to {max}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_brought_into_the_spelling_that_kafka_keeps() {
        let table = [
            ("retention.ms", "7d", "604800000"),
            ("retention.ms", "1h 30m", "5400000"),
            ("retention.ms", "604800000", "604800000"),
            ("retention.ms", "-1", "-1"),
            ("max.message.bytes", "10MB", "10000000"),
            ("segment.bytes", "64 MiB", "67108864"),
            ("retention.bytes", "-1", "-1"),
            ("cleanup.policy", "delete, compact", "compact,delete"),
            ("min.cleanable.dirty.ratio", ".5", "0.5"),
            ("preallocate", "true", "true"),
            ("compression.type", "zstd", "zstd"),
        ];
        for (name, written, want) in table {
            assert_eq!(canonical(name, written).as_deref(), Ok(want), "{name}: {written}");
        }
    }

    #[test]
    fn values_that_kafka_would_refuse_are_refused_with_what_they_must_be() {
        let table = [
            ("retention.ms", "7 parsecs", "a time such as 7d, 12h or 500ms, or milliseconds, from -1"),
            ("retention.ms", "1500us", "a time such as 7d, 12h or 500ms, or milliseconds, from -1"),
            ("retention.ms", "-2", "a time such as 7d, 12h or 500ms, or milliseconds, from -1"),
            ("retention.ms", "99999999999y", "a time such as 7d, 12h or 500ms, or milliseconds, from -1"),
            ("segment.bytes", "100", "a size such as 10MB (10000000) or 64MiB, or bytes, from 1048576 to 2147483647"),
            ("max.message.bytes", "ten", "a size such as 10MB (10000000) or 64MiB, or bytes, from 0 to 2147483647"),
            ("compression.lz4.level", "18", "a whole number from 1 to 17"),
            ("flush.messages", "0", "a whole number from 1"),
            ("min.cleanable.dirty.ratio", "NaN", "a number from 0 to 1"),
            ("preallocate", "yes", "true or false"),
            ("compression.type", "zip", "one of uncompressed, zstd, lz4, snappy, gzip, producer"),
            ("cleanup.policy", "", "one or more of compact, delete, separated by commas"),
        ];
        for (name, written, want) in table {
            assert_eq!(canonical(name, written), Err(want.to_owned()), "{name}: {written}");
        }
    }
}
