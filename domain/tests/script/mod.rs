//! A small notation for what happens to one payment, so that a test reads like the design and no redesign of the
//! core rewrites it: everything goes through `check`.
//!
//! A script has one step a line. An event is `[label:] TYPE AMOUNT [option ...] => outcome [; label outcome ...]`:
//! its own outcome first, then what it drained, in order. Options: `seq=N`, `op=NAME`, `user=NAME`, `merchant=NAME` (`-`:
//! none), `cur=CODE`. Without them an event is of user `u`, merchant `m`, in GBP, and has no number. An outcome is
//! `applied`, `duplicate`, `parked REASON` or `rejected REASON`; `applied` may go on with its version and, in
//! brackets, its transfer, `rejected` with `(number used)` or `(number free)`. Other steps:
//!
//! - `again LABEL [redriven]`: the same event once more, as another record; redriven: its number was used by itself
//! - `hour N`: what the lane's clock says from here on
//! - `expire N`: the parking limit has passed for what was parked before hour N; all outcomes name their label
//! - `claim`: a newer worker claims the lane, which knows the types that were written `not-yet:TYPE` until here; all
//!   outcomes name their label
//! - `refuse LABEL ROW`: the database refuses this row of its last record, `applied` or `parked`
//! - `refuse next ROW`: the same of the record that comes next
//! - `applied-elsewhere LABEL CONTENT`: another lane applied an event of its id, with the `same` content or `other`
//! - `used-elsewhere N`: another lane used the numbers up to N up
//! - `drain`: what is parked is judged again; all outcomes name their label
//! - `state STATUS [counter=N ...]`: the payment now; a counter that is not named is 0
//! - `parked [LABEL ...]`: what waits now, in the order in which it would be judged
//! - `used N`: the last number used up
//! - `given counter=N ...`: a known payment of user `u` with these sums
//!
//! Rules 1 and 2 are left to `wire` and to the lane.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use millrace_domain::book::{Arrival, Became, Book, Numbering, Outcome, Parked, Refusals, Row};
use millrace_domain::event::{Draft, Event, EventType};
use millrace_domain::ids::{EventId, MerchantId, Micros, Offset, Partition, Position, UserId};
use millrace_domain::money::Currency;
use millrace_domain::payment::{Counters, Owner};
use uuid::Uuid;

/// Runs the script and panics at the first line that does not hold, showing what happened instead.
pub fn check(script: &str) {
    let mut stage = Stage::default();
    for (number, line) in script.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Err(problem) = stage.step(line) {
            let (state, parked, used) = (stage.state(), stage.parked(), stage.book.payment.last_sequence);
            panic!("line {number} of the script: {line}\n  {problem}\n  now: {state}, parked: {parked}, used: {used}");
        }
    }
}

fn place(record: i64) -> Position {
    Position { partition: Partition(7), offset: Offset(record) }
}

const HOUR_MICROS: i64 = 3_600_000_000;
const PAYMENT: u128 = 0x0001;

#[derive(Default)]
struct Stage {
    book: Book,
    by_label: HashMap<String, Event>,
    labels: HashMap<EventId, String>,
    records: i64,
    places: HashMap<EventId, Position>,
    refused: BTreeSet<(Position, Row)>,
    now: Option<Micros>,
}

impl Stage {
    fn step(&mut self, line: &str) -> Result<(), String> {
        let (left, right) = line.split_once("=>").unwrap_or((line, ""));
        let words: Vec<&str> = left.split_whitespace().collect();
        match words[..] {
            ["hour", hour] => self.now = Some(hour_of(hour)),
            ["refuse", which, row] => self.refuse(which, row),
            ["applied-elsewhere", label, content] => {
                self.book.stands_elsewhere(self.by_label[label].event_id, content == "same");
            }
            ["used-elsewhere", number] => {
                self.book.payment.last_sequence = number.parse().map_err(|_| format!("{number} is no number"))?;
            }
            ["drain"] => {
                let mut outcomes = Vec::new();
                self.book.drain(&mut outcomes);
                self.compare(&outcomes, right, FirstIs::Labelled)?;
            }
            ["used", wanted] => same(&self.book.payment.last_sequence.to_string(), wanted)?,
            ["state", ..] => same(&self.state(), &words[1..].join(" "))?,
            ["parked", ..] => same(&self.parked(), &words[1..].join(" "))?,
            ["given", ..] => self.given(&words[1..]),
            ["expire", hour] => {
                let mut outcomes = Vec::new();
                self.book.expire(hour_of(hour), &mut outcomes);
                self.compare(&outcomes, right, FirstIs::Labelled)?;
            }
            ["claim"] => {
                let parked: Vec<Parked> = self.book.parked().cloned().map(known_by_now).collect();
                self.book = Book::new(self.book.payment.clone(), parked);
                let mut outcomes = Vec::new();
                self.book.drain(&mut outcomes);
                self.compare(&outcomes, right, FirstIs::Labelled)?;
            }
            ["again", label] => self.admit(self.by_label[label].clone(), Numbering::Judged, right)?,
            ["again", label, "redriven"] => {
                self.admit(self.by_label[label].clone(), Numbering::UsedByItself, right)?;
            }
            _ => {
                let event = self.event(&words);
                self.admit(event, Numbering::Judged, right)?;
            }
        }
        Ok(())
    }

