//! What a publisher might send again: recent events, and a sample of all that ever were.
//!
//! Bounded on purpose: two tables of a fixed size, whatever the length of the stream.

use rand::Rng;
use rand::rngs::StdRng;

use crate::event::Event;

const RECENT_MAX: usize = 4_096;
const SAMPLE_MAX: usize = 4_096;

/// Remembers events that may be published again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    recent: Vec<Event>,
    sample: Vec<Event>,
    seen: u64,
}

impl Memory {
    pub fn remember(&mut self, rng: &mut StdRng, event: Event) {
        let oldest = (self.seen % RECENT_MAX as u64) as usize;
        match self.recent.get_mut(oldest) {
            Some(slot) => *slot = event,
            None => self.recent.push(event),
        }
        self.seen += 1;
        // Vitter's algorithm R: each event so far is in the sample with the same probability.
        if self.sample.len() < SAMPLE_MAX {
            self.sample.push(event);
        } else if let Some(slot) = self.sample.get_mut(rng.random_range(0..self.seen) as usize) {
            *slot = event;
        }
    }

    /// An earlier event: mostly of the last few dozen lines, as an impatient publisher sends it; at times from
    /// anywhere in the stream, as a job that is run again does.
    pub fn recall(&self, rng: &mut StdRng) -> Option<Event> {
        if self.recent.is_empty() {
            return None;
        }
        let reach = match rng.random_range(0..100) {
            0..60 => 32,
            60..85 => RECENT_MAX,
            _ => return self.sample.get(rng.random_range(0..self.sample.len())).copied(),
        };
        let back = rng.random_range(1..=reach.min(self.recent.len())) as u64;
        let slot = ((self.seen - back) % RECENT_MAX as u64) as usize;
        self.recent.get(slot).copied()
    }
}
