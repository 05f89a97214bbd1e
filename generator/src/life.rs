//! The life of one payment, planned whole: a sequence of steps that is valid by construction, and what they sum up to.
//!
//! There is no judging here and nothing can be refused: each step is chosen so that it applies after those before it.
//! Lateness is added by `disorder`, a step too many by `mistakes`.

use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::event::{Currency, EventType};

/// The longest life of a payment in the stream, in lines. It bounds how many payments are in flight at once.
pub const LIFE_LINES_MAX: u64 = 20_000;

/// One payment with everything that will be published about it, in the order in which it happens.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub user: u32,
    pub merchant: u32,
    pub currency: Currency,
    pub numbered: bool,
    pub steps: Vec<Step>,
    /// What the applied steps sum up to.
    pub sums: Sums,
}

/// One event to be.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub kind: EventType,
    pub amount_minor: i64,
    pub operation: Operation,
    /// When it happens, in lines after the payment's first step.
    pub at_lines: u64,
    pub sequence: Option<u32>,
    pub twist: Twist,
    pub fate: Fate,
}

/// Names a payment's operations before they have ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    None,
    Number(u8),
}

/// What becomes of an event in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Applied,
    Duplicate,
    Rejected(&'static str),
    Parked(&'static str),
}

/// What is odd about an event beside its type and amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twist {
    Plain,
    OtherCurrency,
    OtherMerchant,
    /// An id and a time of 1971, outside every sensible window.
    Ancient,
}

/// Sums of a payment's applied steps, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub authorized: i64,
    pub captured: i64,
    pub voided: i64,
    pub refund_pending: i64,
    pub refunded: i64,
    pub disputed: i64,
    pub lost: i64,
    pub initiated: bool,
    pub declined: bool,
    pub credit: bool,
}

impl Sums {
    pub fn open(&self) -> i64 {
        self.authorized - self.captured - self.voided
    }

    pub fn refundable(&self) -> i64 {
        self.captured - self.refunded - self.refund_pending
    }

    pub fn disputable(&self) -> i64 {
        self.captured - self.disputed - self.lost
    }

    /// The design's status, first match.
    pub fn status(&self) -> &'static str {
        match self {
            s if s.credit => "credit",
            s if s.disputed > 0 => "disputed",
            s if s.lost > 0 => "charged_back",
            s if s.captured > 0 && s.refunded >= s.captured => "refunded",
            s if s.captured > 0 && s.refunded > 0 => "partially_refunded",
            s if s.captured > 0 && s.open() == 0 => "captured",
            s if s.captured > 0 => "partially_captured",
            s if s.authorized > 0 && s.open() == 0 => "voided",
            s if s.authorized > 0 => "authorized",
            s if s.declined => "declined",
            _ => "initiated",
        }
    }
}

/// The life of a payment of the `lifecycle` profile. Chances are per cent of what reaches the choice.
pub(crate) fn life_cycle(rng: &mut StdRng, user: u32, merchant: u32, numbered: bool) -> Payment {
    let mut life = Life::new(rng, user, merchant);
    match life.rng.random_range(0..100) {
        0..34 => life.charge(),
        34..89 => life.authorize_and_capture(),
        89..95 => life.be_declined(),
        95..97 => life.credit(),
        _ => life.abandon(),
    }
    life.finish(numbered)
}

/// The life of a payment of the `charges` profile, and what fills up the last lines.
pub(crate) fn single_charge(rng: &mut StdRng, user: u32, merchant: u32) -> Payment {
    let mut life = Life::new(rng, user, merchant);
    let amount = life.price;
    life.step(EventType::PaymentCharged, amount, Operation::None, NOW);
    life.finish(false)
}

/// A payment of which nothing was published yet that could be applied: `mistakes` gives it its only step.
pub(crate) fn nothing(rng: &mut StdRng, user: u32, merchant: u32) -> Payment {
    Life::new(rng, user, merchant).finish(false)
}

/// Lines between a step and the one before it.
type Pause = std::ops::Range<u64>;
const NOW: Pause = 0..1;
const SOON: Pause = 1..12;
const LATER: Pause = 20..600;
const DAYS: Pause = 200..4_000;

struct Life<'r> {
    rng: &'r mut StdRng,
    payment: Payment,
    price: i64,
    operations: u8,
}

