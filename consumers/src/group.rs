//! The consumer's context: where Kafka's callbacks meet the lanes.
//!
//! Lanes begin and end where Kafka says so, inside the rebalance callback, which runs within poll on the reader's
//! thread. What happens between two polls is `reader`'s.

use std::collections::BTreeMap;
use std::sync::mpsc as commands;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::shares::Shares;
use millrace_domain::ids::{Offset, Partition};
use millrace_store::lanes::Claim;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::buffer::{self, LaneState, Sender};
use crate::claims::{ClaimFailure, Claims};
use crate::config::WorkerConfig;
use crate::connections::Connections;
use crate::fetchers;
use crate::health::Health;
use crate::lane::{self, Command, LaneParts};
use crate::topic_id;

/// How long the rebalance callback may take for all its claims together.
const CLAIMS_DEADLINE: Duration = Duration::from_secs(10);
/// How long a lane that is revoked may take to end its batch in flight; the fence stands even if it does not.
const REVOKE_DEADLINE: Duration = Duration::from_secs(5);
/// How long to wait before a claim that failed is tried again.
pub(crate) const CLAIM_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A question to the brokers from this thread.
pub(crate) const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// Why Kafka is away, where no connection can be made: librdkafka's own count of brokers that are down misleads.
pub(crate) const NO_BROKER: &str = "no broker can be reached";
/// The least that one question for a first offset may take: the deadline is for all of them.
const FIRST_OFFSET_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// A lane as the reader knows it.
pub(crate) struct LaneHandle {
    pub(crate) epoch: i64,
    pub(crate) buffer: Sender,
    pub(crate) state: Arc<LaneState>,
    pub(crate) stop: CancellationToken,
    /// Taken once it was waited for.
    task: Option<JoinHandle<()>>,
    pub(crate) paused: bool,
    pub(crate) mirrored: Offset,
}

/// The lanes of this worker, and the partitions that the group gave it but that it could not claim yet.
#[derive(Default)]
pub(crate) struct Lanes {
    pub(crate) running: BTreeMap<Partition, LaneHandle>,
    pub(crate) unclaimed: BTreeMap<Partition, Instant>,
    /// When the fetchers are to be woken after the last rebalance, latest first.
    pub(crate) wake_at: Vec<Instant>,
}

impl Lanes {
    fn rebalanced(&mut self) {
        self.wake_at = fetchers::AFTER_REBALANCE.iter().rev().map(|after| Instant::now() + *after).collect();
    }
}

/// The consumer's context: where Kafka's callbacks meet the lanes.
pub(crate) struct Group {
    pub(crate) config: Arc<WorkerConfig>,
    pub(crate) health: Arc<Health>,
    runtime: Handle,
    connections: Connections,
    claims: Claims,
    shares: Arc<Shares>,
    commands: commands::Sender<Command>,
    /// Locked by the reader's thread alone: poll runs the callback on it.
    lanes: Mutex<Lanes>,
    /// Kafka's id of the topic when it was first seen.
    topic_id: Mutex<Option<String>>,
    /// Why no partition can be claimed until a person mends it.
    pub(crate) unclaimable: Mutex<Option<String>>,
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error, and is said there once.
        tracing::debug!(?level, facility, "librdkafka: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.health.kafka.failed(&NO_BROKER),
            _ => tracing::debug!(%error, reason, "librdkafka reports an error"),
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let partitions: Vec<Partition> = partitions.elements().iter().map(|e| Partition(e.partition())).collect();
        match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer, partitions),
            other => {
                tracing::error!(error = ?RDKafkaErrorCode::from(other), "rebalance failed; letting every partition go");
                let all = self.lanes().running.keys().copied().collect();
                self.revoked(consumer, all);
            }
        }
    }
}

impl Group {
    pub(crate) fn new(
        config: Arc<WorkerConfig>,
        health: Arc<Health>,
        runtime: Handle,
        connections: Connections,
        commands: commands::Sender<Command>,
    ) -> Group {
        let claims = Claims::new(config.clone(), connections.clone(), runtime.clone());
        let shares = Arc::new(Shares::of(&config.bounds));
        let (lanes, topic_id, unclaimable) = Default::default();
        Group { config, health, runtime, connections, claims, shares, commands, lanes, topic_id, unclaimable }
    }

