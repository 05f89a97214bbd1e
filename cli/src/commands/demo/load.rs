//! Publishing in phases: first some lines at a steady pace, then the rest as fast as they are accepted.
//!
//! Reading, feeding and settling are those of `millrace publish`; here the lines are only cut in two.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use millrace_producer::{ConnectError, Producer, ProducerConfig, Unflushed};
use tokio::sync::mpsc;

use crate::commands::publish::acks::Acks;
use crate::commands::publish::feed::{Feed, Pace};
use crate::commands::publish::lines::Mark;
use crate::commands::publish::progress::Progress;
use crate::commands::publish::reader::{Content, Item};
use crate::commands::publish::settle::Settle;
use crate::commands::publish::skipped::SkippedLines;
use crate::commands::publish::steps;
use crate::commands::publish::stop::Stopper;
use crate::commands::publish::{self, End};

/// How long an event is tried.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
const BATCHES_MAX: usize = 4;

/// One producer for events that have their own time each, one for as many as there are.
pub struct Producers {
    paced: Producer,
    bulk: Producer,
}

impl Producers {
    /// Both, for one topic.
    pub async fn connect(brokers: &str, topic: &str) -> Result<Producers, ConnectError> {
        let mut config = ProducerConfig::new(brokers, topic);
        config.client_id = "millrace-demo".into();
        config.delivery_timeout = DELIVERY_TIMEOUT;
        let bulk = ProducerConfig { linger: ProducerConfig::BULK_LINGER, ..config.clone() };
        Ok(Producers { paced: Producer::connect(config).await?, bulk: Producer::connect(bulk).await? })
    }

    /// Takes nothing more, and waits for what is under way.
    pub async fn close(&self, deadline: Duration) -> Result<(), Unflushed> {
        let (paced, bulk) = tokio::join!(self.paced.close(deadline), self.bulk.close(deadline));
        paced.and(bulk)
    }
}

/// What is published, and where it stands.
pub struct Load<'a> {
    producers: &'a Producers,
    name: String,
    skipped: Option<SkippedLines>,
    stopper: Stopper,
    lines: Cut,
}

/// What became of one phase.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Records that the brokers acknowledged.
    pub accepted: u64,
    /// Lines that were set aside.
    pub skipped: u64,
    /// How long it took.
    pub took: Duration,
    /// From the planned time to the acknowledgement, in milliseconds: half of the records took no longer.
    pub accepted_p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub accepted_p99_ms: Option<f64>,
}

impl<'a> Load<'a> {
    /// Lines that nobody has published yet.
    pub fn new(
        producers: &'a Producers,
        name: String,
        skipped: Option<SkippedLines>,
        stopper: Stopper,
        lines: mpsc::Receiver<Vec<Item>>,
    ) -> Load<'a> {
        Load { producers, name, skipped, stopper, lines: Cut { source: lines, ahead: VecDeque::new() } }
    }

    /// Publishes the next lines, each at its own time if there is a pace, and waits until all are acknowledged.
    pub async fn publish(&mut self, lines: u64, per_second: Option<u32>) -> anyhow::Result<Published> {
        let began = Instant::now();
        // Whatever went before is acknowledged, so that the order holds from one to the other.
        let producer = if per_second.is_some() { &self.producers.paced } else { &self.producers.bulk };
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let (steps, settled) = steps::channel();
        let mut unknown_types = None;
        let feed = Feed {
            producer,
            steps,
            skipped: self.skipped.as_mut(),
            pace: per_second.map(Pace::new),
            unknown_types: &mut unknown_types,
            stop: self.stopper.watch(),
        };
        let settle = Settle {
            producer,
            steps: settled,
            acks: Acks::new(Mark::default(), 0),
            keeper: None,
            progress: Progress::hidden(),
            stopper: self.stopper.clone(),
            timeout: DELIVERY_TIMEOUT,
            waiting: None,
            trouble: None,
        };
        let forward = self.lines.forward(lines, sender);
        let ((), fed, (acks, keeper, trouble)) = tokio::join!(forward, feed.run(batches), settle.run());
        let end = End { fed: fed?, acks, keeper, trouble, unknown: producer.in_flight(), unknown_types };
        match publish::error(&self.name, &end, self.stopper.reason()) {
            Some(error) => Err(error),
            None => Ok(Published {
                accepted: end.acks.accepted,
                skipped: end.acks.skipped,
                took: began.elapsed(),
                accepted_p50_ms: end.acks.latency_ms(0.50),
                accepted_p99_ms: end.acks.latency_ms(0.99),
            }),
        }
    }
}

/// Lines of which so many are handed on as if they were all.
struct Cut {
    source: mpsc::Receiver<Vec<Item>>,
    ahead: VecDeque<Item>,
}

impl Cut {
    async fn forward(&mut self, lines: u64, to: mpsc::Sender<Vec<Item>>) {
        let mut left = lines;
        let mut mark = Mark::default();
        while left > 0 {
            let Some(batch) = self.next(left).await else { return };
            left -= batch.len() as u64;
            mark = batch.last().map_or(mark, |item| item.mark);
            let ended = matches!(batch.last(), Some(Item { content: Content::End | Content::Unreadable(_), .. }));
            // Whoever wants no more has a reason, and says it.
            if to.send(batch).await.is_err() || ended {
                return;
            }
        }
        let _ = to.send(vec![Item { mark, content: Content::End }]).await;
    }

    /// At most so many items; none when the reading thread is gone, which the feed reports.
    async fn next(&mut self, items_max: u64) -> Option<Vec<Item>> {
        if self.ahead.is_empty() {
            self.ahead = self.source.recv().await?.into();
        }
        let count = self.ahead.len().min(usize::try_from(items_max).unwrap_or(usize::MAX));
        Some(self.ahead.drain(..count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: u64) -> Item {
        let content =
            Content::Bad(publish::reader::BadLine { reason: String::new(), text: Vec::new(), line_bytes: None });
        Item { mark: Mark { line, offset: line }, content }
    }

    async fn phase(cut: &mut Cut, lines: u64) -> Vec<u64> {
        let (to, mut from) = mpsc::channel(64);
        cut.forward(lines, to).await;
        let mut seen = Vec::new();
        while let Some(batch) = from.recv().await {
            for item in batch {
                match item.content {
                    Content::End => seen.push(0),
                    _ => seen.push(item.mark.line),
                }
            }
        }
        seen
    }

    #[tokio::test]
    async fn each_phase_gets_its_lines_in_order_and_an_end_and_the_last_gets_the_rest() {
        let (source, lines) = mpsc::channel(8);
        source.send(vec![bad(1), bad(2), bad(3)]).await.expect("there is room");
        source.send(vec![bad(4), bad(5)]).await.expect("there is room");
        let end = Item { mark: Mark { line: 5, offset: 5 }, content: Content::End };
        source.send(vec![end]).await.expect("there is room");
        let mut cut = Cut { source: lines, ahead: VecDeque::new() };
        assert_eq!(phase(&mut cut, 2).await, [1, 2, 0]);
        assert_eq!(phase(&mut cut, u64::MAX).await, [3, 4, 5, 0]);
    }
}
