//! Whether a lane takes the payments that it does not remember for new ones, or reads them first.
//!
//! In a stream of single charges every payment is new, and to look thousands of random ids up for each batch costs a
//! twentieth of the database's time. A payment that was taken for new and is not is caught: what applies meets the key of
//! `payments`, and what does not apply is looked up before anything is written.

use super::streak::Streak;

/// A lane takes as many payments for new as are this part of those that were, one after the other: a mistake costs little.
const SHARE: usize = 8;
/// So many in a row must be new before any number is taken for new.
const NEW_IN_A_ROW_MIN: usize = 2_000;
/// After being wrong again and again, so many.
const NEW_IN_A_ROW_MAX: usize = 1 << 20;

/// What a lane saw of the payments that it did not remember.
pub type Novelty = Streak<NEW_IN_A_ROW_MIN, NEW_IN_A_ROW_MAX>;

impl Novelty {
    /// A lane that has seen nothing.
    pub const UNKNOWN: Novelty = Streak::wanting(NEW_IN_A_ROW_MIN);

    /// Whether so many payments that are not remembered are taken for new.
    pub fn is_expected(self, payments: usize) -> bool {
        let mistakes = self.wanted / NEW_IN_A_ROW_MIN;
        self.length >= self.wanted.min(payments.max(1).saturating_mul(SHARE * mistakes))
    }

    /// Whether any number of payments may be taken for new.
    pub fn is_hopeful(self) -> bool {
        self.length > 0
    }

    /// After `asked` payments that were not remembered were read, and `found` of them stood.
    pub fn after_reading(self, asked: usize, found: usize) -> Novelty {
        self.after(asked, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_taken_for_new_once_enough_in_a_row_were() {
        const MANY: usize = 10_000;
        let almost = Novelty::UNKNOWN.after_reading(NEW_IN_A_ROW_MIN - 1, 0);
        assert!(!almost.is_expected(MANY));
        assert!(!almost.after_reading(1, 1).is_expected(MANY));
        assert!(almost.after_reading(1, 0).is_expected(MANY));
    }

    #[test]
    fn a_few_are_taken_for_new_earlier_and_later_after_a_mistake() {
        assert!(!Novelty::UNKNOWN.is_expected(0));
        let some = Novelty::UNKNOWN.after_reading(80, 0);
        assert!(some.is_expected(10) && !some.is_expected(11));
        let wrong = some.after_being_wrong();
        assert!(!wrong.is_hopeful());
        let again = wrong.after_reading(160, 0);
        assert!(again.is_expected(10) && !again.is_expected(11));
    }

    #[test]
    fn each_mistake_doubles_what_is_wanted_up_to_a_bound() {
        let mut novelty = Novelty::UNKNOWN.after_reading(NEW_IN_A_ROW_MIN, 0).after_being_wrong();
        assert!(!novelty.after_reading(NEW_IN_A_ROW_MIN, 0).is_expected(NEW_IN_A_ROW_MIN));
        assert!(novelty.after_reading(2 * NEW_IN_A_ROW_MIN, 0).is_expected(NEW_IN_A_ROW_MIN));
        for _ in 0..100 {
            novelty = novelty.after_being_wrong();
        }
        assert!(novelty.after_reading(NEW_IN_A_ROW_MAX, 0).is_expected(NEW_IN_A_ROW_MAX));
    }
}
