//! What goes into the tables and comes out of them, as values.

use std::sync::Arc;

use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Micros, Offset, Partition, PaymentId, Position};
use millrace_domain::payment::Payment;
use millrace_domain::posting::Transfer;
use millrace_domain::reason::{Parking, Rejection};

use crate::record::RawRecord;

/// A lane as its worker claimed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    /// The topic's name.
    pub topic: String,
    /// Kafka's id of the topic.
    pub topic_id: String,
    /// The partition.
    pub partition: Partition,
    /// The number of this claim.
    pub epoch: i64,
}

/// What became of the records of a batch, and of what they drained.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[allow(missing_docs, reason = "the names are those of the columns of millrace.batches")]
pub struct Counts {
    pub applied: i32,
    pub duplicate: i32,
    pub parked: i32,
    pub rejected: i32,
    pub drained_applied: i32,
    pub drained_duplicate: i32,
    pub drained_rejected: i32,
}

/// A row of the event log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedRow {
    /// The event.
    pub event: Arc<Event>,
    /// Where its record stands.
    pub position: Position,
    /// The record's timestamp.
    pub published_at: Option<Micros>,
    /// Its place among the events applied to its payment.
    pub version: i64,
    /// The ledger row.
    pub transfer: Option<Transfer>,
}

/// What must still stand in a payment's row for it to be written over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stood {
    /// The version that was read.
    pub version: i64,
    /// The last sequence number that was read.
    pub last_sequence: i64,
}

/// A payment's next state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentRow {
    /// Which payment.
    pub payment_id: PaymentId,
    /// What its row held; none if it has no row yet.
    pub stood: Option<Stood>,
    /// The state to write.
    pub state: Payment,
}

/// A record to park.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkedRow {
    /// The event's id.
    pub event_id: EventId,
    /// The payment that it waits with.
    pub payment_id: PaymentId,
    /// Where its record stands.
    pub position: Position,
    /// What it waits for.
    pub reason: Parking,
    /// Since when.
    pub since: Micros,
    /// The record, whole.
    pub record: RawRecord,
}

/// A record to keep as a dead letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterRow {
    /// Where the record stands.
    pub position: Position,
    /// Why it was rejected.
    pub reason: Rejection,
    /// What was found and what is wanted, for a person.
    pub detail: Option<String>,
    /// The event's id, if the record could be decoded.
    pub event_id: Option<EventId>,
    /// Its payment, likewise.
    pub payment_id: Option<PaymentId>,
    /// Whether its sequence number is used up.
    pub number_used: bool,
    /// The record, whole.
    pub record: RawRecord,
}

/// A parked event that becomes a dead letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedParked {
    /// Which event.
    pub event_id: EventId,
    /// Why.
    pub reason: Rejection,
    /// Whether its sequence number is used up.
    pub number_used: bool,
    /// What was found and what is wanted, for a person.
    pub detail: String,
}

/// All that one batch writes, in one transaction. `from` = `to` for a batch without records of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The first offset of the batch: where the fence must stand.
    pub from: Offset,
    /// The offset behind its last record: where the fence will stand.
    pub to: Offset,
    /// The dispositions.
    pub counts: Counts,
    /// Rows of the event log, in order of application.
    pub applied: Vec<AppliedRow>,
    /// Next states, one for each payment that changed.
    pub payments: Vec<PaymentRow>,
    /// Records to park.
    pub parked: Vec<ParkedRow>,
    /// Parked events that now wait for something else.
    pub reparked: Vec<(EventId, Parking)>,
    /// Parked events that were applied or turned out duplicates.
    pub unparked: Vec<EventId>,
    /// Parked events that became dead letters.
    pub rejected_parked: Vec<RejectedParked>,
    /// Records of the batch that are rejected.
    pub dead_letters: Vec<DeadLetterRow>,
    /// What becomes of its changes of balances.
    pub balances: Balances,
    /// It was judged without looking for parked events: it is written only if there are none, of any lane.
    pub only_if_nothing_is_parked: bool,
}

/// What becomes of a batch's net changes of balances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Balances {
    /// They are noted in one row.
    Note,
    /// They are folded into the stripes, with all that the lane noted before.
    Fold,
}

impl Batch {
    /// How many transfers it makes.
    pub fn transfers(&self) -> usize {
        self.applied.iter().filter(|row| row.transfer.is_some()).count()
    }

    /// Whether it would write nothing: no record to account for, and nothing moved.
    pub fn is_void(&self) -> bool {
        self.from == self.to
            && self.counts == Counts::default()
            && self.payments.is_empty()
            && self.reparked.is_empty()
            && self.unparked.is_empty()
    }
}