    fn admit(&mut self, event: Event, numbering: Numbering, wanted: &str) -> Result<(), String> {
        self.records += 1;
        let position = place(self.records);
        self.places.insert(event.event_id, position);
        let now = self.now.unwrap_or(Micros(0));
        let mut outcomes = Vec::new();
        self.book.admit(Arrival { event: event.into(), position, now, numbering }, &mut outcomes);
        self.compare(&outcomes, wanted, FirstIs::TheEventItself)
    }

    fn refuse(&mut self, which: &str, row: &str) {
        let position = match which {
            "next" => place(self.records + 1),
            label => self.places[&self.by_label[label].event_id],
        };
        let row = if row == "parked" { Row::Parked } else { Row::Applied };
        self.refused.insert((position, row));
        self.book.refuse(Arc::new(Refusals { refused: self.refused.clone(), all_but: None }));
    }

    fn event(&mut self, words: &[&str]) -> Event {
        let (label, words) = match words[0].strip_suffix(':') {
            Some(label) => (label.to_owned(), &words[1..]),
            None => (format!("#{}", self.labels.len() + 1), words),
        };
        let event = event(self.labels.len() as u128 + 1, words);
        self.labels.insert(event.event_id, label.clone());
        self.by_label.insert(label, event.clone());
        event
    }

    fn given(&mut self, sums: &[&str]) {
        let payment = &mut self.book.payment;
        let currency = Currency::from_code("GBP").expect("GBP is a currency");
        payment.owner = Some(Owner { user_id: UserId("u".into()), currency });
        payment.merchant_id = Some(MerchantId("m".into()));
        payment.version = 1;
        for sum in sums {
            let (name, value) = sum.split_once('=').expect("counter=N");
            let value: i64 = value.parse().expect("a number");
            *counter(&mut payment.counters, name) = value;
        }
    }

    fn compare(&self, outcomes: &[Outcome], wanted: &str, first_is: FirstIs) -> Result<(), String> {
        let wanted: Vec<String> = wanted.split(';').map(squeeze).filter(|part| !part.is_empty()).collect();
        let told: Vec<Told> = outcomes.iter().map(|outcome| self.tell(outcome)).collect();
        let shown: Vec<String> = told.iter().map(Told::in_full).collect();
        let as_wanted = told.len() == wanted.len()
            && told.iter().zip(&wanted).enumerate().all(|(at, (told, wanted))| {
                let itself = at == 0 && matches!(first_is, FirstIs::TheEventItself);
                let (label, wanted) = if itself { ("", wanted.as_str()) } else { split_word(wanted) };
                told.drained != itself && (itself || told.label == label) && told.says(wanted)
            });
        if as_wanted { Ok(()) } else { Err(format!("what happened: {}", shown.join("; "))) }
    }

    fn tell(&self, outcome: &Outcome) -> Told {
        let label = self.labels[&outcome.event.event_id].clone();
        let (what, more, transfer) = match &outcome.became {
            Became::Applied { version, transfer } => {
                let transfer = transfer
                    .as_ref()
                    .map(|t| format!(" [{} -> {} {} {}]", t.debit, t.credit, t.amount_minor, t.currency));
                ("applied".into(), format!(" {version}"), transfer.unwrap_or(" []".into()))
            }
            Became::Duplicate => ("duplicate".into(), String::new(), String::new()),
            Became::Parked(waits_for) => (format!("parked {waits_for}"), String::new(), String::new()),
            Became::Rejected { reason, number_used } => {
                let number = if *number_used { " (number used)" } else { " (number free)" };
                (format!("rejected {reason}"), number.into(), String::new())
            }
        };
        Told { label, drained: outcome.drained, what, more, transfer }
    }

