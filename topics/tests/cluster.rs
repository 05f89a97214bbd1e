//! Observing and applying on a real cluster (`make up`); `MILLRACE_BROKERS` names another one.
//! A cluster that is away fails these tests.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use millrace_topics::cluster::{ApplyError, Outcome};
use millrace_topics::plan::Action;
use millrace_topics::spec::parse_text;
use millrace_topics::{
    Cluster, ClusterError, Plan, PlanOptions, Spec, TopicName, create_topic, delete_topic, plan, settings,
};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

fn brokers() -> String {
    let default = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094";
    std::env::var("MILLRACE_BROKERS").unwrap_or_else(|_| default.to_owned())
}

/// A topic name that no other test and no other run has; deleted at the end of `with_topic`.
fn unique(test: &str) -> TopicName {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    TopicName::new(format!("test-topics-{test}-{}-{now}", std::process::id())).expect("a valid name")
}

/// Runs `body` with a topic's name and deletes the topic. A test that fails leaves its topic
/// behind, to be looked at.
async fn with_topic<F: Future<Output = ()>>(test: &str, body: impl FnOnce(TopicName) -> F) {
    let topic = unique(test);
    body(topic.clone()).await;
    delete_topic(&brokers(), &topic).await.unwrap_or_else(|error| panic!("{error}"));
}

fn spec(topic: &TopicName, entry: &str) -> Spec {
    let text = format!(
        "version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  {topic}: {entry}\n"
    );
    parse_text(Path::new("t.yaml"), &text).unwrap_or_else(|error| panic!("{error}"))
}

async fn planned(cluster: &Cluster, spec: &Spec, options: &PlanOptions) -> Plan {
    let observed = cluster.observe(&options.delete).await.unwrap_or_else(|error| panic!("{error}"));
    plan(spec, &observed, options)
}

/// Plans, applies, and returns what became of the one topic.
async fn applied(cluster: &Cluster, spec: &Spec, options: &PlanOptions) -> Outcome {
    let plan = planned(cluster, spec, options).await;
    let applied = cluster.apply(&plan).await.unwrap_or_else(|error| panic!("{error}\n{plan}"));
    applied.topics[0].outcome.clone()
}

#[tokio::test]
async fn apply_creates_then_has_nothing_to_do_then_changes_then_has_nothing_to_do() {
    with_topic("life", |topic| async move {
        let cluster = Cluster::connect(&brokers()).expect("an address");
        let options = PlanOptions::default();
        let first = spec(&topic, "{ partitions: 3, config: { retention.ms: 1h, compression.type: zstd } }");
        assert_eq!(applied(&cluster, &first, &options).await, Outcome::Created);
        assert_eq!(planned(&cluster, &first, &options).await.topics[0].action, Action::Same);
        assert_eq!(applied(&cluster, &first, &options).await, Outcome::Same);

        let second = spec(&topic, "{ partitions: 5, config: { retention.ms: 2h, max.message.bytes: 2MB } }");
        assert_eq!(applied(&cluster, &second, &options).await, Outcome::Changed);
        let observed = cluster.observe(&BTreeSet::new()).await.expect("observed");
        let seen = &observed.topics[&topic];
        assert_eq!(seen.partitions.get(), 5);
        assert_eq!((seen.durability.replication_factor.get(), seen.durability.effective()), (3, 2));
        let settings: Vec<String> = seen.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(settings, ["max.message.bytes=2000000", "min.insync.replicas=2", "retention.ms=7200000"]);
        assert_eq!(applied(&cluster, &second, &options).await, Outcome::Same);
    })
    .await;
}

#[tokio::test]
async fn a_keyed_topic_grows_only_when_named_and_a_refused_plan_changes_nothing() {
    with_topic("grow", |topic| async move {
        let cluster = Cluster::connect(&brokers()).expect("an address");
        let none = PlanOptions::default();
        create_topic(&brokers(), &spec(&topic, "{ partitions: 2, key: k }").topics[0]).await.expect("created");
        let more = spec(&topic, "{ partitions: 4, key: k }");
        let refused = planned(&cluster, &more, &none).await;
        assert!(matches!(cluster.apply(&refused).await, Err(ApplyError::Refused(_))));
        let observed = cluster.observe(&BTreeSet::new()).await.expect("observed");
        assert_eq!(observed.topics[&topic].partitions.get(), 2);
        let named = PlanOptions { grow_keyed: [topic.clone()].into(), ..PlanOptions::default() };
        assert_eq!(applied(&cluster, &more, &named).await, Outcome::Changed);
        assert_eq!(applied(&cluster, &more, &named).await, Outcome::Same);
    })
    .await;
}

#[tokio::test]
async fn a_declared_topic_is_made_under_another_name_for_a_test_of_its_own() {
    with_topic("renamed", |topic| async move {
        let declared = spec(&unique("original"), "{ partitions: 2, key: k, dead_letter: not-made }");
        let copy = declared.topics[0].renamed(topic.clone());
        create_topic(&brokers(), &copy).await.expect("created");
        create_topic(&brokers(), &copy).await.expect("already there");
        let cluster = Cluster::connect(&brokers()).expect("an address");
        let observed = cluster.observe(&BTreeSet::new()).await.expect("observed");
        assert_eq!(observed.topics[&topic].settings, copy.settings());
    })
    .await;
}

