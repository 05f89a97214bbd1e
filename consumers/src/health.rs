//! What a worker says of itself: alive, ready, and why not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::availability::Availability;
use crate::buffer::LaneState;
use crate::metrics as names;
use millrace_domain::ids::{Offset, Partition};

/// The reader thread is dead or stuck if it has not come round for this long.
const READER_SILENT_MAX: Duration = Duration::from_secs(90);

/// The state of one worker, as its health endpoints and its watchdog see it.
pub struct Health {
    pub(crate) postgres: Arc<Availability>,
    pub(crate) kafka: Arc<Availability>,
    lanes: Mutex<BTreeMap<Partition, Arc<LaneState>>>,
    /// All partitions were taken away because the group did not answer, and it has given none since.
    group_lost: AtomicBool,
    topic_missing: AtomicBool,
    reader_ms: AtomicI64,
    since: Instant,
}

impl Health {
    /// A worker that just started.
    pub(crate) fn new() -> Arc<Health> {
        Arc::new(Health {
            postgres: Arc::new(Availability::of("Postgres", names::POSTGRES_UP)),
            kafka: Arc::new(Availability::of("Kafka", names::KAFKA_UP)),
            lanes: Mutex::new(BTreeMap::new()),
            group_lost: AtomicBool::new(false),
            topic_missing: AtomicBool::new(false),
            reader_ms: AtomicI64::new(0),
            since: Instant::now(),
        })
    }

    /// The reader came round.
    pub(crate) fn reader_came_round(&self) {
        self.reader_ms.store(self.since.elapsed().as_millis() as i64, Ordering::Relaxed);
    }

    /// Whether the group has lost this worker: it gives partitions, even if none, or takes them away unheard.
    pub(crate) fn group_is_lost(&self, lost: bool) {
        if self.group_lost.swap(lost, Ordering::Relaxed) && !lost {
            tracing::info!("the consumer group answers again");
        }
    }

    /// Whether the topic is there.
    pub(crate) fn topic_is_missing(&self, missing: bool) {
        self.topic_missing.store(missing, Ordering::Relaxed);
    }

    /// Whether a worker without lanes has none because the others have them all.
    pub(crate) fn may_stand_by(&self) -> bool {
        let kept_away = self.group_lost.load(Ordering::Relaxed) || self.topic_missing.load(Ordering::Relaxed);
        self.kafka.is_up() && !kept_away
    }

    pub(crate) fn lane_began(&self, lane: Arc<LaneState>) {
        self.lock().insert(lane.partition, lane);
    }

    pub(crate) fn lane_left(&self, partition: Partition) {
        self.lock().remove(&partition);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Partition, Arc<LaneState>>> {
        self.lanes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Why the process should be restarted; none while it is alive.
    pub fn not_alive(&self) -> Option<String> {
        let silent_ms = self.since.elapsed().as_millis() as i64 - self.reader_ms.load(Ordering::Relaxed);
        (silent_ms > READER_SILENT_MAX.as_millis() as i64)
            .then(|| format!("the Kafka reader has not come round for {} s", silent_ms / 1000))
    }

    /// Why the worker does not do its job; empty while it is ready. A standby is ready.
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.not_alive().into_iter().collect();
        if !self.postgres.is_up() {
            reasons.push("Postgres is away".into());
        }
        if !self.kafka.is_up() {
            reasons.push("Kafka is away".into());
        }
        if self.group_lost.load(Ordering::Relaxed) {
            reasons.push("the consumer group does not answer".into());
        }
        if self.topic_missing.load(Ordering::Relaxed) {
            reasons.push("the topic does not exist".into());
        }
        let halted = self.lock().values().filter_map(|lane| lane.halted()).collect::<Vec<_>>();
        reasons.extend(halted.into_iter().map(|why| format!("lane halted: {why}")));
        reasons
    }

    /// A lane that has been busy without progress for longer than `limit`.
    pub(crate) fn stuck_lane(&self, limit: Duration) -> Option<(Partition, Duration)> {
        let limit_ms = limit.as_millis() as i64;
        let stuck = |lane: &Arc<LaneState>| (lane.partition, lane.stuck_ms());
        let (partition, ms) = self.lock().values().map(stuck).find(|(_, ms)| *ms > limit_ms)?;
        Some((partition, Duration::from_millis(ms.unsigned_abs())))
    }

    /// Where each lane stands.
    pub(crate) fn positions(&self) -> Vec<(Partition, Offset)> {
        self.lock().values().map(|lane| (lane.partition, lane.next_offset())).collect()
    }

    /// How many lanes run, and how many of them are halted.
    pub(crate) fn lane_counts(&self) -> (usize, usize) {
        let lanes = self.lock();
        (lanes.len(), lanes.values().filter(|lane| lane.halted().is_some()).count())
    }
}
