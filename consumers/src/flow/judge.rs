//! Judging a batch: from decoded records and what stands in the database to all that the batch writes.
//!
//! Rule 2 is judged here, rules 3 to 8 by `domain::book`. Reading and writing are left to the lane.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_domain::book::{Arrival, Became, Numbering, Outcome, Refusals};
use millrace_domain::content::ContentHash;
use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Micros, Offset, Partition, PaymentId, Position};
use millrace_domain::reason::Rejection;
use millrace_domain::window::AcceptedWindow;
use millrace_store::load::RedrivenFrom;
use millrace_store::record::RawRecord;
use millrace_store::rows::{
    AppliedRow, Balances, Batch, Counts, DeadLetterRow, ParkedRow, PaymentRow, RejectedParked, Stood,
};

use super::books::{ByEvent, ByPayment, Entry, EventIds};
use super::decode::{Content, Decoded, Record};
use super::detail;
use super::refused::Refused;
use super::work::Work;

/// What holds for every record of a batch.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The lane.
    pub partition: Partition,
    /// The accepted window.
    pub window: AcceptedWindow,
    /// When the batch is judged.
    pub now: Micros,
    /// Rows that the database refused.
    pub refused: &'a Refused,
}

/// Which event ids stand, as far as the database was asked.
#[derive(Clone, Default, Debug)]
pub struct Standing {
    /// What stands under an id, applied or parked.
    pub hashes: ByEvent<ContentHash>,
    /// What was applied under the id of an event that is parked: two lanes met one id at the same moment.
    pub parked_and_applied: ByEvent<ContentHash>,
    /// The ids that were looked up among the applied ones.
    pub looked_up: EventIds,
    /// The dead letters that redriven records of the batch name.
    pub redriven_from: std::collections::HashMap<i64, RedrivenFrom>,
}

/// A judged batch.
#[derive(Debug)]
pub struct Judged {
    /// What to write.
    pub batch: Batch,
    /// The payments after it.
    pub entries: ByPayment<Box<Entry>>,
    /// Events that did not apply and were not looked up: one that was applied before is a duplicate, its payment may
    /// stand after all, and the batch must be judged again with both looked up.
    pub unsure: Vec<Unsure>,
}

/// An event that did not apply and was not looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsure {
    /// The event.
    pub event_id: EventId,
    /// Its payment.
    pub payment_id: PaymentId,
}

/// Judges the work in order. `from` is where the lane stands.
pub fn judge(
    setting: &Setting<'_>,
    work: Work<'_>,
    from: Offset,
    entries: ByPayment<Box<Entry>>,
    standing: &Standing,
) -> Judged {
    let records = if let Work::Records(records) = work { records.len() } else { 0 };
    let mut desk = Desk::new(setting, standing, entries, records);
    let mut to = from;
    match work {
        Work::Records(records) => {
            for (record, decoded) in records {
                desk.record(record, decoded);
                to = record.offset.next();
            }
        }
        Work::Expire { payments, limit } => {
            payments.iter().for_each(|id| desk.sweep(*id, |entry, outcomes| entry.book.expire(limit, outcomes)));
        }
        Work::JudgeAgain { payments } => {
            payments.iter().for_each(|id| desk.sweep(*id, |entry, outcomes| entry.book.drain(outcomes)));
        }
    }
    desk.finish(from, to)
}

/// A batch while it is judged.
struct Desk<'a> {
    setting: &'a Setting<'a>,
    standing: &'a Standing,
    refusals: Option<Arc<Refusals>>,
    entries: ByPayment<Box<Entry>>,
    /// What the batch itself changed about ids: this event stands, or none any more. Hashed only when it is compared.
    changed: ByEvent<Option<Arc<Event>>>,
    counts: Counts,
    applied: Vec<AppliedRow>,
    /// Parked by this batch and still parked.
    parked: BTreeMap<EventId, ParkedRow>,
    reparked: BTreeMap<EventId, millrace_domain::reason::Parking>,
    unparked: Vec<EventId>,
    rejected_parked: Vec<RejectedParked>,
    dead_letters: Vec<DeadLetterRow>,
    unsure: Vec<Unsure>,
    /// Of one record at a time; kept for its memory.
    outcomes: Vec<Outcome>,
}

