//! One step too many: an event that breaks exactly one rule, after everything else about its payment.
//!
//! Because it is the last of its payment, what it meets is the sum of the steps, and the reason is known for certain.
//! Reasons that depend on how two partitions race (two users under one payment id) are left out on purpose.

use rand::Rng;
use rand::rngs::StdRng;

use crate::event::EventType::{self, *};
use crate::life::{Fate, Operation, Payment, Step, Twist};

/// An operation that no step of the payment names.
const UNKNOWN: Operation = Operation::Number(u8::MAX);

/// Adds the step too many. The caller publishes it after all others.
pub(crate) fn add_mistake(rng: &mut StdRng, payment: &mut Payment) {
    let mut candidates = Candidates { steps: Vec::new(), more: rng.random_range(1..500) };
    if payment.steps.is_empty() {
        candidates.of_nothing();
    } else if payment.sums.credit {
        candidates.of_credit();
    } else {
        candidates.of_authorization(payment);
        candidates.of_captured(payment);
        candidates.of_operations(payment);
        candidates.of_identity(payment);
    }
    let mut step = candidates.steps.swap_remove(rng.random_range(0..candidates.steps.len()));
    step.at_lines = payment.steps.last().map_or(0, |last| last.at_lines) + rng.random_range(1..300);
    if payment.numbered {
        step.sequence = Some(number_of(rng, &mut step.fate, payment.steps.len()));
    }
    payment.steps.push(step);
}

/// Its number is the next one, but for two mistakes that are about the number itself.
fn number_of(rng: &mut StdRng, fate: &mut Fate, used: usize) -> u32 {
    let used = u32::try_from(used).expect("a life has a few dozen steps at most");
    match rng.random_range(0..100) {
        // Rules 3 and 4 come before all that the candidates break, but for the window.
        0..10 if *fate != Fate::Rejected("outside_window") => {
            *fate = Fate::Rejected("sequence_conflict");
            rng.random_range(1..=used)
        }
        10..20 if *fate != Fate::Rejected("outside_window") => {
            *fate = Fate::Parked("missing_sequence");
            used + rng.random_range(2..5)
        }
        _ => used + 1,
    }
}

struct Candidates {
    steps: Vec<Step>,
    /// By how much an amount is wrong, in minor units.
    more: i64,
}

impl Candidates {
    fn add(&mut self, kind: EventType, amount_minor: i64, operation: Operation, fate: Fate) {
        let (at_lines, sequence, twist) = (0, None, Twist::Plain);
        self.steps.push(Step { kind, amount_minor, operation, at_lines, sequence, twist, fate });
    }

    fn twisted(&mut self, kind: EventType, twist: Twist, reason: &'static str) {
        self.add(kind, self.more, Operation::None, Fate::Rejected(reason));
        if let Some(step) = self.steps.last_mut() {
            step.twist = twist;
        }
    }

    fn rejected(&mut self, kind: EventType, amount_minor: i64, reason: &'static str) {
        self.add(kind, amount_minor, Operation::None, Fate::Rejected(reason));
    }

    /// The events before them were lost by their publisher: they wait until the parking limit.
    fn of_nothing(&mut self) {
        for kind in [PaymentCaptured, PaymentVoided, PaymentAdjusted] {
            self.add(kind, self.more, Operation::None, Fate::Parked("missing_authorization"));
        }
        self.add(PaymentExpired, 0, Operation::None, Fate::Parked("missing_authorization"));
        for kind in [FeeCharged, RefundInitiated, RefundSucceeded, DisputeOpened] {
            self.add(kind, self.more, UNKNOWN, Fate::Parked("missing_capture"));
        }
        for kind in [RefundFailed, DisputeWon, DisputeLost] {
            self.add(kind, self.more, UNKNOWN, Fate::Parked("missing_operation"));
        }
    }

    fn of_credit(&mut self) {
        for kind in [PaymentInitiated, PaymentCharged, FeeCharged, RefundSucceeded, RefundUnreferenced] {
            self.rejected(kind, self.more, "is_credit");
        }
        self.twisted(RefundUnreferenced, Twist::OtherCurrency, "currency_mismatch");
    }

