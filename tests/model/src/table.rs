//! Rule 8: the decision table of section 3, row by row, as a pure function of the payment and the event.
//!
//! It leaves rules 1 to 7 and everything about what waits to `model`. The event has kept the rules of form, those of
//! its type included; the payment's user, currency and merchant are the event's, or the payment is not known yet.

use uuid::Uuid;

use crate::form::Content;
use crate::payment::{Kind, Operation, OperationStatus, Payment};

use Verdict::{Duplicate, Park, Reject};

/// What rule 8 (or one before it) says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next state and the ledger entry, if the type has one.
    Apply(Box<Payment>, Option<Entry>),
    /// It says what an applied event has already said.
    Duplicate,
    /// It waits, for this reason.
    Park(&'static str),
    /// It is refused, for this reason.
    Reject(&'static str),
}

/// The two accounts of a ledger entry; the amount is the event's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Entry {
    pub debit: String,
    pub credit: String,
}

/// The table.
pub fn decide(payment: &Payment, event: &Content) -> Verdict {
    if payment.credit {
        return Reject("is_credit"); // any later event on it, of any type
    }
    let a = i128::from(event.amount_minor);
    let verdict = match event.event_type.as_str() {
        "payment.initiated" => initiated(payment, a),
        "payment.authorized" => authorized(payment, a),
        "payment.declined" => declined(payment),
        "payment.charged" => charged(payment, a, event),
        "payment.captured" => captured(payment, a, event),
        "payment.voided" => voided(payment, a),
        "payment.expired" => expired(payment, a),
        "payment.adjusted" => adjusted(payment, a),
        "refund.initiated" => refund_initiated(payment, a, event),
        "refund.succeeded" => refund_succeeded(payment, a, event),
        "refund.failed" => refund_failed(payment, a, event),
        "refund.unreferenced" => refund_unreferenced(payment, a, event),
        "dispute.opened" => dispute_opened(payment, a, event),
        "dispute.won" => dispute_won(payment, a, event),
        "dispute.lost" => dispute_lost(payment, a, event),
        "fee.charged" => fee_charged(payment, a, event),
        other => panic!("{other} is no type of v1: rule 6 stands before the table"),
    };
    match verdict {
        Verdict::Apply(next, entry) => finished(*next, entry, event),
        other => other,
    }
}

/// What every applied event does, whatever its type; and the guard against sums that leave 64 bits.
fn finished(mut next: Payment, entry: Option<Entry>, event: &Content) -> Verdict {
    if next.counters().iter().any(|(_, sum)| *sum > i128::from(i64::MAX)) {
        return Reject("amount_overflow");
    }
    next.version += 1;
    next.user_id.get_or_insert_with(|| event.user_id.clone());
    next.currency.get_or_insert_with(|| event.currency.clone());
    if next.merchant_id.is_none() {
        next.merchant_id.clone_from(&event.merchant_id);
    }
    Verdict::Apply(Box::new(next), entry)
}

fn initiated(p: &Payment, a: i128) -> Verdict {
    if !p.initiated {
        apply(p, None, |n| {
            n.initiated = true;
            n.intended = a;
        })
    } else {
        Reject("already_initiated")
    }
}

fn authorized(p: &Payment, a: i128) -> Verdict {
    if p.authorized == 0 { apply(p, None, |n| n.authorized = a) } else { Reject("already_authorized") }
}

fn declined(p: &Payment) -> Verdict {
    if p.authorized == 0 { apply(p, None, |n| n.declined = true) } else { Reject("already_authorized") }
}

fn charged(p: &Payment, a: i128, event: &Content) -> Verdict {
    if p.authorized == 0 {
        apply(p, entry("psp_receivable", &merchant_payable(event)), |n| {
            n.authorized = a;
            n.captured = a;
        })
    } else {
        Reject("already_authorized")
    }
}

fn captured(p: &Payment, a: i128, event: &Content) -> Verdict {
    if a <= p.open() {
        apply(p, entry("psp_receivable", &merchant_payable(event)), |n| {
            n.captured += a;
        })
    } else if p.authorized == 0 {
        Park("missing_authorization")
    } else {
        Reject("capture_exceeds_authorized")
    }
}

fn voided(p: &Payment, a: i128) -> Verdict {
    if a <= p.open() {
        apply(p, None, |n| n.voided += a)
    } else if p.authorized == 0 {
        Park("missing_authorization")
    } else {
        Reject("void_exceeds_authorized")
    }
}

fn expired(p: &Payment, a: i128) -> Verdict {
    if p.open() > 0 && (a == 0 || a == p.open()) {
        apply(p, None, |n| n.voided += p.open())
    } else if p.authorized == 0 {
        Park("missing_authorization")
    } else if p.open() == 0 {
        Reject("authorization_closed")
    } else {
        Reject("amount_mismatch")
    }
}

fn adjusted(p: &Payment, a: i128) -> Verdict {
    if p.open() > 0 && a >= p.captured + p.voided {
        apply(p, None, |n| n.authorized = a)
    } else if p.authorized == 0 {
        Park("missing_authorization")
    } else if p.open() == 0 {
        Reject("authorization_closed")
    } else {
        Reject("adjust_below_captured")
    }
}

fn refund_initiated(p: &Payment, a: i128, event: &Content) -> Verdict {
    match operation(p, event) {
        Some(known) if known.kind != Kind::Refund => Reject("operation_conflict"),
        // Succeeded without it. (Pending or failed means that a refund.initiated was applied: rule 7 answers that.)
        Some(known) if known.amount_minor == a => Duplicate,
        Some(_) => Reject("operation_conflict"),
        None if p.refunded + p.refund_pending + a <= p.captured => {
            apply(p, entry(&merchant_payable(event), "refunds_in_transit"), |n| {
                n.refund_pending += a;
                note(n, event, Kind::Refund, OperationStatus::Pending);
            })
        }
        None => see_below(p, "refund_exceeds_captured"),
    }
}

