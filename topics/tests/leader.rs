//! A partition whose leader moves. The cluster is a mock: a real one moves it at a moment of its own, and what is to be
//! seen here is the answer of a broker that was the leader a moment ago.

use std::time::Duration;

use millrace_topics::{Watermarks, partition_watermarks};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;

const TOPIC: &str = "payment";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn offsets_are_told_through_a_change_of_leader() {
    let cluster = MockCluster::new(2).expect("a mock cluster");
    cluster.create_topic(TOPIC, 1, 2).expect("a topic");
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .expect("the settings are valid");
    let ask = || partition_watermarks(client.client(), TOPIC, 0, ANSWER_WITHIN);

    for leader in [1, 2, 1] {
        cluster.partition_leader(TOPIC, 0, Some(leader)).expect("the partition exists");
        let told = ask().unwrap_or_else(|error| panic!("with broker {leader} as the new leader: {error}"));
        assert_eq!(told, Watermarks { partition: 0, low: 0, high: 0 });
    }
}