    fn of_authorization(&mut self, payment: &Payment) {
        let (sums, more) = (payment.sums, self.more);
        if sums.initiated {
            self.rejected(PaymentInitiated, more, "already_initiated");
        }
        if sums.authorized == 0 {
            for kind in [PaymentCaptured, PaymentVoided, PaymentAdjusted] {
                self.add(kind, more, Operation::None, Fate::Parked("missing_authorization"));
            }
            return;
        }
        for kind in [PaymentAuthorized, PaymentDeclined, PaymentCharged] {
            self.rejected(kind, more, "already_authorized");
        }
        self.rejected(PaymentCaptured, sums.open() + more, "capture_exceeds_authorized");
        self.rejected(PaymentVoided, sums.open() + more, "void_exceeds_authorized");
        if sums.open() == 0 {
            self.rejected(PaymentAdjusted, sums.authorized + more, "authorization_closed");
            self.rejected(PaymentExpired, 0, "authorization_closed");
        } else {
            self.rejected(PaymentExpired, sums.open() + more, "amount_mismatch");
            if sums.captured + sums.voided > 1 {
                self.rejected(PaymentAdjusted, sums.captured + sums.voided - 1, "adjust_below_captured");
            }
        }
    }

    fn of_captured(&mut self, payment: &Payment) {
        let (sums, more) = (payment.sums, self.more);
        if sums.captured > 0 {
            let (refund, dispute) = (sums.refundable() + more, sums.disputable() + more);
            self.rejected(RefundSucceeded, refund, "refund_exceeds_captured");
            self.add(RefundInitiated, refund, UNKNOWN, Fate::Rejected("refund_exceeds_captured"));
            self.add(DisputeOpened, dispute, UNKNOWN, Fate::Rejected("dispute_exceeds_captured"));
            for kind in [RefundFailed, DisputeWon, DisputeLost] {
                self.add(kind, more, UNKNOWN, Fate::Parked("missing_operation"));
            }
        } else if sums.authorized > 0 && sums.open() == 0 {
            self.rejected(FeeCharged, more, "nothing_captured");
            self.rejected(RefundSucceeded, more, "refund_exceeds_captured");
            self.add(DisputeOpened, more, UNKNOWN, Fate::Rejected("dispute_exceeds_captured"));
        } else {
            for kind in [FeeCharged, RefundInitiated, DisputeOpened] {
                self.add(kind, more, UNKNOWN, Fate::Parked("missing_capture"));
            }
        }
    }

    fn of_operations(&mut self, payment: &Payment) {
        let is_applied = |kind, operation| {
            payment.steps.iter().any(|s| s.kind == kind && s.operation == operation && s.fate == Fate::Applied)
        };
        let named = |step: &&Step| step.operation != Operation::None && step.fate == Fate::Applied;
        for step in payment.steps.iter().filter(named) {
            let (kind, amount, operation) = (step.kind, step.amount_minor, step.operation);
            // Rule 7: the same operation and type under another event id.
            self.add(kind, amount, operation, Fate::Duplicate);
            self.add(kind, amount + self.more, operation, Fate::Rejected("operation_conflict"));
            let closed = Fate::Rejected("operation_closed");
            let mismatch = Fate::Rejected("amount_mismatch");
            match kind {
                RefundSucceeded => self.add(RefundFailed, amount, operation, closed),
                DisputeWon => self.add(DisputeLost, amount, operation, closed),
                DisputeLost => self.add(DisputeWon, amount, operation, closed),
                RefundInitiated if !is_applied(RefundSucceeded, operation) && !is_applied(RefundFailed, operation) => {
                    self.add(RefundSucceeded, amount + self.more, operation, mismatch);
                    self.add(RefundFailed, amount + self.more, operation, mismatch);
                }
                DisputeOpened if !is_applied(DisputeWon, operation) && !is_applied(DisputeLost, operation) => {
                    self.add(DisputeLost, amount + self.more, operation, mismatch);
                }
                _ => {}
            }
        }
    }

    fn of_identity(&mut self, payment: &Payment) {
        self.rejected(RefundUnreferenced, self.more, "payment_exists");
        self.twisted(PaymentCharged, Twist::OtherCurrency, "currency_mismatch");
        self.twisted(PaymentInitiated, Twist::Ancient, "outside_window");
        if payment.sums.captured > 0 {
            self.twisted(PaymentCharged, Twist::OtherMerchant, "merchant_mismatch");
        }
    }
}
