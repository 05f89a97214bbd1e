//! Precedence, parking and draining: rules 1 to 7, and what becomes of records over time.
//!
//! It reads no clock: every call says what time it is. It leaves out, on purpose, what the core cannot know: headers,
//! schema ids, redrive, what a database refuses, and batches (one record is judged after the other).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use crate::form::{self, Content, Event, TYPES_OF_V1};
use crate::payment::{Operation, Payment};
use crate::table::{self, Verdict};
use crate::values::{Config, Disposition, Input, Outcome, Record, Transfer, Waiting};

use Verdict::{Duplicate, Park, Reject};

/// The whole of section 3, for any number of lanes.
#[derive(Clone, Debug)]
pub struct Model {
    config: Config,
    lanes: BTreeMap<i32, Lane>,
    /// Every event id applied or parked, under whatever payment, with what the content hash covers.
    ids: BTreeMap<Uuid, Content>,
    /// Which lane's payment is the known one: the key of `payments` decides who came first.
    owners: BTreeMap<Uuid, i32>,
    transfers: Vec<Transfer>,
}

#[derive(Clone, Debug)]
struct Lane {
    known_types: BTreeSet<String>,
    payments: BTreeMap<Uuid, InLane>,
}

/// A payment as one lane sees it.
#[derive(Clone, Debug, Default)]
struct InLane {
    state: Payment,
    /// What was applied to it.
    applied: Vec<Event>,
    /// What waits for it.
    parked: Vec<Waiting>,
}

impl Model {
    /// Nothing consumed yet.
    pub fn new(config: Config) -> Self {
        Model { config, lanes: BTreeMap::new(), ids: BTreeMap::new(), owners: BTreeMap::new(), transfers: Vec::new() }
    }

    /// One record, in offset order: what became of it, then what it drained, in order.
    pub fn record(&mut self, record: &Record) -> Vec<Outcome> {
        let Record { partition, offset, .. } = *record;
        let outcome = |event_id, disposition| Outcome { partition, offset, event_id, disposition, drained: false };
        // Rule 1.
        let event = match record.input {
            Input::Undecodable { reason } => {
                return vec![outcome(None, Disposition::Rejected { reason })];
            }
            Input::Event(value) => match self.well_formed(partition, value) {
                Some(event) => event,
                None => {
                    let reason = "malformed";
                    let id = form::event_id(value);
                    return vec![outcome(id, Disposition::Rejected { reason })];
                }
            },
        };
        // Rules 2 to 8.
        let (verdict, number_used) = match self.rule_2_and_window(&event, record.now_ms) {
            Some(verdict) => (verdict, false),
            None => self.rules_3_to_8(partition, &event),
        };
        if let Park(reason) = verdict {
            self.ids.insert(event.id, event.content.clone());
            self.payment(partition, &event).parked.push(Waiting {
                offset,
                event: event.clone(),
                reason,
                since_ms: record.now_ms,
            });
        }
        let was_applied = matches!(verdict, Verdict::Apply(..));
        let disposition = self.carry_out(partition, &event, verdict);
        let mut outcomes = vec![outcome(Some(event.id), disposition)];
        if was_applied || number_used {
            outcomes.extend(self.drain(partition, event.content.payment_id));
        }
        outcomes
    }