impl<'r> Life<'r> {
    fn new(rng: &'r mut StdRng, user: u32, merchant: u32) -> Self {
        let currency = match rng.random_range(0..100) {
            0..38 => Currency::Gbp,
            38..63 => Currency::Eur,
            63..85 => Currency::Usd,
            85..94 => Currency::Jpy,
            _ => Currency::Kwd,
        };
        let pence = rng.random_range(50..2_500) * [1, 1, 1, 2, 5, 20][rng.random_range(0..6)];
        let price = match currency {
            Currency::Gbp | Currency::Eur | Currency::Usd => pence,
            Currency::Jpy => pence * 2,
            Currency::Kwd => pence * 4,
        };
        let payment = Payment { user, merchant, currency, numbered: false, steps: Vec::new(), sums: Sums::default() };
        Self { rng, payment, price, operations: 0 }
    }

    fn finish(mut self, numbered: bool) -> Payment {
        self.payment.numbered = numbered;
        if numbered {
            for (step, number) in self.payment.steps.iter_mut().zip(1..) {
                step.sequence = Some(number);
            }
        }
        self.payment
    }

    fn charge(&mut self) {
        if self.chance(40) {
            self.step(EventType::PaymentInitiated, self.price, Operation::None, NOW);
        }
        self.step(EventType::PaymentCharged, self.price, Operation::None, SOON);
        self.settle();
    }

    fn be_declined(&mut self) {
        self.step(EventType::PaymentInitiated, self.price, Operation::None, NOW);
        for _ in 0..self.rng.random_range(1..=3) {
            self.decline();
        }
    }

    fn abandon(&mut self) {
        let intended = if self.chance(20) { 0 } else { self.price };
        self.step(EventType::PaymentInitiated, intended, Operation::None, NOW);
    }

    fn credit(&mut self) {
        let operation = if self.chance(50) { self.operation() } else { Operation::None };
        self.step(EventType::RefundUnreferenced, self.price, operation, NOW);
    }

    fn authorize_and_capture(&mut self) {
        if self.chance(85) {
            self.step(EventType::PaymentInitiated, self.price, Operation::None, NOW);
        }
        while self.chance(8) && self.payment.steps.len() < 4 {
            self.decline();
        }
        self.step(EventType::PaymentAuthorized, self.price, Operation::None, SOON);
        if self.chance(6) {
            let total = (self.price * self.rng.random_range(60..140) / 100).max(1);
            self.step(EventType::PaymentAdjusted, total, Operation::None, LATER);
        }
        match self.rng.random_range(0..100) {
            0..76 => self.capture(self.payment.sums.open(), 5),
            76..88 => self.capture_in_parts(),
            88..94 => self.void(),
            94..97 => self.expire(),
            _ => return,
        }
        if self.payment.sums.captured > 0 {
            self.settle();
        }
    }

    fn capture_in_parts(&mut self) {
        for part in 0..self.rng.random_range(1..=3) {
            let open = self.payment.sums.open();
            if open < 2 {
                break;
            }
            let amount = self.rng.random_range(1..open);
            self.capture(amount, 60);
            if part == 0 && self.chance(15) {
                let total = self.payment.sums.authorized + self.rng.random_range(1..=self.price);
                self.step(EventType::PaymentAdjusted, total, Operation::None, LATER);
            }
        }
        match self.rng.random_range(0..100) {
            0..35 if self.payment.sums.open() > 0 => self.capture(self.payment.sums.open(), 60),
            35..60 if self.payment.sums.captured > 0 => self.void(),
            60..80 if self.payment.sums.captured > 0 => self.expire(),
            _ => {}
        }
    }

    /// What happens to captured money: fees, refunds, disputes.
    fn settle(&mut self) {
        if self.chance(50) {
            let fee = (self.payment.sums.captured * self.rng.random_range(1..4) / 100).max(1);
            let operation = if self.chance(50) { self.operation() } else { Operation::None };
            self.step(EventType::FeeCharged, fee, operation, SOON);
        }
        if self.chance(14) {
            for _ in 0..self.rng.random_range(1..=3) {
                let left = self.payment.sums.refundable();
                if left == 0 {
                    break;
                }
                let amount = if self.chance(50) { left } else { self.rng.random_range(1..=left) };
                self.refund(amount);
            }
        }
        if self.chance(5) {
            self.dispute();
        }
    }

    fn refund(&mut self, amount: i64) {
        let operation = self.operation();
        match self.rng.random_range(0..100) {
            0..48 => {
                self.step(EventType::RefundInitiated, amount, operation, DAYS);
                self.step(EventType::RefundSucceeded, amount, operation, LATER);
            }
            48..64 => {
                self.step(EventType::RefundInitiated, amount, operation, DAYS);
                self.step(EventType::RefundFailed, amount, operation, LATER);
            }
            64..72 => self.step(EventType::RefundInitiated, amount, operation, DAYS),
            72..88 => self.step(EventType::RefundSucceeded, amount, operation, DAYS),
            _ => self.step(EventType::RefundSucceeded, amount, Operation::None, DAYS),
        }
    }

