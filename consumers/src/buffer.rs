//! What reader and lane share: the buffer between them, and what each may know of the other.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::vec;

use millrace_domain::ids::{Offset, Partition};
use millrace_store::record::RecordPack;
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::mpsc;

use crate::flow::decode::Record;
use crate::record;

/// How many bytes of records share one piece of memory and one hand-over at most.
const CHUNK_BYTES_MAX: usize = 64 << 10;
/// What a record takes in memory beside its own bytes, roughly: for bounds, not for bookkeeping.
const RECORD_OVERHEAD_BYTES: usize = 160;

/// A record on its way from the reader to its lane.
pub(crate) struct Delivered {
    /// Counts how often the partition was (re)assigned: what was read before a lane asked to read again is stale.
    pub(crate) generation: u64,
    pub(crate) record: Record,
    pub(crate) bytes: usize,
}

/// Records that are handed over together.
struct Chunk {
    generation: u64,
    records: Vec<Record>,
    bytes: usize,
}

/// The reader's end. Its bound is kept by pausing the partition: see `flow::backpressure`.
pub(crate) struct Sender {
    chunks: mpsc::UnboundedSender<Chunk>,
    buffered_bytes: Arc<AtomicUsize>,
    generation: u64,
    /// The offset behind the last record taken: where Kafka reads on.
    read_next: Offset,
    /// Read and not handed over yet: no longer than until the reader finds nothing more to read.
    pack: RecordPack,
    /// The bytes of its longest record.
    longest: usize,
    offsets: Vec<Offset>,
}

/// The lane's end.
pub(crate) struct Receiver {
    chunks: mpsc::UnboundedReceiver<Chunk>,
    buffered_bytes: Arc<AtomicUsize>,
    generation: u64,
    begun: vec::IntoIter<Record>,
    /// How many records were handed over last.
    chunk_records: usize,
}

/// A buffer between the reader and one lane, which is read from this offset on.
pub(crate) fn channel(read_next: Offset) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let buffered_bytes = Arc::new(AtomicUsize::new(0));
    let (generation, pack, longest, offsets) = Default::default();
    let begun = Vec::new().into_iter();
    let lane =
        Receiver { chunks: receiver, buffered_bytes: buffered_bytes.clone(), generation, begun, chunk_records: 0 };
    (Sender { chunks: sender, buffered_bytes, generation, read_next, pack, longest, offsets }, lane)
}

impl Sender {
    /// Takes a record; it reaches the lane with the next `hand_over`, or when enough have come together.
    pub(crate) fn take(&mut self, message: &BorrowedMessage<'_>) {
        let before = self.pack.len_bytes();
        record::put(message, &mut self.pack);
        self.longest = self.longest.max(self.pack.len_bytes() - before);
        self.offsets.push(Offset(message.offset()));
        self.read_next = Offset(message.offset() + 1);
        // Memory grows by doubling: a pack that went over the bound by one record would hold twice as much as it needs.
        if self.pack.len_bytes() + self.longest > CHUNK_BYTES_MAX {
            self.hand_over();
            // After a full one likely comes another.
            self.pack = RecordPack::with_capacity(CHUNK_BYTES_MAX);
        }
    }

    /// Hands over what was taken; a lane that has ended takes no more.
    pub(crate) fn hand_over(&mut self) {
        if self.offsets.is_empty() {
            return;
        }
        let pack = std::mem::take(&mut self.pack);
        self.longest = 0;
        let bytes = pack.len_bytes() + pack.len() * RECORD_OVERHEAD_BYTES;
        let records = self.offsets.drain(..).zip(pack.into_records()).map(|(offset, raw)| Record { offset, raw });
        let chunk = Chunk { generation: self.generation, records: records.collect(), bytes };
        // Counted before the lane can take it: it subtracts what it took.
        self.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.chunks.send(chunk).is_err() {
            self.buffered_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// What is taken from now on was read again, from this offset on.
    pub(crate) fn next_generation(&mut self, read_next: Offset) {
        self.hand_over();
        self.generation += 1;
        self.read_next = read_next;
    }

    pub(crate) fn read_next(&self) -> Offset {
        self.read_next
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }
}

impl Receiver {
    /// The next record, once there is one; none when the reader has let go of the lane.
    pub(crate) async fn recv(&mut self) -> Option<Delivered> {
        loop {
            if let Some(delivered) = self.next_of_begun() {
                return Some(delivered);
            }
            let chunk = self.chunks.recv().await?;
            self.begin(chunk);
        }
    }

    /// The next record, if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<Delivered> {
        loop {
            if let Some(delivered) = self.next_of_begun() {
                return Some(delivered);
            }
            let chunk = self.chunks.try_recv().ok()?;
            self.begin(chunk);
        }
    }

    /// What waits behind the records that were handed over last.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Ordering::Relaxed)
    }

    /// How many records wait, roughly: each hand-over is taken to be like the last.
    pub(crate) fn waiting(&self) -> usize {
        self.begun.len() + self.chunks.len() * self.chunk_records
    }

    fn next_of_begun(&mut self) -> Option<Delivered> {
        let record = self.begun.next()?;
        let bytes = RECORD_OVERHEAD_BYTES + record.raw.len_bytes();
        Some(Delivered { generation: self.generation, record, bytes })
    }

    fn begin(&mut self, chunk: Chunk) {
        self.buffered_bytes.fetch_sub(chunk.bytes, Ordering::Relaxed);
        self.generation = chunk.generation;
        self.chunk_records = chunk.records.len();
        self.begun = chunk.records.into_iter();
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