#[tokio::test]
async fn a_deletion_by_name_counts_what_is_lost_and_a_second_one_has_nothing_to_do() {
    let topic = unique("delete");
    let other = spec(&unique("absent"), "{ partitions: 1 }");
    create_topic(&brokers(), &spec(&topic, "{ partitions: 2 }").topics[0]).await.expect("created");
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("a producer");
    for n in 0..5 {
        let payload = format!("{n}");
        let record = FutureRecord::to(topic.as_str()).key(&payload).payload(&payload);
        producer.send(record, Duration::from_secs(10)).await.expect("published");
    }
    let cluster = Cluster::connect(&brokers()).expect("an address");
    let options = PlanOptions { delete: [topic.clone()].into(), ..PlanOptions::default() };
    let nothing_declared = Spec { topics: Vec::new(), ..other };
    let plan = planned(&cluster, &nothing_declared, &options).await;
    assert!(matches!(plan.topics[0].action, Action::Delete { records: Some(5), .. }), "{plan}");
    let applied = cluster.apply(&plan).await.expect("applied");
    assert_eq!(applied.topics[0].outcome, Outcome::Deleted);
    let again = planned(&cluster, &nothing_declared, &options).await;
    assert!(!again.has_changes() && !again.is_refused(), "{again}");
}

#[tokio::test]
async fn the_brokers_objection_to_one_topic_leaves_the_others_as_they_were() {
    let (good, bad) = (unique("good"), unique("bad"));
    let text = format!(
        "version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  {good}: {{ partitions: 1 }}\n  \
         {bad}: {{ partitions: 1, config: {{ leader.replication.throttled.replicas: nonsense }} }}\n"
    );
    let spec = parse_text(Path::new("t.yaml"), &text).expect("only a broker can tell");
    let cluster = Cluster::connect(&brokers()).expect("an address");
    let plan = planned(&cluster, &spec, &PlanOptions::default()).await;
    let applied = cluster.apply(&plan).await.expect("an answer");
    assert_eq!(applied.topics[0].outcome, Outcome::NotTried);
    assert!(matches!(applied.topics[1].outcome, Outcome::Failed { .. }), "{applied}");
    let observed = cluster.observe(&BTreeSet::new()).await.expect("observed");
    assert!(!observed.topics.contains_key(&good) && !observed.topics.contains_key(&bad));
}

#[tokio::test]
async fn a_topic_that_appears_between_plan_and_apply_fails_by_itself() {
    with_topic("race", |topic| async move {
        let cluster = Cluster::connect(&brokers()).expect("an address");
        let spec = spec(&topic, "{ partitions: 1 }");
        let stale = planned(&cluster, &spec, &PlanOptions::default()).await;
        create_topic(&brokers(), &spec.topics[0]).await.expect("created");
        let applied = cluster.apply(&stale).await.expect("an answer");
        let failed: Vec<&str> = applied.failed().map(|(_, reason)| reason).collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].contains("already exists: someone made it since"), "{failed:?}");
    })
    .await;
}

#[tokio::test]
async fn our_table_of_topic_settings_is_the_brokers() {
    with_topic("table", |topic| async move {
        create_topic(&brokers(), &spec(&topic, "{ partitions: 1 }").topics[0]).await.expect("created");
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", brokers()).create().expect("a client");
        let resource = ResourceSpecifier::Topic(topic.as_str());
        let answer = admin.describe_configs([&resource], &AdminOptions::new()).await.expect("an answer");
        let described = answer.into_iter().next().expect("one").expect("described");
        let brokers: BTreeSet<&str> = described.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(settings::names().collect::<BTreeSet<&str>>(), brokers);
    })
    .await;
}

#[tokio::test]
async fn the_brokers_are_observed_with_their_racks() {
    let cluster = Cluster::connect(&brokers()).expect("an address");
    let observed = cluster.observe(&BTreeSet::new()).await.unwrap_or_else(|error| panic!("{error}"));
    let racks: BTreeSet<&str> = observed.brokers.iter().filter_map(|broker| broker.rack.as_deref()).collect();
    assert_eq!((observed.brokers.len(), racks.len()), (3, 3), "{:?}", observed.brokers);
}

#[tokio::test]
async fn an_address_that_never_answers_is_told_within_ten_seconds_with_address_reason_and_what_to_do() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let refusing = {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        port.local_addr().expect("an address")
    };
    for (address, want) in [(silent.local_addr().expect("an address"), "Timed out"), (refusing, "Connection refused")] {
        let begun = Instant::now();
        let cluster = Cluster::connect(&address.to_string()).expect("an address");
        let error = cluster.observe(&BTreeSet::new()).await.expect_err("nobody is there");
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
        let text = error.to_string();
        assert!(matches!(error, ClusterError::NoAnswer { .. }), "{text}");
        for part in [format!("`{address}`"), want.to_owned(), "make up".to_owned(), "--brokers".to_owned()] {
            assert!(text.contains(&part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn text_that_is_no_address_is_refused_before_anything_is_asked() {
    for brokers in ["", "localhost", "localhost:", ":9092", "localhost:0", "a:1,,b:2", "a:99999"] {
        let error = Cluster::connect(brokers).err().unwrap_or_else(|| panic!("`{brokers}` was taken"));
        assert!(matches!(error, ClusterError::Address { .. }), "{error}");
    }
}
