//! What leads from an observed cluster to a declared one, and what is refused on the way. Pure.

use std::path::Path;

use millrace_topics::plan::Action;
use millrace_topics::spec::parse_text;
use millrace_topics::{
    Broker, BrokerId, Durability, MinInsyncReplicas, Observed, ObservedTopic, Partitions, Plan, PlanOptions,
    ReplicationFactor, TopicName, plan,
};

const KEYED: &str = "{ partitions: 12, key: user_id, config: { retention.ms: 7d } }";

fn name(name: &str) -> TopicName {
    TopicName::new(name).expect("a valid name")
}

fn cluster(brokers: i32, topics: &[(&str, ObservedTopic)]) -> Observed {
    let broker = |id| Broker { id: BrokerId(id), address: format!("kafka-{id}:9092"), rack: Some(format!("r{id}")) };
    Observed {
        brokers: (1..=brokers).map(broker).collect(),
        topics: topics.iter().map(|(topic, observed)| (name(topic), observed.clone())).collect(),
    }
}

fn topic(partitions: u32, factor: u16, min_isr: u16, settings: &[(&str, &str)]) -> ObservedTopic {
    ObservedTopic {
        partitions: Partitions::new(partitions).expect("in range"),
        durability: Durability {
            replication_factor: ReplicationFactor::new(factor).expect("in range"),
            min_insync_replicas: MinInsyncReplicas::new(min_isr).expect("in range"),
        },
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        leaderless: 0,
        under_replicated: 0,
        records: None,
    }
}

/// The topic that `KEYED` declares.
fn as_declared() -> ObservedTopic {
    let settings = [("cleanup.policy", "delete"), ("min.insync.replicas", "2"), ("retention.ms", "604800000")];
    topic(12, 3, 2, &settings)
}

/// The plan for one topic `t`, whose entry is given.
fn planned(entry: &str, observed: &Observed, options: &PlanOptions) -> Plan {
    let text =
        format!("version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  t: {entry}\n");
    let spec = parse_text(Path::new("t.yaml"), &text).unwrap_or_else(|error| panic!("{error}"));
    plan(&spec, observed, options)
}

fn refusals(plan: &Plan) -> Vec<String> {
    plan.refusals().map(ToString::to_string).collect()
}

#[test]
fn a_missing_topic_is_created_as_declared_and_the_text_says_what_it_survives() {
    let plan = planned(KEYED, &cluster(3, &[]), &PlanOptions::default());
    assert_eq!(
        plan.to_string(),
        "t.yaml against 3 brokers: 1 at kafka-1:9092 in rack r1, 2 at kafka-2:9092 in rack r2, 3 at kafka-3:9092 in rack r3\n\
         \n\
         + t: create, because t.yaml:4 declares it, the cluster does not have it\n    \
             12 partitions\n    \
             cleanup.policy = delete\n    \
             min.insync.replicas = 2\n    \
             retention.ms = 604800000 (7days)\n    \
             replication factor 3, effective min ISR 2, survives 1 broker lost\n\
         \n\
         Plan: 1 to create, 0 to change, 0 to delete, 0 the same, 0 refused"
    );
    assert!(plan.has_changes() && !plan.is_refused());
}

#[test]
fn a_topic_that_is_as_declared_needs_nothing() {
    let plan = planned(KEYED, &cluster(3, &[("t", as_declared())]), &PlanOptions::default());
    assert_eq!(plan.topics[0].action, Action::Same);
    assert!(!plan.has_changes() && !plan.is_refused());
}

#[test]
fn settings_that_differ_are_changed_with_the_reason_and_undeclared_ones_go() {
    let settings = [("cleanup.policy", "delete"), ("retention.ms", "3600000"), ("flush.ms", "5")];
    let plan = planned(KEYED, &cluster(3, &[("t", topic(12, 3, 1, &settings))]), &PlanOptions::default());
    assert_eq!(
        plan.topics[0].to_string(),
        "~ t: change\n    \
             min.insync.replicas: (broker's default) -> 2, because t.yaml declares it; today the topic is weaker than declared\n    \
             retention.ms: 3600000 (1h) -> 604800000 (7days), because t.yaml declares it\n    \
             flush.ms: 5 -> (broker's default), because t.yaml does not declare it: back to the broker's default\n    \
             replication factor 3, effective min ISR 2, survives 1 broker lost\n    \
             note: weaker than declared today: replication factor 3, effective min ISR 1, survives 2 brokers lost for \
         writes, 0 brokers lost for acknowledged data\n"
    );
}