impl<'a> Desk<'a> {
    /// With room for what becomes of so many records: nearly all of them apply.
    fn new(
        setting: &'a Setting<'a>,
        standing: &'a Standing,
        mut entries: ByPayment<Box<Entry>>,
        records: usize,
    ) -> Desk<'a> {
        let refusals = setting.refused.refusals();
        if let Some(refusals) = &refusals {
            entries.values_mut().for_each(|entry| entry.book.refuse(refusals.clone()));
        }
        Desk {
            setting,
            standing,
            refusals,
            entries,
            changed: ByEvent::with_capacity_and_hasher(records, Default::default()),
            counts: Counts::default(),
            applied: Vec::with_capacity(records),
            outcomes: Vec::new(),
            parked: BTreeMap::new(),
            reparked: BTreeMap::new(),
            unparked: Vec::new(),
            rejected_parked: Vec::new(),
            dead_letters: Vec::new(),
            unsure: Vec::new(),
        }
    }

    fn record(&mut self, record: &Record, decoded: &Decoded) {
        let content = match &decoded.content {
            Ok(content) => content,
            Err(refusal) => {
                let detail = Some(refusal.detail.clone());
                let names = refusal.names.as_deref().copied();
                return self.dead_letter(decoded.position, &record.raw, names, refusal.reason, false, detail);
            }
        };
        match self.rule_2(content) {
            Some(RuleTwo::Duplicate) => self.counts.duplicate += 1,
            Some(RuleTwo::Reject(reason, detail)) => {
                // An id that stands is a duplicate or a conflict, however old it is.
                self.must_be_sure(&content.event);
                self.dead_letter(
                    decoded.position,
                    &record.raw,
                    Some(content.event.names()),
                    reason,
                    false,
                    Some(detail),
                );
            }
            None => self.admit(record, decoded.position, content),
        }
    }

    /// Rule 2: the id stands already, or its time is outside the accepted window.
    fn rule_2(&self, content: &Content) -> Option<RuleTwo> {
        let id = content.event.event_id;
        let standing = match self.changed.get(&id) {
            Some(event) => event.as_deref().map(ContentHash::of),
            None => self.standing.hashes.get(&id).copied(),
        };
        match standing {
            Some(hash) if hash == ContentHash::of(&content.event) => Some(RuleTwo::Duplicate),
            Some(_) => Some(RuleTwo::Reject(
                Rejection::IdConflict,
                "an event with this id and other content was applied or parked before".into(),
            )),
            None if self.setting.window.contains(id, self.setting.now) => None,
            None => Some(RuleTwo::Reject(
                Rejection::OutsideWindow,
                detail::outside(id, self.setting.window.bounds_ms(self.setting.now)),
            )),
        }
    }

    /// Rules 3 to 8, and what they drain.
    fn admit(&mut self, record: &Record, position: Position, content: &Content) {
        let event = &content.event;
        if self.is_foreign(event) {
            let detail = Some("the payment belongs to a user of another partition".into());
            self.dead_letter(position, &record.raw, Some(event.names()), Rejection::OwnerMismatch, false, detail);
            return self.must_be_sure(event);
        }
        let numbering = self.numbering(content, &record.raw);
        let arrival = Arrival { event: event.clone(), position, now: self.setting.now, numbering };
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.entry(event.payment_id).book.admit(arrival, &mut outcomes);
        for outcome in outcomes.drain(..) {
            if outcome.drained {
                self.drained(outcome);
            } else {
                self.arrived(outcome, &record.raw);
            }
        }
        self.outcomes = outcomes;
    }

    /// Whether the payment is known in another lane, under another user: its numbers and its state are that lane's.
    fn is_foreign(&self, event: &Event) -> bool {
        let Some(entry) = self.entries.get(&event.payment_id) else { return false };
        let other_lane = entry.written_by.is_some_and(|lane| lane != self.setting.partition);
        let other_user = entry.book.payment.owner.as_ref().is_some_and(|owner| owner.user_id != event.user_id);
        other_lane && other_user
    }

    /// A redriven record is not held to its own number, if its dead letter says that it used the number itself.
    fn numbering(&self, content: &Content, raw: &RawRecord) -> Numbering {
        let letter = content.redriven_from.and_then(|id| self.standing.redriven_from.get(&id));
        match letter {
            Some(letter) if letter.number_used && letter.value.as_deref() == raw.value() => Numbering::UsedByItself,
            _ => Numbering::Judged,
        }
    }

    fn must_be_sure(&mut self, event: &Event) {
        let Event { event_id, payment_id, .. } = *event;
        if !self.standing.looked_up.contains(&event_id) && !self.changed.contains_key(&event_id) {
            self.unsure.push(Unsure { event_id, payment_id });
        }
    }

    /// The disposition of a record of this batch.
    fn arrived(&mut self, outcome: Outcome, raw: &RawRecord) {
        let Outcome { event, position, became, .. } = outcome;
        let id = event.event_id;
        if !matches!(became, Became::Applied { .. }) {
            self.must_be_sure(&event);
        }
        match became {
            Became::Applied { version, transfer } => {
                self.counts.applied += 1;
                self.changed.insert(id, Some(event.clone()));
                self.applied.push(AppliedRow { event, position, published_at: raw.published_at, version, transfer });
            }
            Became::Duplicate => self.counts.duplicate += 1,
            Became::Parked(reason) => {
                self.counts.parked += 1;
                self.changed.insert(id, Some(event.clone()));
                let payment_id = event.payment_id;
                self.entry(payment_id).published.insert(id, raw.published_at);
                let since = self.setting.now;
                let row = ParkedRow { event_id: id, payment_id, position, reason, since, record: raw.clone() };
                self.parked.insert(id, row);
            }
            Became::Rejected { reason, number_used } => {
                let detail = Some(self.detail(&event, position, reason));
                self.dead_letter(position, raw, Some(event.names()), reason, number_used, detail);
            }
        }
    }

    /// What became of an event that was parked, by this batch or before it.
    fn drained(&mut self, outcome: Outcome) {
        let Outcome { event, position, became, .. } = outcome;
        let id = event.event_id;
        if let Became::Parked(reason) = became {
            match self.parked.get_mut(&id) {
                Some(row) => row.reason = reason,
                None => drop(self.reparked.insert(id, reason)),
            }
            return;
        }
        let published_at = self.entry(event.payment_id).published.remove(&id).flatten();
        self.reparked.remove(&id);
        let fresh = self.parked.remove(&id);
        match became {
            Became::Applied { version, transfer } => {
                self.counts.drained_applied += 1;
                self.changed.insert(id, Some(event.clone()));
                self.applied.push(AppliedRow { event, position, published_at, version, transfer });
                self.unpark(id, fresh);
            }
            Became::Duplicate => {
                self.counts.drained_duplicate += 1;
                self.changed.insert(id, None);
                self.unpark(id, fresh);
            }
            Became::Rejected { reason, number_used } => {
                self.counts.drained_rejected += 1;
                self.changed.insert(id, None);
                self.reject_drained(&event, position, fresh, reason, number_used);
            }
            Became::Parked(_) => {}
        }
    }

    fn unpark(&mut self, id: EventId, fresh: Option<ParkedRow>) {
        if fresh.is_none() {
            self.unparked.push(id);
        }
    }

    fn reject_drained(
        &mut self,
        event: &Event,
        position: Position,
        fresh: Option<ParkedRow>,
        reason: Rejection,
        number_used: bool,
    ) {
        let event_id = event.event_id;
        let detail = self.detail(event, position, reason);
        match fresh {
            None => self.rejected_parked.push(RejectedParked { event_id, reason, number_used, detail }),
            Some(row) => self.dead_letters.push(DeadLetterRow {
                position,
                reason,
                detail: Some(detail),
                event_id: Some(event_id),
                payment_id: Some(event.payment_id),
                number_used,
                record: row.record,
            }),
        }
    }

    /// A record of this batch that is rejected.
    fn dead_letter(
        &mut self,
        position: Position,
        raw: &RawRecord,
        names: Option<(EventId, PaymentId)>,
        reason: Rejection,
        number_used: bool,
        detail: Option<String>,
    ) {
        self.counts.rejected += 1;
        self.dead_letters.push(DeadLetterRow {
            position,
            reason,
            detail,
            event_id: names.map(|(event_id, _)| event_id),
            payment_id: names.map(|(_, payment_id)| payment_id),
            number_used,
            record: raw.clone(),
        });
    }

    fn detail(&self, event: &Event, position: Position, reason: Rejection) -> String {
        let entry = self.entries.get(&event.payment_id);
        let said = detail::of(event, entry.map(|entry| &entry.book.payment), reason);
        match self.setting.refused.words_of(position) {
            Some(words) if reason == Rejection::RefusedByStore => format!("{said}; the database refuses it: {words}"),
            _ => said,
        }
    }

    fn entry(&mut self, id: PaymentId) -> &mut Entry {
        let refusals = &self.refusals;
        self.entries.entry(id).or_insert_with(|| {
            let mut entry = Box::<Entry>::default();
            // Also a payment that nobody has seen takes note of what the database refused.
            if let Some(refusals) = refusals {
                entry.book.refuse(refusals.clone());
            }
            entry
        })
    }

    /// A judgment of what is parked, without a record.
    fn sweep(&mut self, id: PaymentId, judge: impl Fn(&mut Entry, &mut Vec<Outcome>)) {
        let mut outcomes = Vec::new();
        let lane = self.setting.partition;
        let entry = self.entry(id);
        if let (Some(other), Some(owner)) = (entry.written_by, entry.book.payment.owner.clone())
            && other != lane
        {
            entry.book.reject_foreign(&owner.user_id, &mut outcomes);
        }
        judge(entry, &mut outcomes);
        outcomes.into_iter().for_each(|outcome| self.drained(outcome));
    }

    fn finish(self, from: Offset, to: Offset) -> Judged {
        let mut payments = Vec::with_capacity(self.entries.len());
        payments.extend(self.entries.iter().filter_map(|(id, entry)| changed_row(*id, entry)));
        let batch = Batch {
            only_if_nothing_is_parked: false,
            from,
            to,
            counts: self.counts,
            applied: self.applied,
            payments,
            parked: self.parked.into_values().collect(),
            reparked: self.reparked.into_iter().collect(),
            unparked: self.unparked,
            rejected_parked: self.rejected_parked,
            dead_letters: self.dead_letters,
            balances: Balances::Note,
        };
        Judged { batch, entries: self.entries, unsure: self.unsure }
    }
}

enum RuleTwo {
    Duplicate,
    Reject(Rejection, String),
}

/// What stands in the row of a payment in this state.
pub fn stands(entry: &Entry) -> Stood {
    Stood { version: entry.book.payment.version, last_sequence: entry.book.payment.last_sequence }
}

fn changed_row(payment_id: PaymentId, entry: &Entry) -> Option<PaymentRow> {
    let now = stands(entry);
    if entry.stood.unwrap_or(Stood { version: 0, last_sequence: 0 }) == now {
        return None;
    }
    Some(PaymentRow { payment_id, stood: entry.stood, state: entry.book.payment.clone() })
}
