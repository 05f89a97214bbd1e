//! Waking librdkafka's fetchers.
//!
//! The thread that fetches from a broker sleeps for up to a second once none of its partitions may be fetched, and a
//! resume does not wake it (librdkafka 2.12: `rd_kafka_broker_consumer_serve` waits, `rd_kafka_toppar_pause_resume` tells
//! nobody). That is so where full buffers were paused, and in each rebalance, which pauses what stays as well: lanes would
//! wait for records that are there. A seek wakes it, to where the partition is read anyway: `rd_kafka_toppar_seek` takes
//! the partition through another state and back. It is handled within the process, in order behind the resume.
//!
//! Not by a request that nobody waits for: one that times out costs the connection (`socket.max.fails`).

use std::time::Duration;

use millrace_domain::ids::{Offset, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use crate::group::listed;

/// When, after the last rebalance, the fetchers are woken: librdkafka resumes what stays a moment behind the callback,
/// and nobody says when.
pub(crate) const AFTER_REBALANCE: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

/// Reads these partitions on from where they are read anyway.
pub(crate) fn wake(consumer: &BaseConsumer<impl ConsumerContext>, topic: &str, read_next: &[(Partition, Offset)]) {
    if !read_next.is_empty()
        // Without a wait there is no answer either: a partition that is being taken away stays as it is.
        && let Err(error) = consumer.seek_partitions(listed(topic, read_next), Duration::ZERO)
    {
        tracing::debug!(%error, "fetchers were not woken");
    }
}
