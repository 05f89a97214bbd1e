//! What was done with each line, from who does it (`feed`) to who enters it into the books (`settle`), in the order of
//! the lines.
//!
//! Steps travel in lots, for to send each by itself costs more than to enter it.

use std::time::Duration;

use millrace_producer::Delivery;
use tokio::sync::mpsc;

use super::lines::Mark;

/// So many steps are a lot, unless there is a reason to wait before.
const LOT_STEPS: usize = 64;
/// How many lots may be under way; the producer's own queue is the smaller bound.
const LOTS_MAX: usize = 65_536;

/// What becomes of a line.
pub enum Step {
    /// A record is in the queue.
    Sent {
        /// The place behind its line.
        mark: Mark,
        /// Its result to come.
        delivery: Delivery,
        /// How much later than planned it was sent.
        behind: Duration,
    },
    /// A line was set aside.
    Skipped {
        /// The place behind it.
        mark: Mark,
        /// The length of the file of skipped lines.
        skipped_bytes: u64,
    },
    /// Only blank lines are before this place.
    Passed {
        /// The place.
        mark: Mark,
    },
}

/// Both ends.
pub fn channel() -> (Sender, Receiver) {
    let (lots, receiver) = mpsc::channel(LOTS_MAX);
    (Sender { lots, lot: Vec::new() }, Receiver { lots: receiver, lot: Vec::new().into_iter() })
}

/// Takes the steps.
pub struct Sender {
    lots: mpsc::Sender<Vec<Step>>,
    lot: Vec<Step>,
}

impl Sender {
    /// Takes a step, which others see at the latest at the next `flush`: to be called before anything is waited for.
    pub async fn send(&mut self, step: Step) {
        self.lot.push(step);
        if self.lot.len() >= LOT_STEPS {
            self.flush().await;
        }
    }

    /// Hands over what was taken.
    pub async fn flush(&mut self) {
        if !self.lot.is_empty() {
            let lot = std::mem::replace(&mut self.lot, Vec::with_capacity(LOT_STEPS));
            // Who enters the steps ends only after a stop, and then nobody counts on the rest.
            let _ = self.lots.send(lot).await;
        }
    }
}

/// Gives the steps.
pub struct Receiver {
    lots: mpsc::Receiver<Vec<Step>>,
    lot: std::vec::IntoIter<Step>,
}

impl Receiver {
    /// The next step; none when there will be no more. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.lot.next() {
                return Some(step);
            }
            self.lot = self.lots.recv().await?.into_iter();
        }
    }
}
