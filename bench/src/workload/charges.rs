//! Single charges: each event is a payment of its own, with all of the eleven fields filled that a plain sink has.
//!
//! 20,000 merchants, a few of them busy; a million users, none of them busy. What may be wrong with the stream is one
//! thing at a time, so that its price can be told.

use std::collections::VecDeque;

use millrace_domain::event::{Event, EventType, Kind, Metadata};
use millrace_domain::ids::{EventId, MerchantId, Micros, PaymentId, UserId};
use millrace_domain::money::Currency;
use millrace_generator::Outcome;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use uuid::{Builder, Uuid};

use super::{Record, Workload};

const MERCHANTS: u32 = 20_000;
/// How unequal the merchants are: the busiest has about one event in fifteen.
const SKEW: f64 = 0.9;
const USERS: u32 = 1_000_000;
/// Currencies by the share of the merchants that have them, in per cent.
const CURRENCIES: [(&str, u32); 4] = [("GBP", 55), ("EUR", 25), ("USD", 15), ("JPY", 5)];
/// The events of a backlog happened evenly within this time.
const SPAN_MS: i64 = 60_000;
const DUPLICATES: f64 = 0.025;
/// A publisher tries again soon: within so many events.
const REMEMBERED: usize = 2_000;
const BAD_ONE_IN: u64 = 1_000;
const HOT_SHARE: f64 = 0.5;

/// What is wrong or special with a stream of charges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Nothing.
    None,
    /// 2.5 % of the records repeat one of the last 2,000.
    Duplicates,
    /// One record in 1,000 is truncated, breaks a rule of form, or names a schema that nobody knows.
    Bad,
    /// Half of the charges are one user's.
    HotUser,
    /// Each event carries 2 KiB of metadata.
    Wide,
}

/// Makes charges, one after the other.
pub struct Maker {
    rng: StdRng,
    merchants: Zipf<f64>,
    currencies: Vec<Currency>,
    made: u64,
    flaw: Flaw,
}

impl Maker {
    /// The same seed makes the same charges, but for the times that they are given.
    pub fn new(seed: u64, flaw: Flaw) -> Maker {
        let codes = CURRENCIES.iter().flat_map(|(code, percent)| std::iter::repeat_n(*code, *percent as usize));
        Maker {
            rng: StdRng::seed_from_u64(seed),
            merchants: Zipf::new(f64::from(MERCHANTS), SKEW).expect("20,000 merchants and a positive exponent"),
            currencies: codes.map(|code| Currency::from_code(code).expect("ISO 4217 has it")).collect(),
            made: 0,
            flaw,
        }
    }

    /// The next charge, which happens at this moment.
    pub fn charge(&mut self, occurred_at: Micros) -> Event {
        self.made += 1;
        let merchant = self.merchants.sample(&mut self.rng) as u32;
        let hot = self.flaw == Flaw::HotUser && self.rng.random_bool(HOT_SHARE);
        let user = if hot { 0 } else { self.rng.random_range(1..=USERS) };
        let order = self.rng.random::<u32>();
        Event {
            event_id: EventId(self.id(occurred_at)),
            event_type: EventType::Known(Kind::PaymentCharged),
            payment_id: PaymentId(self.id(occurred_at)),
            user_id: UserId(format!("user-{user:07}").into()),
            merchant_id: Some(MerchantId(format!("merchant-{merchant:05}").into())),
            operation_id: None,
            sequence: None,
            amount_minor: self.rng.random_range(50..=50_000),
            // A merchant has one currency, so one account.
            currency: self.currencies[merchant as usize % self.currencies.len()],
            occurred_at,
            source: "card-gateway".into(),
            correlation_id: Some(format!("order-{order:08x}").into()),
            causation_id: Some(format!("checkout-{:010}", self.made).into()),
            metadata: self.metadata(),
        }
    }

    /// A UUIDv7 of that moment.
    fn id(&mut self, at: Micros) -> Uuid {
        let ms = u64::try_from(at.0 / 1_000).unwrap_or(0);
        Builder::from_unix_timestamp_millis(ms, &self.rng.random()).into_uuid()
    }

    fn metadata(&mut self) -> Metadata {
        const ENTRIES: usize = 5;
        const VALUE_CHARS: usize = 400;
        if self.flaw != Flaw::Wide {
            return Metadata::new();
        }
        let mut text = || (0..VALUE_CHARS).map(|_| char::from(self.rng.random_range(b'a'..=b'z'))).collect::<String>();
        (0..ENTRIES).map(|entry| (format!("note-{entry}").into(), text().into())).collect()
    }
}

/// A backlog of charges.
pub struct Charges {
    maker: Maker,
    events: u64,
    sent: u64,
    start_ms: i64,
    recent: VecDeque<Record>,
    outcome: Outcome,
}

