//! The Kafka side of a worker: one OS thread that owns the consumer and is the only caller of poll, assign, pause and
//! resume.
//!
//! It hands owned bytes to the lanes' buffers and never looks into them. Beginning and ending lanes is `group`'s, inside
//! the rebalance callback.

use std::sync::Arc;
use std::sync::mpsc as commands;
use std::time::{Duration, Instant};

use metrics::gauge;
use millrace_domain::ids::{Offset, Partition};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio_util::sync::CancellationToken;

use crate::fetchers;
use crate::flow::backpressure::{Flow, Marks};
use crate::group::{BROKER_TIMEOUT, CLAIM_AGAIN_AFTER, Group, Lanes, NO_BROKER, listed, mirror};
use crate::lane::{Command, LaneEnd};
use crate::metrics as names;

/// How long one claim may take outside the callback, where it holds up the other lanes' records.
const LATE_CLAIM_DEADLINE: Duration = Duration::from_secs(2);
/// How long to wait before claiming a partition that another worker claimed although the group gave it to us.
const FENCED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The same when the worker stops.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How long poll waits for a record.
const POLL_TIMEOUT: Duration = Duration::from_millis(20);
/// How often the thread looks after its lanes while records flow.
const ROUND_INTERVAL: Duration = Duration::from_millis(10);
/// How many records are read before it looks at the clock again.
const RECORDS_AT_ONCE_MAX: usize = 32;
/// How often committed offsets are mirrored to Kafka, for lag tools.
const MIRROR_INTERVAL: Duration = Duration::from_secs(1);
/// A worker without a partition for this long says that it is a standby.
const STANDBY_AFTER: Duration = Duration::from_secs(5);
/// The smallest buffer that a lane is given, however many lanes there are.
const LANE_BUFFER_BYTES_MIN: usize = 256 << 10;

/// Why the reader ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The consumer cannot go on. librdkafka's words are in the message, and not a second time as the source.
    #[error("Kafka: {0}")]
    Kafka(KafkaError),
    /// Every lane halted: there is nothing left to do until a person mends it.
    #[error("every lane of this worker halted: {0}")]
    AllHalted(String),
    /// No partition can be claimed until a person mends it.
    #[error("cannot claim a partition: {0}")]
    Unclaimable(String),
}

impl From<KafkaError> for ReaderError {
    fn from(error: KafkaError) -> ReaderError {
        ReaderError::Kafka(error)
    }
}

/// The reader's own part: everything that happens between two polls.
pub(crate) struct Reader {
    consumer: Arc<BaseConsumer<Group>>,
    inbox: commands::Receiver<Command>,
    stop: CancellationToken,
    mirrored_at: Instant,
    alone_since: Option<Instant>,
    /// Whether lanes may have taken records that were not handed over.
    undelivered: bool,
}

impl Reader {
    pub(crate) fn new(
        consumer: Arc<BaseConsumer<Group>>,
        inbox: commands::Receiver<Command>,
        stop: CancellationToken,
    ) -> Reader {
        Reader {
            consumer,
            inbox,
            stop,
            mirrored_at: Instant::now(),
            alone_since: Some(Instant::now()),
            undelivered: false,
        }
    }

    /// Reads until told to stop, then ends every lane and leaves the group.
    pub(crate) fn run(mut self) -> Result<(), ReaderError> {
        let topic = self.group().config.topic.clone();
        self.consumer.subscribe(&[&topic])?;
        let mut round_at = Instant::now();
        while !self.stop.is_cancelled() {
            if round_at <= Instant::now() {
                self.round()?;
                round_at = Instant::now() + ROUND_INTERVAL;
            }
            self.read_some()?;
        }
        self.leave();
        Ok(())
    }

    /// Reads until there is nothing more to read for now, but not too much at once.
    fn read_some(&mut self) -> Result<(), ReaderError> {
        for _ in 0..RECORDS_AT_ONCE_MAX {
            // What was read is handed over as soon as there is nothing more to read: a lone record waits for nobody.
            let timeout = if self.undelivered { Duration::ZERO } else { POLL_TIMEOUT };
            match self.consumer.poll(timeout) {
                Some(Ok(message)) => self.undelivered |= self.deliver(&message),
                Some(Err(error)) => return self.failed(error),
                None => {
                    self.hand_over();
                    break;
                }
            }
        }
        Ok(())
    }

    fn group(&self) -> &Group {
        self.consumer.context()
    }

    /// Whether some lane took the record.
    fn deliver(&self, message: &BorrowedMessage<'_>) -> bool {
        let mut lanes = self.group().lanes();
        let lane = lanes.running.get_mut(&Partition(message.partition()));
        lane.map(|lane| lane.buffer.take(message)).is_some()
    }

    fn hand_over(&mut self) {
        if std::mem::take(&mut self.undelivered) {
            self.group().lanes().running.values_mut().for_each(|lane| lane.buffer.hand_over());
        }
    }

