//! A payment with the events that are parked for it: rules 3 to 8, draining, and the parking limit.
//!
//! One lane owns a book while it holds the fence. Looking ids up (rule 2) and writing what came of it are left
//! to the lane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Event;
use crate::ids::{EventId, Micros, OperationId, Position, UserId};
use crate::payment::Payment;
use crate::posting::Transfer;
use crate::reason::{Parking, Rejection};
use crate::table::{self, Verdict};

/// A parked event and what it waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parked {
    /// The event.
    pub event: Arc<Event>,
    /// Where its record stands.
    pub position: Position,
    /// What it waits for.
    pub waits_for: Parking,
    /// When it was parked.
    pub since: Micros,
}

impl Parked {
    fn is_past_rule_4(&self) -> bool {
        self.waits_for != Parking::MissingSequence
    }

    fn has_used_its_number(&self) -> bool {
        self.is_past_rule_4() && self.event.sequence.is_some()
    }
}

/// The order in which parked events are judged: numbered ones by sequence, then the others by offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Turn {
    numbered: Numbered,
    position: Position,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Numbered {
    Yes(i64),
    No,
}

impl Turn {
    fn of(event: &Event, position: Position) -> Turn {
        Turn { numbered: event.sequence.map_or(Numbered::No, Numbered::Yes), position }
    }
}

/// Whether an event's sequence number is held against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numbering {
    /// Rules 3 and 4 hold.
    Judged,
    /// A redriven event whose dead letter says that its number was used up by itself: rules 3 and 4 do not hold.
    UsedByItself,
}

/// An event past rule 2, as it comes off the topic.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The event.
    pub event: Arc<Event>,
    /// Where its record stands.
    pub position: Position,
    /// When the lane judges it: the start of its parking, if it is parked.
    pub now: Micros,
    /// Whether its number is held against it.
    pub numbering: Numbering,
}

/// What became of one event, in the order in which it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The event.
    pub event: Arc<Event>,
    /// Where its record stands.
    pub position: Position,
    /// Whether it was parked before: then its record was counted as parked, and this counts as drained.
    pub drained: bool,
    /// Its disposition.
    pub became: Became,
}

/// The disposition of an event, with what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Became {
    /// It was applied as this version of its payment.
    Applied {
        /// The payment's version after it.
        version: i64,
        /// The ledger row, where money moved.
        transfer: Option<Transfer>,
    },
    /// It says again what another event said.
    Duplicate,
    /// It waits, or (drained) now waits for something else.
    Parked(Parking),
    /// It is a dead letter.
    Rejected {
        /// Why.
        reason: Rejection,
        /// Whether its sequence number is used up, now or before.
        number_used: bool,
    },
}

/// What a disposition writes of the event's own: the database may refuse the one and take the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    /// It is applied: its row in the event log, and what follows from it.
    Applied,
    /// It is parked: its record as it came.
    Parked,
}

/// Rows that are not to be written, by the place of their records: an event that would write one is rejected.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Refusals {
    /// Those that the database refused.
    pub refused: BTreeSet<(Position, Row)>,
    /// If given, all but these: what the database says of some rows, without those that they would make possible.
    pub all_but: Option<BTreeSet<(Position, Row)>>,
}

impl Refusals {
    fn refuse(&self, position: Position, row: Row) -> bool {
        let key = (position, row);
        self.refused.contains(&key) || self.all_but.as_ref().is_some_and(|taken| !taken.contains(&key))
    }
}

/// A payment's state and what is parked for it in this lane.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Book {
    /// The fold of the applied events.
    pub payment: Payment,
    parked: BTreeMap<Turn, Parked>,
    /// Hardly ever there, so that it takes no more of a book than a pointer.
    exceptions: Option<Box<Exceptions>>,
}

/// What is known of some events beside the payment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Exceptions {
    refusals: Option<Arc<Refusals>>,
    /// Parked events under whose ids others were applied meanwhile, and whether those have the same content.
    standing: BTreeMap<EventId, bool>,
    /// Where events of an operation are parked. One that is being judged is not there meanwhile.
    by_operation: BTreeMap<OperationId, BTreeSet<Turn>>,
}

impl Book {
    /// The book of a payment as it was stored.
    pub fn new(payment: Payment, parked: impl IntoIterator<Item = Parked>) -> Book {
        let mut book = Book { payment, ..Book::default() };
        parked.into_iter().for_each(|parked| book.park(parked));
        book
    }

    /// What is parked, in the order in which it would be judged.
    pub fn parked(&self) -> impl ExactSizeIterator<Item = &Parked> {
        self.parked.values()
    }

