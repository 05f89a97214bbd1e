//! The stream: payments overlap, lines are counted, republished and broken ones are mixed in.
//!
//! What a payment's events are is decided by `planner` before its first one is published; here they only get their
//! ids, their times and their place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use rand::Rng;
use rand::rngs::StdRng;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::{Builder, Uuid};

use crate::event::{Currency, Event, EventType, Line, Metadata, Raw, UserId};
use crate::expected::Expected;
use crate::life::{Fate, Twist, operation_id};
use crate::memory::Memory;
use crate::options::{Options, OptionsError};
use crate::planner::{Plan, Planner, seeded};
use crate::tally::Tally;

/// The lines that `options` ask for: as many as they say, in order of publication. Within one user that is the order
/// of consumption.
pub fn stream(options: Options) -> Result<Stream, OptionsError> {
    options.validate()?;
    let start = options.start.unwrap_or_else(|| minute_of(OffsetDateTime::now_utc()) - options.span);
    let lines = i128::from(options.lines.max(1));
    let step_us = (options.span.whole_microseconds() / lines).max(1);
    Ok(Stream {
        rng: seeded(options.seed),
        planner: Planner::new(&options),
        start_us: i64::try_from(start.unix_timestamp_nanos() / 1_000).expect("the year is between 1970 and 9000"),
        step_us: i64::try_from(step_us).expect("a span of at most ten years fits"),
        emitted: 0,
        pending: 0,
        is_closing: false,
        admitted: 0,
        in_flight: BinaryHeap::new(),
        memory: Memory::default(),
        tally: Tally::default(),
        options,
    })
}

/// Writes lines as NDJSON, each in one write. Buffering is left to `out`.
pub fn write_ndjson(lines: impl Iterator<Item = Line>, out: &mut impl Write) -> io::Result<()> {
    // A line is put together in memory: many small writes into `out` take longer.
    let mut json = Vec::new();
    for line in lines {
        json.clear();
        serde_json::to_writer(&mut json, &line)?;
        json.push(b'\n');
        out.write_all(&json)?;
    }
    Ok(())
}

fn minute_of(now: OffsetDateTime) -> OffsetDateTime {
    now - Duration::seconds(i64::from(now.second())) - Duration::nanoseconds(i64::from(now.nanosecond()))
}

/// An iterator over the lines. See [`stream`].
#[derive(Debug)]
pub struct Stream {
    options: Options,
    rng: StdRng,
    planner: Planner,
    start_us: i64,
    /// Time between two lines.
    step_us: i64,
    /// Lines so far.
    emitted: u64,
    /// Events of admitted payments that are not published yet.
    pending: u64,
    /// No more payments are admitted: what is pending fills the lines that are left.
    is_closing: bool,
    admitted: u64,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    memory: Memory,
    tally: Tally,
}

/// A payment that still has events to publish.
#[derive(Debug)]
struct InFlight {
    due_line: u64,
    /// Breaks ties, so that the order is the same each time.
    admission: u64,
    first_line: u64,
    published: usize,
    payment_id: Uuid,
    correlation: Option<u32>,
    last_event_id: Option<Uuid>,
    plan: Plan,
}

impl Iterator for Stream {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if self.emitted >= self.options.lines {
            return None;
        }
        let line = self.extra_line().unwrap_or_else(|| Line::Event(self.payment_event()));
        self.emitted += 1;
        Some(line)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.options.lines - self.emitted).ok();
        (left.unwrap_or(usize::MAX), left)
    }
}

