//! The design's invariants that hold without a database, over generated schedules of one payment.
//!
//! A schedule plays the lane: it never admits an event that was applied or is parked (rule 2), and it publishes
//! rejected events again. Stored balances, offsets and proof rows are left to the tests of the store and of the lane.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millrace_domain::book::{Arrival, Became, Book, Numbering, Outcome};
use millrace_domain::event::{Draft, Event, Kind};
use millrace_domain::ids::{EventId, MerchantId, Micros, Offset, Partition, Position, UserId};
use millrace_domain::money::{AMOUNT_MINOR_MAX, Currency};
use millrace_domain::payment::{Counters, Owner, Payment};
use millrace_domain::posting::{Account, Transfer};
use millrace_domain::table::{self, Verdict};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_transfer_has_two_different_accounts_of_one_currency_and_a_positive_amount(schedule in schedule()) {
        let run = Run::of(&schedule);
        for transfer in &run.transfers {
            prop_assert_ne!(&transfer.debit, &transfer.credit);
            prop_assert!(transfer.amount_minor > 0, "{:?}", transfer);
            prop_assert_eq!(Some(transfer.currency), run.book.payment.owner.as_ref().map(|owner| owner.currency));
        }
    }

    #[test]
    fn the_sum_of_balances_per_currency_is_0_and_each_balance_is_what_the_counters_say(schedule in schedule()) {
        let run = Run::of(&schedule);
        let balances = run.balances();
        prop_assert_eq!(balances.values().sum::<i128>(), 0);
        let c = run.book.payment.counters;
        let [captured, refunded, pending, disputed, lost, fees] =
            [c.captured, c.refunded, c.refund_pending, c.disputed, c.lost, c.fees].map(i128::from);
        let of = |account: &str| balances.get(account).copied().unwrap_or(0);
        prop_assert_eq!(of("psp_receivable"), captured - refunded - disputed - lost);
        prop_assert_eq!(of("merchant_payable"), -(captured - refunded - pending - lost - fees));
        prop_assert_eq!(of("refunds_in_transit"), -pending);
        prop_assert_eq!(of("dispute_receivable"), disputed);
        prop_assert_eq!(of("fee_revenue"), -fees);
    }

    #[test]
    fn captured_and_voided_stay_within_authorized_and_refunds_within_captured(schedule in schedule()) {
        Run::watching(&schedule, assert_limits);
    }

    #[test]
    fn folding_the_applied_events_by_version_gives_the_state(schedule in schedule()) {
        let run = Run::of(&schedule);
        let mut folded = Payment::default();
        for (at, (version, event)) in run.applied.iter().enumerate() {
            prop_assert_eq!(*version, at as i64 + 1, "versions have no gap");
            match table::judge_in_order(&folded, event, None) {
                Verdict::Apply(effect) => folded.apply(event, &effect),
                other => prop_assert!(false, "{event:?} applied once and is now {other:?}"),
            }
        }
        // Numbers are used up by rejected events too, which are not in the fold.
        folded.last_sequence = run.book.payment.last_sequence;
        prop_assert_eq!(folded, run.book.payment);
    }

    #[test]
    fn no_event_id_is_applied_twice_and_every_record_has_exactly_one_disposition(schedule in schedule()) {
        let run = Run::of(&schedule);
        let ids: BTreeSet<EventId> = run.applied.iter().map(|(_, event)| event.event_id).collect();
        prop_assert_eq!(ids.len(), run.applied.len());
        for (offset, told) in &run.by_offset {
            let (own, drained): (Vec<&Outcome>, Vec<&Outcome>) = told.iter().partition(|outcome| !outcome.drained);
            prop_assert_eq!(own.len(), 1, "record {} has {:?}", offset, told);
            let left = drained.iter().filter(|o| !matches!(o.became, Became::Parked(_))).count();
            let waits = run.book.parked().filter(|p| p.position.offset.0 == *offset).count();
            let was_parked = matches!(own[0].became, Became::Parked(_));
            prop_assert_eq!(left + waits, usize::from(was_parked), "record {} has {:?}", offset, told);
        }
    }

    #[test]
    fn what_was_not_parked_applies_in_offset_order(schedule in schedule()) {
        let run = Run::of(&schedule);
        let direct = run.by_offset.values().flatten().filter(|o| !o.drained).filter_map(|o| match o.became {
            Became::Applied { version, .. } => Some(version),
            _ => None,
        });
        let versions: Vec<i64> = direct.collect();
        prop_assert!(versions.is_sorted_by(|a, b| a < b), "by offset: {versions:?}");
    }

    #[test]
    fn after_each_record_nothing_that_is_parked_could_move(schedule in schedule()) {
        let mut run = Run::default();
        for step in &schedule {
            run.step(step);
            let mut outcomes = Vec::new();
            run.book.drain(&mut outcomes);
            prop_assert!(outcomes.is_empty(), "{outcomes:?}");
        }
    }

    #[test]
    fn a_book_that_was_stored_and_read_again_goes_on_as_if_nothing_had_been(schedule in schedule()) {
        let (mut kept, mut reread) = (Run::default(), Run::default());
        for step in &schedule {
            kept.step(step);
            reread.step(step);
            reread.book = Book::new(reread.book.payment.clone(), reread.book.parked().cloned().collect::<Vec<_>>());
        }
        prop_assert_eq!(kept.by_offset, reread.by_offset);
        prop_assert_eq!(kept.book, reread.book);
    }

    #[test]
    fn judging_never_panics_and_keeps_the_limits_whatever_the_sums(
        state in extreme_payment(),
        event in event(),
        numbering in select(vec![Numbering::Judged, Numbering::UsedByItself]),
        limit in any::<i64>(),
    ) {
        let mut book = Book::new(state, []);
        let mut outcomes = Vec::new();
        let position = Position { partition: Partition(0), offset: Offset(i64::MAX) };
        book.admit(Arrival { event: event.into(), position, now: Micros(i64::MIN), numbering }, &mut outcomes);
        assert_limits(&book.payment);
        book.expire(Micros(limit), &mut outcomes);
        book.drain(&mut outcomes);
        assert_limits(&book.payment);
    }
}

