//! The streams of events that contenders are given, and what each must end in by the harness' own bookkeeping.
//!
//! A workload is an iterator: ten million events need no more memory than ten. The same seed and start make the same
//! bytes. Life cycles are `millrace-generator`'s, with its totals; single charges are made here.

pub mod charges;
pub mod lifecycles;

use std::collections::BTreeMap;
use std::ops::AddAssign;

use millrace_domain::event::Event;
use millrace_generator::Outcome;
use millrace_wire::{avro, headers};

pub use charges::{Charges, Flaw};

/// A Kafka record, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Vec<u8>,
    /// The headers, as millrace-producer writes them.
    pub headers: Vec<(&'static str, String)>,
}

impl Record {
    /// What millrace-producer sends for an event, byte by byte.
    pub fn of(event: &Event) -> Record {
        Record {
            key: Some(event.user_id.as_str().as_bytes().to_vec()),
            value: avro::encode(event),
            headers: headers::of(event),
        }
    }
}

/// Records and, once they are exhausted, what they must end in.
pub trait Workload: Iterator<Item = Record> {
    /// What a correct pipeline must end with.
    fn outcome(&self) -> Outcome;
}

/// Which stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Single charges, each its own payment.
    Charges,
    /// The same with 2.5 % published twice.
    Duplicates,
    /// The same with one record in 1,000 that must be rejected.
    Bad,
    /// The charges of one user are half of all.
    HotUser,
    /// Single charges with 2 KiB of metadata each.
    Wide,
    /// Whole life cycles as `millrace generate` makes them: late, twice, conflicting and mistaken events among them.
    LifeCycles,
    /// Life cycles of which each event comes in its order.
    InOrder,
    /// The same with 5 % of the events out of order.
    OutOfOrder,
}

impl Kind {
    /// What it is called in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Charges => "charges",
            Kind::Duplicates => "charges, 2.5 % duplicates",
            Kind::Bad => "charges, 1 bad in 1,000",
            Kind::HotUser => "charges, half of them one user's",
            Kind::Wide => "charges, 2 KiB of metadata",
            Kind::LifeCycles => "life cycles",
            Kind::InOrder => "life cycles, in order",
            Kind::OutOfOrder => "life cycles, 5 % out of order",
        }
    }

    /// The stream of so many records, whose last event happens at `end_ms`, in milliseconds since 1970.
    pub fn stream(self, events: u64, end_ms: i64) -> anyhow::Result<Box<dyn Workload + Send>> {
        const SEED: u64 = 20_261;
        self.stream_of(SEED, events, end_ms)
    }

    /// The same with other random choices.
    pub fn stream_of(self, seed: u64, events: u64, end_ms: i64) -> anyhow::Result<Box<dyn Workload + Send>> {
        let charges = |flaw| -> Box<dyn Workload + Send> { Box::new(Charges::new(seed, events, end_ms, flaw)) };
        Ok(match self {
            Kind::Charges => charges(Flaw::None),
            Kind::Duplicates => charges(Flaw::Duplicates),
            Kind::Bad => charges(Flaw::Bad),
            Kind::HotUser => charges(Flaw::HotUser),
            Kind::Wide => charges(Flaw::Wide),
            Kind::LifeCycles => Box::new(lifecycles::as_generated(seed, events, end_ms)?),
            Kind::InOrder => Box::new(lifecycles::late(seed, events, end_ms, 0.0)?),
            Kind::OutOfOrder => Box::new(lifecycles::late(seed, events, end_ms, 0.05)?),
        })
    }
}

/// Adds what one stream must end in to what another must, of other payments.
pub fn merge(outcome: &mut Outcome, other: &Outcome) {
    outcome.applied += other.applied;
    outcome.duplicates += other.duplicates;
    outcome.drained_applied += other.drained_applied;
    outcome.transfers += other.transfers;
    add(&mut outcome.rejected, &other.rejected);
    add(&mut outcome.parked, &other.parked);
    add(&mut outcome.by_type, &other.by_type);
    add(&mut outcome.payments_by_status, &other.payments_by_status);
    add(&mut outcome.sum_minor, &other.sum_minor);
    add(&mut outcome.balances_minor, &other.balances_minor);
    add(&mut outcome.merchant_payable_minor, &other.merchant_payable_minor);
}

fn add<T: AddAssign + Copy + Default>(into: &mut BTreeMap<String, T>, from: &BTreeMap<String, T>) {
    from.iter().for_each(|(name, value)| *into.entry(name.clone()).or_default() += *value);
}
