//! A second look at Kafka, from a thread of its own: does it answer, is the topic still the same, how far behind are we.
//!
//! It only asks. What follows from the answers is the reader's to do.

use std::sync::Arc;
use std::sync::mpsc as commands;
use std::time::Duration;

use metrics::gauge;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio_util::sync::CancellationToken;

use crate::group::Group;
use crate::health::Health;
use crate::lane::Command;
use crate::metrics as names;
use crate::topic_id::{self, TopicIdError};

/// A topic that is made again is noticed within this time. It is not zero: see "Known limits" in ARCHITECTURE.md.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many looks pass between two measurements of the lag.
const LAG_EVERY: u32 = 5;
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many looks in a row must fail before Kafka is called away: each asks some broker, and one that hangs is not the
/// cluster. Where no broker can be reached, librdkafka says so at once.
const LOOKS_IN_VAIN: u32 = 3;

/// What the watch needs.
pub(crate) struct Watch {
    pub(crate) consumer: Arc<BaseConsumer<Group>>,
    pub(crate) health: Arc<Health>,
    pub(crate) topic: String,
    pub(crate) commands: commands::Sender<Command>,
    pub(crate) stop: CancellationToken,
}

impl Watch {
    /// Watches until told to stop.
    pub(crate) fn run(self) {
        let mut first_id: Option<String> = None;
        let mut missing_said = false;
        let (mut looks, mut in_vain): (u32, u32) = (0, 0);
        while !self.stop.is_cancelled() {
            let answer = topic_id::ask(&self.consumer, &self.topic, TIMEOUT);
            in_vain = if matches!(answer, Err(TopicIdError::Unavailable { .. })) { in_vain + 1 } else { 0 };
            match answer {
                Ok(id) => {
                    self.health.kafka.answered();
                    self.health.topic_is_missing(false);
                    missing_said = false;
                    self.compare(&mut first_id, id);
                    if looks.is_multiple_of(LAG_EVERY) {
                        self.measure_lag();
                    }
                    looks = looks.wrapping_add(1);
                }
                Err(error @ TopicIdError::NoSuchTopic(_)) => {
                    self.health.kafka.answered();
                    self.health.topic_is_missing(true);
                    if !std::mem::replace(&mut missing_said, true) {
                        tracing::error!(%error, "waiting for the topic");
                    }
                }
                Err(error) if in_vain < LOOKS_IN_VAIN => tracing::debug!(%error, "some broker does not answer"),
                Err(error) => self.health.kafka.failed(&error),
            }
            self.rest();
        }
    }

    fn compare(&self, first_id: &mut Option<String>, found: String) {
        match first_id {
            None => *first_id = Some(found),
            Some(first) if *first != found => drop(self.commands.send(Command::TopicMadeAgain { found })),
            Some(_) => {}
        }
    }

    fn measure_lag(&self) {
        for (partition, next) in self.health.positions() {
            if let Ok((_, high)) = self.consumer.fetch_watermarks(&self.topic, partition.0, TIMEOUT) {
                let lag = (high - next.0).max(0);
                gauge!(names::LAG_RECORDS, "partition" => partition.to_string()).set(lag as f64);
            }
        }
    }

    /// Waits for the next look, in steps short enough to be told to stop.
    fn rest(&self) {
        const STEP: Duration = Duration::from_millis(50);
        let mut waited = Duration::ZERO;
        while waited < INTERVAL && !self.stop.is_cancelled() {
            std::thread::sleep(STEP);
            waited += STEP;
        }
    }
}
