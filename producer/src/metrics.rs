//! The names of what a producer measures, by its label `topic`. The names are an interface: dashboards use them.

use metrics::{Counter, Gauge, Histogram, Unit};

/// Counter: records that `min.insync.replicas` brokers hold.
pub const ACCEPTED_TOTAL: &str = "millrace_producer_accepted_total";
/// Counter: records whose result is an error, by the label `kind`, which is `Cause::kind`.
pub const FAILED_TOTAL: &str = "millrace_producer_failed_total";
/// Gauge: records that are enqueued and have no result yet.
pub const IN_FLIGHT_RECORDS: &str = "millrace_producer_in_flight_records";
/// Histogram: seconds from the call to the acknowledgement, the wait for room in the queue included.
pub const PUBLISH_SECONDS: &str = "millrace_producer_publish_seconds";

/// The handles of one producer: looked up once, not for each record.
pub(crate) struct Meters {
    topic: String,
    accepted: Counter,
    in_flight: Gauge,
    publish_seconds: Histogram,
}

impl Meters {
    pub(crate) fn new(topic: &str) -> Meters {
        metrics::describe_counter!(ACCEPTED_TOTAL, "Records that min.insync.replicas brokers hold");
        metrics::describe_counter!(FAILED_TOTAL, "Records whose result is an error, by kind");
        metrics::describe_gauge!(IN_FLIGHT_RECORDS, "Records that are enqueued and have no result yet");
        metrics::describe_histogram!(PUBLISH_SECONDS, Unit::Seconds, "From the call to the acknowledgement");
        Meters {
            topic: topic.to_owned(),
            accepted: metrics::counter!(ACCEPTED_TOTAL, "topic" => topic.to_owned()),
            in_flight: metrics::gauge!(IN_FLIGHT_RECORDS, "topic" => topic.to_owned()),
            publish_seconds: metrics::histogram!(PUBLISH_SECONDS, "topic" => topic.to_owned()),
        }
    }

    pub(crate) fn enqueued(&self) {
        self.in_flight.increment(1.0);
    }

    pub(crate) fn settled(&self) {
        self.in_flight.decrement(1.0);
    }

    pub(crate) fn accepted(&self, latency: std::time::Duration) {
        self.accepted.increment(1);
        self.publish_seconds.record(latency);
    }

    /// Failures are rare, so this one is looked up each time.
    pub(crate) fn failed(&self, kind: &'static str) {
        metrics::counter!(FAILED_TOTAL, "topic" => self.topic.clone(), "kind" => kind).increment(1);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_names_of_the_metrics_are_an_interface() {
        let names = [super::ACCEPTED_TOTAL, super::FAILED_TOTAL, super::IN_FLIGHT_RECORDS, super::PUBLISH_SECONDS];
        assert_eq!(
            names,
            [
                "millrace_producer_accepted_total",
                "millrace_producer_failed_total",
                "millrace_producer_in_flight_records",
                "millrace_producer_publish_seconds",
            ]
        );
    }
}
