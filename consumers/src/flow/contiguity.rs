//! Contiguity: the next record of a lane has the offset that follows the last one, or something is wrong.
//!
//! The topic is non-transactional and delete-only, so that offsets have no holes. A hole is never stepped over.

use millrace_domain::ids::Offset;

/// How often a lane asks to read again from where it stands before it halts.
pub const TRIES_MAX: u32 = 3;

/// What to do with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is the next one.
    Take,
    /// It is accounted for already.
    Skip,
    /// Records are missing before it: read again from `expected`.
    ReadAgain {
        /// The offset that should have come.
        expected: Offset,
    },
    /// Records are still missing after all tries.
    Halt {
        /// The offset that should have come.
        expected: Offset,
    },
}

/// Where a lane stands in its partition.
#[derive(Clone, Debug)]
pub struct Contiguity {
    expected: Offset,
    tries: u32,
}

impl Contiguity {
    /// A lane whose next record has this offset.
    pub fn from(expected: Offset) -> Contiguity {
        Contiguity { expected, tries: 0 }
    }

    /// The offset of the next record.
    pub fn expected(&self) -> Offset {
        self.expected
    }

    /// Judges the offset of a record that came.
    pub fn step(&mut self, found: Offset) -> Step {
        if found < self.expected {
            return Step::Skip;
        }
        if found == self.expected {
            self.expected = found.next();
            self.tries = 0;
            return Step::Take;
        }
        self.tries += 1;
        let expected = self.expected;
        if self.tries > TRIES_MAX { Step::Halt { expected } } else { Step::ReadAgain { expected } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_takes_what_follows_and_skips_what_came_before() {
        let mut lane = Contiguity::from(Offset(5));
        assert_eq!(lane.step(Offset(4)), Step::Skip);
        assert_eq!(lane.step(Offset(5)), Step::Take);
        assert_eq!(lane.step(Offset(5)), Step::Skip);
        assert_eq!(lane.step(Offset(6)), Step::Take);
        assert_eq!(lane.expected(), Offset(7));
    }

    #[test]
    fn a_hole_is_read_again_three_times_and_then_halts_the_lane() {
        let mut lane = Contiguity::from(Offset(5));
        for _ in 0..TRIES_MAX {
            assert_eq!(lane.step(Offset(8)), Step::ReadAgain { expected: Offset(5) });
        }
        assert_eq!(lane.step(Offset(8)), Step::Halt { expected: Offset(5) });
    }

    #[test]
    fn a_hole_that_was_filled_is_forgotten() {
        let mut lane = Contiguity::from(Offset(5));
        assert_eq!(lane.step(Offset(8)), Step::ReadAgain { expected: Offset(5) });
        assert_eq!(lane.step(Offset(5)), Step::Take);
        for _ in 0..TRIES_MAX {
            assert_eq!(lane.step(Offset(8)), Step::ReadAgain { expected: Offset(6) });
        }
    }
}