    fn dispute(&mut self) {
        let operation = self.operation();
        let captured = self.payment.sums.captured;
        let amount = if self.chance(70) { captured } else { self.rng.random_range(1..=captured) };
        self.step(EventType::DisputeOpened, amount, operation, DAYS);
        match self.rng.random_range(0..100) {
            0..40 => self.step(EventType::DisputeWon, amount, operation, DAYS),
            40..80 => self.step(EventType::DisputeLost, amount, operation, DAYS),
            _ => {}
        }
    }

    fn decline(&mut self) {
        let amount = if self.chance(20) { 0 } else { self.price };
        self.step(EventType::PaymentDeclined, amount, Operation::None, SOON);
    }

    fn capture(&mut self, amount: i64, operation_chance: u32) {
        let operation = if self.chance(operation_chance) { self.operation() } else { Operation::None };
        self.step(EventType::PaymentCaptured, amount, operation, LATER);
    }

    fn void(&mut self) {
        let open = self.payment.sums.open();
        if open > 0 {
            let amount = if self.chance(90) { open } else { self.rng.random_range(1..=open) };
            self.step(EventType::PaymentVoided, amount, Operation::None, LATER);
        }
    }

    fn expire(&mut self) {
        let open = self.payment.sums.open();
        if open > 0 {
            let amount = if self.chance(50) { 0 } else { open };
            self.step(EventType::PaymentExpired, amount, Operation::None, DAYS);
        }
    }

    fn chance(&mut self, per_cent: u32) -> bool {
        self.rng.random_range(0..100) < per_cent
    }

    fn operation(&mut self) -> Operation {
        self.operations += 1;
        Operation::Number(self.operations)
    }

    /// Adds a step that applies after those before it, and adds it to the sums.
    fn step(&mut self, kind: EventType, amount_minor: i64, operation: Operation, pause: Pause) {
        let before = self.payment.steps.last().map_or(0, |step| step.at_lines);
        let at_lines = (before + self.rng.random_range(pause)).min(LIFE_LINES_MAX);
        self.payment.sums.add(
            kind,
            amount_minor,
            self.payment
                .steps
                .iter()
                .any(|step| step.kind == EventType::RefundInitiated && step.operation == operation),
        );
        let (sequence, twist, fate) = (None, Twist::Plain, Fate::Applied);
        self.payment.steps.push(Step { kind, amount_minor, operation, at_lines, sequence, twist, fate });
    }
}

impl Sums {
    /// Adds up. `was_pending`: the refund was initiated before, so that its success or failure ends what pends.
    fn add(&mut self, kind: EventType, amount: i64, was_pending: bool) {
        match kind {
            EventType::PaymentInitiated => self.initiated = true,
            EventType::PaymentDeclined => self.declined = true,
            EventType::PaymentAuthorized | EventType::PaymentAdjusted => self.authorized = amount,
            EventType::PaymentCaptured => self.captured += amount,
            EventType::PaymentCharged => (self.authorized, self.captured) = (amount, amount),
            EventType::PaymentVoided => self.voided += amount,
            EventType::PaymentExpired => self.voided += self.open(),
            EventType::RefundInitiated => self.refund_pending += amount,
            EventType::RefundSucceeded => {
                self.refunded += amount;
                self.refund_pending -= if was_pending { amount } else { 0 };
            }
            EventType::RefundFailed => self.refund_pending -= amount,
            EventType::RefundUnreferenced => (self.credit, self.refunded) = (true, amount),
            EventType::DisputeOpened => self.disputed += amount,
            EventType::DisputeWon => self.disputed -= amount,
            EventType::DisputeLost => {
                self.disputed -= amount;
                self.lost += amount;
            }
            EventType::FeeCharged => {}
        }
    }
}

impl Payment {
    /// Whether the step's refund was initiated by an earlier step that is applied.
    pub fn refund_was_pending(&self, index: usize) -> bool {
        let step = &self.steps[index];
        self.steps[..index].iter().any(|earlier| {
            earlier.kind == EventType::RefundInitiated
                && earlier.operation == step.operation
                && earlier.fate == Fate::Applied
        })
    }
}

/// The ids of a payment's operations follow from one random number, so that a plan stays small.
pub(crate) fn operation_id(base: Uuid, operation: Operation) -> Option<Uuid> {
    match operation {
        Operation::None => None,
        Operation::Number(number) => Some(Uuid::from_u128(base.as_u128() ^ u128::from(number))),
    }
}