#[test]
fn a_throttle_of_a_replica_move_under_way_is_carried_along() {
    let mut observed = as_declared();
    let throttle = ("leader.replication.throttled.replicas".to_owned(), "0:1,1:2".to_owned());
    observed.settings.insert(throttle.0.clone(), throttle.1.clone());
    let same = planned(KEYED, &cluster(3, &[("t", observed.clone())]), &PlanOptions::default());
    assert_eq!(same.topics[0].action, Action::Same);
    observed.settings.insert("retention.ms".to_owned(), "1000".to_owned());
    let plan = planned(KEYED, &cluster(3, &[("t", observed)]), &PlanOptions::default());
    match &plan.topics[0].action {
        Action::Change { settings: Some(settings), .. } => assert_eq!(settings.all.get(&throttle.0), Some(&throttle.1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn replicas_out_of_sync_and_partitions_without_a_leader_are_told() {
    let observed = ObservedTopic { leaderless: 1, under_replicated: 4, ..as_declared() };
    let plan = planned(KEYED, &cluster(2, &[("t", observed)]), &PlanOptions::default());
    assert_eq!(
        plan.topics[0].notes,
        [
            "1 of 12 partitions have no leader: they take no record until a broker returns",
            "4 of 12 partitions have replicas that are not in sync: until they are, the topic survives less",
        ]
    );
    assert_eq!(plan.topics[0].action, Action::Same, "a broker that is down is no reason to refuse an existing topic");
}

#[test]
fn every_refusal_of_a_plan_names_place_field_reason_and_what_to_do() {
    let allowed = PlanOptions { grow_keyed: [name("t")].into(), ..PlanOptions::default() };
    let none = PlanOptions::default();
    let table: [(&str, Observed, &PlanOptions, &str); 8] = [
        (
            KEYED,
            cluster(2, &[]),
            &none,
            "t.yaml:2:33: topics.t.replication_factor: is 3, but only 2 brokers are up: each copy needs a broker of its \
             own. Start the missing brokers, or lower replication_factor",
        ),
        (
            "{ partitions: 6 }",
            cluster(3, &[("t", topic(12, 3, 2, &[]))]),
            &none,
            "t.yaml:4:20: topics.t.partitions: is 6, but the topic has 12: Kafka cannot take partitions away. Declare \
             12, or make a topic with a new name and move to it",
        ),
        (
            KEYED,
            cluster(3, &[("t", topic(6, 3, 2, &[]))]),
            &none,
            "t.yaml:4:20: topics.t.partitions: is 12, more than the 6 that the topic has, and the topic has a key: keys \
             move to other partitions, and with them their order, the lane that owns them and their stripe of the \
             balances. If that is meant: stop the publishers, let the workers drain the topic, and allow it by name: \
             --grow-keyed t",
        ),
        (
            KEYED,
            cluster(3, &[("t", topic(8, 3, 2, &[]))]),
            &allowed,
            "t.yaml:4:20: topics.t.partitions: is 12, not a multiple of the 8 that the topic has: the keys of several \
             partitions would be mixed into one, and no offset would tell them apart. Declare 16 or another multiple, \
             so that each partition splits and none mix",
        ),
        (
            KEYED,
            cluster(3, &[("t", topic(12, 1, 2, &[]))]),
            &none,
            "t.yaml:2:33: topics.t.replication_factor: is 3, but the topic has 1, and apply does not move replicas. \
             Move them with Kafka's kafka-reassign-partitions.sh and plan again, or declare 1",
        ),
        (
            KEYED,
            cluster(3, &[("t", as_declared())]),
            &PlanOptions { grow_keyed: [name("u")].into(), ..PlanOptions::default() },
            "--grow-keyed u: names a topic that the file does not declare. Correct the name, or leave the option out",
        ),
        (
            KEYED,
            cluster(3, &[("t", as_declared())]),
            &PlanOptions { delete: [name("t")].into(), ..PlanOptions::default() },
            "--delete t: names a topic that the file declares. Take it out of the file first, or leave the option out",
        ),
        (
            KEYED,
            cluster(3, &[("t", as_declared())]),
            &PlanOptions { delete: [name("__consumer_offsets")].into(), ..PlanOptions::default() },
            "--delete __consumer_offsets: names a topic of Kafka itself, which is never deleted. Leave the option out",
        ),
    ];
    for (entry, observed, options, want) in table {
        let plan = planned(entry, &observed, options);
        assert_eq!(refusals(&plan), [want], "{plan}");
        assert!(plan.is_refused());
    }
}

#[test]
fn a_weaker_factor_than_declared_shows_what_the_topic_survives_today() {
    let plan = planned(KEYED, &cluster(3, &[("t", topic(12, 1, 2, &[]))]), &PlanOptions::default());
    assert_eq!(
        plan.topics[0].notes,
        ["weaker than declared today: replication factor 1, effective min ISR 1 (2 asked for, Kafka clamps it to the \
          factor in silence), survives 0 brokers lost"]
    );
}

#[test]
fn a_keyed_topic_grows_to_a_multiple_when_it_is_named_and_an_unkeyed_one_freely() {
    let six = ObservedTopic { partitions: Partitions::new(6).expect("in range"), ..as_declared() };
    let allowed = PlanOptions { grow_keyed: [name("t")].into(), ..PlanOptions::default() };
    let keyed = planned(KEYED, &cluster(3, &[("t", six)]), &allowed);
    let seven = ObservedTopic { partitions: Partitions::new(7).expect("in range"), ..as_declared() };
    let unkeyed = planned("{ partitions: 12 }", &cluster(3, &[("t", seven)]), &PlanOptions::default());
    for plan in [keyed, unkeyed] {
        let grow = match &plan.topics[0].action {
            Action::Change { grow: Some(grow), .. } => grow,
            other => panic!("{other:?}"),
        };
        assert_eq!(grow.to.get(), 12);
    }
}

#[test]
fn topics_that_the_file_does_not_name_are_listed_and_left_alone() {
    let observed = cluster(3, &[("t", as_declared()), ("other", topic(1, 1, 2, &[]))]);
    let plan = planned(KEYED, &observed, &PlanOptions::default());
    assert!(!plan.has_changes());
    assert_eq!(
        plan.unmanaged[0].to_string(),
        "other: 1 partition, replication factor 1, effective min ISR 1 (2 asked for, Kafka clamps it to the factor in \
         silence), survives 0 brokers lost"
    );
}

#[test]
fn a_topic_is_deleted_only_by_name_and_the_plan_says_what_is_lost() {
    let old = ObservedTopic { records: Some(42), ..topic(1, 1, 1, &[]) };
    let options = PlanOptions { delete: [name("old")].into(), ..PlanOptions::default() };
    let plan = planned(KEYED, &cluster(3, &[("t", as_declared()), ("old", old)]), &options);
    assert_eq!(plan.topics[1].to_string(), "- old: delete, because --delete names it\n    42 records will be lost\n");
    assert!(plan.unmanaged.is_empty());
}

#[test]
fn deleting_what_is_already_gone_is_nothing_to_do() {
    let options = PlanOptions { delete: [name("old")].into(), ..PlanOptions::default() };
    let plan = planned(KEYED, &cluster(3, &[("t", as_declared())]), &options);
    assert!(!plan.has_changes() && !plan.is_refused());
    assert_eq!(plan.topics[1].notes, ["not in the cluster: nothing to delete"]);
}

#[test]
fn the_json_holds_what_the_text_holds() {
    let plan = planned(KEYED, &cluster(2, &[("other", topic(1, 1, 1, &[]))]), &PlanOptions::default());
    let json = serde_json::to_value(&plan).expect("serializable");
    assert_eq!(json["topics"][0]["action"], "refused");
    assert_eq!(json["topics"][0]["refusals"][0]["kind"], "factor_above_brokers");
    assert_eq!(json["topics"][0]["refusals"][0]["line"], 2);
    assert_eq!(json["topics"][0]["durability"]["effective_min_insync_replicas"], 2);
    assert_eq!(json["topics"][0]["durability"]["brokers_lost_writes_survive"], 1);
    assert_eq!(json["brokers"][1]["rack"], "r2");
    assert_eq!(json["unmanaged"][0]["topic"], "other");
}
