//! Puts the lines into the producer's queue, in their order, at the wanted pace.
//!
//! The results are awaited elsewhere (`settle`): here only what never gets into the queue ends the run.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use millrace_domain::event::EventType;
use millrace_producer::{Cause, Delivery, Producer, PublishError};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::lines::Mark;
use super::reader::{BadLine, Content, Item};
use super::record::{self, Record};
use super::skipped::SkippedLines;
use super::steps::{self, Step};
use super::stop::{Stop, stopped};

/// Why there is nothing more to send.
#[derive(Debug)]
pub enum Fed {
    /// The input is at its end.
    Whole,
    /// A line cannot be published, and the run stops at such.
    BadLine {
        /// Its number.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The input is not lines of JSON at all: to set each of its lines aside would help nobody.
    OtherFormat {
        /// What it is, and what to do.
        reason: String,
    },
    /// The producer did not take a record.
    NotTaken {
        /// The number of its line.
        line: u64,
        /// Why.
        error: PublishError,
    },
    /// A line was to be set aside, and could not be kept.
    NotKept {
        /// Why, with its number.
        error: anyhow::Error,
    },
    /// The input cannot be read on.
    Unreadable {
        /// The last line before it.
        line: u64,
        /// Why.
        error: std::io::Error,
    },
    /// Someone else stopped the run.
    Stopped,
}

/// Events of types that this build does not know. A publisher may be newer than it, or have misspelled one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UnknownTypes {
    /// How many were put into the queue.
    pub events: u64,
    /// The line of the first.
    pub first_line: u64,
    /// Its type.
    pub first_type: String,
}

/// Events per second, each at its own time whatever became of the ones before it.
pub struct Pace {
    began: Instant,
    per_second: u32,
    sent: u64,
}

impl Pace {
    /// A pace that begins now.
    pub fn new(per_second: u32) -> Pace {
        Pace { began: Instant::now(), per_second, sent: 0 }
    }

    /// When the next one is planned.
    fn next(&mut self) -> Instant {
        let seconds = self.sent / u64::from(self.per_second);
        let rest = self.sent % u64::from(self.per_second);
        self.sent += 1;
        let nanos = rest * 1_000_000_000 / u64::from(self.per_second);
        self.began + Duration::from_secs(seconds) + Duration::from_nanos(nanos)
    }
}

/// Everything that feeding needs.
pub struct Feed<'a> {
    /// Takes the records.
    pub producer: &'a Producer,
    /// Gets the steps.
    pub steps: steps::Sender,
    /// Where bad lines go; none if they end the run.
    pub skipped: Option<&'a mut SkippedLines>,
    /// The pace, if it is not as fast as can be.
    pub pace: Option<Pace>,
    /// Counts events of unknown types.
    pub unknown_types: &'a mut Option<UnknownTypes>,
    /// Ends it early.
    pub stop: watch::Receiver<Option<Stop>>,
}