/// Each of the types must come to be applied somewhere, or the properties above prove nothing about it.
#[test]
fn the_generated_schedules_apply_every_type_and_reach_every_disposition() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut applied, mut others) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..3000 {
        let schedule = schedule().new_tree(&mut runner).expect("a schedule").current();
        let run = Run::of(&schedule);
        applied.extend(run.applied.iter().map(|(_, event)| event.event_type.as_str().to_owned()));
        for outcome in run.by_offset.values().flatten() {
            let drained = if outcome.drained { "drained " } else { "" };
            match &outcome.became {
                Became::Applied { .. } => others.insert(format!("{drained}applied")),
                Became::Duplicate => others.insert(format!("{drained}duplicate")),
                Became::Parked(waits_for) => others.insert(format!("{drained}{waits_for}")),
                Became::Rejected { reason, .. } => others.insert(format!("{drained}{reason}")),
            };
        }
    }
    let every: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    assert_eq!(applied, every);
    let wanted = [
        "drained applied",
        "drained duplicate",
        "drained missing_authorization",
        "drained missing_predecessor",
        "drained sequence_conflict",
        "drained unknown_type",
        "duplicate",
        "missing_sequence",
        "missing_authorization",
        "missing_operation",
        "missing_capture",
        "owner_mismatch",
        "currency_mismatch",
        "merchant_mismatch",
        "operation_conflict",
        "is_credit",
        "operation_closed",
    ];
    for disposition in wanted {
        assert!(others.contains(disposition), "no schedule reached {disposition}; reached: {others:?}");
    }
}

