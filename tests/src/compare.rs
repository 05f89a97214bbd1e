//! The ledger against the model: both sides as figures by name, and every figure that differs.
//!
//! The model is fed with the records as they stand in Kafka, read back by our own client, batch after batch in the
//! order in which the proof rows were committed: where two lanes meet, that order decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use millrace_model::form;
use millrace_model::{Config, Disposition, Input, Model, Outcome, Record};
use serde_json::Value;
use uuid::Uuid;

use crate::avro::{self, Refused};
use crate::events::now_ms;
use crate::kafka::{Consumed, Place};
use crate::ledger::{COUNT_NAMES, Ledger, Proof};

/// How many differences are worth reading.
const SHOWN_MAX: usize = 25;

/// What is compared: `record 2/17`, `payment <id>`, `balance psp_receivable EUR` and so on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures(BTreeMap<String, String>);

impl Figures {
    fn set(&mut self, name: String, value: String) {
        self.0.insert(name, value);
    }

    /// Every figure that is not the same on both sides; none when they agree.
    pub fn differences(&self, found: &Figures) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(found.0.keys()).collect();
        let of = |figures: &Figures, name| figures.0.get(name).cloned().unwrap_or_else(|| "nothing".to_owned());
        let differs = |name: &&String| self.0.get(*name) != found.0.get(*name);
        names
            .into_iter()
            .filter(differs)
            .map(|name| format!("{name}: the model says {}, the ledger {}", of(self, name), of(found, name)))
            .collect()
    }

    /// The value of one figure.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// How many of them begin with this.
    pub fn count(&self, beginning: &str) -> usize {
        self.0.keys().filter(|name| name.starts_with(beginning)).count()
    }
}

/// A model and what it said of each record.
pub struct Judged {
    model: Model,
    last: BTreeMap<Place, String>,
    counts: BTreeMap<&'static str, i64>,
}

impl Judged {
    /// A model that has seen nothing.
    pub fn new(config: Config) -> Judged {
        Judged { model: Model::new(config), last: BTreeMap::new(), counts: COUNT_NAMES.map(|name| (name, 0)).into() }
    }

    /// Judges the records in the order in which the ledger committed them.
    pub fn feed(&mut self, records: &BTreeMap<Place, Consumed>, proofs: &[Proof]) {
        let now_ms = now_ms();
        for proof in proofs {
            for offset in proof.from..proof.to {
                let place = (proof.partition, offset);
                let record = records.get(&place).unwrap_or_else(|| {
                    panic!("the ledger has a batch with {proof:?}, but Kafka has no record {place:?}")
                });
                let judged = carried(record);
                let input = match &judged {
                    Ok(event) => Input::Event(event),
                    Err(reason) => Input::Undecodable { reason },
                };
                let outcomes = self.model.record(&Record { partition: proof.partition, offset, input, now_ms });
                outcomes.iter().for_each(|outcome| self.note(outcome));
            }
        }
    }

    /// Applies the parking limit in a lane, `later_ms` from now.
    pub fn expire(&mut self, partition: i32, later_ms: i64) {
        let outcomes = self.model.expire(partition, now_ms() + later_ms);
        outcomes.iter().for_each(|outcome| self.note(outcome));
    }

    fn note(&mut self, outcome: &Outcome) {
        let (name, told) = match &outcome.disposition {
            Disposition::Applied { version } => ("applied", format!("applied as version {version}")),
            Disposition::Duplicate => ("duplicate", "duplicate".to_owned()),
            Disposition::Parked { reason } => ("parked", format!("parked {reason}")),
            Disposition::Rejected { reason } => ("rejected", format!("rejected {reason}")),
        };
        let counted = COUNT_NAMES.iter().find(|count| match outcome.drained {
            true => count.strip_prefix("drained_") == Some(name),
            false => **count == name,
        });
        if let Some(count) = counted {
            *self.counts.entry(count).or_insert(0) += 1;
        }
        self.last.insert((outcome.partition, outcome.offset), told);
    }

