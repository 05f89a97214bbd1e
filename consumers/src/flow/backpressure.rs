//! Backpressure: when a lane's buffer asks Kafka to pause, and when to go on.
//!
//! Two marks apart, so that a lane at its limit does not pause and resume with every record.

/// The share of the buffer at which reading pauses, in per cent.
const PAUSE_AT_PERCENT: usize = 80;
/// The share of the buffer at which reading resumes, in per cent.
const RESUME_AT_PERCENT: usize = 30;

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
    /// The marks of a buffer of this many bytes.
    pub fn of(bytes_max: usize) -> Marks {
        Marks { bytes_max }
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
        let marks = Marks::of(1000);
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
}
