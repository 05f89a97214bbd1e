//! A lane: everything that one worker does for one partition. One task, one transaction in flight.
//!
//! It takes records from its buffer, judges them in batches and writes each batch behind its fence. Whatever goes
//! wrong is answered by the error's remedy; the records of a batch are let go only once they are committed.

mod bisect;
mod sweep;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc as commands;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millrace_domain::ids::{Micros, Offset, Partition, Position};
use millrace_store::connect::Connection;
use millrace_store::error::{Remedy, StoreError};
use millrace_store::lanes::{self, Claim, LostCommit};
use millrace_store::load;
use millrace_store::rows::{Balances, Batch, Fence, Stood};
use millrace_store::write::Written;
use millrace_wire::schemas::SchemaTable;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::buffer::{Delivered, LaneState, Receiver};
use crate::config::WorkerConfig;
use crate::connections::Connections;
use crate::flow::balances::Noted;
use crate::flow::books::{ByPayment, Entry, Memory};
use crate::flow::contiguity::{Contiguity, Step};
use crate::flow::decode::{Decoded, Record, decode};
use crate::flow::judge::{Judged, Setting, stands};
use crate::flow::refused::Refused;
use crate::flow::work::Work;
use crate::observe;
use crate::reading;
use crate::session::{Session, Stopped, pause, waits};
use crate::shares::Shares;
use crate::together;

/// How often a batch is looked up anew because of a key that stands already, before its rows are tried one by one.
const LOOK_UPS_MAX: u32 = 5;
/// How often a lane looks whether something was parked for too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// SQLSTATE of a lock that was waited for in vain.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A lane behind which this much waits has a backlog.
const BACKLOG_BYTES: usize = 256 << 10;

/// What a lane tells the reader.
pub(crate) enum Command {
    /// Read again from this offset; what was read before is let go.
    ReadAgain { partition: Partition, offset: Offset },
    /// The topic was deleted and made again.
    TopicMadeAgain { found: String },
    /// The lane has ended.
    Ended { partition: Partition, epoch: i64, end: LaneEnd },
}

/// Why a lane ended.
#[derive(Debug)]
pub(crate) enum LaneEnd {
    /// It was told to.
    Stopped,
    /// Another worker claimed the partition.
    Fenced,
    /// Only a person can mend it.
    Halted(String),
}

impl From<Stopped> for LaneEnd {
    fn from(_: Stopped) -> LaneEnd {
        LaneEnd::Stopped
    }
}

/// What a lane is made of.
pub(crate) struct LaneParts {
    pub(crate) claim: Claim,
    pub(crate) config: Arc<WorkerConfig>,
    pub(crate) connections: Connections,
    pub(crate) inbox: Receiver,
    pub(crate) commands: commands::Sender<Command>,
    pub(crate) stop: CancellationToken,
    pub(crate) state: Arc<LaneState>,
    pub(crate) shares: Arc<Shares>,
}

pub(crate) struct Lane {
    fence: Fence,
    contiguity: Contiguity,
    /// The first offset that is not committed.
    stands_at: Offset,
    generation: u64,
    memory: Memory,
    session: Session,
    inbox: Receiver,
    commands: commands::Sender<Command>,
    config: Arc<WorkerConfig>,
    stop: CancellationToken,
    state: Arc<LaneState>,
    /// When the oldest parked event is due, as far as this lane knows.
    due_at: Option<Micros>,
    noted: Noted,
    looked_for_moved_at: Instant,
    shares: Arc<Shares>,
}

/// Which try of a batch it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Try {
    /// It may share a transaction with batches of other lanes.
    First,
    /// What went wrong holds no other up.
    Again,
    /// The same, with everything looked up, for a key said that something stands.
    Thorough,
}

type Records = Vec<(Record, Decoded)>;

/// A boxed future of the lane's task.
type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a lane until it ends, and tells the reader why.
pub(crate) async fn run(parts: LaneParts) {
    let commands = parts.commands.clone();
    let (partition, epoch) = (parts.claim.fence.partition, parts.claim.fence.epoch);
    let state = parts.state.clone();
    let end = match Lane::new(parts).work().await {
        Err(end) => end,
        Ok(never) => match never {},
    };
    state.idle();
    if let LaneEnd::Halted(why) = &end {
        tracing::error!(%partition, %why, "lane halted; nothing is skipped, it waits for a person");
        state.halt(why.clone());
    }
    // The reader is gone only when the whole worker is.
    let _ = commands.send(Command::Ended { partition, epoch, end });
}