    fn state(&self) -> String {
        let payment = &self.book.payment;
        let status = payment.status().map_or("unknown", |status| status.as_str());
        let mut counters = payment.counters;
        let sums = COUNTERS.iter().map(|name| (name, *counter(&mut counters, name)));
        let sums = sums.filter(|(_, sum)| *sum != 0).map(|(name, sum)| format!(" {name}={sum}"));
        status.to_owned() + &sums.collect::<String>()
    }

    fn parked(&self) -> String {
        let labels: Vec<&str> = self.book.parked().map(|p| self.labels[&p.event.event_id].as_str()).collect();
        labels.join(" ")
    }
}

enum FirstIs {
    TheEventItself,
    Labelled,
}

/// An outcome in words; `more` and `transfer` are what a script may leave out.
struct Told {
    label: String,
    drained: bool,
    what: String,
    more: String,
    transfer: String,
}

impl Told {
    fn says(&self, wanted: &str) -> bool {
        let Told { what, more, transfer, .. } = self;
        let forms =
            [what.clone(), format!("{what}{more}"), format!("{what}{transfer}"), format!("{what}{more}{transfer}")];
        forms.iter().any(|form| form == wanted)
    }

    fn in_full(&self) -> String {
        format!("{} {}{}{}", self.label, self.what, self.more, self.transfer)
    }
}

const COUNTERS: [&str; 8] =
    ["authorized", "captured", "voided", "refund_pending", "refunded", "disputed", "lost", "fees"];

fn counter<'a>(counters: &'a mut Counters, name: &str) -> &'a mut i64 {
    match name {
        "authorized" => &mut counters.authorized,
        "captured" => &mut counters.captured,
        "voided" => &mut counters.voided,
        "refund_pending" => &mut counters.refund_pending,
        "refunded" => &mut counters.refunded,
        "disputed" => &mut counters.disputed,
        "lost" => &mut counters.lost,
        "fees" => &mut counters.fees,
        other => panic!("the script names the counter {other}, which there is not"),
    }
}

fn known_by_now(mut parked: Parked) -> Parked {
    if let Some(name) = parked.event.event_type.as_str().strip_prefix("not-yet:") {
        Arc::make_mut(&mut parked.event).event_type = EventType::from_name(name);
    }
    parked
}

fn event(number: u128, words: &[&str]) -> Event {
    let [event_type, amount, options @ ..] = words else { panic!("an event is TYPE AMOUNT: {words:?}") };
    let mut draft = Draft {
        event_id: v7(number).to_string().into(),
        event_type: (*event_type).into(),
        payment_id: Uuid::from_u128(PAYMENT).to_string().into(),
        user_id: "u".into(),
        merchant_id: Some("m".into()),
        amount_minor: amount.parse().expect("an amount"),
        currency: "GBP".into(),
        source: "script".into(),
        ..Draft::default()
    };
    for option in options {
        match option.split_once('=') {
            Some(("seq", n)) => draft.sequence = Some(n.parse().expect("a sequence number")),
            Some(("op", name)) => draft.operation_id = Some(named(name).to_string().into()),
            Some(("user", name)) => draft.user_id = name.into(),
            Some(("merchant", "-")) => draft.merchant_id = None,
            Some(("merchant", name)) => draft.merchant_id = Some(name.into()),
            Some(("cur", code)) => draft.currency = code.into(),
            _ => panic!("the script has the option {option}, which there is not"),
        }
    }
    draft.check().expect("a script holds only events that keep the rules of form")
}

/// A UUIDv7 of the first milliseconds of 1970.
fn v7(number: u128) -> Uuid {
    Uuid::from_u128(number << 80 | 7 << 76 | 2 << 62 | number)
}

fn named(name: &str) -> Uuid {
    Uuid::from_u128(name.bytes().fold(1, |sum, byte| sum << 8 | u128::from(byte)))
}

fn hour_of(text: &str) -> Micros {
    Micros(text.parse::<i64>().expect("a number of hours") * HOUR_MICROS)
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn same(found: &str, wanted: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("found: {found}")) }
}
