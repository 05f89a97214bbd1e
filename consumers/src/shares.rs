//! What all lanes of a worker have together, and each lane's share of it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Bounds;
use crate::metrics as names;
use crate::together::Together;

/// Shared by the lanes of one worker.
pub(crate) struct Shares {
    /// Lanes with a backlog take turns: see `lane::Lane::turn`.
    pub(crate) turns: Arc<Semaphore>,
    /// One lane at a time folds its balances. Lanes that began together are due together, and would all stand
    /// still at the same time.
    folding: Arc<Semaphore>,
    /// Small batches of several lanes share a transaction.
    pub(crate) together: Together,
    remembered_payments_max: NonZeroUsize,
    lanes: AtomicUsize,
}

impl Shares {
    pub(crate) fn of(bounds: &Bounds) -> Shares {
        Shares {
            turns: Arc::new(Semaphore::new(bounds.busy_lanes_max.get())),
            folding: Arc::new(Semaphore::new(1)),
            together: Together::new(),
            remembered_payments_max: bounds.remembered_payments_max,
            lanes: AtomicUsize::new(0),
        }
    }

    /// The turn to fold balances, unless another lane has it.
    pub(crate) fn turn_to_fold(&self) -> Option<OwnedSemaphorePermit> {
        self.folding.clone().try_acquire_owned().ok()
    }

    /// So many lanes run now.
    pub(crate) fn among(&self, lanes: usize) {
        self.lanes.store(lanes, Ordering::Relaxed);
        gauge!(names::LANES).set(lanes as f64);
    }

    /// How many payments one lane may remember.
    pub(crate) fn remembered_payments(&self) -> NonZeroUsize {
        let lanes = NonZeroUsize::new(self.lanes.load(Ordering::Relaxed)).unwrap_or(NonZeroUsize::MIN);
        NonZeroUsize::new(self.remembered_payments_max.get() / lanes).unwrap_or(NonZeroUsize::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_at_a_time_folds() {
        let shares = Shares::of(&Bounds::default());
        let turn = shares.turn_to_fold();
        assert!(turn.is_some());
        assert!(shares.turn_to_fold().is_none());
        drop(turn);
        assert!(shares.turn_to_fold().is_some());
    }

    #[test]
    fn however_many_lanes_there_are_together_they_remember_no_more_and_each_at_least_one() {
        let bounds = Bounds { remembered_payments_max: NonZeroUsize::new(100).expect("above 0"), ..Bounds::default() };
        let shares = Shares::of(&bounds);
        for (lanes, wanted) in [(0, 100), (1, 100), (12, 8), (64, 1), (1_000, 1)] {
            shares.among(lanes);
            assert_eq!(shares.remembered_payments().get(), wanted, "{lanes} lanes");
        }
    }
}
