//! Load: streams that lanes can share without a common fate, and schedules by seed.

use millrace_model::streams;
use millrace_tests::events::{now_ms, record_in};
use millrace_tests::kafka::Raw;

/// A stream for each of four partitions, nothing in common: however lanes overtake each other, the outcome is one.
pub fn four_streams(seed: u64, len: usize) -> Vec<Raw> {
    let payments = (len / 30).max(8);
    let streams: Vec<_> =
        (0..4).map(|lane| streams::stream_at(seed * 4 + lane, 5, payments, len / 4, now_ms())).collect();
    (0..len / 4)
        .flat_map(|at| (0..4).map(move |lane| (at, lane)))
        .map(|(at, lane)| record_in(lane as i32, &streams[lane][at]))
        .collect()
}

/// Numbers from a seed, for schedules: Knuth's MMIX generator.
pub struct Schedule(pub u64);

impl Schedule {
    /// 0 to `bound` - 1.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
