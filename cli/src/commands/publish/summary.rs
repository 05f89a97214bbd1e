//! What became of the input, at the end: for people, or as one JSON object.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::acks::Acks;
use super::feed::UnknownTypes;

/// The result of a run. Its JSON names are an interface.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The input by its name.
    pub input: String,
    /// The topic.
    pub topic: String,
    /// Whether the whole input is published or skipped.
    pub complete: bool,
    /// Lines before the place where this run began.
    pub resumed_after_line: u64,
    /// Lines up to which each is acknowledged or skipped, counted from the beginning of the input.
    pub acknowledged_to_line: u64,
    /// Lines that this run settled in a row.
    pub lines: u64,
    /// Records that the brokers acknowledged.
    pub accepted: u64,
    /// Lines that were set aside.
    pub skipped: u64,
    /// Records whose result is an error.
    pub failed: u64,
    /// Records without a result when the run ended: it is unknown whether they arrived.
    pub unknown: u64,
    /// Events of types that this build does not know, if there were any.
    pub unknown_types: Option<UnknownTypes>,
    /// How long it took.
    pub seconds: f64,
    /// Accepted events per second.
    pub events_per_second: f64,
    /// From the call, or the planned time with --rate, to the acknowledgement.
    pub latency_ms: Option<Latency>,
    /// Where skipped lines are, if there are any.
    pub skipped_file: Option<String>,
    /// Where the checkpoint is.
    pub checkpoint: Option<String>,
    /// Why it is not complete.
    pub error: Option<String>,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half of the records were faster.
    pub p50: f64,
    /// 95 of 100 were faster.
    pub p95: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// From the books; none without a record.
    pub fn of(acks: &Acks) -> Option<Latency> {
        Some(Latency {
            p50: acks.latency_ms(0.50)?,
            p95: acks.latency_ms(0.95)?,
            p99: acks.latency_ms(0.99)?,
            max: acks.latency_ms(1.0)?,
        })
    }
}

/// Events per second, 0 for none.
pub fn per_second(events: u64, took: Duration) -> f64 {
    if events == 0 { 0.0 } else { events as f64 / took.as_secs_f64().max(1e-6) }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { accepted, lines, topic, seconds, events_per_second, .. } = self;
        // Behind the first event that was not acknowledged there may be others that were.
        let of = match (self.failed + self.unknown, lines) {
            (0, _) => format!("of {lines} lines"),
            (_, 0) => "and not the first line".to_owned(),
            _ => format!("and with them all of the first {lines} lines"),
        };
        write!(f, "accepted     {accepted} events {of}, to {topic}, in {seconds:.1} s ({events_per_second:.0}/s)")?;
        if self.resumed_after_line > 0 {
            write!(f, "\nresumed      after line {}", self.resumed_after_line)?;
        }
        if let Some(path) = &self.skipped_file {
            write!(f, "\nskipped      {} lines, kept in {path} with their reasons", self.skipped)?;
        }
        if self.failed > 0 {
            write!(f, "\nfailed       {} events", self.failed)?;
        }
        if self.unknown > 0 {
            write!(f, "\nunknown      {} events were sent and not acknowledged", self.unknown)?;
        }
        if let Some(UnknownTypes { events, first_line, first_type }) = &self.unknown_types {
            write!(
                f,
                "\nunknown type {events} events, the first in line {first_line} ({first_type:?}): workers of this build park such, \
                 and reject them after their parking limit"
            )?;
        }
        if let Some(Latency { p50, p95, p99, max }) = self.latency_ms {
            write!(f, "\nlatency      p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")?;
        }
        if let Some(path) = &self.checkpoint {
            write!(f, "\ncheckpoint   {path}, at line {}", self.acknowledged_to_line)?;
        }
        Ok(())
    }
}