    pub(crate) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Claims each partition, begins its lane, and starts reading where its fence stands.
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: Vec<Partition>) {
        let until = Instant::now() + CLAIMS_DEADLINE;
        let names: Vec<i32> = partitions.iter().map(|p| p.0).collect();
        tracing::debug!(partitions = ?names, "assigned");
        self.health.group_is_lost(false);
        let mut lanes = self.lanes();
        let mut claimed = Vec::new();
        for partition in partitions {
            let deadline = until.saturating_duration_since(Instant::now());
            match self.claim(consumer, partition, deadline) {
                Some(claim) => claimed.push(claim),
                None => drop(lanes.unclaimed.insert(partition, Instant::now() + CLAIM_AGAIN_AFTER)),
            }
        }
        self.begin(consumer, &mut lanes, claimed);
        lanes.rebalanced();
    }

    pub(crate) fn claim(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: Partition,
        deadline: Duration,
    ) -> Option<Claim> {
        let topic = &self.config.topic;
        let topic_id = match self.topic_id(consumer, deadline.min(BROKER_TIMEOUT)) {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(%partition, %error, "cannot claim the partition yet; trying again");
                return None;
            }
        };
        let first_offsets = || {
            first_offsets(consumer, topic, deadline.min(BROKER_TIMEOUT))
                .map_err(|error| format!("cannot ask Kafka where its partitions begin: {error}"))
        };
        match self.claims.claim(partition, &topic_id, first_offsets, deadline) {
            Ok(claim) => Some(claim),
            Err(ClaimFailure::Later(problem)) => {
                tracing::warn!(%partition, %problem, "cannot claim the partition yet; trying again");
                None
            }
            Err(ClaimFailure::Never(problem)) => {
                // True of every partition, and of no use to the group: the next round ends the worker.
                *self.unclaimable.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(problem);
                None
            }
        }
    }

    /// The topic's id, asked once: a topic that is made again under this worker is noticed by `watch`.
    fn topic_id(&self, consumer: &BaseConsumer<Self>, timeout: Duration) -> Result<String, topic_id::TopicIdError> {
        let mut known = self.topic_id.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(id) = known.as_ref() {
            return Ok(id.clone());
        }
        let id = topic_id::fetch(consumer, &self.config.topic, timeout)?;
        *known = Some(id.clone());
        Ok(id)
    }

    /// The id that the topic has now, if that is another than the one that was claimed.
    pub(crate) fn topic_made_again(&self, consumer: &BaseConsumer<Self>) -> Option<String> {
        let known = self.topic_id.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()?;
        // Where Kafka does not say, `watch` hears it later.
        topic_id::ask(consumer, &self.config.topic, BROKER_TIMEOUT).ok().filter(|found| *found != known)
    }

    /// Begins the lanes of these claims and has Kafka read from where each stands.
    pub(crate) fn begin(&self, consumer: &BaseConsumer<Self>, lanes: &mut Lanes, claims: Vec<Claim>) {
        let mut from = TopicPartitionList::new();
        let positions = claims.iter().map(|c| format!("{}@{}", c.fence.partition, c.next_offset)).collect::<Vec<_>>();
        for claim in claims {
            let (partition, next) = (claim.fence.partition, claim.next_offset);
            if let Err(error) = from.add_partition_offset(&self.config.topic, partition.0, KafkaOffset::Offset(next.0))
            {
                tracing::error!(%partition, %error, "Kafka takes no such offset");
                continue;
            }
            tracing::debug!(%partition, offset = %next, epoch = claim.fence.epoch, "lane begins");
            lanes.unclaimed.remove(&partition);
            let handle = self.spawn(claim);
            self.health.lane_began(handle.state.clone());
            lanes.running.insert(partition, handle);
        }
        // A partition that was paused when it left this worker would come back paused.
        if let Err(error) = consumer.incremental_assign(&from).and_then(|()| consumer.resume(&from)) {
            tracing::error!(%error, "Kafka refuses the assignment");
        }
        if !positions.is_empty() {
            tracing::info!(lanes = positions.join(" "), "lanes begin, each partition at its first unaccounted offset");
        }
        self.shares.among(lanes.running.len());
    }

    fn spawn(&self, claim: Claim) -> LaneHandle {
        let (sender, receiver) = buffer::channel(claim.next_offset);
        let state = Arc::new(LaneState::new(claim.fence.partition, claim.next_offset));
        let stop = CancellationToken::new();
        let (epoch, mirrored) = (claim.fence.epoch, claim.next_offset);
        let parts = LaneParts {
            claim,
            config: self.config.clone(),
            connections: self.connections.clone(),
            inbox: receiver,
            commands: self.commands.clone(),
            stop: stop.clone(),
            state: state.clone(),
            shares: self.shares.clone(),
        };
        let task = Some(self.runtime.spawn(lane::run(parts)));
        LaneHandle { epoch, buffer: sender, state, stop, task, paused: false, mirrored }
    }

    /// Ends the lanes of these partitions: their batch in flight is finished, what waits in their buffers is let go.
    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: Vec<Partition>) {
        let mut lanes = self.lanes();
        let names: Vec<i32> = partitions.iter().map(|p| p.0).collect();
        if consumer.assignment_lost() {
            self.health.group_is_lost(true);
            tracing::warn!(
                partitions = ?names,
                "the consumer group and this worker lost each other for longer than the session time-out: its lanes end here, \
                 and go on here or elsewhere once the group answers"
            );
        } else {
            tracing::info!(partitions = ?names, "revoked");
        }
        let mut leaving: Vec<(Partition, LaneHandle)> = partitions
            .iter()
            .filter_map(|partition| {
                lanes.unclaimed.remove(partition);
                self.health.lane_left(*partition);
                Some((*partition, lanes.running.remove(partition)?))
            })
            .collect();
        let mut list = TopicPartitionList::new();
        for (partition, _) in &leaving {
            list.add_partition(&self.config.topic, partition.0);
        }
        self.end(consumer, leaving.iter_mut().map(|(partition, lane)| (*partition, lane)), REVOKE_DEADLINE);
        // Also with an empty list: the group goes on only after this call.
        if let Err(error) = consumer.incremental_unassign(&list) {
            tracing::error!(%error, "Kafka refuses to take the partitions back");
        }
        lanes.rebalanced();
        self.shares.among(lanes.running.len());
    }

    /// Tells the lanes to stop, waits for their batches in flight, and mirrors where they ended.
    pub(crate) fn end<'l>(
        &self,
        consumer: &BaseConsumer<Self>,
        leaving: impl Iterator<Item = (Partition, &'l mut LaneHandle)>,
        deadline: Duration,
    ) {
        let mut leaving: Vec<(Partition, &mut LaneHandle)> = leaving.collect();
        leaving.iter().for_each(|(_, lane)| lane.stop.cancel());
        let until = Instant::now() + deadline;
        for (partition, lane) in &mut leaving {
            let Some(task) = lane.task.take() else { continue };
            let left = until.saturating_duration_since(Instant::now());
            if self.runtime.block_on(async { tokio::time::timeout(left, task).await }).is_err() {
                tracing::warn!(%partition, "the batch in flight did not end in time; its fence decides");
            }
        }
        let positions: Vec<(Partition, Offset)> =
            leaving.iter().map(|(p, lane)| (*p, lane.state.next_offset())).collect();
        mirror(consumer, &self.config.topic, &positions);
    }
}