    /// The parking limit: rejects what is too old, the earliest first, and drains what each of those moves.
    pub fn expire(&mut self, partition: i32, now_ms: i64) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(old) = self.earliest_overdue(partition, now_ms) {
            let reason = match old.reason {
                "unknown_type" => "unknown_type",
                _ => "missing_predecessor",
            };
            self.unpark(partition, &old.event);
            let disposition = self.carry_out(partition, &old.event, Reject(reason));
            outcomes.push(drained(partition, &old, disposition));
            // "The numbers up to theirs are used up."
            let state = &mut self.payment(partition, &old.event).state;
            if let Some(sequence) = old.event.content.sequence
                && sequence > state.last_sequence
            {
                state.last_sequence = sequence;
                outcomes.extend(self.drain(partition, old.event.content.payment_id));
            }
        }
        outcomes
    }

    /// A lane is claimed by a worker that knows `types`: what was parked as `unknown_type` is judged again.
    pub fn claim<'t>(&mut self, partition: i32, types: impl IntoIterator<Item = &'t str>) -> Vec<Outcome> {
        self.lane(partition).known_types = types.into_iter().map(str::to_owned).collect();
        let payments: Vec<Uuid> = self.lane(partition).payments.keys().copied().collect();
        let mut outcomes = Vec::new();
        for payment in payments {
            let unknown = |waiting: &Waiting| waiting.reason == "unknown_type";
            while let Some(outcome) = self.move_first(partition, payment, unknown) {
                outcomes.extend(outcome);
                outcomes.extend(self.drain(partition, payment));
            }
        }
        outcomes
    }

    // ---- What came out.

    /// The known payment of this id, whichever lane it belongs to.
    pub fn state(&self, payment: &Uuid) -> Option<&Payment> {
        let lane = self.lanes.get(self.owners.get(payment)?)?;
        lane.payments.get(payment).map(|p| &p.state)
    }

    /// Every known payment.
    pub fn payments(&self) -> impl Iterator<Item = (Uuid, &Payment)> {
        self.owners.keys().filter_map(|id| self.state(id).map(|state| (*id, state)))
    }

    /// The last sequence that a lane has used for a payment, known or not; 0 for none.
    pub fn last_sequence(&self, partition: i32, payment: &Uuid) -> i64 {
        let lane = self.lanes.get(&partition);
        lane.and_then(|lane| lane.payments.get(payment)).map_or(0, |p| p.state.last_sequence)
    }

    /// The known payment's applied events, by version.
    pub fn applied(&self, payment: &Uuid) -> Vec<Event> {
        let lane = self.owners.get(payment).and_then(|p| self.lanes.get(p));
        lane.and_then(|lane| lane.payments.get(payment)).map(|p| p.applied.clone()).unwrap_or_default()
    }

    /// What waits now, by partition and offset.
    pub fn parked(&self) -> Vec<(i32, Waiting)> {
        let mut all: Vec<(i32, Waiting)> = Vec::new();
        for (partition, lane) in &self.lanes {
            for payment in lane.payments.values() {
                all.extend(payment.parked.iter().map(|w| (*partition, w.clone())));
            }
        }
        all.sort_by_key(|(partition, waiting)| (*partition, waiting.offset));
        all
    }

    /// The ledger, in the order in which it was written.
    pub fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Debits minus credits, by account and currency.
    pub fn balances(&self) -> BTreeMap<(String, String), i128> {
        let mut sums = BTreeMap::new();
        for t in &self.transfers {
            let amount = i128::from(t.amount_minor);
            *sums.entry((t.debit_account.clone(), t.currency.clone())).or_insert(0) += amount;
            *sums.entry((t.credit_account.clone(), t.currency.clone())).or_insert(0) -= amount;
        }
        sums
    }

    /// Refunds and disputes, by payment and operation id.
    pub fn operations(&self) -> BTreeMap<(Uuid, Uuid), Operation> {
        let mut all = BTreeMap::new();
        for (payment, state) in self.payments() {
            for (id, operation) in &state.operations {
                all.insert((payment, *id), *operation);
            }
        }
        all
    }

    // ---- The rules.

    /// Rule 1, as far as the body goes.
    fn well_formed(&mut self, partition: i32, value: &Value) -> Option<Event> {
        let event = form::parse(value)?;
        let known = self.knows(partition, &event.content);
        (!known || form::keeps_rules_of_its_type(&event.content)).then_some(event)
    }

    /// Rule 2, and the window after it.
    fn rule_2_and_window(&self, event: &Event, now_ms: i64) -> Option<Verdict> {
        match self.ids.get(&event.id) {
            Some(first) if *first == event.content => return Some(Duplicate),
            Some(_) => return Some(Reject("id_conflict")),
            None => {}
        }
        let earliest = now_ms - self.config.window_back_ms;
        let latest = now_ms + self.config.window_ahead_ms;
        let inside = (earliest..=latest).contains(&event.id_time_ms());
        (!inside).then_some(Reject("outside_window"))
    }

    /// Rules 3 to 8; and whether the event used its number up.
    fn rules_3_to_8(&mut self, partition: i32, event: &Event) -> (Verdict, bool) {
        let Some(sequence) = event.content.sequence else {
            return (self.rules_5_to_8(partition, event), false);
        };
        let payment = self.payment(partition, event);
        let last = payment.state.last_sequence;
        let held = payment.parked.iter().any(|w| w.event.content.sequence == Some(sequence) && w.event.id != event.id);
        if sequence <= last || held {
            return (Reject("sequence_conflict"), false); // rule 3
        }
        if sequence > last + 1 {
            return (Park("missing_sequence"), false); // rule 4
        }
        payment.state.last_sequence = sequence;
        (self.rules_5_to_8(partition, event), true)
    }

    fn rules_5_to_8(&mut self, partition: i32, event: &Event) -> Verdict {
        let rule = self.rule_5(partition, event);
        let rule = rule.or_else(|| self.rule_6(partition, event));
        let rule = rule.or_else(|| self.rule_7(partition, event));
        rule.unwrap_or_else(|| self.rule_8(partition, event))
    }

    /// What has used its number up meets these when it is judged again.
    fn rules_5_6_and_8(&mut self, partition: i32, event: &Event) -> Verdict {
        let rule = self.rule_5(partition, event);
        let rule = rule.or_else(|| self.rule_6(partition, event));
        rule.unwrap_or_else(|| self.rule_8(partition, event))
    }

    /// Payment known, with another user, currency or merchant.
    fn rule_5(&mut self, partition: i32, event: &Event) -> Option<Verdict> {
        let content = &event.content;
        if self.owners.get(&content.payment_id).is_some_and(|owner| *owner != partition) {
            return Some(Reject("owner_mismatch")); // two users under one payment id are two lanes
        }
        let known = &self.payment(partition, event).state;
        if !known.is_known() {
            None
        } else if known.user_id.as_ref() != Some(&content.user_id) {
            Some(Reject("owner_mismatch"))
        } else if known.currency.as_ref() != Some(&content.currency) {
            Some(Reject("currency_mismatch"))
        } else {
            match (&known.merchant_id, &content.merchant_id) {
                (Some(known), Some(named)) if known != named => Some(Reject("merchant_mismatch")),
                _ => None,
            }
        }
    }

    /// Type unknown to this build. Once it is known, the rules of form that hang on it hold too.
    fn rule_6(&mut self, partition: i32, event: &Event) -> Option<Verdict> {
        if !self.knows(partition, &event.content) {
            Some(Park("unknown_type"))
        } else if !form::keeps_rules_of_its_type(&event.content) {
            Some(Reject("malformed"))
        } else {
            None
        }
    }

    /// Operation id and type already applied, or parked past rule 4, under another event id.
    fn rule_7(&mut self, partition: i32, event: &Event) -> Option<Verdict> {
        let new = &event.content;
        new.operation_id?;
        let payment = self.payment(partition, event);
        let parked = payment.parked.iter().filter(|w| !w.waits_for_its_number());
        let first = payment.applied.iter().chain(parked.map(|w| &w.event)).find(|old| {
            old.id != event.id
                && old.content.operation_id == new.operation_id
                && old.content.event_type == new.event_type
        })?;
        let same = first.content.amount_minor == new.amount_minor && first.content.currency == new.currency;
        Some(if same { Duplicate } else { Reject("operation_conflict") })
    }

    /// The table.
    fn rule_8(&mut self, partition: i32, event: &Event) -> Verdict {
        table::decide(&self.payment(partition, event).state, &event.content)
    }

    // ---- What waits.

    /// Judges again what waits for the payment in this lane, from the first again after each that moves.
    fn drain(&mut self, partition: i32, payment: Uuid) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some(outcome) = self.move_first(partition, payment, |_| true) {
            outcomes.extend(outcome);
        }
        outcomes
    }

    /// Judges again, numbered ones by sequence, then the others by offset, until one moves: leaves, with an outcome,
    /// or uses its number up and waits on, with none. `None` when nothing moves.
    fn move_first(
        &mut self,
        partition: i32,
        payment: Uuid,
        which: impl Fn(&Waiting) -> bool,
    ) -> Option<Option<Outcome>> {
        let mut waiting = self.lane(partition).payments.get(&payment)?.parked.clone();
        waiting.sort_by_key(|w| match w.event.content.sequence {
            Some(sequence) => (0, sequence),
            None => (1, w.offset),
        });
        for old in waiting.iter().filter(|w| which(w)) {
            let (verdict, number_used) = if old.waits_for_its_number() {
                self.rules_3_to_8(partition, &old.event)
            } else {
                (self.rules_5_6_and_8(partition, &old.event), false)
            };
            match verdict {
                Park(reason) => {
                    self.parked_again(partition, &old.event, reason);
                    if number_used {
                        return Some(None);
                    }
                }
                verdict => {
                    self.unpark(partition, &old.event);
                    let disposition = self.carry_out(partition, &old.event, verdict);
                    return Some(Some(drained(partition, old, disposition)));
                }
            }
        }
        None
    }

    fn parked_again(&mut self, partition: i32, event: &Event, reason: &'static str) {
        for waiting in &mut self.payment(partition, event).parked {
            if waiting.event.id == event.id {
                waiting.reason = reason;
            }
        }
    }

    /// It leaves the parked ones. Its id is forgotten unless it is applied.
    fn unpark(&mut self, partition: i32, event: &Event) {
        self.ids.remove(&event.id);
        let parked = &mut self.payment(partition, event).parked;
        parked.retain(|waiting| waiting.event.id != event.id);
    }

    fn earliest_overdue(&mut self, partition: i32, now_ms: i64) -> Option<Waiting> {
        let limit_ms = self.config.parking_limit_ms;
        let payments = self.lane(partition).payments.values();
        payments
            .flat_map(|payment| &payment.parked)
            .filter(|waiting| now_ms - waiting.since_ms > limit_ms)
            .min_by_key(|waiting| (waiting.since_ms, waiting.offset))
            .cloned()
    }

    // ---- Leaves.

    /// What the verdict leaves behind, parking apart.
    fn carry_out(&mut self, partition: i32, event: &Event, verdict: Verdict) -> Disposition {
        let (next, entry) = match verdict {
            Duplicate => return Disposition::Duplicate,
            Park(reason) => return Disposition::Parked { reason },
            Reject(reason) => return Disposition::Rejected { reason },
            Verdict::Apply(next, entry) => (*next, entry),
        };
        let version = next.version;
        self.ids.insert(event.id, event.content.clone());
        self.owners.insert(event.content.payment_id, partition);
        self.transfers.extend(entry.map(|entry| Transfer {
            event_id: event.id,
            debit_account: entry.debit,
            credit_account: entry.credit,
            amount_minor: event.content.amount_minor,
            currency: event.content.currency.clone(),
            partition,
        }));
        let payment = self.payment(partition, event);
        payment.state = next;
        payment.applied.push(event.clone());
        Disposition::Applied { version }
    }

    fn knows(&mut self, partition: i32, event: &Content) -> bool {
        let name = event.event_type.as_str();
        TYPES_OF_V1.contains(&name) && self.lane(partition).known_types.contains(name)
    }

    fn lane(&mut self, partition: i32) -> &mut Lane {
        self.lanes
            .entry(partition)
            .or_insert_with(|| Lane { known_types: self.config.known_types.clone(), payments: BTreeMap::new() })
    }

    fn payment(&mut self, partition: i32, event: &Event) -> &mut InLane {
        let payments = &mut self.lane(partition).payments;
        payments.entry(event.content.payment_id).or_default()
    }
}

fn drained(partition: i32, waiting: &Waiting, disposition: Disposition) -> Outcome {
    Outcome { partition, offset: waiting.offset, event_id: Some(waiting.event.id), disposition, drained: true }
}
