//! The core against the independent model: the same streams, every outcome and every final state compared.
//!
//! Rule 2 (ids, the accepted window) belongs to the lane; what stands for it here is as small as it can be. Offsets,
//! batches, Kafka and Postgres are left to the end-to-end tests, headers and keys to the tests of `wire`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use millrace_domain::book::{Arrival, Became, Book, Numbering, Outcome};
use millrace_domain::content::ContentHash;
use millrace_domain::event::{Event, EventType};
use millrace_domain::ids::{EventId, Micros, Offset, Partition, PaymentId, Position};
use millrace_domain::payment::{OperationKind, OperationStatus, Owner, Payment};
use millrace_domain::window::AcceptedWindow;
use millrace_model::form::TYPES_OF_V1;
use millrace_model::streams::{self, NOW_MS};
use millrace_model::{Config, Disposition, Input, Model, Record};
use millrace_wire::schemas::SchemaTable;
use millrace_wire::{avro, json};
use serde_json::Value;

const HOUR_MS: i64 = 3_600_000;
const PARTITIONS: i32 = 3;

/// What became of a record, in the words of both sides: `(partition, offset, drained, disposition)`.
type Told = (i32, i64, bool, String);

#[test]
fn the_core_agrees_with_the_model_on_short_streams_of_hundreds_of_seeds() {
    let reached: BTreeSet<String> = (0..400).flat_map(|seed| compare(seed, 3, 8, 250)).collect();
    assert_reached(&reached, SHORT_STREAMS_REACH);
}

#[test]
fn the_core_agrees_with_the_model_on_long_streams() {
    let reached: BTreeSet<String> = (1000..1006).flat_map(|seed| compare(seed, 5, 400, 8_000)).collect();
    assert_reached(&reached, SHORT_STREAMS_REACH);
    assert_reached(&reached, &["rejected amount_overflow", "drained rejected missing_predecessor"]);
}

#[test]
fn the_core_agrees_with_the_model_where_users_and_payments_are_few() {
    (2000..2200).for_each(|seed| drop(compare(seed, 1, 1, 150)));
    (3000..3100).for_each(|seed| drop(compare(seed, 2, 3, 300)));
}

/// Two sides that agree because nothing happened would prove nothing.
const SHORT_STREAMS_REACH: &[&str] = &[
    "applied",
    "duplicate",
    "drained applied",
    "drained rejected missing_predecessor",
    "drained rejected sequence_conflict",
    "drained rejected unknown_type",
    "parked missing_authorization",
    "parked missing_capture",
    "parked missing_operation",
    "parked missing_sequence",
    "parked unknown_type",
    "rejected id_conflict",
    "rejected is_credit",
    "rejected malformed",
    "rejected merchant_mismatch",
    "rejected operation_conflict",
    "rejected outside_window",
    "rejected owner_mismatch",
    "rejected sequence_conflict",
];

fn assert_reached(reached: &BTreeSet<String>, wanted: &[&str]) {
    for disposition in wanted {
        assert!(reached.contains(*disposition), "no stream reached `{disposition}`; reached: {reached:#?}");
    }
}

/// Runs one stream through both sides; returns what was reached.
fn compare(seed: u64, users: usize, payments: usize, len: usize) -> BTreeSet<String> {
    let (mut model, mut core) = (Model::new(Config::default()), Core::default());
    let mut reached = BTreeSet::new();
    for (offset, value) in streams::stream(seed, users, payments, len).iter().enumerate() {
        let at = |what: &str| {
            format!("seed {seed}, users {users}, payments {payments}, len {len}: {what} {offset}: {value}")
        };
        let partition = streams::partition_of(value, PARTITIONS);
        // Five days pass, a quarter of a day at a time, so that some wait too long.
        let now_ms = NOW_MS + (offset * 20 / len) as i64 * 6 * HOUR_MS;
        let record = Record { partition, offset: offset as i64, input: Input::Event(value), now_ms };
        let wanted: Vec<Told> = model.record(&record).iter().map(told_by_model).collect();
        let found = core.record(partition, offset as i64, value, now_ms);
        assert_eq!(found, wanted, "{}", at("record"));
        reached.extend(found.iter().map(in_short));
        if offset % 25 == 24 {
            for partition in 0..PARTITIONS {
                let wanted = model.expire(partition, now_ms);
                let wanted = by_payment(&core, wanted.iter().map(told_by_model).collect());
                let found = core.expire(partition, now_ms);
                reached.extend(found.iter().map(in_short));
                assert_eq!(by_payment(&core, found), wanted, "{}", at("the parking limit, after record"));
            }
        }
    }
    compare_what_is_left(&model, &core, &format!("seed {seed}"));
    reached
}

