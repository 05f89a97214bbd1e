//! When a lane folds the changes of balances that it noted into its stripes.
//!
//! To fold costs an update for each account, however often the account was noted: the more transfers come together, the
//! fewer updates each of them costs. The bounds keep a fold short.

use millrace_store::load::Notes;
use millrace_store::rows::{Balances, Batch};

/// So many transfers are noted before they are folded.
const NOTED_TRANSFERS_MAX: usize = 100_000;
/// So many batches are noted before they are folded: readers of balances add them up.
const NOTED_BATCHES_MAX: usize = 200;

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

    /// What the next batch does.
    pub fn next(self) -> Balances {
        match self.transfers >= NOTED_TRANSFERS_MAX || self.batches >= NOTED_BATCHES_MAX {
            true => Balances::Fold,
            false => Balances::Note,
        }
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
        let next = |changes, batches| Noted::left(Notes { changes, batches }).next();
        assert_eq!(Noted::NOTHING.next(), Balances::Note);
        assert_eq!(next(NOTED_TRANSFERS_MAX - 1, NOTED_BATCHES_MAX - 1), Balances::Note);
        assert_eq!(next(NOTED_TRANSFERS_MAX, 1), Balances::Fold);
        assert_eq!(next(1, NOTED_BATCHES_MAX), Balances::Fold);
    }
}
