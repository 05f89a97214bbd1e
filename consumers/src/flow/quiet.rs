//! Whether a lane takes it that nothing is parked, by any lane, or looks first.
//!
//! Where every event comes in order nothing is ever parked, and to ask for it is a round trip of each batch. That nothing
//! is parked is then said with the fence: Postgres moves it only if that is so, and the lane looks otherwise.

use super::streak::Streak;

/// So many batches must find nothing parked for them before the next takes it so; the first batch of a lane does.
const BATCHES_MIN: usize = 64;
/// After being wrong again and again, so many.
const BATCHES_MAX: usize = 1 << 16;

/// What a lane saw of parked events, by batch.
pub type Quiet = Streak<BATCHES_MIN, BATCHES_MAX>;

impl Quiet {
    /// A lane that has seen nothing.
    pub const UNKNOWN: Quiet = Streak::wanting(0);

    /// Whether nothing is taken to be parked.
    pub fn is_expected(self) -> bool {
        self.length >= self.wanted
    }

    /// After a batch looked, and found so many events parked for it, or parked them itself.
    pub fn after_looking(self, found: usize) -> Quiet {
        self.after(1, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_batches(quiet: Quiet, count: usize) -> Quiet {
        (0..count).fold(quiet, |quiet, _| quiet.after_looking(0))
    }

    #[test]
    fn a_new_lane_expects_nothing_parked_until_something_was() {
        assert!(Quiet::UNKNOWN.is_expected());
        let found = Quiet::UNKNOWN.after_looking(1);
        assert!(!after_batches(found, BATCHES_MIN - 1).is_expected());
        assert!(after_batches(found, BATCHES_MIN).is_expected());
    }

    #[test]
    fn each_mistake_doubles_what_is_wanted_up_to_a_bound() {
        let twice = Quiet::UNKNOWN.after_being_wrong().after_being_wrong();
        assert!(!after_batches(twice, 2 * BATCHES_MIN - 1).is_expected());
        assert!(after_batches(twice, 2 * BATCHES_MIN).is_expected());
        let often = (0..100).fold(twice, |quiet, _| quiet.after_being_wrong());
        assert!(after_batches(often, BATCHES_MAX).is_expected());
    }
}
