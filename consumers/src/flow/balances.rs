//! When a lane folds the changes of balances that it noted into its stripes.
//!
//! To fold costs an update for each account, however often the account was noted: the more transfers come together, the
//! fewer updates each of them costs. The bounds keep a fold short.

use millrace_store::load::Notes;
use millrace_store::rows::{Balances, Batch};

/// So many transfers are noted before they are folded, or a few more: a lane folds when no other does.
const NOTED_TRANSFERS_MAX: usize = 100_000;
/// So many batches are noted before they are folded: readers of balances add them up. At the pace of a stream that is kept
/// up with a batch is small, and for each few hundred of them a fold would still be an update for nearly every transfer.
const NOTED_BATCHES_MAX: usize = 2_000;

/// What a lane noted since it folded last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noted {
    transfers: usize,
    batches: usize,
}

impl Noted {
    /// A lane that noted nothing.
    pub const NOTHING: Noted = Noted { transfers: 0, batches: 0 };

    /// A lane whose former owners left these notes. Most transfers of a batch change an account that no other of it does.
    pub fn left(notes: Notes) -> Noted {
        Noted { transfers: notes.changes, batches: notes.batches }
    }

    /// Whether it is time to fold.
    pub fn is_due(self) -> bool {
        self.transfers >= NOTED_TRANSFERS_MAX || self.batches >= NOTED_BATCHES_MAX
    }

    /// After this batch was committed.
    pub fn after(self, batch: &Batch) -> Noted {
        match batch.balances {
            Balances::Fold => Noted::NOTHING,
            Balances::Note => match batch.transfers() {
                0 => self,
                transfers => Noted { transfers: self.transfers + transfers, batches: self.batches + 1 },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_former_owners_left_counts() {
        let is_due = |changes, batches| Noted::left(Notes { changes, batches }).is_due();
        assert!(!Noted::NOTHING.is_due());
        assert!(!is_due(NOTED_TRANSFERS_MAX - 1, NOTED_BATCHES_MAX - 1));
        assert!(is_due(NOTED_TRANSFERS_MAX, 1));
        assert!(is_due(1, NOTED_BATCHES_MAX));
    }
}
