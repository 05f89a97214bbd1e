//! When a lane folds the changes of balances that it noted into its stripes.
//!
//! To fold costs an update for each account, however often the account was noted: the more transfers come together, the
//! fewer updates each of them costs. The bounds keep a fold short.

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
    const NOTHING: Noted = Noted { transfers: 0, batches: 0 };
    /// A lane that was just claimed: its former owner may have left any number of notes.
    pub const UNKNOWN: Noted = Noted { transfers: NOTED_TRANSFERS_MAX, batches: NOTED_BATCHES_MAX };

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