    /// Judges an event that came off the topic, and then what was parked, if that moved.
    pub fn admit(&mut self, arrival: Arrival, outcomes: &mut Vec<Outcome>) {
        let Arrival { event, position, now, numbering } = arrival;
        let before = Moves::of(&self.payment);
        let mut became = match numbering {
            Numbering::Judged => self.judge_numbered(&event, position),
            Numbering::UsedByItself => self.settle(&event, position, true),
        };
        if let Became::Parked(waits_for) = became {
            // Only that it is kept at all can be refused: what is parked already may go on waiting, for whatever.
            if self.is_refused(position, Row::Parked) {
                let number_used = waits_for != Parking::MissingSequence && event.sequence.is_some();
                became = Became::Rejected { reason: Rejection::RefusedByStore, number_used };
            } else {
                self.park(Parked { event: event.clone(), position, waits_for, since: now });
            }
        }
        outcomes.push(Outcome { event, position, drained: false, became });
        if Moves::of(&self.payment) != before {
            self.drain(outcomes);
        }
    }

    fn park(&mut self, parked: Parked) {
        let turn = Turn::of(&parked.event, parked.position);
        if let Some(id) = parked.event.operation_id {
            self.exceptions.get_or_insert_default().by_operation.entry(id).or_default().insert(turn);
        }
        self.parked.insert(turn, parked);
    }

    /// Takes note that what was parked there left for good.
    fn left(&mut self, turn: Turn, event: &Event) {
        let (Some(id), Some(exceptions)) = (event.operation_id, &mut self.exceptions) else { return };
        if let Some(turns) = exceptions.by_operation.get_mut(&id) {
            turns.remove(&turn);
            if turns.is_empty() {
                exceptions.by_operation.remove(&id);
            }
        }
        if **exceptions == Exceptions::default() {
            self.exceptions = None;
        }
    }

    /// Rejects what other users than this one have parked, without a change of the payment: it is another lane's, and its
    /// numbers too.
    pub fn reject_foreign(&mut self, owner: &UserId, outcomes: &mut Vec<Outcome>) {
        let foreign: Vec<Turn> =
            self.parked.iter().filter(|(_, parked)| parked.event.user_id != *owner).map(|(turn, _)| *turn).collect();
        for turn in foreign {
            let Some(parked) = self.parked.remove(&turn) else { continue };
            self.left(turn, &parked.event);
            let became =
                Became::Rejected { reason: Rejection::OwnerMismatch, number_used: parked.has_used_its_number() };
            outcomes.push(Outcome { event: parked.event, position: parked.position, drained: true, became });
        }
    }

    /// From now on whoever would write one of these rows is rejected.
    pub fn refuse(&mut self, refusals: Arc<Refusals>) {
        self.exceptions.get_or_insert_default().refusals = Some(refusals);
    }

    /// Takes note that another lane applied an event under the id of this parked one, with the same content or other: by
    /// rule 2 it is a duplicate or rejected the next time that the parked events are judged.
    pub fn stands_elsewhere(&mut self, event_id: EventId, same: bool) {
        self.exceptions.get_or_insert_default().standing.insert(event_id, same);
    }

    /// Judges every parked event again, from the first after each that moves, until none does.
    pub fn drain(&mut self, outcomes: &mut Vec<Outcome>) {
        while let Some(outcome) = self.next_move() {
            outcomes.push(outcome);
        }
    }

    /// Rejects what was parked before `limit`, the earliest first, and drains what that moves.
    pub fn expire(&mut self, limit: Micros, outcomes: &mut Vec<Outcome>) {
        // What another lane did meanwhile comes first: an event that stands elsewhere is no less a duplicate for having waited
        // too long, and one whose number was used up there does not use it up.
        if self.parked.values().any(|parked| parked.waits_for == Parking::MissingSequence && self.may_move(parked))
            || self.exceptions.as_ref().is_some_and(|exceptions| !exceptions.standing.is_empty())
        {
            self.drain(outcomes);
        }
        while let Some((turn, reason)) = self.earliest_before(limit) {
            self.reject_parked(turn, reason, outcomes);
        }
    }

    fn earliest_before(&self, limit: Micros) -> Option<(Turn, Rejection)> {
        let expired = self.parked.iter().filter(|(_, p)| p.since < limit);
        let (turn, parked) = expired.min_by_key(|(_, p)| (p.since, p.position))?;
        Some((*turn, parked.waits_for.expired()))
    }

    fn reject_parked(&mut self, turn: Turn, reason: Rejection, outcomes: &mut Vec<Outcome>) {
        let Some(Parked { event, position, .. }) = self.parked.remove(&turn) else { return };
        self.left(turn, &event);
        let before = Moves::of(&self.payment);
        // The numbers up to its own are used up: whoever comes with one of them later is too late.
        let last = event.sequence.unwrap_or(0).max(self.payment.last_sequence);
        self.payment.last_sequence = last;
        let number_used = event.sequence.is_some();
        outcomes.push(Outcome { event, position, drained: true, became: Became::Rejected { reason, number_used } });
        if Moves::of(&self.payment) != before {
            self.drain(outcomes);
        }
    }

