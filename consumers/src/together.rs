//! Small batches of several lanes, written in one transaction.
//!
//! A transaction costs Postgres as much as a dozen events or more, however few it holds. So one is under way at a time:
//! batches that become ready meanwhile wait, and the next takes all of them. A lone batch waits for nobody, and the busier
//! the worker is, the more lanes share a transaction. Each batch keeps its own fence and its own proof row. All of them are
//! committed or none, and where they are not, each lane writes its own as if there had been no others. So it does where the
//! transaction under way takes long, as when it waits for a lock: no lane is held up by what another waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millrace_store::IS_GUARDED;
use millrace_store::connect::Connection;
use millrace_store::error::StoreError;
use millrace_store::rows::{Batch, Fence};
use millrace_store::write::{self, LaneBatch, Written, one_statement};
use tokio::sync::{Semaphore, oneshot};

use crate::observe;

/// A transaction of so many rows is worth it: nobody waits for more.
const ROWS_ENOUGH: usize = 256;
/// How many transactions that are worth it may be under way beside the one for whatever there is.
const FULL_TURNS: usize = 3;

/// How long a batch waits for its turn: longer than transactions of this size take.
const PATIENCE: Duration = Duration::from_millis(250);

/// The batches that wait, of all lanes of a worker.
pub(crate) struct Together {
    waiting: Mutex<Vec<Waiting>>,
    /// When the transaction for whatever there was began, if one is under way.
    began: Mutex<Option<Instant>>,
    /// The turn to write whatever there is.
    turn: Semaphore,
    /// The turns to write what is enough.
    full_turns: Semaphore,
}

/// A batch that waits to be written.
struct Waiting {
    fence: Fence,
    batch: Batch,
    done: oneshot::Sender<Done>,
}

/// A batch that came back, and how its transaction ended. None: it was not written, for the sake of others perhaps.
type Done = (Batch, Option<Written>);

impl Together {
    pub(crate) fn new() -> Together {
        Together {
            waiting: Mutex::default(),
            began: Mutex::default(),
            turn: Semaphore::new(1),
            full_turns: Semaphore::new(FULL_TURNS),
        }
    }

    /// Writes a batch, alone or with those of other lanes.
    pub(crate) async fn write(
        &self,
        connection: &mut Connection,
        fence: &Fence,
        batch: Batch,
        worker: &str,
    ) -> (Batch, Written) {
        let (batch, written) = match may_share(&batch) {
            true => self.share(connection, fence, batch, worker).await,
            false => (batch, None),
        };
        match written {
            Some(written) => (batch, written),
            None => alone(connection, fence, batch, worker).await,
        }
    }

    async fn share(&self, connection: &mut Connection, fence: &Fence, batch: Batch, worker: &str) -> Done {
        let Some(patience) = self.patience() else { return (batch, None) };
        let (done, mut is_done) = oneshot::channel();
        let is_enough = self.wait(Waiting { fence: fence.clone(), batch, done });
        if is_enough && let Ok(_turn) = self.full_turns.try_acquire() {
            write_group(connection, self.take(fence), worker).await;
            return is_done.await.expect(ANSWERED);
        }
        tokio::select! {
            biased;
            done = &mut is_done => return done.expect(ANSWERED),
            turn = self.turn.acquire() => {
                let _turn = turn.expect("it is never closed");
                *lock(&self.began) = Some(Instant::now());
                write_group(connection, self.take(fence), worker).await;
                *lock(&self.began) = None;
            }
            () = tokio::time::sleep(patience) => {
                if let Some(batch) = self.take_back(fence) {
                    return (batch, None);
                }
            }
        }
        is_done.await.expect(ANSWERED)
    }

    /// How long a batch may wait for its turn; none where the transaction under way has taken longer already.
    fn patience(&self) -> Option<Duration> {
        lock(&self.began).map_or(Some(PATIENCE), |began| PATIENCE.checked_sub(began.elapsed()))
    }

