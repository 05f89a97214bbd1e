//! Who is compared: Millrace, the floors below it, and the peers beside it.
//!
//! Each knows how to do the same job once, on a database of its own, and gives its figures. When each has its turn is
//! left to `suite`.

pub mod consume;
pub mod copy;
pub mod millrace;
pub mod peer;
pub mod plain;

use millrace_generator::Outcome;
use millrace_topics::TopicName;

use crate::commits::Pace;
use crate::results::{Figures, figure};

/// A backlog that is read again and again.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The topic.
    pub topic: TopicName,
    /// How many records it holds.
    pub records: u64,
    /// What a correct pipeline ends with.
    pub outcome: Outcome,
}

/// Adds a pace to what else was measured.
pub fn with_pace(mut figures: Figures, pace: Pace) -> Figures {
    figures.insert(figure::RATE, pace.per_second);
    figures.insert(figure::SECONDS, pace.seconds);
    figures
}