impl Stream {
    /// What a correct pipeline must end with. Complete once the iterator is exhausted: before that it counts the
    /// payments in flight as if they were published to their end.
    pub fn expected(&self) -> Expected {
        let start = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.start_us) * 1_000);
        Expected {
            seed: self.options.seed,
            start: start.ok().and_then(|start| start.format(&Rfc3339).ok()).unwrap_or_default(),
            published: self.emitted,
            distinct: self.tally.distinct,
            late: self.tally.late,
            outcome: self.tally.outcome(),
        }
    }

    /// A line that is no payment's own event, by the rates, where the lines that are promised leave room for it.
    fn extra_line(&mut self) -> Option<Line> {
        let Options { invalid, conflicts, duplicates, .. } = self.options;
        if self.options.extra_share() == 0.0 || self.emitted + self.pending >= self.options.lines {
            return None;
        }
        let draw: f64 = self.rng.random();
        if draw < invalid {
            Some(Line::Raw(self.undecodable()))
        } else if draw < invalid + conflicts {
            self.conflicting().map(Line::Event)
        } else if draw < invalid + conflicts + duplicates {
            self.republished().map(Line::Event)
        } else {
            None
        }
    }

    /// The next event of a payment, of a new one if none is due.
    fn payment_event(&mut self) -> Event {
        loop {
            let is_due = |top: &Reverse<InFlight>| top.0.due_line <= self.emitted || self.is_closing;
            if self.in_flight.peek().is_some_and(is_due)
                && let Some(Reverse(next)) = self.in_flight.pop()
            {
                return self.publish(next);
            }
            let plan = if self.is_closing {
                self.planner.plan_filler(&mut self.rng)
            } else {
                self.planner.plan(&mut self.rng)
            };
            if self.is_closing || self.has_room_for(plan.publications.len() as u64) {
                self.admit(plan);
            } else {
                self.is_closing = true;
            }
        }
    }

    /// Whether all that is pending fits into the lines that are left, with its share of extra lines.
    fn has_room_for(&self, events: u64) -> bool {
        let lines = (self.pending + events) as f64 / (1.0 - self.options.extra_share());
        self.emitted as f64 + lines.ceil() <= self.options.lines as f64
    }

    fn admit(&mut self, plan: Plan) {
        self.tally.payment(&plan.payment, plan.late, plan.drained);
        self.pending += plan.publications.len() as u64;
        self.admitted += 1;
        let has_order = self.rng.random_bool(0.7);
        let in_flight = InFlight {
            due_line: self.emitted + plan.publications[0].1,
            admission: self.admitted,
            first_line: self.emitted,
            published: 0,
            payment_id: self.id_at(self.time_of(self.emitted)),
            correlation: if has_order { Some(self.rng.random()) } else { None },
            last_event_id: None,
            plan,
        };
        self.in_flight.push(Reverse(in_flight));
    }

    fn publish(&mut self, mut payment: InFlight) -> Event {
        let (step, _) = payment.plan.publications[payment.published];
        let event = self.event(&payment, usize::from(step));
        if payment.plan.payment.steps[usize::from(step)].fate == Fate::Applied {
            self.memory.remember(&mut self.rng, event);
        }
        self.pending -= 1;
        payment.published += 1;
        payment.last_event_id = Some(event.event_id);
        if let Some(&(_, line)) = payment.plan.publications.get(payment.published) {
            payment.due_line = (payment.first_line + line).max(self.emitted + 1);
            self.in_flight.push(Reverse(payment));
        }
        event
    }

    fn event(&mut self, of: &InFlight, index: usize) -> Event {
        let payment = &of.plan.payment;
        let step = &payment.steps[index];
        // In the last lines events come before they are due; none must seem to come from the future.
        let happened_line = (of.first_line + step.at_lines).min(self.emitted);
        let occurred_at_us = match step.twist {
            Twist::Ancient => ANCIENT_US,
            _ => self.time_of(happened_line) + self.rng.random_range(0..self.step_us),
        };
        let is_anonymous = matches!(step.kind, EventType::PaymentInitiated | EventType::PaymentDeclined)
            && of.plan.payment.user.is_multiple_of(8);
        let merchant = match step.twist {
            Twist::OtherMerchant => Some(payment.merchant + 1),
            _ if is_anonymous => None,
            _ => Some(payment.merchant),
        };
        let currency = match step.twist {
            Twist::OtherCurrency if payment.currency == Currency::Gbp => Currency::Eur,
            Twist::OtherCurrency => Currency::Gbp,
            _ => payment.currency,
        };
        Event {
            event_id: self.id_at(occurred_at_us),
            event_type: step.kind,
            payment_id: of.payment_id,
            user: payment.user,
            merchant,
            operation_id: operation_id(of.payment_id, step.operation),
            sequence: step.sequence,
            amount_minor: step.amount_minor,
            currency,
            occurred_at_us,
            source: step.kind.source(),
            correlation: of.correlation,
            causation_id: of.last_event_id,
            metadata: self.metadata(),
        }
    }

    fn metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::default();
        match self.rng.random_range(0..20) {
            0..8 => metadata.channel = Some(["web", "app", "pos", "phone"][self.rng.random_range(0..4)]),
            8 => metadata.note = Some("gift \"wrapped\" for Zo\u{eb}, \u{6771}\u{4eac} \u{2615}"),
            _ => {}
        }
        metadata
    }

    /// An earlier event again: the same content, at times under another trace.
    fn republished(&mut self) -> Option<Event> {
        let mut event = self.memory.recall(&mut self.rng)?;
        if self.rng.random_bool(0.3) {
            event.metadata.attempt = Some(self.rng.random_range(2..6));
            event.correlation = Some(self.rng.random());
            event.causation_id = None;
        }
        self.tally.duplicate();
        Some(event)
    }

    /// An earlier event's id with other content: the first one stands.
    fn conflicting(&mut self) -> Option<Event> {
        let mut event = self.memory.recall(&mut self.rng)?;
        match self.rng.random_range(0..3) {
            0 if event.amount_minor > 0 => event.amount_minor += 1,
            1 => event.source = "batch-import",
            _ => event.occurred_at_us += 1,
        }
        self.tally.rejected("id_conflict");
        Some(event)
    }

    /// Bytes that no reader can decode, mostly with a user's key, so that they land between that user's events.
    fn undecodable(&mut self) -> Raw {
        let key = if self.rng.random_bool(0.2) {
            None
        } else {
            let user = self.planner.user(&mut self.rng);
            Some(UserId(user).to_string().into_bytes())
        };
        let mut noise = vec![0; self.rng.random_range(1..64)];
        self.rng.fill(noise.as_mut_slice());
        let (reason, value) = match self.rng.random_range(0..4) {
            // The first byte of every framed record is 0.
            0 => ("malformed", [&[self.rng.random_range(1..=255)], noise.as_slice()].concat()),
            1 => ("malformed", Vec::new()),
            // Ends within the schema id.
            2 => ("malformed", vec![0; self.rng.random_range(1..5)]),
            _ => ("unknown_schema", [&[0, 0x7F, 0xFF, 0xFF, 0xFF], noise.as_slice()].concat()),
        };
        let headers = if self.rng.random_bool(0.5) { vec![("origin", "legacy-gateway")] } else { Vec::new() };
        self.tally.rejected(reason);
        Raw { key, value, headers }
    }

    fn time_of(&self, line: u64) -> i64 {
        self.start_us + self.step_us * i64::try_from(line).expect("a stream of 2^63 lines never gets so far")
    }

    fn id_at(&mut self, time_us: i64) -> Uuid {
        let time_ms = u64::try_from(time_us / 1_000).expect("times start in 1970");
        Builder::from_unix_timestamp_millis(time_ms, &self.rng.random()).into_uuid()
    }
}

/// 1971-03-01, outside every sensible window.
const ANCIENT_US: i64 = 36_633_600_000_000;

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_line, self.admission).cmp(&(other.due_line, other.admission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payments_in_flight_do_not_grow_with_the_length_of_the_stream() -> Result<(), OptionsError> {
        let most_in_flight = |lines| -> Result<usize, OptionsError> {
            let mut stream = stream(Options { lines, ..Options::default() })?;
            let mut most = 0;
            while stream.next().is_some() {
                most = most.max(stream.in_flight.len());
            }
            Ok(most)
        };
        let (short, long) = (most_in_flight(100_000)?, most_in_flight(1_000_000)?);
        assert!(long < short * 3 / 2, "{short} payments in flight among 100,000 lines, {long} among 1,000,000");
        assert!(long as u64 <= crate::LIFE_LINES_MAX);
        Ok(())
    }
}