    /// The first parked event that does not simply go on waiting, and what became of it.
    fn next_move(&mut self) -> Option<Outcome> {
        let turns: Vec<Turn> = self.parked.iter().filter(|(_, p)| self.may_move(p)).map(|(turn, _)| *turn).collect();
        for turn in turns {
            // Out of the map while it is judged, so that it never meets itself there.
            let mut parked = self.parked.remove(&turn)?;
            let before = Moves::of(&self.payment);
            let became = self.judge_parked(&parked);
            let waits_on = became == Became::Parked(parked.waits_for) && Moves::of(&self.payment) == before;
            if waits_on {
                self.parked.insert(turn, parked);
                continue;
            }
            let outcome = Outcome { event: parked.event.clone(), position: parked.position, drained: true, became };
            if let Became::Parked(waits_for) = outcome.became {
                parked.waits_for = waits_for;
                self.parked.insert(turn, parked);
            } else {
                self.left(turn, &parked.event);
            }
            return Some(outcome);
        }
        None
    }

    fn judge_parked(&mut self, parked: &Parked) -> Became {
        let Parked { event, position, .. } = parked;
        let number_used = parked.has_used_its_number();
        let standing = self.exceptions.as_mut().and_then(|exceptions| exceptions.standing.remove(&event.event_id));
        match standing {
            Some(true) => Became::Duplicate,
            Some(false) => Became::Rejected { reason: Rejection::IdConflict, number_used },
            None if parked.is_past_rule_4() => self.settle(event, *position, number_used),
            None => self.judge_numbered(event, *position),
        }
    }

    /// A cheap first look: an event still above the next number stays where it is.
    fn may_move(&self, parked: &Parked) -> bool {
        match (parked.waits_for, parked.event.sequence) {
            (Parking::MissingSequence, Some(n)) => {
                n <= self.payment.last_sequence.saturating_add(1) || self.stands(parked.event.event_id)
            }
            _ => true,
        }
    }

    /// Rules 3 to 8.
    fn judge_numbered(&mut self, event: &Event, position: Position) -> Became {
        match self.number(event, position) {
            Ok(number_used) => self.settle(event, position, number_used),
            Err(became) => became,
        }
    }

    /// Rules 3 and 4: uses the event's number up, if it has one and it is the next. `Err` is its disposition.
    fn number(&mut self, event: &Event, position: Position) -> Result<bool, Became> {
        let Some(sequence) = event.sequence else { return Ok(false) };
        let last = self.payment.last_sequence;
        if sequence <= last || self.holds_number(sequence) {
            return Err(self.conclude(event, position, Verdict::Reject(Rejection::SequenceConflict), false));
        }
        if sequence - last > 1 {
            return Err(self.conclude(event, position, Verdict::Park(Parking::MissingSequence), false));
        }
        self.payment.last_sequence = sequence;
        Ok(true)
    }

    /// Whether a parked event waits with this number.
    fn holds_number(&self, sequence: i64) -> bool {
        let numbered = Numbered::Yes(sequence);
        let first = Turn { numbered, position: Position::FIRST };
        self.parked.range(first..).next().is_some_and(|(turn, _)| turn.numbered == numbered)
    }

    /// Rules 5 to 8.
    fn settle(&mut self, event: &Event, position: Position, number_used: bool) -> Became {
        let verdict = table::judge_in_order(&self.payment, event, self.parked_twin(event));
        self.conclude(event, position, verdict, number_used)
    }

    /// Turns a verdict into a disposition, and takes the effect into the state if the event applies.
    fn conclude(&mut self, event: &Event, position: Position, verdict: Verdict, number_used: bool) -> Became {
        match verdict {
            Verdict::Apply(_) if self.is_refused(position, Row::Applied) => {
                Became::Rejected { reason: Rejection::RefusedByStore, number_used }
            }
            Verdict::Apply(effect) => {
                self.payment.apply(event, &effect);
                Became::Applied { version: self.payment.version, transfer: effect.transfer }
            }
            Verdict::Duplicate => Became::Duplicate,
            Verdict::Park(waits_for) => Became::Parked(waits_for),
            Verdict::Reject(reason) => Became::Rejected { reason, number_used },
        }
    }

    fn is_refused(&self, position: Position, row: Row) -> bool {
        let refusals = self.exceptions.as_ref().and_then(|exceptions| exceptions.refusals.as_ref());
        refusals.is_some_and(|refusals| refusals.refuse(position, row))
    }

    fn stands(&self, event_id: EventId) -> bool {
        self.exceptions.as_ref().is_some_and(|exceptions| exceptions.standing.contains_key(&event_id))
    }

    /// Rule 7 against what is parked past rule 4: one event per operation and type.
    fn parked_twin(&self, event: &Event) -> Option<Verdict> {
        let operation_id = event.operation_id?;
        let turns = self.exceptions.as_ref()?.by_operation.get(&operation_id)?;
        let twin = turns.iter().filter_map(|turn| self.parked.get(turn)).find(|p| {
            !matches!(p.waits_for, Parking::MissingSequence | Parking::UnknownType)
                && p.event.event_type == event.event_type
        })?;
        let same = twin.event.amount_minor == event.amount_minor && twin.event.currency == event.currency;
        Some(table::same_operation(same))
    }
}

/// What draining looks at: whether something was applied or used up a number.
#[derive(PartialEq, Eq)]
struct Moves {
    version: i64,
    last_sequence: i64,
}

impl Moves {
    fn of(payment: &Payment) -> Moves {
        Moves { version: payment.version, last_sequence: payment.last_sequence }
    }
}
