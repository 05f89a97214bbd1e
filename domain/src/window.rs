//! The accepted window: how old or how far ahead an event id's time may be.
//!
//! Time partitions of the event log exist for all of the window; making them is left to `store`.

use crate::ids::{EventId, Micros};

/// How far an id's time may lie from now, on both sides, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcceptedWindow {
    /// How far back.
    pub back_ms: i64,
    /// How far ahead: for clocks of publishers that run fast.
    pub ahead_ms: i64,
}

impl AcceptedWindow {
    /// The earliest and the latest accepted id time at `now`, both included, in milliseconds since 1970.
    pub fn bounds_ms(&self, now: Micros) -> (i64, i64) {
        let now_ms = now.0.div_euclid(1000);
        (now_ms.saturating_sub(self.back_ms), now_ms.saturating_add(self.ahead_ms))
    }

    /// Whether the id's time is accepted at `now`.
    pub fn contains(&self, id: EventId, now: Micros) -> bool {
        let (earliest, latest) = self.bounds_ms(now);
        (earliest..=latest).contains(&id.unix_ms())
    }
}