    /// All that the ledger must hold. `numbers_only`: payments of which the ledger knows numbers and no more.
    fn figures(&self, numbers_only: impl Iterator<Item = (Uuid, i32)>) -> Figures {
        let mut figures = Figures::default();
        for (name, count) in &self.counts {
            figures.set(format!("count {name}"), count.to_string());
        }
        for ((partition, offset), told) in &self.last {
            if told != "duplicate" {
                figures.set(format!("record {partition}/{offset}"), told.clone());
            }
        }
        // A reason may have changed while it waited on.
        for (partition, waiting) in self.model.parked() {
            figures.set(format!("record {partition}/{}", waiting.offset), format!("parked {}", waiting.reason));
        }
        for (id, p) in self.model.payments() {
            let mut line = format!("status {}", p.status().unwrap_or("none"));
            for (name, sum) in p.counters() {
                write!(line, ", {name} {sum}").expect("a string takes all");
            }
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            let (user, merchant, currency) = (text(&p.user_id), text(&p.merchant_id), text(&p.currency));
            let (last, version) = (p.last_sequence, p.version);
            write!(
                line,
                ", last_sequence {last}, version {version}, user {user}, merchant {merchant}, currency {currency}"
            )
            .expect("a string takes all");
            figures.set(format!("payment {id}"), line);
        }
        for ((payment, id), operation) in self.model.operations() {
            let (kind, status) = (operation.kind.name(), operation.status.name());
            figures.set(format!("operation {payment} {id}"), format!("{kind} {status} {}", operation.amount_minor));
        }
        for ((account, currency), sum) in self.model.balances() {
            if sum != 0 {
                figures.set(format!("balance {account} {currency}"), sum.to_string());
            }
        }
        for (id, partition) in numbers_only {
            let last = self.model.last_sequence(partition, &id);
            figures.set(format!("numbers of {id}"), format!("{partition} {last}"));
        }
        figures
    }

    /// What the model and the ledger do not agree on.
    pub async fn differences(&self, ledger: &Ledger) -> Vec<String> {
        let found = of_ledger(ledger).await;
        let numbers = ledger.numbers_only().await;
        let partition_of = |text: &String| text.split(' ').next().and_then(|p| p.parse().ok()).expect("a partition");
        self.figures(numbers.iter().map(|(id, text)| (*id, partition_of(text)))).differences(&found)
    }
}

/// What the ledger holds, in the same figures.
pub async fn of_ledger(ledger: &Ledger) -> Figures {
    let mut figures = Figures::default();
    for (name, count) in ledger.counts().await {
        figures.set(format!("count {name}"), count.to_string());
    }
    for applied in ledger.applied().await {
        let (partition, offset) = applied.place;
        figures.set(format!("record {partition}/{offset}"), format!("applied as version {}", applied.version));
    }
    for (disposition, kept) in [("rejected", ledger.dead_letters().await), ("parked", ledger.parked().await)] {
        for kept in kept {
            let (partition, offset) = kept.place;
            figures.set(format!("record {partition}/{offset}"), format!("{disposition} {}", kept.reason));
        }
    }
    ledger.payments().await.into_iter().for_each(|(id, line)| figures.set(format!("payment {id}"), line));
    ledger.operations().await.into_iter().for_each(|(id, line)| figures.set(format!("operation {id}"), line));
    ledger.balances().await.into_iter().for_each(|(id, sum)| figures.set(format!("balance {id}"), sum));
    ledger.numbers_only().await.into_iter().for_each(|(id, last)| figures.set(format!("numbers of {id}"), last));
    figures
}

/// Rule 1 as far as a Kafka record goes: its event, or why nobody looks further.
fn carried(record: &Consumed) -> Result<Value, &'static str> {
    let value = record.value.as_deref().ok_or("malformed")?;
    let event = avro::decode(value).map_err(|refused| match refused {
        Refused::Malformed => "malformed",
        Refused::UnknownSchema => "unknown_schema",
    })?;
    let keeps_form = form::parse(&event).is_some_and(|parsed| {
        let known = form::TYPES_OF_V1.contains(&parsed.content.event_type.as_str());
        !known || form::keeps_rules_of_its_type(&parsed.content)
    });
    if !keeps_form {
        return Err("malformed");
    }
    if record.headers.iter().any(|(name, value)| contradicts(&event, name, value.as_deref())) {
        return Err("header_mismatch");
    }
    match record.key.as_deref() == event["user_id"].as_str().map(str::as_bytes) {
        true => Ok(event),
        false => Err("wrong_key"),
    }
}

/// Whether a CloudEvents header says something else than the body.
fn contradicts(event: &Value, name: &[u8], value: Option<&[u8]>) -> bool {
    let field = match name {
        b"ce_id" => "event_id",
        b"ce_type" => "event_type",
        b"ce_source" => "source",
        b"ce_subject" => "payment_id",
        _ => return false,
    };
    let (said, wanted) = (value.and_then(|value| std::str::from_utf8(value).ok()), event[field].as_str());
    match field {
        "event_id" | "payment_id" => !said.zip(wanted).is_some_and(|(said, wanted)| said.eq_ignore_ascii_case(wanted)),
        _ => said != wanted,
    }
}

/// Panics with the first differences, if there are any.
pub fn assert_none(differences: &[String], of: &str) {
    let shown = differences.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(differences.is_empty(), "{of}: {} figures differ from the model:\n  {shown}", differences.len());
}
