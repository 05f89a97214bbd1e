//! Backpressure: when the reader waits for the lanes, and when a lane's buffer asks Kafka to pause.
//!
//! A partition that is paused loses what librdkafka fetched ahead of it, and is sent it again. So where all lanes together
//! have enough, the reader takes no more for a moment: what was fetched waits in librdkafka, whose own bound stops the
//! fetchers. A partition is paused where one lane alone runs full, or where the lanes take nothing for longer than a
//! reader may be without a poll.

use std::time::{Duration, Instant};

/// The share of the buffers of all lanes together from which on the reader waits, in per cent.
const WAIT_AT_PERCENT: usize = 60;
/// How long it waits at a stretch: a rebalance is served by the next poll.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// The share of a lane's buffer at which reading pauses, in per cent: two marks apart, so that a lane at its limit does not
/// pause and resume with every record.
const PAUSE_AT_PERCENT: usize = 80;
/// The share of a lane's buffer at which reading resumes, in per cent.
const RESUME_AT_PERCENT: usize = 30;
/// What a lane may have while there is room in all lanes together, in per cent of its share: while some lanes have their
/// turn, the others' buffers fill.
const WITH_ROOM_PERCENT: usize = 150;

/// What the reader does with what Kafka has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Read: there is room.
    Read,
    /// Wait: the lanes have enough.
    Wait,
    /// Read, for the lanes take nothing: each is held to its share.
    ReadByShares,
}

/// The bound of all buffers together.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    bytes_max: usize,
    waits_since: Option<Instant>,
}

impl Level {
    /// Of buffers that take this many bytes together.
    pub fn of(bytes_max: usize) -> Level {
        Level { bytes_max, waits_since: None }
    }

    /// What to do at this fill.
    pub fn judge(&mut self, buffered_bytes: usize, now: Instant) -> Pace {
        if buffered_bytes < self.bytes_max / 100 * WAIT_AT_PERCENT {
            self.waits_since = None;
            return Pace::Read;
        }
        let since = *self.waits_since.get_or_insert(now);
        match now.duration_since(since) < WAIT_MAX {
            true => Pace::Wait,
            false => Pace::ReadByShares,
        }
    }
}

/// What the reader does with a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Leave it as it is.
    Keep,
    /// Stop reading it.
    Pause,
    /// Read it again.
    Resume,
}

/// The marks of one buffer.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    bytes_max: usize,
}

impl Marks {
    /// The marks of a buffer whose share of all is this many bytes.
    pub fn of(share_bytes: usize, pace: Pace) -> Marks {
        match pace {
            Pace::Read | Pace::Wait => Marks { bytes_max: share_bytes / 100 * WITH_ROOM_PERCENT },
            Pace::ReadByShares => Marks { bytes_max: share_bytes },
        }
    }

    /// What to do at this fill.
    pub fn judge(&self, buffered_bytes: usize, paused: bool) -> Flow {
        let percent = |share: usize| self.bytes_max / 100 * share;
        match paused {
            false if buffered_bytes >= percent(PAUSE_AT_PERCENT) => Flow::Pause,
            true if buffered_bytes <= percent(RESUME_AT_PERCENT) => Flow::Resume,
            _ => Flow::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_pauses_at_four_fifths_and_resumes_below_a_third() {
        let marks = Marks::of(1000, Pace::ReadByShares);
        for (bytes, paused, flow) in [
            (0, false, Flow::Keep),
            (799, false, Flow::Keep),
            (800, false, Flow::Pause),
            (800, true, Flow::Keep),
            (301, true, Flow::Keep),
            (300, true, Flow::Resume),
        ] {
            assert_eq!(marks.judge(bytes, paused), flow, "{bytes} bytes, paused: {paused}");
        }
    }

    #[test]
    fn a_lane_may_have_more_than_its_share_while_there_is_room() {
        for pace in [Pace::Read, Pace::Wait] {
            assert_eq!(Marks::of(1000, pace).judge(1199, false), Flow::Keep);
            assert_eq!(Marks::of(1000, pace).judge(1200, false), Flow::Pause);
        }
    }

    #[test]
    fn the_reader_waits_for_lanes_that_have_enough_but_not_for_long() {
        let mut level = Level::of(1000);
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        for (bytes, ms, pace) in [
            (599, 0, Pace::Read),
            (600, 10, Pace::Wait),
            (1000, 109, Pace::Wait),
            (600, 110, Pace::ReadByShares),
            (2000, 500, Pace::ReadByShares),
            (599, 501, Pace::Read),
            (600, 502, Pace::Wait),
            (600, 602, Pace::ReadByShares),
        ] {
            assert_eq!(level.judge(bytes, at(ms)), pace, "{bytes} bytes at {ms} ms");
        }
    }
}
