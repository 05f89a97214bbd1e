//! How long something went as expected, and whether that is long enough to count on it.
//!
//! What a lane counts on it does not ask Postgres for; that it was wrong is always found out, and makes it more careful.

/// So much went as expected, one after the other. After a mistake twice as much is wanted as before, `MIN` to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Streak<const MIN: usize, const MAX: usize> {
    pub(super) length: usize,
    pub(super) wanted: usize,
}

impl<const MIN: usize, const MAX: usize> Streak<MIN, MAX> {
    /// Nothing has been seen, and so much is wanted.
    pub(super) const fn wanting(wanted: usize) -> Self {
        Streak { length: 0, wanted }
    }

    /// After `seen` were looked at, and `otherwise` of them were not as expected.
    pub(super) fn after(self, seen: usize, otherwise: usize) -> Self {
        match otherwise {
            0 => Streak { length: self.length.saturating_add(seen), ..self },
            _ => Streak { length: 0, wanted: self.wanted.max(MIN) },
        }
    }

    /// After something was counted on and was not so.
    pub fn after_being_wrong(self) -> Self {
        Streak { length: 0, wanted: (self.wanted * 2).clamp(MIN, MAX) }
    }
}