impl Charges {
    /// So many records, the last of which happens at `end_ms`.
    pub fn new(seed: u64, events: u64, end_ms: i64, flaw: Flaw) -> Charges {
        Charges {
            maker: Maker::new(seed, flaw),
            events,
            sent: 0,
            start_ms: end_ms - SPAN_MS,
            recent: VecDeque::new(),
            outcome: Outcome::default(),
        }
    }

    fn next_charge(&mut self) -> Event {
        let elapsed = i128::from(SPAN_MS) * 1_000 * i128::from(self.sent) / i128::from(self.events.max(1));
        self.maker.charge(Micros(self.start_ms * 1_000 + i64::try_from(elapsed).unwrap_or(0)))
    }

    fn duplicate(&mut self) -> Option<Record> {
        if self.maker.flaw != Flaw::Duplicates || self.recent.is_empty() || !self.maker.rng.random_bool(DUPLICATES) {
            return None;
        }
        let which = self.maker.rng.random_range(0..self.recent.len());
        self.outcome.duplicates += 1;
        Some(self.recent[which].clone())
    }

    fn bad(&mut self) -> Option<Record> {
        const UNKNOWN_SCHEMA: [u8; 4] = 999_u32.to_be_bytes();
        if self.maker.flaw != Flaw::Bad || self.sent % BAD_ONE_IN != BAD_ONE_IN / 2 {
            return None;
        }
        let mut event = self.next_charge();
        let reason = match self.sent / BAD_ONE_IN % 3 {
            0 => "malformed",
            1 => {
                event.amount_minor = 0;
                "malformed"
            }
            _ => "unknown_schema",
        };
        let mut record = Record::of(&event);
        match self.sent / BAD_ONE_IN % 3 {
            0 => record.value.truncate(record.value.len() / 2),
            1 => {}
            _ => record.value[1..5].copy_from_slice(&UNKNOWN_SCHEMA),
        }
        *self.outcome.rejected.entry(reason.to_owned()).or_default() += 1;
        Some(record)
    }

    fn good(&mut self) -> Record {
        let event = self.next_charge();
        count(&mut self.outcome, &event);
        let record = Record::of(&event);
        if self.maker.flaw == Flaw::Duplicates {
            if self.recent.len() == REMEMBERED {
                self.recent.pop_front();
            }
            self.recent.push_back(record.clone());
        }
        record
    }
}

/// Adds one charge to what must come out.
pub fn count(outcome: &mut Outcome, event: &Event) {
    let (amount, currency) = (event.amount_minor, event.currency.code());
    let merchant = event.merchant_id.as_ref().map_or("", |merchant| merchant.as_str());
    let mut add = |account: String, minor| *outcome.balances_minor.entry(account).or_default() += minor;
    add(format!("psp_receivable {currency}"), amount);
    add(format!("merchant_payable:{merchant} {currency}"), -amount);
    *outcome.merchant_payable_minor.entry(currency.to_owned()).or_default() -= amount;
    *outcome.sum_minor.entry(format!("payment.charged {currency}")).or_default() += amount;
    *outcome.by_type.entry("payment.charged".to_owned()).or_default() += 1;
    *outcome.payments_by_status.entry("captured".to_owned()).or_default() += 1;
    outcome.applied += 1;
    outcome.transfers += 1;
}

impl Iterator for Charges {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.sent >= self.events {
            return None;
        }
        let special = self.duplicate().or_else(|| self.bad());
        let record = special.unwrap_or_else(|| self.good());
        self.sent += 1;
        Some(record)
    }
}

impl Workload for Charges {
    fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_wire::record::decode;
    use millrace_wire::schemas::SchemaTable;

    use super::*;

    const END_MS: i64 = 1_790_000_000_000;

    fn refused(record: &Record) -> Option<String> {
        let headers = record.headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
        decode(record.key.as_deref(), Some(&record.value), headers, SchemaTable::built_in())
            .err()
            .map(|refusal| refusal.reason.to_string())
    }

    #[test]
    fn the_same_seed_makes_the_same_records() {
        let of = |seed| Charges::new(seed, 100, END_MS, Flaw::None).collect::<Vec<_>>();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn what_must_be_rejected_is_what_the_decoder_refuses() {
        let mut charges = Charges::new(1, 6_000, END_MS, Flaw::Bad);
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        for reason in charges.by_ref().filter_map(|record| refused(&record)) {
            *found.entry(reason).or_default() += 1;
        }
        assert_eq!(found, charges.outcome().rejected);
        assert_eq!(found.values().sum::<u64>(), 6);
    }

    #[test]
    fn duplicates_are_a_few_per_cent_and_everything_is_accounted_for() {
        let mut charges = Charges::new(1, 10_000, END_MS, Flaw::Duplicates);
        let sent = charges.by_ref().count() as u64;
        let outcome = charges.outcome();
        assert_eq!(outcome.applied + outcome.duplicates, sent);
        assert!((150..350).contains(&outcome.duplicates), "{}", outcome.duplicates);
        assert_eq!(outcome.balances_minor.values().sum::<i64>(), 0);
    }
}