impl Lane {
    fn new(parts: LaneParts) -> Lane {
        let LaneParts { claim, config, connections, inbox, commands, stop, state, shares } = parts;
        Lane {
            contiguity: Contiguity::from(claim.next_offset),
            stands_at: claim.next_offset,
            generation: 0,
            memory: Memory::default(),
            session: Session::new(connections, stop.clone(), state.clone()),
            fence: claim.fence,
            due_at: Some(Micros(0)),
            noted: Noted::NOTHING,
            looked_for_moved_at: Instant::now(),
            shares,
            inbox,
            commands,
            config,
            stop,
            state,
        }
    }

    async fn work(&mut self) -> Result<std::convert::Infallible, LaneEnd> {
        self.begin().await?;
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.session.rest();
            self.state.idle();
            tokio::select! {
                // To stop comes first: a stopped lane begins nothing new. Records come before the sweep, for they are
                // why the lane is here; the sweep catches up between batches.
                biased;
                () = self.stop.cancelled() => return Err(LaneEnd::Stopped),
                first = self.inbox.recv() => match first {
                    Some(first) => {
                        let turn = self.turn_with_backlog().await?;
                        self.state.busy();
                        self.take(first).await?;
                        drop(turn);
                    }
                    None => return Err(LaneEnd::Stopped),
                },
                _ = sweep.tick() => {}
            }
            self.state.busy();
            self.expire_parked().await?;
            self.look_for_moved().await?;
        }
    }

    /// What a lane does before its first record. In turns, or lanes that begin together would each make a connection for
    /// it.
    async fn begin(&mut self) -> Result<(), LaneEnd> {
        let turn = self.turn().await?;
        self.state.busy();
        let partition = self.fence.partition;
        let left = self.patiently(move |connection| Box::pin(load::notes(connection, partition))).await?;
        self.noted = Noted::left(left);
        self.judge_unknown_types_again().await?;
        self.expire_parked().await?;
        drop(turn);
        Ok(())
    }

    /// A lane with a backlog waits for its turn; one that keeps up never does. All at once they would share two cores
    /// and the same index pages, each with a batch in memory; in turns the batches are fewer, larger and quicker.
    async fn turn_with_backlog(&self) -> Result<Option<OwnedSemaphorePermit>, LaneEnd> {
        match self.inbox.buffered_bytes() < BACKLOG_BYTES {
            true => Ok(None),
            false => self.turn().await,
        }
    }

    async fn turn(&self) -> Result<Option<OwnedSemaphorePermit>, LaneEnd> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(LaneEnd::Stopped),
            turn = self.shares.turns.clone().acquire_owned() => Ok(turn.ok()),
        }
    }

    /// Writes the first record and all that wait behind it, up to the bounds of a batch: batches grow with the backlog
    /// and a lone record waits for nobody.
    async fn take(&mut self, first: Delivered) -> Result<(), LaneEnd> {
        let bounds = self.config.bounds;
        let mut batch = Records::with_capacity(bounds.batch_records_max.min(1 + self.inbox.waiting()));
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(delivered) = next {
            bytes += delivered.bytes;
            match self.step(&delivered) {
                Step::Take => batch.push(self.decoded(delivered.record)),
                Step::Skip => {}
                Step::ReadAgain { expected } => {
                    self.read_again(expected);
                    break;
                }
                Step::Halt { expected } => {
                    self.settle_records(&batch).await?;
                    return Err(LaneEnd::Halted(self.hole(expected, delivered.record.offset)));
                }
            }
            let full = batch.len() >= bounds.batch_records_max || bytes >= bounds.batch_bytes_max;
            next = if full { None } else { self.inbox.try_recv() };
        }
        self.settle_records(&batch).await
    }

    fn step(&mut self, delivered: &Delivered) -> Step {
        if delivered.generation < self.generation {
            return Step::Skip;
        }
        self.contiguity.step(delivered.record.offset)
    }

    fn decoded(&self, record: Record) -> (Record, Decoded) {
        let position = Position { partition: self.fence.partition, offset: record.offset };
        let decoded = decode(position, &record.raw, SchemaTable::built_in());
        (record, decoded)
    }

    fn read_again(&mut self, offset: Offset) {
        tracing::warn!(partition = %self.fence.partition, %offset, "records are missing before the one that came; reading again");
        self.generation += 1;
        let _ = self.commands.send(Command::ReadAgain { partition: self.fence.partition, offset });
    }

    fn hole(&self, expected: Offset, found: Offset) -> String {
        format!(
            "partition {}: offset {expected} is missing, the next record in Kafka is {found}. Records were lost (retention, \
             unclean election) or the topic is transactional or compacted; see docs/runbooks.md, 'A lane halted at a hole'",
            self.fence.partition
        )
    }

    async fn settle_records(&mut self, batch: &[(Record, Decoded)]) -> Result<(), LaneEnd> {
        match batch.is_empty() {
            true => Ok(()),
            false => self.settle(Work::Records(batch), &mut Refused::default()).await,
        }
    }

    /// Writes the work, whatever it takes. Returns once it is committed, or with the reason why this lane must end.
    async fn settle(&mut self, work: Work<'_>, refused: &mut Refused) -> Result<(), LaneEnd> {
        let began = Instant::now();
        let mut look_ups = 0;
        let mut which = Try::First;
        let mut waits = waits();
        loop {
            self.state.progress();
            let failure = match self.attempt(work, refused, which, began).await? {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            let remedy = failure.remedy();
            let state = failure.sqlstate().unwrap_or_default();
            tracing::debug!(partition = %self.fence.partition, %failure, %state, ?remedy, "batch failed");
            observe::retried(remedy);
            if state == LOCK_NOT_AVAILABLE {
                tracing::warn!(partition = %self.fence.partition, "another session holds a lock that this lane waits for; trying again");
            }
            match remedy {
                Remedy::Fenced => return Err(LaneEnd::Fenced),
                Remedy::Halt => return Err(LaneEnd::Halted(failure.to_string())),
                Remedy::Reconnect => self.session.lost(&failure),
                Remedy::Bisect => return self.bisect(work, refused).await,
                Remedy::LookUp if look_ups >= LOOK_UPS_MAX => return self.bisect(work, refused).await,
                Remedy::LookUp => {
                    look_ups += 1;
                    self.forget(work);
                }
                Remedy::LookForParked => self.memory.quiet = self.memory.quiet.after_being_wrong(),
                Remedy::Retry => {}
            }
            which = if look_ups > 0 { Try::Thorough } else { Try::Again };
            // What can be looked up is, at once; everything else is given a moment.
            if !matches!(remedy, Remedy::LookUp | Remedy::LookForParked) {
                pause(waits.next().unwrap_or(Duration::from_secs(3)), &self.stop).await?;
            }
        }
    }

    /// `settle` from within: a future that holds itself has to be boxed.
    fn settle_part<'a>(&'a mut self, work: Work<'a>, refused: &'a mut Refused) -> Asked<'a, Result<(), LaneEnd>> {
        Box::pin(self.settle(work, refused))
    }

    /// One try: read, judge, write. The inner error says that nothing of it stands.
    async fn attempt(
        &mut self,
        work: Work<'_>,
        refused: &Refused,
        which: Try,
        began: Instant,
    ) -> Result<Result<(), StoreError>, LaneEnd> {
        let Judged { mut batch, entries, .. } = match self.judged(work, refused, which == Try::Thorough).await? {
            Ok(judged) => judged,
            Err(error) => return Ok(Err(error)),
        };
        let folding = if self.noted.is_due() { self.shares.turn_to_fold() } else { None };
        batch.balances = if folding.is_some() { Balances::Fold } else { Balances::Note };
        if batch.is_void() {
            return Ok(Ok(()));
        }
        let connection = match self.session.connection().await? {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let (fence, worker) = (&self.fence, &self.config.worker);
        let (batch, written) = match which {
            Try::First => self.shares.together.write(connection, fence, batch, worker).await,
            Try::Again | Try::Thorough => together::alone(connection, fence, batch, worker).await,
        };
        match written {
            Written::Committed => {}
            Written::Refused(error) => return Ok(Err(error)),
            Written::Failed(error) => {
                self.session.roll_back().await;
                return Ok(Err(error));
            }
            Written::Unknown(error) => {
                tracing::warn!(partition = %self.fence.partition, %error, "the reply to a commit was lost; asking what became of it");
                self.session.drop_connection();
                self.memory.clear();
                match self.find_out(batch.from, batch.to).await? {
                    LostCommit::Committed => {}
                    LostCommit::NotCommitted => return Ok(Err(error)),
                    LostCommit::Fenced => return Err(LaneEnd::Fenced),
                }
            }
        }
        self.committed(work, &batch, entries, !refused.is_empty(), began);
        Ok(Ok(()))
    }

    /// What became of a COMMIT whose reply was lost. A batch without records moves no fence: it counts as not
    /// committed, and doing it again changes nothing that was done.
    async fn find_out(&mut self, from: Offset, to: Offset) -> Result<LostCommit, LaneEnd> {
        let fence = self.fence.clone();
        self.patiently(move |connection| {
            let fence = fence.clone();
            Box::pin(async move { lanes::find_out(connection, &fence, from, to).await })
        })
        .await
    }

    /// Reads what the work needs and judges it, again with more looked up until nothing is unsure.
    async fn judged(
        &mut self,
        work: Work<'_>,
        refused: &Refused,
        thorough: bool,
    ) -> Result<Result<Judged, StoreError>, LaneEnd> {
        let connection = match self.session.connection().await? {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let setting = Setting { partition: self.fence.partition, window: self.config.window, now: now(), refused };
        let judged = reading::judged(connection, &mut self.memory, setting, work, self.stands_at, thorough).await;
        if judged.is_err() {
            // Outside a transaction there is nothing to roll back, but the connection may be in any state.
            self.session.drop_connection();
        }
        Ok(judged)
    }

    fn forget(&mut self, work: Work<'_>) {
        work.payments(|_| true).into_iter().for_each(|id| self.memory.forget(id));
    }

    fn committed(
        &mut self,
        work: Work<'_>,
        batch: &Batch,
        mut entries: ByPayment<Box<Entry>>,
        anything_refused: bool,
        began: Instant,
    ) {
        self.stands_at = batch.to;
        self.noted = self.noted.after(batch);
        self.state.stands_at(batch.to);
        self.state.progress();
        if !batch.parked.is_empty() {
            self.memory.quiet = self.memory.quiet.after_looking(batch.parked.len());
            let due = Micros(now().0.saturating_add(micros(self.config.parking_limit)));
            self.due_at = Some(self.due_at.map_or(due, |earlier| earlier.min(due)));
        }
        let remembered_max = self.shares.remembered_payments();
        self.memory.bound(remembered_max);
        // A publisher that tries again does so soon, and a life cycle goes on soon: the latest are worth remembering, and more
        // than are remembered would only push each other out.
        let surplus = entries.len().saturating_sub(remembered_max.get());
        for id in work.payments_as_they_came().skip(surplus) {
            let Some(entry) = entries.remove(&id) else { continue };
            match self.is_ours(&entry) && !anything_refused {
                true => self.memory.remember(id, self.after(entry)),
                false => self.memory.forget(id),
            }
        }
        // One without a row was not remembered.
        entries.iter().filter(|(_, entry)| entry.stood.is_some()).for_each(|(id, _)| self.memory.forget(*id));
        observe::committed(batch, work, began);
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        entry.written_by.is_none_or(|lane| lane == self.fence.partition)
    }

    /// A payment as the next batch begins with it.
    fn after(&self, mut entry: Box<Entry>) -> Box<Entry> {
        let stood = stands(&entry);
        let has_row = entry.stood.is_some() || stood != Stood { version: 0, last_sequence: 0 };
        entry.stood = has_row.then_some(stood);
        entry.written_by = has_row.then_some(self.fence.partition);
        entry
    }

    /// Reads, however long Postgres is away.
    async fn patiently<T>(
        &mut self,
        read: impl for<'c> Fn(&'c mut Connection) -> Asked<'c, Result<T, StoreError>> + Send + Sync,
    ) -> Result<T, LaneEnd> {
        let mut waits = waits();
        loop {
            let done = match self.session.connection().await? {
                Ok(connection) => read(connection).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(found) => return Ok(found),
                Err(error) if error.remedy() == Remedy::Halt => return Err(LaneEnd::Halted(error.to_string())),
                // Nothing is wrong with the connection: no transaction is open.
                Err(error) if error.remedy() == Remedy::Retry => {}
                Err(error) => self.session.lost(&error),
            }
            pause(waits.next().unwrap_or(Duration::from_secs(3)), &self.stop).await?;
        }
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The clock: read by the shell alone, and handed to the pure parts as a value.
pub(crate) fn now() -> Micros {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(micros(since_1970))
}
