//! Lateness: in which order a payment's steps are published, where that is not the order in which they happened.
//!
//! Only what the design resolves in one way: a predecessor that comes late parks those that need it and then drains
//! them in their order, numbered payments come in any order at all, and some steps commute. An unnumbered payment
//! has at most one late step, because two could meet. Everything else is left alone on purpose.

use rand::Rng;
use rand::rngs::StdRng;

use crate::event::EventType::{self, *};
use crate::life::{Fate, Payment, Step};

/// The order of publication: indexes into the payment's steps, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub indexes: Vec<u8>,
    /// How many steps are published after one that happened later.
    pub late: u64,
    /// How many are parked when they arrive and applied once what they wait for has come.
    pub drained: u64,
}

impl Order {
    /// Everything as it happened.
    pub fn as_happened(payment: &Payment) -> Self {
        Self { indexes: (0..step_count(payment)).collect(), late: 0, drained: 0 }
    }

    /// Something late, or `None` where this payment offers nothing. A refund whose success overtakes its initiation
    /// makes the initiation a duplicate: the payment's step is marked so.
    pub fn disturbed(rng: &mut StdRng, payment: &mut Payment) -> Option<Self> {
        if payment.numbered { numbered(rng, payment) } else { unnumbered(rng, payment) }
    }
}

fn step_count(payment: &Payment) -> u8 {
    u8::try_from(payment.steps.len()).expect("a life has a few dozen steps at most: the loops in `life` are bounded")
}

/// Any order will do: rules 3 and 4 restore it.
fn numbered(rng: &mut StdRng, payment: &Payment) -> Option<Order> {
    let count = step_count(payment);
    if count < 2 {
        return None;
    }
    let mut indexes: Vec<u8> = (0..count).collect();
    if rng.random_bool(0.2) {
        for last in (1..indexes.len()).rev() {
            indexes.swap(last, rng.random_range(0..=last));
        }
    } else {
        let from = rng.random_range(0..indexes.len() - 1);
        let past = rng.random_range(from + 1..indexes.len());
        indexes[from..=past].rotate_left(1);
    }
    let (mut next, mut waiting, mut parked) = (0, Vec::new(), 0);
    for &index in &indexes {
        if index > next {
            parked += 1;
            waiting.push(index);
            continue;
        }
        next += 1;
        while let Some(found) = waiting.iter().position(|&number| number == next) {
            waiting.swap_remove(found);
            next += 1;
        }
    }
    let late = late_count(&indexes);
    (late > 0).then_some(Order { indexes, late, drained: parked })
}

fn late_count(indexes: &[u8]) -> u64 {
    let mut newest = None;
    let mut late = 0;
    for &index in indexes {
        late += u64::from(newest > Some(index));
        newest = newest.max(Some(index));
    }
    late
}

/// A step that may be published late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Move {
    from: usize,
    /// It may come after any step up to this one.
    past_max: usize,
    /// It comes after at least this one.
    past_min: usize,
    effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Every step that overtakes it waits for it.
    ParksAll,
    /// Only the last step that overtakes it waits for it.
    ParksLast,
    /// It commutes with those that overtake it.
    Nothing,
    /// The refund succeeded without it: it comes as a duplicate.
    BecomesDuplicate,
}

fn unnumbered(rng: &mut StdRng, payment: &mut Payment) -> Option<Order> {
    let moves: Vec<Move> = (0..payment.steps.len()).filter_map(|from| late_move(&payment.steps, from)).collect();
    if moves.is_empty() {
        return None;
    }
    let Move { from, past_min, past_max, effect } = moves[rng.random_range(0..moves.len())];
    let past = rng.random_range(past_min..=past_max);
    let drained = match effect {
        Effect::ParksAll => past - from,
        Effect::ParksLast => 1,
        Effect::Nothing => 0,
        Effect::BecomesDuplicate => {
            payment.steps[from].fate = Fate::Duplicate;
            0
        }
    };
    let mut indexes: Vec<u8> = (0..step_count(payment)).collect();
    indexes[from..=past].rotate_left(1);
    Some(Order { indexes, late: 1, drained: drained as u64 })
}

/// How late the step may come, with the reason in the design's table.
fn late_move(steps: &[Step], from: usize) -> Option<Move> {
    let last = steps.len() - 1;
    let up_to =
        |past_max: usize, effect| (past_max > from).then_some(Move { from, past_min: from + 1, past_max, effect });
    let ending = |kinds: &[EventType]| {
        let found = (from + 1..=last)
            .find(|&i| kinds.contains(&steps[i].kind) && steps[i].operation == steps[from].operation)?;
        Some((found, steps[found].kind))
    };
    match steps[from].kind {
        // Applies whatever else came first, and nothing waits for it.
        PaymentInitiated => up_to(last, Effect::Nothing),
        // Authorized = 0: captures, voids, expiries, adjustments, refunds, disputes and fees all wait.
        PaymentAuthorized | PaymentCharged => up_to(last, Effect::ParksAll),
        PaymentCaptured => late_capture(steps, from),
        // Needs something captured, which never ends. The last closing of what is open: nothing follows that asks.
        FeeCharged | PaymentVoided | PaymentExpired => {
            let settled = steps[from + 1..].iter().all(|step| is_settlement(step.kind));
            up_to(if settled { last } else { from }, Effect::Nothing)
        }
        RefundInitiated => {
            let (past, kind) = ending(&[RefundSucceeded, RefundFailed])?;
            let effect = if kind == RefundFailed { Effect::ParksLast } else { Effect::BecomesDuplicate };
            Some(Move { from, past_min: past, past_max: past, effect })
        }
        DisputeOpened => {
            let (past, _) = ending(&[DisputeWon, DisputeLost])?;
            Some(Move { from, past_min: past, past_max: past, effect: Effect::ParksLast })
        }
        _ => None,
    }
}

/// The first capture is waited for by what settles it, as long as no other capture or closing comes between; two
/// captures in a row commute.
fn late_capture(steps: &[Step], from: usize) -> Option<Move> {
    let is_first = !steps[..from].iter().any(|step| step.kind == PaymentCaptured);
    let followers = &steps[from + 1..];
    let settling = followers.iter().take_while(|step| is_settlement(step.kind)).count();
    if is_first && settling > 0 {
        return Some(Move { from, past_min: from + 1, past_max: from + settling, effect: Effect::ParksAll });
    }
    let commutes = followers.first().is_some_and(|step| step.kind == PaymentCaptured);
    commutes.then_some(Move { from, past_min: from + 1, past_max: from + 1, effect: Effect::Nothing })
}

fn is_settlement(kind: EventType) -> bool {
    matches!(
        kind,
        RefundInitiated | RefundSucceeded | RefundFailed | DisputeOpened | DisputeWon | DisputeLost | FeeCharged
    )
}