fn refund_succeeded(p: &Payment, a: i128, event: &Content) -> Verdict {
    match operation(p, event) {
        Some(known) if known.kind != Kind::Refund => Reject("operation_conflict"),
        Some(known) if known.status != OperationStatus::Pending => Reject("operation_closed"),
        Some(known) if known.amount_minor != a => Reject("amount_mismatch"),
        Some(_) => apply(p, entry("refunds_in_transit", "psp_receivable"), |n| {
            n.refund_pending -= a;
            n.refunded += a;
            note(n, event, Kind::Refund, OperationStatus::Succeeded);
        }),
        // Operation unknown or none.
        None if p.refunded + p.refund_pending + a <= p.captured => {
            apply(p, entry(&merchant_payable(event), "psp_receivable"), |n| {
                n.refunded += a;
                note(n, event, Kind::Refund, OperationStatus::Succeeded);
            })
        }
        None => see_below(p, "refund_exceeds_captured"),
    }
}

fn refund_failed(p: &Payment, a: i128, event: &Content) -> Verdict {
    match operation(p, event) {
        None => Park("missing_operation"),
        Some(known) if known.kind != Kind::Refund => Reject("operation_conflict"),
        Some(known) if known.status != OperationStatus::Pending => Reject("operation_closed"),
        Some(known) if known.amount_minor != a => Reject("amount_mismatch"),
        Some(_) => apply(p, entry("refunds_in_transit", &merchant_payable(event)), |n| {
            n.refund_pending -= a;
            note(n, event, Kind::Refund, OperationStatus::Failed);
        }),
    }
}

fn refund_unreferenced(p: &Payment, a: i128, event: &Content) -> Verdict {
    if p.is_known() {
        return Reject("payment_exists");
    }
    apply(p, entry(&merchant_payable(event), "psp_receivable"), |n| {
        n.credit = true;
        n.refunded = a;
        note(n, event, Kind::Refund, OperationStatus::Succeeded);
    })
}

fn dispute_opened(p: &Payment, a: i128, event: &Content) -> Verdict {
    if operation(p, event).is_some() {
        Reject("operation_conflict")
    } else if p.disputed + p.lost + a <= p.captured {
        apply(p, entry("dispute_receivable", "psp_receivable"), |n| {
            n.disputed += a;
            note(n, event, Kind::Dispute, OperationStatus::Open);
        })
    } else {
        see_below(p, "dispute_exceeds_captured")
    }
}

fn dispute_won(p: &Payment, a: i128, event: &Content) -> Verdict {
    close_dispute(p, a, event).unwrap_or_else(|| {
        apply(p, entry("psp_receivable", "dispute_receivable"), |n| {
            n.disputed -= a;
            note(n, event, Kind::Dispute, OperationStatus::Won);
        })
    })
}

fn dispute_lost(p: &Payment, a: i128, event: &Content) -> Verdict {
    close_dispute(p, a, event).unwrap_or_else(|| {
        apply(p, entry(&merchant_payable(event), "dispute_receivable"), |n| {
            n.disputed -= a;
            n.lost += a;
            note(n, event, Kind::Dispute, OperationStatus::Lost);
        })
    })
}

/// Why the dispute cannot be closed by this event, if so.
fn close_dispute(p: &Payment, a: i128, event: &Content) -> Option<Verdict> {
    match operation(p, event) {
        None => Some(Park("missing_operation")),
        Some(known) if known.kind != Kind::Dispute => Some(Reject("operation_conflict")),
        Some(known) if known.status != OperationStatus::Open => Some(Reject("operation_closed")),
        Some(known) if known.amount_minor != a => Some(Reject("amount_mismatch")),
        Some(_) => None,
    }
}

fn fee_charged(p: &Payment, a: i128, event: &Content) -> Verdict {
    if p.captured > 0 {
        apply(p, entry(&merchant_payable(event), "fee_revenue"), |n| {
            n.fees += a;
        })
    } else {
        see_below(p, "nothing_captured")
    }
}

/// "Nothing captured yet and something may still be (authorized = 0 or open > 0): parked; otherwise" by name.
fn see_below(p: &Payment, otherwise: &'static str) -> Verdict {
    if p.captured == 0 && (p.authorized == 0 || p.open() > 0) { Park("missing_capture") } else { Reject(otherwise) }
}

fn apply(p: &Payment, entry: Option<Entry>, change: impl FnOnce(&mut Payment)) -> Verdict {
    let mut next = p.clone();
    change(&mut next);
    Verdict::Apply(Box::new(next), entry)
}

fn entry(debit: &str, credit: &str) -> Option<Entry> {
    Some(Entry { debit: debit.to_owned(), credit: credit.to_owned() })
}

fn merchant_payable(event: &Content) -> String {
    let merchant =
        event.merchant_id.as_deref().expect("a rule of form: every type with a ledger entry names a merchant");
    format!("merchant_payable:{merchant}")
}

fn operation(p: &Payment, event: &Content) -> Option<Operation> {
    let id: Uuid = event.operation_id?;
    p.operations.get(&id).copied()
}

/// Remembers the operation, if the event names one.
fn note(next: &mut Payment, event: &Content, kind: Kind, status: OperationStatus) {
    if let Some(id) = event.operation_id {
        let amount_minor = i128::from(event.amount_minor);
        next.operations.insert(id, Operation { kind, status, amount_minor });
    }
}
