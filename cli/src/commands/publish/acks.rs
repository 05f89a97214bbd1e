//! The books of one run: what was acknowledged, skipped or failed, and the mark before which nothing is open.
//!
//! Results are entered in the order of the lines, so the mark needs no search; who awaits them is `settle`.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::lines::Mark;

/// Latencies are told apart to 0.1 %, from 1 microsecond to more than an event is ever tried.
const SIGNIFICANT_DIGITS: u8 = 3;
const LATENCY_US_MAX: u64 = 2 * 24 * 60 * 60 * 1_000_000;

/// The books.
pub struct Acks {
    /// The place before which every line is acknowledged or skipped.
    pub mark: Mark,
    /// Bytes of the file of skipped lines that belong before the mark.
    pub skipped_bytes: u64,
    /// Records that the brokers acknowledged.
    pub accepted: u64,
    /// Lines that were set aside.
    pub skipped: u64,
    /// Records whose result is an error.
    pub failed: u64,
    latency_us: Histogram<u64>,
}

impl Acks {
    /// Books that begin at a mark.
    pub fn new(mark: Mark, skipped_bytes: u64) -> Acks {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS);
        let latency_us = latency_us.expect("the bounds are in order and the digits few");
        Acks { mark, skipped_bytes, accepted: 0, skipped: 0, failed: 0, latency_us }
    }

    /// The record of the line that ends at the mark was acknowledged.
    pub fn accept(&mut self, mark: Mark, latency: Duration) {
        self.accepted += 1;
        self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        self.advance(mark);
    }

    /// The line that ends at the mark was set aside; the file of such lines is that long now.
    pub fn skip(&mut self, mark: Mark, skipped_bytes: u64) {
        self.skipped += 1;
        if self.failed == 0 {
            self.skipped_bytes = skipped_bytes;
        }
        self.advance(mark);
    }

    /// The record's result is an error: the mark stays before its line for good.
    pub fn fail(&mut self) {
        self.failed += 1;
    }

    /// Blank lines, or the end of the input.
    pub fn pass(&mut self, mark: Mark) {
        self.advance(mark);
    }

    fn advance(&mut self, mark: Mark) {
        if self.failed == 0 {
            self.mark = mark;
        }
    }

    /// The latency in milliseconds that this share of the records did not exceed; none without a record.
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        (!self.latency_us.is_empty()).then(|| self.latency_us.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(line: u64) -> Mark {
        Mark { line, offset: line * 100 }
    }

    #[test]
    fn the_mark_goes_on_over_accepted_and_skipped_and_blank_lines() {
        let mut acks = Acks::new(mark(0), 0);
        acks.accept(mark(1), Duration::from_millis(2));
        acks.skip(mark(2), 50);
        acks.pass(mark(4));
        assert_eq!((acks.mark, acks.skipped_bytes), (mark(4), 50));
        assert_eq!((acks.accepted, acks.skipped, acks.failed), (1, 1, 0));
    }

    #[test]
    fn the_mark_stays_before_the_first_failure_whatever_is_acknowledged_behind_it() {
        let mut acks = Acks::new(mark(7), 20);
        acks.accept(mark(8), Duration::ZERO);
        acks.fail();
        acks.accept(mark(10), Duration::ZERO);
        acks.skip(mark(11), 70);
        acks.pass(mark(12));
        assert_eq!((acks.mark, acks.skipped_bytes), (mark(8), 20));
        assert_eq!((acks.accepted, acks.skipped, acks.failed), (2, 1, 1));
    }

    #[test]
    fn percentiles_are_told_in_milliseconds() {
        let mut acks = Acks::new(mark(0), 0);
        assert_eq!(acks.latency_ms(0.5), None);
        for millis in 1..=100 {
            acks.accept(mark(millis), Duration::from_millis(millis));
        }
        let p50 = acks.latency_ms(0.5).expect("there are records");
        assert!((49.9..=50.1).contains(&p50), "{p50}");
        assert!((99.9..=100.1).contains(&acks.latency_ms(1.0).expect("there are records")));
    }
}
