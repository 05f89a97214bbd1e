//! Waking librdkafka's fetchers.
//!
//! The thread that fetches from a broker sleeps for up to a second once none of its partitions may be fetched, and a
//! resume does not wake it (librdkafka 2.12: `rd_kafka_broker_consumer_serve` waits, `rd_kafka_toppar_pause_resume` tells
//! nobody). That is so where a full buffer was paused, and in each rebalance, which pauses what stays as well: lanes would
//! wait for records that are there. A request to the broker wakes it, whatever becomes of the request.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

/// How long after a rebalance the fetchers are kept awake: librdkafka resumes what stays a moment after the callback.
pub(crate) const AWAKE_AFTER_REBALANCE: Duration = Duration::from_millis(100);

/// Has the leaders of these partitions asked for their ends, and does not wait for an answer.
pub(crate) fn wake(consumer: &BaseConsumer<impl ConsumerContext>, mut partitions: TopicPartitionList) {
    if partitions.count() == 0 {
        return;
    }
    let asked = partitions.set_all_offsets(Offset::End).and_then(|()| {
        // A wait of zero ends as a time-out, always.
        consumer.offsets_for_times(partitions, Duration::ZERO)
    });
    if let Err(error) = asked {
        tracing::trace!(%error, "fetchers were woken");
    }
}
