//! The decision table: what one event does to one payment, rules 5 to 8 of the precedence.
//!
//! Rule 1 belongs to `wire`, rule 2 to the lane that can look ids up, rules 3 and 4 and the part of rule 7 that
//! concerns parked events to `book`. Every function here is pure and reads like a row of the design.

use crate::event::{Event, EventType, Kind};
use crate::ids::MerchantId;
use crate::payment::{Counters, Effect, Operation, OperationKind, OperationStatus, Payment};
use crate::posting::{Account, Transfer};
use crate::reason::{Parking, Rejection};

/// What the rules say of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It applies, with this effect.
    Apply(Effect),
    /// It was applied already, under another event id.
    Duplicate,
    /// It waits for this.
    Park(Parking),
    /// It is refused for this.
    Reject(Rejection),
}

use Verdict::{Apply, Duplicate, Park, Reject};

/// Rule 5: a known payment keeps its user, its currency and its merchant.
pub fn mismatch(payment: &Payment, event: &Event) -> Option<Rejection> {
    let owner = payment.owner.as_ref()?;
    if owner.user_id != event.user_id {
        return Some(Rejection::OwnerMismatch);
    }
    if owner.currency != event.currency {
        return Some(Rejection::CurrencyMismatch);
    }
    match (&payment.merchant_id, &event.merchant_id) {
        (Some(ours), Some(theirs)) if ours != theirs => Some(Rejection::MerchantMismatch),
        _ => None,
    }
}

/// Rule 7 against what was applied: one event per operation and type.
pub fn repeated_operation(payment: &Payment, event: &Event, kind: Kind) -> Option<Verdict> {
    let applied_minor = payment.fact(event.operation_id?, kind)?;
    Some(same_operation(applied_minor == event.amount_minor))
}

/// Rule 7's outcome: saying the same again is a duplicate, saying something else a conflict.
pub fn same_operation(same: bool) -> Verdict {
    if same { Duplicate } else { Reject(Rejection::OperationConflict) }
}

/// Rule 8: the table.
pub fn judge(payment: &Payment, event: &Event, kind: Kind) -> Verdict {
    if payment.credit {
        return Reject(Rejection::IsCredit);
    }
    let operation = event.operation_id.and_then(|id| payment.operation(id));
    if names_other_kind(kind, operation) {
        return Reject(Rejection::OperationConflict);
    }
    let row = Row { payment, event, kind, c: payment.counters, a: event.amount_minor, operation };
    match kind {
        Kind::PaymentInitiated => row.initiated(),
        Kind::PaymentAuthorized => row.authorized(),
        Kind::PaymentDeclined => row.declined(),
        Kind::PaymentCharged => row.charged(),
        Kind::PaymentCaptured => row.captured(),
        Kind::PaymentVoided => row.voided(),
        Kind::PaymentExpired => row.expired(),
        Kind::PaymentAdjusted => row.adjusted(),
        Kind::RefundInitiated => row.refund_initiated(),
        Kind::RefundSucceeded => row.refund_succeeded(),
        Kind::RefundFailed => row.refund_failed(),
        Kind::RefundUnreferenced => row.refund_unreferenced(),
        Kind::DisputeOpened => row.dispute_opened(),
        Kind::DisputeWon => row.dispute_closed(|c, a| Counters { disputed: c.disputed - a, ..c }),
        Kind::DisputeLost => row.dispute_closed(|c, a| Counters { disputed: c.disputed - a, lost: c.lost + a, ..c }),
        Kind::FeeCharged => row.fee_charged(),
    }
}

/// Whether a refund event names a dispute's operation, or the reverse. An unreferenced refund is about no operation
/// of the payment's: on a payment that is known it is `payment_exists`, whatever it names.
fn names_other_kind(kind: Kind, operation: Option<Operation>) -> bool {
    use Kind::*;
    let wanted = match kind {
        RefundInitiated | RefundSucceeded | RefundFailed => OperationKind::Refund,
        DisputeOpened | DisputeWon | DisputeLost => OperationKind::Dispute,
        _ => return false,
    };
    operation.is_some_and(|o| o.kind != wanted)
}

