//! What reader and lane share: the buffer between them, and what each may know of the other.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use millrace_domain::ids::{Offset, Partition};
use tokio::sync::mpsc;

use crate::flow::decode::Record;

/// A record on its way from the reader to its lane.
pub(crate) struct Delivered {
    /// Counts how often the partition was (re)assigned: what was read before a lane asked to read again is stale.
    pub(crate) generation: u64,
    pub(crate) record: Record,
    pub(crate) bytes: usize,
}

/// The reader's end. Its bound is kept by pausing the partition: see `flow::backpressure`.
pub(crate) struct Sender {
    records: mpsc::UnboundedSender<Delivered>,
    buffered_bytes: Arc<AtomicUsize>,
}

/// The lane's end.
pub(crate) struct Receiver {
    records: mpsc::UnboundedReceiver<Delivered>,
    buffered_bytes: Arc<AtomicUsize>,
}

/// A buffer between the reader and one lane.
pub(crate) fn channel() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let buffered_bytes = Arc::new(AtomicUsize::new(0));
    (Sender { records: sender, buffered_bytes: buffered_bytes.clone() }, Receiver { records: receiver, buffered_bytes })
}

impl Sender {
    /// Hands a record over; a lane that has ended takes no more.
    pub(crate) fn send(&self, delivered: Delivered) {
        let bytes = delivered.bytes;
        if self.records.send(delivered).is_ok() {
            self.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }
}

impl Receiver {
    /// The next record, once there is one; none when the reader has let go of the lane.
    pub(crate) async fn recv(&mut self) -> Option<Delivered> {
        let delivered = self.records.recv().await?;
        Some(self.taken(delivered))
    }

    /// The next record, if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<Delivered> {
        let delivered = self.records.try_recv().ok()?;
        Some(self.taken(delivered))
    }

    fn taken(&self, delivered: Delivered) -> Delivered {
        self.buffered_bytes.fetch_sub(delivered.bytes, Ordering::Relaxed);
        delivered
    }
}

/// What everyone may read of a lane.
pub(crate) struct LaneState {
    pub(crate) partition: Partition,
    next_offset: AtomicI64,
    busy: AtomicBool,
    progress_ms: AtomicI64,
    halted: Mutex<Option<String>>,
    since: Instant,
}

impl LaneState {
    pub(crate) fn new(partition: Partition, next_offset: Offset) -> LaneState {
        LaneState {
            partition,
            next_offset: AtomicI64::new(next_offset.0),
            busy: AtomicBool::new(false),
            progress_ms: AtomicI64::new(0),
            halted: Mutex::new(None),
            since: Instant::now(),
        }
    }

    pub(crate) fn next_offset(&self) -> Offset {
        Offset(self.next_offset.load(Ordering::Acquire))
    }

    pub(crate) fn stands_at(&self, offset: Offset) {
        self.next_offset.store(offset.0, Ordering::Release);
    }

    /// The lane begins to work on something.
    pub(crate) fn busy(&self) {
        self.progress();
        self.busy.store(true, Ordering::Relaxed);
    }

    /// The lane waits for records.
    pub(crate) fn idle(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    /// The lane got somewhere, or waits for a service that is known to be away.
    pub(crate) fn progress(&self) {
        self.progress_ms.store(self.since.elapsed().as_millis() as i64, Ordering::Relaxed);
    }

    /// For how long the lane has been busy without progress.
    pub(crate) fn stuck_ms(&self) -> i64 {
        match self.busy.load(Ordering::Relaxed) {
            true => self.since.elapsed().as_millis() as i64 - self.progress_ms.load(Ordering::Relaxed),
            false => 0,
        }
    }

    pub(crate) fn halt(&self, why: String) {
        *self.halted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(why);
    }

    pub(crate) fn halted(&self) -> Option<String> {
        self.halted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}