    /// Looks after the lanes: what they ask for, what may be claimed now, which buffers are full, what to mirror.
    fn round(&mut self) -> Result<(), ReaderError> {
        self.group().health.reader_came_round();
        self.hand_over();
        let unclaimable = self.group().unclaimable.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        if let Some(why) = unclaimable {
            return Err(ReaderError::Unclaimable(why));
        }
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::ReadAgain { partition, offset } => self.read_again(partition, offset),
                Command::Ended { partition, epoch, end } => self.ended(partition, epoch, end)?,
                Command::TopicMadeAgain { found } => self.halt_all(&found)?,
            }
        }
        self.claim_late();
        self.keep_bounds();
        self.say_standby();
        if self.mirrored_at.elapsed() >= MIRROR_INTERVAL {
            self.mirrored_at = Instant::now();
            self.mirror_progress();
        }
        Ok(())
    }

    /// Reassigns a partition at an offset: given in the list of the assignment, never by a seek.
    fn read_again(&self, partition: Partition, offset: Offset) {
        let group = self.group();
        let mut lanes = group.lanes();
        let Some(lane) = lanes.running.get_mut(&partition) else { return };
        lane.buffer.next_generation(offset);
        lane.paused = false;
        let list = listed(&group.config.topic, &[(partition, offset)]);
        let consumer = &self.consumer;
        let again = consumer
            .incremental_unassign(&list)
            .and_then(|()| consumer.incremental_assign(&list))
            .and_then(|()| consumer.resume(&list));
        if let Err(error) = again {
            tracing::error!(%partition, %offset, %error, "Kafka refuses to read again");
        }
    }

    fn ended(&self, partition: Partition, epoch: i64, end: LaneEnd) -> Result<(), ReaderError> {
        let group = self.group();
        let mut lanes = group.lanes();
        if lanes.running.get(&partition).is_none_or(|lane| lane.epoch != epoch) {
            return Ok(());
        }
        match end {
            LaneEnd::Stopped => {}
            LaneEnd::Fenced => {
                tracing::warn!(
                    %partition,
                    epoch,
                    "the lane's fence was moved: another worker claimed the lane, or a batch of this one arrived when it was given \
                     up; this one stops writing for it"
                );
                lanes.running.remove(&partition);
                lanes.unclaimed.insert(partition, Instant::now() + FENCED_AGAIN_AFTER);
                group.health.lane_left(partition);
                let mut list = TopicPartitionList::new();
                list.add_partition(&group.config.topic, partition.0);
                if let Err(error) = self.consumer.incremental_unassign(&list) {
                    tracing::debug!(%partition, %error, "the partition was taken back already");
                }
            }
            LaneEnd::Halted(why) => self.halt(&mut lanes, partition, why)?,
        }
        Ok(())
    }

    /// Stops reading a partition for good. A worker with nothing but halted lanes ends.
    fn halt(&self, lanes: &mut Lanes, partition: Partition, why: String) -> Result<(), ReaderError> {
        if let Some(lane) = lanes.running.get_mut(&partition) {
            lane.stop.cancel();
            lane.state.halt(why.clone());
            lane.paused = true;
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.group().config.topic, partition.0);
            if let Err(error) = self.consumer.pause(&list) {
                tracing::debug!(%partition, %error, "cannot pause");
            }
        }
        match lanes.running.values().all(|lane| lane.state.halted().is_some()) {
            true => Err(ReaderError::AllHalted(why)),
            false => Ok(()),
        }
    }

    fn halt_all(&self, found: &str) -> Result<(), ReaderError> {
        let topic = &self.group().config.topic;
        Err(ReaderError::AllHalted(format!(
            "topic {topic:?} was deleted and made again (its id is now {found}). Nothing is skipped: restore the topic, or \
             start a new ledger in another database, with a --group of its own"
        )))
    }

    /// Claims what could not be claimed before.
    fn claim_late(&self) {
        let group = self.group();
        let mut lanes = group.lanes();
        let due: Vec<Partition> =
            lanes.unclaimed.iter().filter(|(_, at)| **at <= Instant::now()).map(|(partition, _)| *partition).collect();
        // One a round: a claim that waits must not hold up the lanes that run.
        let Some(partition) = due.first().copied() else { return };
        match group.claim(&self.consumer, partition, LATE_CLAIM_DEADLINE) {
            Some(claim) => group.begin(&self.consumer, &mut lanes, vec![claim]),
            None => drop(lanes.unclaimed.insert(partition, Instant::now() + CLAIM_AGAIN_AFTER)),
        }
    }

    /// Pauses the partitions whose buffers are full and resumes those that have room again.
    fn keep_bounds(&self) {
        let group = self.group();
        let mut lanes = group.lanes();
        let share = group.config.bounds.buffer_bytes_max / lanes.running.len().max(1);
        let marks = Marks::of(share.max(LANE_BUFFER_BYTES_MIN));
        let rebalanced = lanes.wake_at.pop_if(|at| *at <= Instant::now()).is_some();
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        let mut wake = Vec::new();
        let mut buffered_bytes = 0;
        for (partition, lane) in &mut lanes.running {
            let bytes = lane.buffer.buffered_bytes();
            buffered_bytes += bytes;
            if lane.state.halted().is_some() {
                continue;
            }
            let flow = marks.judge(bytes, lane.paused);
            let is_read_on = flow == Flow::Resume || (rebalanced && flow == Flow::Keep && !lane.paused);
            if is_read_on {
                wake.push((*partition, lane.buffer.read_next()));
            }
            let list = match flow {
                Flow::Keep => continue,
                Flow::Pause => &mut pause,
                Flow::Resume => &mut resume,
            };
            lane.paused = !lane.paused;
            list.add_partition(&group.config.topic, partition.0);
        }
        gauge!(names::BUFFERED_BYTES).set(buffered_bytes as f64);
        let paused = if pause.count() > 0 { self.consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { self.consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            tracing::warn!(%error, "cannot pause or resume");
        }
        fetchers::wake(&self.consumer, &group.config.topic, &wake);
    }

    fn say_standby(&mut self) {
        let idle = {
            let lanes = self.group().lanes();
            lanes.running.is_empty() && lanes.unclaimed.is_empty()
        };
        match (idle, self.alone_since) {
            (false, _) => self.alone_since = None,
            (true, None) => self.alone_since = Some(Instant::now()),
            (true, Some(since)) if since.elapsed() >= STANDBY_AFTER && self.group().health.may_stand_by() => {
                let topic = &self.group().config.topic;
                tracing::info!(
                    topic,
                    "standby: the group gave this worker no partition. Others have them, or one that died does until its session \
                     ends; taking over when they are free"
                );
                // Said once: a moment far ahead keeps it quiet until lanes came and went.
                self.alone_since = Some(Instant::now() + Duration::from_secs(u32::MAX.into()));
            }
            (true, Some(_)) => {}
        }
    }

    fn mirror_progress(&self) {
        let group = self.group();
        let mut moved = Vec::new();
        for (partition, lane) in &mut group.lanes().running {
            let at = lane.state.next_offset();
            if at != lane.mirrored {
                lane.mirrored = at;
                moved.push((*partition, at));
            }
        }
        mirror(&self.consumer, &group.config.topic, &moved);
        let (_, halted) = group.health.lane_counts();
        gauge!(names::LANES_HALTED).set(halted as f64);
    }

    fn failed(&self, error: KafkaError) -> Result<(), ReaderError> {
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            tracing::error!(?code, reason, "the Kafka client cannot go on");
            return Err(error.into());
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.check_positions(),
            // `watch` says this, once, with what to do.
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(()),
            // A broker that is away is said when all of them are.
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorLoadInProgress,
            ) => {
                tracing::debug!(%error, "Kafka reports an error; going on");
                Ok(())
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.group().health.kafka.failed(&NO_BROKER);
                Ok(())
            }
            _ => {
                tracing::warn!(%error, "Kafka reports an error; going on");
                Ok(())
            }
        }
    }

    /// Kafka has not the offset that some lane asked for, and does not say which: finds that lane and halts it. Where
    /// every lane stands within what Kafka holds, all are read again from where they stand. In a topic that was made
    /// again no offset means anything.
    fn check_positions(&self) -> Result<(), ReaderError> {
        let group = self.group();
        if let Some(found) = group.topic_made_again(&self.consumer) {
            return self.halt_all(&found);
        }
        let positions = group.health.positions();
        let mut halted = false;
        for (partition, next) in &positions {
            let held = self.consumer.fetch_watermarks(&group.config.topic, partition.0, BROKER_TIMEOUT);
            let Ok((low, high)) = held else { continue };
            if (low..=high).contains(&next.0) {
                continue;
            }
            let why = format!(
                "partition {partition}: the next offset is {next}, but Kafka holds {low} to {high}. Records were lost \
                 (retention passed the worker by, or the topic was made again); see docs/runbooks.md, 'A lane halted at a hole'"
            );
            tracing::error!(%partition, %why, "lane halted; nothing is skipped, it waits for a person");
            self.halt(&mut group.lanes(), *partition, why)?;
            halted = true;
        }
        if !halted {
            positions.iter().for_each(|(partition, next)| self.read_again(*partition, *next));
        }
        Ok(())
    }

    /// Ends the lanes. Their partitions stay assigned until the consumer is dropped: closing it revokes them.
    fn leave(&self) {
        let group = self.group();
        let mut lanes = group.lanes();
        tracing::info!(lanes = lanes.running.len(), "stopping: the batches in flight are finished first");
        let running = lanes.running.iter_mut().map(|(partition, lane)| (*partition, lane));
        group.end(&self.consumer, running, STOP_DEADLINE);
    }
}