/// One event before one payment: the arguments of every row, under the design's short names.
struct Row<'a> {
    payment: &'a Payment,
    event: &'a Event,
    kind: Kind,
    c: Counters,
    /// The event's amount.
    a: i64,
    operation: Option<Operation>,
}

impl Row<'_> {
    fn initiated(&self) -> Verdict {
        match self.payment.intended_minor {
            None => self.apply(self.c),
            Some(_) => Reject(Rejection::AlreadyInitiated),
        }
    }

    fn authorized(&self) -> Verdict {
        self.unless_authorized(Counters { authorized: self.a, ..self.c })
    }

    fn declined(&self) -> Verdict {
        self.unless_authorized(self.c)
    }

    fn charged(&self) -> Verdict {
        self.unless_authorized(Counters { authorized: self.a, captured: self.a, ..self.c })
    }

    fn unless_authorized(&self, next: Counters) -> Verdict {
        if self.c.authorized == 0 { self.apply(next) } else { Reject(Rejection::AlreadyAuthorized) }
    }

    fn captured(&self) -> Verdict {
        if self.a <= self.c.open() {
            return self.apply(Counters { captured: self.c.captured + self.a, ..self.c });
        }
        self.parked_if_unauthorized(Rejection::CaptureExceedsAuthorized)
    }

    fn voided(&self) -> Verdict {
        if self.a <= self.c.open() {
            return self.apply(Counters { voided: self.c.voided + self.a, ..self.c });
        }
        self.parked_if_unauthorized(Rejection::VoidExceedsAuthorized)
    }

    fn expired(&self) -> Verdict {
        let open = self.c.open();
        if open > 0 && (self.a == 0 || self.a == open) {
            return self.apply(Counters { voided: self.c.voided + open, ..self.c });
        }
        self.closed_or(Rejection::AmountMismatch)
    }

    fn adjusted(&self) -> Verdict {
        if self.c.open() > 0 && self.a >= self.c.captured + self.c.voided {
            return self.apply(Counters { authorized: self.a, ..self.c });
        }
        self.closed_or(Rejection::AdjustBelowCaptured)
    }

    fn parked_if_unauthorized(&self, otherwise: Rejection) -> Verdict {
        if self.c.authorized == 0 { Park(Parking::MissingAuthorization) } else { Reject(otherwise) }
    }

    fn closed_or(&self, otherwise: Rejection) -> Verdict {
        self.parked_if_unauthorized(if self.c.open() == 0 { Rejection::AuthorizationClosed } else { otherwise })
    }

    fn refund_initiated(&self) -> Verdict {
        // Rule 7 caught an operation that was initiated: one that is known here succeeded without it.
        if let Some(operation) = self.operation {
            return same_operation(operation.amount_minor == self.a);
        }
        self.within_captured(self.refund_after(), Rejection::RefundExceedsCaptured, |c, a| Counters {
            refund_pending: c.refund_pending + a,
            ..c
        })
    }

    fn refund_succeeded(&self) -> Verdict {
        if self.operation.is_some() {
            return self.pending_refund(|c, a| Counters {
                refund_pending: c.refund_pending - a,
                refunded: c.refunded + a,
                ..c
            });
        }
        self.within_captured(self.refund_after(), Rejection::RefundExceedsCaptured, |c, a| Counters {
            refunded: c.refunded + a,
            ..c
        })
    }

    fn refund_failed(&self) -> Verdict {
        self.pending_refund(|c, a| Counters { refund_pending: c.refund_pending - a, ..c })
    }

    fn pending_refund(&self, next: impl Fn(Counters, i64) -> Counters) -> Verdict {
        self.closes(OperationStatus::Pending, next)
    }

    fn refund_unreferenced(&self) -> Verdict {
        if self.payment.is_known() {
            return Reject(Rejection::PaymentExists);
        }
        self.apply(Counters { refunded: self.a, ..self.c })
    }

    fn dispute_opened(&self) -> Verdict {
        if self.operation.is_some() {
            return Reject(Rejection::OperationConflict);
        }
        let after = sum([self.c.disputed, self.c.lost, self.a]);
        self.within_captured(after, Rejection::DisputeExceedsCaptured, |c, a| Counters {
            disputed: c.disputed + a,
            ..c
        })
    }

    fn dispute_closed(&self, next: impl Fn(Counters, i64) -> Counters) -> Verdict {
        self.closes(OperationStatus::Open, next)
    }

    fn fee_charged(&self) -> Verdict {
        if self.c.captured == 0 {
            return self.nothing_captured(Rejection::NothingCaptured);
        }
        match self.c.fees.checked_add(self.a) {
            Some(fees) => self.apply(Counters { fees, ..self.c }),
            None => Reject(Rejection::AmountOverflow),
        }
    }

    /// An event that ends an operation which must still have the status `begun`.
    fn closes(&self, begun: OperationStatus, next: impl Fn(Counters, i64) -> Counters) -> Verdict {
        match self.operation {
            None => Park(Parking::MissingOperation),
            Some(o) if o.status != begun => Reject(Rejection::OperationClosed),
            Some(o) if o.amount_minor != self.a => Reject(Rejection::AmountMismatch),
            Some(_) => self.apply(next(self.c, self.a)),
        }
    }

    fn refund_after(&self) -> Option<i64> {
        sum([self.c.refunded, self.c.refund_pending, self.a])
    }

    fn within_captured(
        &self,
        after: Option<i64>,
        exceeds: Rejection,
        next: impl Fn(Counters, i64) -> Counters,
    ) -> Verdict {
        match after {
            None => Reject(Rejection::AmountOverflow),
            Some(after) if after <= self.c.captured => self.apply(next(self.c, self.a)),
            Some(_) => self.nothing_captured(exceeds),
        }
    }

    /// The design's "see below": parked while nothing is captured yet and something may still be.
    fn nothing_captured(&self, otherwise: Rejection) -> Verdict {
        let may_still_be = self.c.authorized == 0 || self.c.open() > 0;
        if self.c.captured == 0 && may_still_be { Park(Parking::MissingCapture) } else { Reject(otherwise) }
    }

    fn apply(&self, counters: Counters) -> Verdict {
        let accounts = posting(self.kind, self.operation, self.event.merchant_id.as_ref());
        let transfer = accounts.map(|(debit, credit)| Transfer {
            debit,
            credit,
            amount_minor: self.a,
            currency: self.event.currency,
        });
        Apply(Effect { counters, transfer })
    }
}