/// Where each partition of the topic begins: a ledger begins there with all of them, whichever is claimed first. One that
/// is added later begins at 0.
fn first_offsets(
    consumer: &BaseConsumer<Group>,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<(Partition, Offset)>, KafkaError> {
    let until = Instant::now() + timeout;
    let left = || until.saturating_duration_since(Instant::now()).max(FIRST_OFFSET_TIMEOUT_MIN);
    let metadata = consumer.fetch_metadata(Some(topic), left())?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
    let first = partitions.map(|partition| {
        let (low, _) = consumer.fetch_watermarks(topic, partition, left())?;
        if low > 0 {
            tracing::warn!(
                partition,
                "the ledger begins at offset {low} of the partition: Kafka holds no record from before, and `millrace verify` \
                 says so"
            );
        }
        Ok((Partition(partition), Offset(low)))
    });
    first.collect()
}

/// Commits offsets to Kafka, where lag tools look. They decide nothing, so that a failure is no more than a late mirror.
pub(crate) fn mirror(consumer: &BaseConsumer<Group>, topic: &str, positions: &[(Partition, Offset)]) {
    if !positions.is_empty()
        && let Err(error) = consumer.commit(&listed(topic, positions), CommitMode::Async)
    {
        tracing::debug!(%error, "offsets were not mirrored to Kafka");
    }
}

/// Positions as librdkafka takes them. It has a place for every offset that Kafka gives.
pub(crate) fn listed(topic: &str, positions: &[(Partition, Offset)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in positions {
        drop(list.add_partition_offset(topic, partition.0, KafkaOffset::Offset(offset.0)));
    }
    list
}
