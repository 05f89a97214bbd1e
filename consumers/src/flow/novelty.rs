//! Whether a lane takes the payments that it does not remember for new ones, or reads them first.
//!
//! In a stream of single charges every payment is new, and to look thousands of random ids up for each batch costs a
//! twentieth of the database's time. A payment that was taken for new and is not is caught: what applies meets the key of
//! `payments`, and what does not apply is looked up before anything is written.

/// So many payments in a row must be new before the next are taken for new.
const NEW_IN_A_ROW_MIN: usize = 2_000;
/// After being wrong again and again, so many.
const NEW_IN_A_ROW_MAX: usize = 1 << 20;

/// What a lane saw of the payments that it did not remember.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Novelty {
    new_in_a_row: usize,
    wanted: usize,
}

impl Novelty {
    /// A lane that has seen nothing.
    pub const UNKNOWN: Novelty = Novelty { new_in_a_row: 0, wanted: NEW_IN_A_ROW_MIN };

    /// Whether payments that are not remembered are taken for new.
    pub fn is_expected(self) -> bool {
        self.new_in_a_row >= self.wanted
    }

    /// After `asked` payments that were not remembered were read, and `found` of them stood.
    pub fn after_reading(self, asked: usize, found: usize) -> Novelty {
        match found {
            0 => Novelty { new_in_a_row: self.new_in_a_row.saturating_add(asked), ..self },
            _ => Novelty { new_in_a_row: 0, ..self },
        }
    }

    /// After a payment that was taken for new turned out to stand: it takes twice as many to be trusted again.
    pub fn after_being_wrong(self) -> Novelty {
        Novelty { new_in_a_row: 0, wanted: (self.wanted * 2).min(NEW_IN_A_ROW_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_taken_for_new_once_enough_in_a_row_were() {
        let almost = Novelty::UNKNOWN.after_reading(NEW_IN_A_ROW_MIN - 1, 0);
        assert!(!almost.is_expected());
        assert!(!almost.after_reading(1, 1).is_expected());
        assert!(almost.after_reading(1, 0).is_expected());
    }

    #[test]
    fn each_mistake_doubles_what_is_wanted_up_to_a_bound() {
        let mut novelty = Novelty::UNKNOWN.after_reading(NEW_IN_A_ROW_MIN, 0).after_being_wrong();
        assert!(!novelty.after_reading(NEW_IN_A_ROW_MIN, 0).is_expected());
        assert!(novelty.after_reading(2 * NEW_IN_A_ROW_MIN, 0).is_expected());
        for _ in 0..100 {
            novelty = novelty.after_being_wrong();
        }
        assert!(novelty.after_reading(NEW_IN_A_ROW_MAX, 0).is_expected());
    }
}