fn in_short((_, _, drained, disposition): &Told) -> String {
    let without_version = if disposition.starts_with("applied") { "applied" } else { disposition };
    format!("{}{without_version}", if *drained { "drained " } else { "" })
}

/// In which order payments come to the parking limit is nobody's business; within each, the order is the design's.
fn by_payment(core: &Core, mut outcomes: Vec<Told>) -> Vec<Told> {
    outcomes.sort_by_key(|(partition, offset, ..)| core.payment_at[&(*partition, *offset)]);
    outcomes
}

fn compare_what_is_left(model: &Model, core: &Core, of: &str) {
    for ((partition, id), book) in &core.books {
        let last = model.last_sequence(*partition, &id.0);
        assert_eq!(book.payment.last_sequence, last, "{of}: last sequence of {id} in {partition}");
    }
    let known: BTreeMap<_, _> = model.payments().map(|(id, state)| (PaymentId(id), state)).collect();
    assert_eq!(core.owners.keys().copied().collect::<BTreeSet<_>>(), known.keys().copied().collect(), "{of}: payments");
    for (id, wanted) in &known {
        let found = &core.books[&(core.owners[id], *id)].payment;
        compare_payment(found, wanted, &format!("{of}: payment {id}"));
    }
    let waiting = model.parked();
    let wanted: Vec<_> =
        waiting.iter().map(|(p, w)| (*p, w.offset, w.event.id, w.reason.to_owned(), w.since_ms * 1000)).collect();
    let mut found = Vec::new();
    for ((partition, _), book) in &core.books {
        found.extend(
            book.parked().map(|p| {
                (*partition, p.position.offset.0, p.event.event_id.0, p.waits_for.kind().to_owned(), p.since.0)
            }),
        );
    }
    found.sort();
    assert_eq!(found, wanted, "{of}: what is parked");
    let mut wanted: Vec<_> = model
        .transfers()
        .iter()
        .map(|t| (t.event_id, t.debit_account.clone(), t.credit_account.clone(), t.amount_minor, t.currency.clone()))
        .collect();
    wanted.sort();
    let mut found = core.transfers.clone();
    found.sort();
    assert_eq!(found, wanted, "{of}: transfers");
}

fn compare_payment(found: &Payment, wanted: &millrace_model::payment::Payment, of: &str) {
    let c = found.counters;
    let counters = [
        ("authorized", c.authorized),
        ("captured", c.captured),
        ("voided", c.voided),
        ("refund_pending", c.refund_pending),
        ("refunded", c.refunded),
        ("disputed", c.disputed),
        ("lost", c.lost),
        ("fees", c.fees),
    ];
    let found_counters: BTreeMap<_, _> = counters.map(|(name, sum)| (name, i128::from(sum))).into();
    assert_eq!(found_counters, wanted.counters().into_iter().collect(), "{of}");
    assert_eq!(found.status().map(|status| status.as_str()), wanted.status(), "{of}");
    assert_eq!(found.version, wanted.version, "{of}");
    let owner = found.owner.as_ref().expect("a known payment has an owner");
    assert_eq!(Some(owner.user_id.as_str()), wanted.user_id.as_deref(), "{of}");
    assert_eq!(Some(owner.currency.code()), wanted.currency.as_deref(), "{of}");
    assert_eq!(found.merchant_id.as_ref().map(|m| m.as_str()), wanted.merchant_id.as_deref(), "{of}");
    let ids: BTreeSet<_> = found.facts.iter().map(|fact| fact.operation_id).collect();
    let operations: BTreeMap<_, _> = ids
        .into_iter()
        .filter_map(|id| {
            found.operation(id).map(|o| (id.0, (kind(o.kind), status(o.status), i128::from(o.amount_minor))))
        })
        .collect();
    let wanted = wanted.operations.iter().map(|(id, o)| (*id, (o.kind.name(), o.status.name(), o.amount_minor)));
    assert_eq!(operations, wanted.collect(), "{of}: operations");
}

fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Refund => "refund",
        OperationKind::Dispute => "dispute",
    }
}

fn status(status: OperationStatus) -> &'static str {
    match status {
        OperationStatus::Pending => "pending",
        OperationStatus::Succeeded => "succeeded",
        OperationStatus::Failed => "failed",
        OperationStatus::Open => "open",
        OperationStatus::Won => "won",
        OperationStatus::Lost => "lost",
    }
}

fn told_by_model(outcome: &millrace_model::Outcome) -> Told {
    let disposition = match &outcome.disposition {
        Disposition::Applied { version } => format!("applied {version}"),
        Disposition::Duplicate => "duplicate".to_owned(),
        Disposition::Parked { reason } => format!("parked {reason}"),
        Disposition::Rejected { reason } => format!("rejected {reason}"),
    };
    (outcome.partition, outcome.offset, outcome.drained, disposition)
}

