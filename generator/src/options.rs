//! What to generate: one struct, refused as a whole before the first line when it makes no sense.
//!
//! The names and defaults of the command line's options are these; parsing them is left to the command line.

use time::{Duration, OffsetDateTime};

/// What to generate. All rates are shares from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Same seed and options, same bytes (from the same build).
    pub seed: u64,
    /// Exactly so many lines, of whatever kind.
    pub lines: u64,
    /// How many users there are; the popularity is skewed.
    pub users: u32,
    /// How many merchants there are; the popularity is skewed.
    pub merchants: u32,
    /// Share of the payments that go to the most popular user on top of its own: makes one partition hot.
    pub hot_user_share: f64,
    /// Share of the lines that publish an earlier event again: same id, same content.
    pub duplicates: f64,
    /// Share of the events that are published after later ones of the same payment.
    pub reorder: f64,
    /// Share of the lines that carry an earlier event's id with other content.
    pub conflicts: f64,
    /// Share of the lines that are raw records which nothing can decode.
    pub invalid: f64,
    /// Share of the events that break a rule of the payment's state: rejected, or parked until the limit.
    pub mistakes: f64,
    /// Share of the payments whose events are numbered.
    pub numbered: f64,
    /// Which payments there are.
    pub profile: Profile,
    /// Time of the first event. `None`: `span` before the current minute, the only use of a clock. The totals and
    /// everything but ids and times are the same for every start.
    pub start: Option<OffsetDateTime>,
    /// The events' times are spread evenly from `start` to `start + span`.
    pub span: Duration,
}

/// Which payments there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Whole life cycles: authorizations, captures, refunds, disputes, fees.
    #[default]
    Lifecycle,
    /// Each payment is one `payment.charged`: the least work per event, for benchmarks. `mistakes` do not occur.
    Charges,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            lines: 10_000,
            users: 10_000,
            merchants: 200,
            hot_user_share: 0.0,
            duplicates: 0.02,
            reorder: 0.05,
            conflicts: 0.001,
            invalid: 0.0,
            mistakes: 0.002,
            numbered: 0.15,
            profile: Profile::Lifecycle,
            start: None,
            span: Duration::days(7),
        }
    }
}

impl Options {
    /// Nothing late, twice, conflicting, undecodable or mistaken: every line is applied as it comes.
    pub fn clean() -> Self {
        Self { duplicates: 0.0, reorder: 0.0, conflicts: 0.0, invalid: 0.0, mistakes: 0.0, ..Self::default() }
    }

    /// Share of the lines that are not a payment's own events.
    pub(crate) fn extra_share(&self) -> f64 {
        self.duplicates + self.conflicts + self.invalid
    }

    pub(crate) fn validate(&self) -> Result<(), OptionsError> {
        let rates = [
            ("hot-user-share", self.hot_user_share, 1.0),
            ("duplicates", self.duplicates, EXTRA_SHARE_MAX),
            ("reorder", self.reorder, REORDER_MAX),
            ("conflicts", self.conflicts, EXTRA_SHARE_MAX),
            ("invalid", self.invalid, EXTRA_SHARE_MAX),
            ("mistakes", self.mistakes, MISTAKES_MAX),
            ("numbered", self.numbered, 1.0),
        ];
        for (option, value, max) in rates {
            if !(0.0..=max).contains(&value) {
                return Err(OptionsError::Rate { option, value, max });
            }
        }
        if self.extra_share() > EXTRA_SHARE_MAX {
            return Err(OptionsError::Extras { share: self.extra_share() });
        }
        for (option, value) in [("users", self.users), ("merchants", self.merchants)] {
            if !(1..=POPULATION_MAX).contains(&value) {
                return Err(OptionsError::Population { option, value });
            }
        }
        if self.span <= Duration::ZERO || self.span > SPAN_MAX {
            return Err(OptionsError::Span { span: self.span });
        }
        match self.start {
            Some(start) if !(1970..=9000).contains(&start.year()) => Err(OptionsError::Start { start }),
            _ => Ok(()),
        }
    }
}

/// More than half of a stream in extra lines is no stream of payments any more.
const EXTRA_SHARE_MAX: f64 = 0.5;
/// An unnumbered payment has at most one late event (see `disorder`), so that more cannot be promised.
const REORDER_MAX: f64 = 0.1;
/// A payment has at most one mistake.
const MISTAKES_MAX: f64 = 0.1;
const POPULATION_MAX: u32 = 9_999_999;
const SPAN_MAX: Duration = Duration::days(3_650);

/// Options that make no sense. The names are those of the command line, without the dashes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// A rate outside its range.
    #[error("{option}: {value} is outside 0 to {max}; give a share, such as 0.02 for 2 %")]
    Rate {
        /// Which.
        option: &'static str,
        /// What was given.
        value: f64,
        /// The largest that is accepted.
        max: f64,
    },
    /// Together more than half of the lines.
    #[error("duplicates, conflicts and invalid: together {share}, at most {EXTRA_SHARE_MAX}; lower one of them")]
    Extras {
        /// Their sum.
        share: f64,
    },
    /// No users or merchants, or too many.
    #[error("{option}: {value} is outside 1 to {POPULATION_MAX}")]
    Population {
        /// Which.
        option: &'static str,
        /// What was given.
        value: u32,
    },
    /// No time to spread the events over, or too much.
    #[error("span: {span} is outside 1 ns to {SPAN_MAX}")]
    Span {
        /// What was given.
        span: Duration,
    },
    /// A start that the ids cannot carry.
    #[error("start: {start} is outside the years 1970 to 9000")]
    Start {
        /// What was given.
        start: OffsetDateTime,
    },
}
