//! What `topics.yaml` may say: the shipped file, and each refusal once with its exact message.
//!
//! Pure but for the schema folders in `fixtures/`.

use std::path::Path;
use std::time::Duration;

use millrace_topics::spec::{Origin, parse_text};
use millrace_topics::{SpecErrors, parse};

const FILE: &str = "tests/fixtures/t.yaml";

/// The messages for a file's text, without the file's name.
fn refusals(text: &str) -> Vec<String> {
    match parse_text(Path::new(FILE), text) {
        Ok(spec) => panic!("not refused: {spec:?}"),
        Err(SpecErrors::Refused(problems)) => {
            problems.iter().map(|problem| problem.to_string().replacen(&format!("{FILE}:"), "", 1)).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

/// A file with one topic `t`, whose entry is given.
fn topic(entry: &str) -> String {
    format!("version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  t: {entry}\n")
}

#[test]
fn the_shipped_file_is_in_order_and_says_what_the_design_says() {
    let spec = parse(Path::new("../topics.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = spec.topics.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["payment-events", "payment-events.dlq"]);
    let events = &spec.topics[0];
    assert_eq!(events.partitions.get(), 12);
    assert_eq!(events.key.as_deref(), Some("user_id"));
    assert_eq!((events.durability.replication_factor.get(), events.durability.effective()), (3, 2));
    let settings: Vec<String> = events.settings().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        settings,
        ["cleanup.policy=delete", "compression.type=zstd", "min.insync.replicas=2", "retention.ms=604800000"]
    );
    assert_eq!((events.consumers[0].group.as_str(), events.consumers[0].max_lag), ("ledger", Duration::from_secs(30)));
}

#[test]
fn a_dead_letter_topic_without_an_entry_gets_one_partition_and_its_topics_durability() {
    let spec = parse_text(Path::new(FILE), &topic("{ partitions: 6, key: k, dead_letter: t.dlq }")).expect("in order");
    let dlq = spec.topic("t.dlq").expect("implied");
    assert_eq!(dlq.origin, Origin::DeadLetterOf(spec.topics[0].name.clone()));
    assert_eq!((dlq.partitions.get(), &dlq.key), (1, &None));
    assert_eq!(dlq.durability, spec.topics[0].durability);
    assert_eq!(dlq.settings()["retention.ms"], "2592000000");
}

#[test]
fn a_dead_letter_topic_with_an_entry_is_as_that_says() {
    let text = topic("{ partitions: 6, dead_letter: u }") + "  u: { partitions: 3 }\n";
    let spec = parse_text(Path::new(FILE), &text).expect("in order");
    let partitions: Vec<u32> = spec.topics.iter().map(|topic| topic.partitions.get()).collect();
    assert_eq!(partitions, [6, 3]);
}

#[test]
fn a_keyed_topic_is_delete_only_even_where_the_file_is_silent() {
    let spec = parse_text(Path::new(FILE), &topic("{ partitions: 6, key: k }")).expect("in order");
    assert_eq!(spec.topics[0].config["cleanup.policy"], "delete");
}

#[test]
fn a_topic_may_accept_by_name_that_any_lost_broker_stops_it() {
    let entry = "{ partitions: 1, replication_factor: 1, min_insync_replicas: 1, allow_no_broker_loss: true }";
    let spec = parse_text(Path::new(FILE), &topic(entry)).expect("in order");
    assert_eq!(spec.topics[0].durability.writes_survive(), 0);
}

/// Each refusal that a topic's entry can meet: the entry, and the message from its line on.
const TOPIC_REFUSALS: &[(&str, &str)] = &[
    (
        "{ partition: 1, partitions: 1 }",
        "4:8: topics.t.partition: is not a key known here. Did you mean `partitions`? Known: partitions, \
         replication_factor, min_insync_replicas, allow_no_broker_loss, key, schema, dead_letter, config, consumers",
    ),
    (
        "{ partitions: 1, partitions: 2 }",
        "4:23: topics.t.partitions: is given twice, first in line 4. Keep one of the two",
    ),
    ("{ key: user_id }", "4:3: topics.t.partitions: is missing. Add `partitions: 12`, for example"),
    (
        "{ partitions: twelve }",
        "4:20: topics.t.partitions: must be a whole number, but is the text twelve. Correct the value",
    ),
    (
        "{ partitions: \"12\" }",
        "4:20: topics.t.partitions: must be a whole number, but is the quoted text \"12\". Correct the value",
    ),
    (
        "{ partitions: 1.5 }",
        "4:20: topics.t.partitions: must be a whole number, but is the number 1.5. Correct the value",
    ),
    ("{ partitions: 0 }", "4:20: topics.t.partitions: is 0, but must be from 1 to 10000. Correct the number"),
    ("{ partitions: -3 }", "4:20: topics.t.partitions: is -3, but must be from 1 to 10000. Correct the number"),
    (
        "{ partitions: 1, replication_factor: 0 }",
        "4:43: topics.t.replication_factor: is 0, but must be from 1 to 32767. Correct the number",
    ),
    (
        "{ partitions: 1, min_insync_replicas: 4 }",
        "4:44: topics.t.min_insync_replicas: is 4, above the replication factor 3. Kafka would not complain: it clamps \
         min ISR to the factor in silence, and the topic would look safer than it is. Lower min_insync_replicas to 2, \
         or raise replication_factor",
    ),
    (
        "{ partitions: 1, min_insync_replicas: 3 }",
        "4:44: topics.t.min_insync_replicas: is 3, equal to the replication factor: as soon as one broker is down, \
         every publish is refused. Lower min_insync_replicas or raise replication_factor; if the topic may stop with \
         any broker, say so by `allow_no_broker_loss: true` on it",
    ),
    (
        "{ partitions: 1, replication_factor: 1, min_insync_replicas: 1 }",
        "4:67: topics.t.min_insync_replicas: is 1, equal to the replication factor: as soon as one broker is down, \
         every publish is refused. Lower min_insync_replicas or raise replication_factor (with one copy, a lost disk \
         is lost records); if the topic may stop with any broker, say so by `allow_no_broker_loss: true` on it",
    ),
    (
        "{ partitions: 1, allow_no_broker_loss: yes }",
        "4:45: topics.t.allow_no_broker_loss: must be true or false, but is the text yes. Correct the value",
    ),
    ("{ partitions: 1, key: 7 }", "4:28: topics.t.key: must be text, but is the number 7. Correct the value"),
    (
        "{ partitions: 1, schema: schemas/nowhere }",
        "4:31: topics.t.schema: tests/fixtures/schemas/nowhere does not exist. Correct the path (it is relative to \
         this file), or add the schema: a folder with 1.avsc, 2.avsc, ...",
    ),
    (
        "{ partitions: 1, schema: schemas/none }",
        "4:31: topics.t.schema: tests/fixtures/schemas/none holds no version of a schema. Correct the path (it is \
         relative to this file), or add the schema: a folder with 1.avsc, 2.avsc, ...",
    ),
    (
        "{ partitions: 1, schema: schemas/broken }",
        "4:31: topics.t.schema: tests/fixtures/schemas/broken holds tests/fixtures/schemas/broken/1.avsc, which is not \
         JSON (expected ident at line 1 column 2). Correct the path (it is relative to this file), or add the schema: \
         a folder with 1.avsc, 2.avsc, ...",
    ),
    (
        "{ partitions: 1, schema: schemas/payment_event, key: userid }",
        "4:59: topics.t.key: is `userid`, but tests/fixtures/schemas/payment_event/2.avsc has no field of that name. \
         Name one of its fields: event_id, user_id",
    ),
    (
        "{ partitions: 1, dead_letter: t }",
        "4:36: topics.t.dead_letter: names the topic itself. Name another topic, or take `dead_letter` away",
    ),
    (
        "{ partitions: 1, dead_letter: a b }",
        "4:36: topics.t.dead_letter: the topic's name contains ' ', Kafka allows a-z A-Z 0-9 . _ - only. Rename the \
         topic",
    ),
    (
        "{ partitions: 1, config: [] }",
        "4:31: topics.t.config: must be a mapping of `key: value` lines, but is a list. Correct the value",
    ),
    (
        "{ partitions: 1, config: { retention.m: 7d } }",
        "4:33: topics.t.config.retention.m: is not a topic setting that Kafka knows. Did you mean `retention.ms`? The \
         names are those of Kafka's topic configuration",
    ),
    (
        "{ partitions: 1, config: { retention.ms: 7 parsecs } }",
        "4:47: topics.t.config.retention.ms: is `7 parsecs`, but must be a time such as 7d, 12h or 500ms, or \
         milliseconds, from -1. Correct the value",
    ),
    (
        "{ partitions: 1, config: { retention.ms: } }",
        "4:45: topics.t.config.retention.ms: must be a number, text, true or false, but is empty. Correct the value",
    ),
    (
        "{ partitions: 1, config: { min.insync.replicas: 2 } }",
        "4:33: topics.t.config.min.insync.replicas: has a key of its own. Write `min_insync_replicas: 2` on the topic \
         instead, where it is checked against the replication factor",
    ),
    (
        "{ partitions: 1, key: k, config: { cleanup.policy: 'compact,delete' } }",
        "4:57: topics.t.config.cleanup.policy: is `compact,delete`, but the topic has a key and must be delete-only: \
         the worker demands every offset in its turn, and compaction removes records in the middle, so a lane would \
         halt at the first hole. Write `cleanup.policy: delete`, or take `key` away",
    ),
    (
        "{ partitions: 1, key: k, config: { unclean.leader.election.enable: true } }",
        "4:73: topics.t.config.unclean.leader.election.enable: is true, but the topic has a key: an unclean election \
         throws acknowledged records away and hands their offsets out again. Write false, or take `key` away",
    ),
    (
        "{ partitions: 1, consumers: ledger }",
        "4:34: topics.t.consumers: must be a list, but is the text ledger. Correct the value",
    ),
    (
        "{ partitions: 1, consumers: [{ group: g }] }",
        "4:35: topics.t.consumers[0].max_lag: is missing. Add `max_lag: 30s`, for example",
    ),
    (
        "{ partitions: 1, consumers: [{ group: g, max_lag: 0s }] }",
        "4:56: topics.t.consumers[0].max_lag: is `0s`, but must be a time above 0 such as 30s, 5m or 1h. Correct the \
         value",
    ),
    (
        "{ partitions: 1, config: { retention.ms: 20s }, consumers: [{ group: g, max_lag: 30s }, { group: h, max_lag: 5s }] }",
        "4:47: topics.t.config.retention.ms: is `20s`, and group `g` may be 30s behind: what it has not read yet would be \
         deleted, and its lane would halt at the hole. Raise `retention.ms`, or lower the group's `max_lag`",
    ),
    (
        "{ partitions: 1, consumers: [{ group: g, max_lag: 1s }, { group: g, max_lag: 2s }] }",
        "4:71: topics.t.consumers[1].group: group `g` is listed twice. Keep one of the two",
    ),
    (
        "&anchor { partitions: 1 }",
        "4:6: uses an anchor (`&name`), which topics.yaml does not take. Write the value out in full where it is \
         needed",
    ),
    (
        "{ partitions: !!int 1 }",
        "4:20: uses a tag (`!type`), which topics.yaml does not take. Write the value without it",
    ),
    ("{ [a]: 1 }", "4:8: uses a list or a mapping as a key, which topics.yaml does not take. Write a name there"),
];

#[test]
fn every_refusal_of_a_topics_entry_names_place_field_reason_and_what_to_do() {
    for (entry, want) in TOPIC_REFUSALS {
        assert_eq!(refusals(&topic(entry)), [*want], "{entry}");
    }
}

/// Each refusal above the level of a topic.
const FILE_REFUSALS: &[(&str, &str)] = &[
    ("", "1:1: must be a mapping of `key: value` lines, but is empty. Correct the value"),
    ("topics: {}", "1:1: version: is missing. Add `version: 1` at the top"),
    (
        "version: 2\ntopics: {}",
        "1:10: version: is 2, and this build reads version 1 only. Write `version: 1`, or use the build that the file \
         was written for",
    ),
    ("version: 1", "1:1: topics: is missing. Add `topics:` with an entry for each topic"),
    (
        "version: 1\ntopic: {}\ntopics: {}",
        "2:1: topic: is not a key known here. Did you mean `topics`? Known: version, defaults, topics",
    ),
    (
        "version: 1\ndefaults: { factor: 3 }\ntopics: {}",
        "2:13: defaults.factor: is not a key known here. Known: replication_factor, min_insync_replicas",
    ),
    (
        "version: 1\ntopics:\n  t: { partitions: 1, min_insync_replicas: 1 }",
        "3:3: topics.t.replication_factor: is missing. Add `replication_factor: 3` here or under `defaults`",
    ),
    (
        "version: 1\ntopics:\n  t: { partitions: 1, replication_factor: 3 }",
        "3:3: topics.t.min_insync_replicas: is missing. Add `min_insync_replicas: 2` here or under `defaults`",
    ),
    (
        "version: 1\ntopics:\n  a/b: { partitions: 1, replication_factor: 3, min_insync_replicas: 2 }",
        "3:3: topics.a/b: the topic's name contains '/', Kafka allows a-z A-Z 0-9 . _ - only. Rename the topic",
    ),
    (
        "version: 1\ntopics:\n  __t: { partitions: 1, replication_factor: 3, min_insync_replicas: 2 }",
        "3:3: topics.__t: names that begin with `__` belong to Kafka itself. Rename the topic",
    ),
    (
        "version: 1\ndefaults: { replication_factor: 3, min_insync_replicas: 2 }\ntopics:\n  a.b: { partitions: 1 }\n  \
         a_b: { partitions: 1 }",
        "5:3: topics.a_b: collides with topic `a.b`: Kafka's metrics write `_` for `.`, so it lets only one of the two \
         exist. Rename one",
    ),
    (
        "version: 1\ndefaults: { replication_factor: 3, min_insync_replicas: 2 }\ntopics:\n  a: { partitions: 1, \
         dead_letter: d }\n  b: { partitions: 1, dead_letter: d }",
        "5:3: topics.b.dead_letter: `d` is the dead letter topic of `a` as well and has no entry of its own. Add it \
         under `topics`, to say how it is to be, or name another",
    ),
    (
        "version: 1\ntopics: *t",
        "2:9: is not valid YAML: while parsing node, found unknown anchor. Correct the syntax here",
    ),
    (
        "version: 1\n---\nversion: 1",
        "2:1: uses a second document (`---`), which topics.yaml does not take. Keep one document in the file",
    ),
];

#[test]
fn every_refusal_of_the_file_names_place_field_reason_and_what_to_do() {
    for (text, want) in FILE_REFUSALS {
        assert_eq!(refusals(text), [*want], "{text}");
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once_in_the_order_of_the_file() {
    let text = "version: 1\ntopics:\n  a: { partitions: 0, colour: red }\n  b: { partitions: 1 }\n  b: 3\n";
    let places: Vec<String> =
        refusals(text).iter().map(|r| r.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "3:3 topics.a.replication_factor",
            "3:3 topics.a.min_insync_replicas",
            "3:20 topics.a.partitions",
            "3:23 topics.a.colour",
            "4:3 topics.b.replication_factor",
            "4:3 topics.b.min_insync_replicas",
            "5:3 topics.b",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_a_refusal() {
    for (path, want) in [
        ("tests/fixtures/absent.yaml", "tests/fixtures/absent.yaml: cannot be read: No such file or directory"),
        ("tests/fixtures", "tests/fixtures: cannot be read: it is not a regular file"),
    ] {
        let error = parse(Path::new(path)).expect_err("unreadable");
        assert!(matches!(error, SpecErrors::Unreadable { .. }) && error.to_string().starts_with(want), "{error}");
    }
}

#[test]
fn a_hostile_file_is_refused_and_never_a_panic() {
    let nested = format!("version: 1\ntopics: {}{}", "[".repeat(200), "]".repeat(200));
    let long = format!("version: 1\ntopics: {}", "x".repeat(1_000_000));
    for text in [nested.as_str(), long.as_str(), "\u{0}", "\t- x", "a: b: c", "{", "- - -", "%TAG ! x"] {
        let refusals = refusals(text);
        assert!(refusals.iter().all(|refusal| refusal.len() < 400), "{refusals:?}");
    }
}
