//! A payment's state: the fold of its applied events.
//!
//! State is counters and the facts by operation; status and operations are derived from them. Which event may
//! apply is left to `table`, parked events to `book`.

use crate::event::{Event, EventType, Kind};
use crate::ids::{EventId, MerchantId, OperationId, UserId};
use crate::money::Currency;
use crate::posting::Transfer;

/// The sums of a payment, each in minor units of its currency and none below 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// What the issuer holds or held in all.
    pub authorized: i64,
    /// What was taken of it.
    pub captured: i64,
    /// What was let go or lapsed of it.
    pub voided: i64,
    /// Refunds on their way.
    pub refund_pending: i64,
    /// Refunds that arrived.
    pub refunded: i64,
    /// Open disputes.
    pub disputed: i64,
    /// Disputes lost.
    pub lost: i64,
    /// Fees charged.
    pub fees: i64,
}

impl Counters {
    /// What may still be captured or voided.
    pub fn open(&self) -> i64 {
        self.authorized - self.captured - self.voided
    }
}

/// What identifies a known payment: set by the first event applied to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Whose payment it is.
    pub user_id: UserId,
    /// The one currency of all its amounts.
    pub currency: Currency,
}

/// That an event of this type was applied for this operation. At most one event per operation and type applies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact {
    /// The operation that the event named.
    pub operation_id: OperationId,
    /// The event's type.
    pub kind: Kind,
    /// The event's amount in minor units.
    pub amount_minor: i64,
}

/// Which of the two operations that have a life of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationKind {
    /// Money on its way back to the cardholder.
    Refund,
    /// Money that the cardholder's bank took back.
    Dispute,
}

/// How far an operation came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationStatus {
    /// A refund on its way.
    Pending,
    /// A refund that arrived.
    Succeeded,
    /// A refund that came back.
    Failed,
    /// A dispute not decided yet.
    Open,
    /// A dispute that the merchant won.
    Won,
    /// A dispute that the merchant lost.
    Lost,
}

/// A refund or dispute of a payment, derived from its facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Refund or dispute.
    pub kind: OperationKind,
    /// How far it came.
    pub status: OperationStatus,
    /// Its amount in minor units: every event of an operation has the same.
    pub amount_minor: i64,
}

/// The name that a payment's counters and flags give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "the names are their own documentation; see the design's first-match list in `status`")]
pub enum Status {
    Credit,
    Disputed,
    ChargedBack,
    Refunded,
    PartiallyRefunded,
    Captured,
    PartiallyCaptured,
    Authorized,
    Voided,
    Declined,
    Initiated,
}

impl Status {
    /// The stable label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Credit => "credit",
            Status::Disputed => "disputed",
            Status::ChargedBack => "charged_back",
            Status::Refunded => "refunded",
            Status::PartiallyRefunded => "partially_refunded",
            Status::Captured => "captured",
            Status::PartiallyCaptured => "partially_captured",
            Status::Authorized => "authorized",
            Status::Voided => "voided",
            Status::Declined => "declined",
            Status::Initiated => "initiated",
        }
    }
}

/// What an event that applies changes besides the version: the next counters and flags, and the ledger row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effect {
    /// The counters after the event.
    pub counters: Counters,
    /// At most one ledger row: one event moves one amount.
    pub transfer: Option<Transfer>,
}

/// A payment's state. `Payment::default()` is the state of a payment that nobody has seen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Payment {
    /// Who owns it, and its currency; none until something was applied.
    pub owner: Option<Owner>,
    /// The first merchant that an applied event named.
    pub merchant_id: Option<MerchantId>,
    /// The sums.
    pub counters: Counters,
    /// The amount that `payment.initiated` announced, once it was applied.
    pub intended_minor: Option<i64>,
    /// Whether an authorization was declined.
    pub declined: bool,
    /// Whether it is a credit with no payment behind it.
    pub credit: bool,
    /// What was applied by operation, in order of application.
    pub facts: Vec<Fact>,
    /// The last sequence number used up; 0 before the first.
    pub last_sequence: i64,
    /// How many events were applied. 0: the payment is not known.
    pub version: i64,
    /// The event that was applied first, by which all of them are found.
    pub first_event_id: Option<EventId>,
}

impl Payment {
    /// Whether an event was applied to it.
    pub fn is_known(&self) -> bool {
        self.version > 0
    }

    /// The status, by first match; none for a payment that is not known.
    pub fn status(&self) -> Option<Status> {
        let c = &self.counters;
        let status = match () {
            () if !self.is_known() => return None,
            () if self.credit => Status::Credit,
            () if c.disputed > 0 => Status::Disputed,
            () if c.lost > 0 => Status::ChargedBack,
            () if c.captured > 0 && c.refunded == c.captured => Status::Refunded,
            () if c.captured > 0 && c.refunded > 0 => Status::PartiallyRefunded,
            () if c.captured > 0 && c.open() == 0 => Status::Captured,
            () if c.captured > 0 => Status::PartiallyCaptured,
            () if c.authorized > 0 && c.open() == 0 => Status::Voided,
            () if c.authorized > 0 => Status::Authorized,
            () if self.declined => Status::Declined,
            () => Status::Initiated,
        };
        Some(status)
    }

    /// The amount that an event of this type had when it was applied for this operation.
    pub fn fact(&self, operation_id: OperationId, kind: Kind) -> Option<i64> {
        self.facts.iter().find(|f| f.operation_id == operation_id && f.kind == kind).map(|f| f.amount_minor)
    }

    /// The refund or dispute with this id, as its facts tell it.
    pub fn operation(&self, operation_id: OperationId) -> Option<Operation> {
        use OperationStatus::*;
        let mut found: Option<Operation> = None;
        for fact in self.facts.iter().filter(|f| f.operation_id == operation_id) {
            let (kind, status) = match fact.kind {
                Kind::RefundInitiated => (OperationKind::Refund, Pending),
                Kind::RefundSucceeded | Kind::RefundUnreferenced => (OperationKind::Refund, Succeeded),
                Kind::RefundFailed => (OperationKind::Refund, Failed),
                Kind::DisputeOpened => (OperationKind::Dispute, Open),
                Kind::DisputeWon => (OperationKind::Dispute, Won),
                Kind::DisputeLost => (OperationKind::Dispute, Lost),
                _ => continue,
            };
            // Facts may be read in any order: one that closes the operation outweighs the one that began it.
            if found.is_none() || !matches!(status, Pending | Open) {
                found = Some(Operation { kind, status, amount_minor: fact.amount_minor });
            }
        }
        found
    }

    /// Takes the event's effect into the state and gives the event its version. The caller had `table` judge it.
    pub fn apply(&mut self, event: &Event, effect: &Effect) {
        self.counters = effect.counters;
        self.version += 1;
        self.first_event_id.get_or_insert(event.event_id);
        if self.owner.is_none() {
            self.owner = Some(Owner { user_id: event.user_id.clone(), currency: event.currency });
        }
        if self.merchant_id.is_none() {
            self.merchant_id.clone_from(&event.merchant_id);
        }
        let EventType::Known(kind) = event.event_type else { return };
        match kind {
            Kind::PaymentInitiated => self.intended_minor = Some(event.amount_minor),
            Kind::PaymentDeclined => self.declined = true,
            Kind::RefundUnreferenced => self.credit = true,
            _ => {}
        }
        if let Some(operation_id) = event.operation_id {
            self.facts.push(Fact { operation_id, kind, amount_minor: event.amount_minor });
        }
    }
}