/// The core behind a rule 2 of its own, in memory.
#[derive(Default)]
struct Core {
    books: BTreeMap<(i32, PaymentId), Book>,
    /// Every event id applied or parked, under whatever payment.
    ids: HashMap<EventId, ContentHash>,
    /// Whose a known payment is: the key of `payments` decides who came first.
    owners: BTreeMap<PaymentId, i32>,
    transfers: Vec<(uuid::Uuid, String, String, i64, String)>,
    payment_at: HashMap<(i32, i64), PaymentId>,
}

impl Core {
    fn record(&mut self, partition: i32, offset: i64, value: &Value, now_ms: i64) -> Vec<Told> {
        let alone = |disposition: &str| vec![(partition, offset, false, disposition.to_owned())];
        let Ok(event) = json::parse(value.to_string().as_bytes()) else { return alone("rejected malformed") };
        // Each event also travels as bytes once.
        let event = {
            let decoded = avro::decode(&avro::encode(&event), SchemaTable::built_in());
            assert_eq!(decoded.as_ref(), Ok(&event));
            decoded.expect("compared above")
        };
        self.payment_at.insert((partition, offset), event.payment_id);
        match self.ids.get(&event.event_id) {
            Some(first) if *first == ContentHash::of(&event) => return alone("duplicate"),
            Some(_) => return alone("rejected id_conflict"),
            None => {}
        }
        let defaults = Config::default();
        let window = AcceptedWindow { back_ms: defaults.window_back_ms, ahead_ms: defaults.window_ahead_ms };
        let now = Micros(now_ms * 1000);
        if !window.contains(event.event_id, now) {
            return alone("rejected outside_window");
        }
        let position = Position { partition: Partition(partition), offset: Offset(offset) };
        let id = event.payment_id;
        let arrival = Arrival { event: event.into(), position, now, numbering: Numbering::Judged };
        self.with_book(partition, id, |book, outcomes| book.admit(arrival, outcomes))
    }

    fn expire(&mut self, partition: i32, now_ms: i64) -> Vec<Told> {
        let limit = Micros((now_ms - Config::default().parking_limit_ms) * 1000);
        let of_lane: Vec<PaymentId> = self.books.keys().filter(|(p, _)| *p == partition).map(|(_, id)| *id).collect();
        of_lane
            .into_iter()
            .flat_map(|id| self.with_book(partition, id, |book, outcomes| book.expire(limit, outcomes)))
            .collect()
    }

    fn with_book(
        &mut self,
        partition: i32,
        id: PaymentId,
        judge: impl FnOnce(&mut Book, &mut Vec<Outcome>),
    ) -> Vec<Told> {
        let stranger = self.owners.get(&id).filter(|owner| **owner != partition);
        let their: Option<Owner> = stranger.and_then(|owner| self.books[&(*owner, id)].payment.owner.clone());
        let book = self.books.entry((partition, id)).or_default();
        if their.is_some() {
            book.payment.owner = their;
        }
        let mut outcomes = Vec::new();
        judge(book, &mut outcomes);
        outcomes.iter().filter_map(|outcome| self.note(partition, outcome)).collect()
    }

    /// Keeps what rule 2 looks up. What only waits for something else now is no news.
    fn note(&mut self, partition: i32, outcome: &Outcome) -> Option<Told> {
        let Outcome { event, position, drained, became } = outcome;
        let told = match became {
            Became::Applied { version, transfer } => {
                self.ids.insert(event.event_id, ContentHash::of(event));
                self.owners.insert(event.payment_id, partition);
                self.transfers.extend(transfer.as_ref().map(|t| {
                    let (debit, credit) = (t.debit.to_string(), t.credit.to_string());
                    (event.event_id.0, debit, credit, t.amount_minor, t.currency.code().to_owned())
                }));
                format!("applied {version}")
            }
            Became::Parked(_) if *drained => return None,
            Became::Parked(waits_for) => {
                self.ids.insert(event.event_id, ContentHash::of(event));
                format!("parked {waits_for}")
            }
            Became::Duplicate => self.forget_if(*drained, event, "duplicate".to_owned()),
            Became::Rejected { reason, .. } => self.forget_if(*drained, event, format!("rejected {reason}")),
        };
        Some((partition, position.offset.0, *drained, told))
    }

    /// What was parked and left without being applied may be published again.
    fn forget_if(&mut self, drained: bool, event: &Event, told: String) -> String {
        if drained {
            self.ids.remove(&event.event_id);
        }
        told
    }
}

#[test]
fn the_core_and_the_model_know_the_same_types() {
    for name in TYPES_OF_V1 {
        assert!(matches!(EventType::from_name(name), EventType::Known(_)), "{name}");
    }
    assert_eq!(TYPES_OF_V1.len(), millrace_domain::event::Kind::ALL.len());
}