fn sum(parts: [i64; 3]) -> Option<i64> {
    parts.into_iter().try_fold(0_i64, i64::checked_add)
}

/// The ledger column: debit and credit of an applied event; none where no money moves.
fn posting(kind: Kind, operation: Option<Operation>, merchant: Option<&MerchantId>) -> Option<(Account, Account)> {
    use Account::*;
    if !kind.has_ledger_entry() {
        return None;
    }
    let payable = || MerchantPayable(merchant.expect("a type with a ledger entry names its merchant").clone());
    let entry = match kind {
        Kind::PaymentCaptured | Kind::PaymentCharged => (PspReceivable, payable()),
        Kind::RefundInitiated => (payable(), RefundsInTransit),
        Kind::RefundSucceeded if operation.is_some() => (RefundsInTransit, PspReceivable),
        Kind::RefundSucceeded | Kind::RefundUnreferenced => (payable(), PspReceivable),
        Kind::RefundFailed => (RefundsInTransit, payable()),
        Kind::DisputeOpened => (DisputeReceivable, PspReceivable),
        Kind::DisputeWon => (PspReceivable, DisputeReceivable),
        Kind::DisputeLost => (payable(), DisputeReceivable),
        Kind::FeeCharged => (payable(), FeeRevenue),
        _ => return None,
    };
    Some(entry)
}

/// Rules 5 to 8 for an event past rule 4, against the applied state alone.
pub fn judge_in_order(payment: &Payment, event: &Event, parked_twin: Option<Verdict>) -> Verdict {
    if let Some(rejection) = mismatch(payment, event) {
        return Reject(rejection);
    }
    let kind = match &event.event_type {
        EventType::Known(kind) => *kind,
        EventType::Unknown(_) => return Park(Parking::UnknownType),
    };
    // Parked before this build knew the type, it was never held against the rules that the type adds.
    if event.check_kind(kind).is_err() {
        return Reject(Rejection::Malformed);
    }
    if let Some(verdict) = repeated_operation(payment, event, kind).or(parked_twin) {
        return verdict;
    }
    judge(payment, event, kind)
}