    /// Puts a batch to those that wait, and says whether all of them are enough for a transaction.
    fn wait(&self, batch: Waiting) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.push(batch);
        waiting.iter().map(|waiting| one_statement::rows(&waiting.batch)).sum::<usize>() >= ROWS_ENOUGH
    }

    /// The lane's batch, and as many others as go with it; nothing if whoever had a turn before has taken it.
    fn take(&self, fence: &Fence) -> Vec<Waiting> {
        let mut waiting = lock(&self.waiting);
        let Some(own) = waiting.iter().position(|waiting| waiting.fence == *fence) else {
            return Vec::new();
        };
        // Its lane is here to write it; the others come in the order in which they became ready.
        waiting[..=own].rotate_right(1);
        let mut rows = 0;
        let fits = |waiting: &&Waiting| {
            let is_enough = rows >= ROWS_ENOUGH;
            rows += one_statement::rows(&waiting.batch);
            !is_enough
        };
        let count = waiting.iter().take_while(fits).count();
        waiting.drain(..count).collect()
    }

    /// The lane's batch, unless another has taken it.
    fn take_back(&self, fence: &Fence) -> Option<Batch> {
        let mut waiting = lock(&self.waiting);
        let own = waiting.iter().position(|waiting| waiting.fence == *fence)?;
        Some(waiting.remove(own).batch)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a batch in a transaction of its own.
pub(crate) async fn alone(connection: &mut Connection, fence: &Fence, batch: Batch, worker: &str) -> (Batch, Written) {
    let written = write::batches(connection, &[LaneBatch { fence, batch: &batch }], worker).await;
    (batch, written)
}

const ANSWERED: &str = "whoever takes a batch answers its lane";

fn may_share(batch: &Batch) -> bool {
    IS_GUARDED && one_statement::is_plain(batch) && one_statement::rows(batch) < ROWS_ENOUGH
}

/// Writes the batches, if there are any, and answers their lanes.
async fn write_group(connection: &mut Connection, group: Vec<Waiting>, worker: &str) {
    if group.is_empty() {
        return;
    }
    let parts: Vec<_> =
        group.iter().map(|waiting| LaneBatch { fence: &waiting.fence, batch: &waiting.batch }).collect();
    let mut written = Some(write::batches(connection, &parts, worker).await);
    observe::transaction(parts.len());
    let is_shared = parts.len() > 1;
    if is_shared && let Some(Written::Failed(error) | Written::Refused(error)) = &written {
        tracing::debug!(batches = group.len(), %error, "batches of several lanes failed together; each is written by itself");
        if let Some(Written::Failed(_)) = written {
            // Where that fails too, the connection is broken, as this lane's own batch will find.
            let _ = write::rollback(connection).await;
        }
        written = None;
    }
    for Waiting { batch, done, .. } in group {
        let of_this = match &written {
            Some(Written::Committed) => Some(Written::Committed),
            Some(Written::Unknown(error)) if is_shared => {
                Some(Written::Unknown(StoreError::Unanswered { why: error.to_string() }))
            }
            // Of one batch alone.
            _ => written.take(),
        };
        // A lane is never aborted: it waits for this.
        let _ = done.send((batch, of_this));
    }
}

#[cfg(test)]
mod tests {
    use millrace_domain::ids::{Offset, Partition, PaymentId};
    use millrace_domain::payment::Payment;
    use millrace_store::rows::{Balances, Counts, PaymentRow};
    use uuid::Uuid;

    use super::*;

    fn fence(partition: i32) -> Fence {
        Fence { topic: "t".into(), topic_id: "id".into(), partition: Partition(partition), epoch: 1 }
    }

    fn batch(rows: usize) -> Batch {
        let row = PaymentRow { payment_id: PaymentId(Uuid::nil()), stood: None, state: Payment::default() };
        Batch {
            from: Offset(0),
            to: Offset(1),
            counts: Counts::default(),
            applied: vec![],
            payments: vec![row; rows],
            parked: vec![],
            reparked: vec![],
            unparked: vec![],
            rejected_parked: vec![],
            dead_letters: vec![],
            balances: Balances::Note,
            only_if_nothing_is_parked: false,
        }
    }

    fn waiting(partition: i32, rows: usize) -> Waiting {
        Waiting { fence: fence(partition), batch: batch(rows), done: oneshot::channel().0 }
    }

    fn partitions(group: &[Waiting]) -> Vec<i32> {
        group.iter().map(|waiting| waiting.fence.partition.0).collect()
    }

    #[test]
    fn a_group_begins_with_its_lane_and_goes_on_in_order_until_it_is_enough() {
        let together = Together::new();
        let enough: Vec<bool> = (0..5).map(|partition| together.wait(waiting(partition, 100))).collect();
        assert_eq!(enough, [false, false, true, true, true]);
        assert_eq!(partitions(&together.take(&fence(3))), [3, 0, 1]);
        assert!(together.take(&fence(3)).is_empty(), "it was taken");
        assert_eq!(partitions(&together.take(&fence(2))), [2, 4]);
    }

    #[test]
    fn a_batch_is_taken_back_once_and_never_from_a_later_claim() {
        let together = Together::new();
        together.wait(waiting(0, 1));
        assert_eq!(together.take_back(&Fence { epoch: 2, ..fence(0) }), None);
        assert_eq!(together.take_back(&fence(0)), Some(batch(1)));
        assert_eq!(together.take_back(&fence(0)), None);
    }

    #[test]
    fn what_is_worth_a_transaction_of_its_own_or_does_more_than_apply_is_written_alone() {
        assert!(may_share(&Batch { to: Offset(9), ..batch(ROWS_ENOUGH - 1) }));
        assert!(!may_share(&batch(ROWS_ENOUGH)));
        assert!(!may_share(&Batch { balances: Balances::Fold, ..batch(1) }));
        assert!(!may_share(&Batch { counts: Counts { parked: 1, ..Counts::default() }, ..batch(1) }));
    }
}