fn assert_limits(payment: &Payment) {
    let c = payment.counters;
    let Counters { authorized, captured, voided, refund_pending, refunded, disputed, lost, fees } = c;
    for sum in [authorized, captured, voided, refund_pending, refunded, disputed, lost, fees] {
        assert!(sum >= 0, "a sum below 0: {c:?}");
    }
    let wide = |a: i64, b: i64| i128::from(a) + i128::from(b);
    assert!(wide(captured, voided) <= i128::from(authorized), "{c:?}");
    assert!(payment.credit || wide(refunded, refund_pending) <= i128::from(captured), "{c:?}");
    assert!(wide(disputed, lost) <= i128::from(captured), "{c:?}");
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a schedule holds few")]
enum Step {
    /// A new event.
    New(Event),
    /// One that was published before, if it is neither applied nor parked.
    Again { which: usize, redriven: bool },
    /// The parking limit passes for what was parked before the latest so many records.
    Expire { records_ago: i64 },
}

/// What a schedule did to one payment.
#[derive(Default)]
struct Run {
    book: Book,
    published: Vec<Event>,
    /// Of each event that is neither applied nor parked: whether its number is used up by itself.
    rejected: HashMap<EventId, Numbering>,
    by_offset: BTreeMap<i64, Vec<Outcome>>,
    applied: Vec<(i64, Arc<Event>)>,
    transfers: Vec<Transfer>,
    offset: i64,
}

impl Run {
    fn of(schedule: &[Step]) -> Run {
        Run::watching(schedule, |_| {})
    }

    fn watching(schedule: &[Step], watch: impl Fn(&Payment)) -> Run {
        let mut run = Run::default();
        for step in schedule {
            run.step(step);
            watch(&run.book.payment);
        }
        run
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::New(event) => {
                // An id of its own for each, in the order of publication.
                let mut event = event.clone();
                event.event_id = EventId(v7(self.published.len() as u128 + 1));
                self.published.push(event.clone());
                self.admit(event, Numbering::Judged);
            }
            Step::Again { which, redriven } if !self.published.is_empty() => {
                let event = self.published[which % self.published.len()].clone();
                if let Some(by_itself) = self.rejected.get(&event.event_id) {
                    let numbering = if *redriven { *by_itself } else { Numbering::Judged };
                    self.admit(event, numbering);
                }
            }
            Step::Again { .. } => {}
            Step::Expire { records_ago } => {
                let mut outcomes = Vec::new();
                self.book.expire(Micros(self.offset - records_ago), &mut outcomes);
                self.note(outcomes);
            }
        }
    }

    fn admit(&mut self, event: Event, numbering: Numbering) {
        self.offset += 1;
        let position = Position { partition: Partition(3), offset: Offset(self.offset) };
        let mut outcomes = Vec::new();
        self.book.admit(Arrival { event: event.into(), position, now: Micros(self.offset), numbering }, &mut outcomes);
        self.note(outcomes);
    }

    fn note(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let id = outcome.event.event_id;
            self.rejected.remove(&id);
            match &outcome.became {
                Became::Applied { version, transfer } => {
                    self.applied.push((*version, outcome.event.clone()));
                    self.transfers.extend(transfer.clone());
                }
                Became::Rejected { number_used, .. } => {
                    let numbering = if *number_used { Numbering::UsedByItself } else { Numbering::Judged };
                    self.rejected.insert(id, numbering);
                }
                Became::Duplicate | Became::Parked(_) => {}
            }
            self.by_offset.entry(outcome.position.offset.0).or_default().push(outcome);
        }
    }

    fn balances(&self) -> BTreeMap<&'static str, i128> {
        let mut balances = BTreeMap::new();
        let name = |account: &Account| match account {
            Account::PspReceivable => "psp_receivable",
            Account::MerchantPayable(_) => "merchant_payable",
            Account::RefundsInTransit => "refunds_in_transit",
            Account::DisputeReceivable => "dispute_receivable",
            Account::FeeRevenue => "fee_revenue",
        };
        for transfer in &self.transfers {
            *balances.entry(name(&transfer.debit)).or_default() += i128::from(transfer.amount_minor);
            *balances.entry(name(&transfer.credit)).or_default() -= i128::from(transfer.amount_minor);
        }
        balances
    }
}

