//! What goes into the model and what comes out of it: plain values.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use crate::form::{Event, TYPES_OF_V1};

/// What the design leaves to configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How old an event id may be, in milliseconds.
    pub window_back_ms: i64,
    /// How far ahead an event id may be, in milliseconds.
    pub window_ahead_ms: i64,
    /// How long an event may stay parked, in milliseconds.
    pub parking_limit_ms: i64,
    /// What a lane knows before it is claimed by a worker that says otherwise.
    pub known_types: BTreeSet<String>,
}

impl Default for Config {
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Config {
            window_back_ms: 2 * 365 * 24 * HOUR_MS,
            window_ahead_ms: HOUR_MS,
            parking_limit_ms: 72 * HOUR_MS,
            known_types: TYPES_OF_V1.map(str::to_owned).into(),
        }
    }
}

/// One consumed record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The Kafka partition: the lane.
    pub partition: i32,
    /// Ascending within the partition.
    pub offset: i64,
    /// What it carries.
    pub input: Input<'a>,
    /// The lane's clock, in milliseconds since 1970.
    pub now_ms: i64,
}

/// What a record carries.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The JSON form. The rules of form are still to be checked.
    Event(&'a Value),
    /// Refused before the body could be judged: `malformed`, `unknown_schema`, `header_mismatch` or `wrong_key`.
    Undecodable {
        /// The name of the rejection.
        reason: &'static str,
    },
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Where the record itself stood, also when another one drained it.
    pub partition: i32,
    /// Where the record itself stood, also when another one drained it.
    pub offset: i64,
    /// `None` where no id can be read.
    pub event_id: Option<Uuid>,
    /// Exactly one for a record; one more, once, when it was parked and leaves.
    pub disposition: Disposition,
    /// It had been parked, and this is how it left.
    pub drained: bool,
}

/// Exactly one of four.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Disposition {
    Applied { version: i64 },
    Duplicate,
    Parked { reason: &'static str },
    Rejected { reason: &'static str },
}

/// One ledger row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of section 4
pub struct Transfer {
    pub event_id: Uuid,
    pub debit_account: String,
    pub credit_account: String,
    pub amount_minor: i64,
    pub currency: String,
    pub partition: i32,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where its record stood.
    pub offset: i64,
    /// What waits.
    pub event: Event,
    /// What it waits for, as it was last judged.
    pub reason: &'static str,
    /// When it was first parked, in milliseconds since 1970.
    pub since_ms: i64,
}

impl Waiting {
    /// It stopped at rule 4. Any other has used its number up.
    pub(crate) fn waits_for_its_number(&self) -> bool {
        self.reason == "missing_sequence"
    }
}