impl Feed<'_> {
    /// Feeds until the input or the run ends. An error is of the program's own.
    pub async fn run(mut self, batches: mpsc::Receiver<Vec<Item>>) -> anyhow::Result<Fed> {
        let fed = self.all(batches).await;
        self.steps.flush().await;
        fed
    }

    async fn all(&mut self, mut batches: mpsc::Receiver<Vec<Item>>) -> anyhow::Result<Fed> {
        loop {
            self.steps.flush().await;
            // Stopping comes first: a stream that never pauses would hide it.
            let batch = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ok(Fed::Stopped),
                batch = batches.recv() => batch,
            };
            // The reader ends with an item that says so; without one it died.
            let Some(batch) = batch else { anyhow::bail!("the reading thread ended without a word") };
            for item in batch {
                if let Some(fed) = self.item(item).await? {
                    return Ok(fed);
                }
            }
        }
    }

    async fn item(&mut self, Item { mark, content }: Item) -> anyhow::Result<Option<Fed>> {
        match content {
            Content::Record(record) => self.record(mark, record).await,
            Content::Bad(bad) => self.bad(mark, bad).await,
            Content::End => {
                self.steps.send(Step::Passed { mark }).await;
                Ok(Some(Fed::Whole))
            }
            Content::Unreadable(error) => Ok(Some(Fed::Unreadable { line: mark.line, error })),
        }
    }

    async fn record(&mut self, mark: Mark, record: Record) -> anyhow::Result<Option<Fed>> {
        let mut behind = Duration::ZERO;
        if let Some(pace) = &mut self.pace {
            let planned = pace.next();
            if planned > Instant::now() {
                self.steps.flush().await;
            }
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ok(Some(Fed::Stopped)),
                () = tokio::time::sleep_until(planned.into()) => {}
            }
            behind = planned.elapsed();
        }
        let mut enqueuing = pin!(enqueue(self.producer, &record));
        let taken = match enqueuing.as_mut().now_or_never() {
            Some(taken) => taken,
            // The queue is full.
            None => {
                self.steps.flush().await;
                tokio::select! {
                    biased;
                    () = stopped(&mut self.stop) => return Ok(Some(Fed::Stopped)),
                    taken = enqueuing => taken,
                }
            }
        };
        match taken {
            Ok(delivery) => {
                self.note_type(mark.line, &record);
                self.steps.send(Step::Sent { mark, delivery, behind }).await;
                Ok(None)
            }
            // This is the line's fault and not the cluster's.
            Err(PublishError { cause: Cause::TooLarge { bytes }, .. }) => {
                let reason = format!("its {bytes} bytes as a Kafka record are more than the producer may send");
                let text = match &record {
                    Record::Event(event) => millrace_wire::json::to_string(event).into_bytes(),
                    Record::Raw(_) => Vec::new(),
                };
                self.bad(mark, BadLine { reason, text, line_bytes: None }).await
            }
            Err(error) => Ok(Some(Fed::NotTaken { line: mark.line, error })),
        }
    }

    fn note_type(&mut self, line: u64, record: &Record) {
        let Record::Event(event) = record else { return };
        let EventType::Unknown(name) = &event.event_type else { return };
        let first = || UnknownTypes { events: 0, first_line: line, first_type: name.to_string() };
        self.unknown_types.get_or_insert_with(first).events += 1;
    }

    async fn bad(&mut self, mark: Mark, bad: BadLine) -> anyhow::Result<Option<Fed>> {
        if mark.line == 1 && record::begins_other_format(&bad.text) {
            return Ok(Some(Fed::OtherFormat { reason: bad.reason }));
        }
        let Some(skipped) = &mut self.skipped else {
            return Ok(Some(Fed::BadLine { line: mark.line, reason: bad.reason }));
        };
        match skipped.append(mark.line, &bad.reason, &bad.text, bad.line_bytes) {
            Ok(skipped_bytes) => self.steps.send(Step::Skipped { mark, skipped_bytes }).await,
            Err(error) => return Ok(Some(Fed::NotKept { error })),
        }
        Ok(None)
    }
}

async fn enqueue(producer: &Producer, record: &Record) -> Result<Delivery, PublishError> {
    match record {
        Record::Event(event) => producer.enqueue(&**event).await,
        Record::Raw(raw) => {
            let headers: Vec<_> =
                raw.headers.iter().map(|(name, text)| (name.as_str(), Some(text.as_bytes()))).collect();
            producer.enqueue_raw(raw.key.as_deref(), raw.value.as_deref(), &headers).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_plans_each_event_by_itself_and_does_not_drift() {
        let mut pace = Pace::new(3);
        let began = pace.began;
        let planned: Vec<u128> = (0..7).map(|_| (pace.next() - began).as_millis()).collect();
        assert_eq!(planned, [0, 333, 666, 1000, 1333, 1666, 2000]);
    }
}
