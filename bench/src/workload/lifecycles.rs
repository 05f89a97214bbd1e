//! Whole life cycles of payments, as `millrace-generator` makes them and keeps their totals.

use anyhow::Context;
use millrace_generator::{Line, Options, Outcome, Stream, stream};
use millrace_wire::json;
use time::{Duration, OffsetDateTime};

use super::{Record, Workload};

/// The merchants of the charges too, so that only the life cycles are the difference.
const MERCHANTS: u32 = 20_000;
const USERS: u32 = 1_000_000;
const SPAN: Duration = Duration::minutes(10);

/// The generator's stream as records.
pub struct LifeCycles {
    lines: Stream,
}

/// As `millrace generate` makes them: 5 % late, 2 % twice, conflicts and mistakes.
pub fn as_generated(seed: u64, events: u64, end_ms: i64) -> anyhow::Result<LifeCycles> {
    with(Options::default(), seed, events, end_ms)
}

/// Nothing wrong, but this share of the events comes after later ones of its payment.
pub fn late(seed: u64, events: u64, end_ms: i64, share: f64) -> anyhow::Result<LifeCycles> {
    with(Options { reorder: share, ..Options::clean() }, seed, events, end_ms)
}

fn with(options: Options, seed: u64, events: u64, end_ms: i64) -> anyhow::Result<LifeCycles> {
    let end = OffsetDateTime::from_unix_timestamp(end_ms / 1_000).context("the end of the stream")?;
    let lines = stream(Options {
        seed,
        lines: events,
        users: USERS,
        merchants: MERCHANTS,
        start: Some(end - SPAN),
        span: SPAN,
        ..options
    })?;
    Ok(LifeCycles { lines })
}

impl Iterator for LifeCycles {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        Some(match self.lines.next()? {
            Line::Event(event) => {
                let text = serde_json::to_vec(&event).expect("an event of the generator has a JSON form");
                Record::of(&json::parse(&text).expect("the generator keeps the rules of form"))
            }
            Line::Raw(raw) => Record {
                key: raw.key,
                value: raw.value,
                headers: raw.headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            },
        })
    }
}

impl Workload for LifeCycles {
    fn outcome(&self) -> Outcome {
        self.lines.expected().outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_order_events_are_parked_and_drained() {
        let mut stream = late(1, 5_000, 1_790_000_000_000, 0.05).expect("the options are in range");
        assert_eq!(stream.by_ref().count(), 5_000);
        let outcome = stream.outcome();
        assert!(outcome.drained_applied > 50, "{}", outcome.drained_applied);
        let others: u64 = outcome.rejected.values().chain(outcome.parked.values()).sum();
        assert_eq!(outcome.applied + outcome.duplicates + others, 5_000);
    }
}