/// Boxed, like the others: unboxed they are values of many kilobytes, too many for a test's stack without optimization.
fn schedule() -> BoxedStrategy<Vec<Step>> {
    let step = prop_oneof![
        12 => event().prop_map(Step::New),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, redriven)| Step::Again { which, redriven }),
        1 => (0_i64..6).prop_map(|records_ago| Step::Expire { records_ago }),
    ];
    prop::collection::vec(step, 0..40).boxed()
}

/// An event that keeps the rules of form, from so few values that they meet.
fn event() -> BoxedStrategy<Event> {
    let every: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["payment.teleported"]).collect();
    // Without money captured most events would only wait, and a credit takes no further event.
    let types = prop_oneof![
        8 => select(every).prop_filter("rare", |name| *name != "refund.unreferenced"),
        6 => select(vec!["payment.authorized", "payment.charged", "payment.captured", "dispute.opened"]),
        3 => select(vec!["dispute.won", "dispute.lost", "refund.succeeded", "refund.failed"]),
        1 => Just("refund.unreferenced"),
    ];
    let common = prop_oneof![19 => Just(0), 1 => Just(1)];
    let amounts = prop_oneof![
        8 => 1..4_i64,
        8 => Just(2),
        6 => 20..60_i64,
        1 => Just(0),
        1 => select(vec![AMOUNT_MINOR_MAX - 1, AMOUNT_MINOR_MAX]),
    ];
    let sequences = prop_oneof![
        12 => Just(None),
        8 => (1..12_i64).prop_map(Some),
        1 => select(vec![Some(i64::MAX - 1), Some(i64::MAX)]),
    ];
    let operations = prop_oneof![1 => Just(None), 3 => (1..4_u128).prop_map(Some)];
    let merchants = prop_oneof![2 => Just(None), 20 => Just(Some("m")), 1 => Just(Some("other"))];
    let fields = (types, amounts, sequences, operations, merchants, common.clone(), common);
    let event = fields.prop_filter_map(
        "breaks a rule of form",
        |(event_type, amount_minor, sequence, operation, merchant, user, currency)| {
            let draft = Draft {
                event_id: v7(1).to_string().into(),
                event_type: event_type.into(),
                payment_id: Uuid::from_u128(1).to_string().into(),
                user_id: ["u", "other"][user].into(),
                merchant_id: merchant.map(Into::into),
                operation_id: operation.map(|n| Uuid::from_u128(n).to_string().into()),
                sequence,
                amount_minor,
                currency: ["GBP", "JPY"][currency].into(),
                source: "schedule".into(),
                ..Draft::default()
            };
            draft.check().ok()
        },
    );
    event.boxed()
}

/// A known payment that keeps the limits, with sums up to the end of 64 bits.
fn extreme_payment() -> BoxedStrategy<Payment> {
    let upto = |max: i64| prop_oneof![0..=max, Just(max), Just(0), (max - max.min(9))..=max].boxed();
    let sums = upto(i64::MAX).prop_flat_map(move |authorized| {
        upto(authorized).prop_flat_map(move |captured| {
            (upto(authorized - captured), upto(captured), upto(captured)).prop_flat_map(
                move |(voided, refunded, disputed)| {
                    (upto(captured - refunded), upto(captured - disputed), upto(i64::MAX)).prop_map(
                        move |(refund_pending, lost, fees)| Counters {
                            authorized,
                            captured,
                            voided,
                            refund_pending,
                            refunded,
                            disputed,
                            lost,
                            fees,
                        },
                    )
                },
            )
        })
    });
    let last_sequence = prop_oneof![Just(0), Just(i64::MAX - 1), Just(i64::MAX), 0..20_i64];
    let payment = (sums.boxed(), last_sequence).prop_map(|(counters, last_sequence)| {
        let currency = Currency::from_code("GBP").expect("GBP is a currency");
        Payment {
            owner: Some(Owner { user_id: UserId("u".into()), currency }),
            merchant_id: Some(MerchantId("m".into())),
            counters,
            last_sequence,
            version: 1,
            ..Payment::default()
        }
    });
    payment.boxed()
}

fn v7(number: u128) -> Uuid {
    Uuid::from_u128(number << 80 | 7 << 76 | 2 << 62 | number)
}
