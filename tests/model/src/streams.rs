//! Adversarial random streams: few payments, colliding amounts, shared operation ids, numbers with gaps, repeats and
//! conflicts, event ids used again, strangers, unknown types, malformed events of every kind.
//!
//! A stream is a function of its arguments alone. It knows nothing of what becomes of an event: that is the model's
//! and the pipeline's to say. What only a Kafka record can break (framing, headers, key) is not in it.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The time around which [`stream`] sets its event ids: 2026-11-01T00:00:00Z, in milliseconds.
pub const NOW_MS: i64 = 1_793_491_200_000;

/// How many kinds of [`malformed`] there are.
pub const MALFORMED_KINDS: u64 = 44;

const AMOUNT_MAX: i64 = (1 << 53) - 1;
const DAY_MS: i64 = 86_400_000;
/// As many payments are busy at the same time.
const BUSY_PAYMENTS: u64 = 6;
/// The sum of fees needs so many events to leave 64 bits, and so streams from this length on try it.
const OVERFLOW_LEN_MIN: usize = 4_096;

/// `len` events in the order in which they are published, their ids' times around [`NOW_MS`].
pub fn stream(seed: u64, users: usize, payments: usize, len: usize) -> Vec<Value> {
    stream_at(seed, users, payments, len, NOW_MS)
}

/// The same around another time, for a pipeline with a clock of its own.
pub fn stream_at(seed: u64, users: usize, payments: usize, len: usize, now_ms: i64) -> Vec<Value> {
    let mut generator = Generator::new(seed, users, payments, now_ms);
    let mut whale = if len >= OVERFLOW_LEN_MIN { generator.overflowing_payment() } else { Vec::new() };
    whale.reverse();
    let mut events = Vec::with_capacity(len);
    for position in 0..len {
        let event = match whale.pop() {
            Some(event) if position % 3 == 0 => event,
            left => {
                whale.extend(left);
                generator.next(position, len)
            }
        };
        events.push(event);
    }
    events
}

/// A partition that depends on the user alone, as Kafka's does (it is not the same one).
pub fn partition_of(event: &Value, partitions: i32) -> i32 {
    let user = event.get("user_id").and_then(Value::as_str).unwrap_or("");
    user.bytes().fold(0, |sum, byte| (sum * 31 + i32::from(byte)) % partitions)
}

/// Steele, Lea and Flood's splitmix64: tiny, and the same on every machine.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `bound` - 1.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn per_cent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// From the last day.
    fn recent_uuid_v7(&mut self, now_ms: i64) -> Uuid {
        let age_ms = self.below(DAY_MS as u64) as i64;
        self.uuid_v7(now_ms - age_ms)
    }

    fn uuid_v7(&mut self, time_ms: i64) -> Uuid {
        let time = u128::from(time_ms as u64) << 80;
        let random = (u128::from(self.next()) << 64) | u128::from(self.next());
        let random = random & !(0xFFFF_FFFF_FFFF_u128 << 80) & !(0xF << 76) & !(0b11 << 62);
        Uuid::from_u128(time | (0x7 << 76) | (0b10 << 62) | random)
    }
}

/// A payment as its publisher sees it, on a bad day.
struct Subject {
    id: Uuid,
    user: String,
    merchant: String,
    currency: &'static str,
    /// Shared between refunds, disputes, fees and captures, which is what makes them conflict.
    operations: Vec<(Uuid, i64)>,
    numbering: Numbering,
    next_sequence: i64,
    /// Numbers left out so far.
    gaps: Vec<i64>,
    is_credit: bool,
    published: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Numbering {
    Never,
    Always,
    Sometimes,
}

struct Generator {
    rng: SplitMix64,
    now_ms: i64,
    users: Vec<String>,
    subjects: Vec<Subject>,
    past: Vec<Value>,
}

const TYPES: [(&str, u64, &[i64]); 16] = [
    ("payment.initiated", 4, &[0, 300]),
    ("payment.authorized", 8, &[200, 300, 400]),
    ("payment.adjusted", 6, &[50, 200, 300, 500]),
    ("payment.declined", 4, &[0, 300]),
    ("payment.captured", 12, &[100, 100, 200, 300]),
    ("payment.charged", 4, &[200, 300]),
    ("payment.voided", 7, &[50, 100, 300]),
    ("payment.expired", 5, &[0, 50, 100, 300]),
    ("refund.initiated", 12, &[50, 100, 150]),
    ("refund.succeeded", 12, &[50, 100, 150]),
    ("refund.failed", 8, &[50, 100, 150]),
    ("refund.unreferenced", 1, &[100]),
    ("dispute.opened", 12, &[50, 100, 150]),
    ("dispute.won", 8, &[50, 100, 150]),
    ("dispute.lost", 8, &[50, 100, 150]),
    ("fee.charged", 8, &[1, 5, 10]),
];

const UNKNOWN_TYPES: [&str; 3] = ["payment.frozen", "payout.sent", "Payment.Captured"];
const CURRENCIES: [&str; 5] = ["EUR", "USD", "GBP", "JPY", "KWD"];
const MERCHANTS: [&str; 4] = ["m-1", "m-2", "m 3", "m:4"];

impl Generator {
    fn new(seed: u64, users: usize, payments: usize, now_ms: i64) -> Self {
        let mut rng = SplitMix64(seed);
        let users: Vec<String> = (0..users.max(1)).map(|n| format!("user-{n}")).collect();
        let subjects = (0..payments.max(1)).map(|_| Subject::new(&mut rng, &users, now_ms)).collect();
        Generator { rng, now_ms, users, subjects, past: Vec::new() }
    }

    fn next(&mut self, position: usize, len: usize) -> Value {
        let subject = self.busy_subject(position, len);
        let event = match self.rng.below(100) {
            0..=4 => self.published_again(),
            5..=7 => self.spelled_otherwise(),
            8..=10 => self.same_id_other_content(),
            11 => self.same_id_other_payment(subject),
            12..=17 => self.same_operation_other_id(),
            18..=20 => self.unknown_type(subject),
            21..=23 => self.stranger(subject),
            24..=25 => self.changed(subject, "merchant_id", &MERCHANTS),
            26..=27 => self.changed(subject, "currency", &CURRENCIES),
            28..=31 => {
                let event = self.ordinary(subject);
                malformed(self.rng.below(MALFORMED_KINDS), event)
            }
            32..=33 => self.outside_window(subject),
            _ => self.ordinary(subject),
        };
        self.past.push(event.clone());
        event
    }

    /// A few neighbours are busy at a time, so that each lives a whole life somewhere in the stream.
    fn busy_subject(&mut self, position: usize, len: usize) -> usize {
        let first = position * self.subjects.len() / len.max(1);
        let chosen = first + self.rng.below(BUSY_PAYMENTS) as usize;
        chosen % self.subjects.len()
    }

    fn ordinary(&mut self, subject: usize) -> Value {
        let rng = &mut self.rng;
        let subject = &mut self.subjects[subject];
        let (event_type, mut amount_minor) = subject.type_and_amount(rng);
        let about_operation = event_type.starts_with("refund") || event_type.starts_with("dispute");
        let must = about_operation && !matches!(event_type, "refund.succeeded" | "refund.unreferenced");
        let operation = if must || rng.per_cent(if about_operation { 70 } else { 15 }) {
            let (id, usual) = *rng.pick(&subject.operations);
            if about_operation && rng.per_cent(80) {
                amount_minor = usual;
            }
            Some(id)
        } else {
            None
        };
        let names_no_merchant = event_type.starts_with("payment")
            && !matches!(event_type, "payment.captured" | "payment.charged")
            && rng.per_cent(50);
        subject.published += 1;
        json!({
            "event_id": rng.recent_uuid_v7(self.now_ms),
            "event_type": event_type,
            "payment_id": subject.id,
            "user_id": subject.user,
            "merchant_id": if names_no_merchant { None } else { Some(&subject.merchant) },
            "operation_id": operation,
            "sequence": subject.sequence(rng),
            "amount_minor": amount_minor,
            "currency": subject.currency,
            "occurred_at": *rng.pick(&["2026-10-31T12:00:00Z", "2026-10-31T12:00:00.25Z"]),
            "source": "streams",
            "correlation_id": null,
            "causation_id": null,
            "metadata": {},
        })
    }

    fn past_event(&mut self) -> Value {
        // Mostly recent ones: what waits now is among them.
        let recent = self.past.len().saturating_sub(60);
        let from = if self.rng.per_cent(70) { &self.past[recent..] } else { &self.past[..] };
        match from.len() {
            0 => self.ordinary(0),
            _ => self.rng.pick(from).clone(),
        }
    }

    fn published_again(&mut self) -> Value {
        self.past_event()
    }

    /// Same content, other bytes: a retry may carry another trace, and values have many spellings.
    fn spelled_otherwise(&mut self) -> Value {
        let mut event = self.past_event();
        event["metadata"] = json!({ "try": self.rng.below(9).to_string() });
        event["correlation_id"] = json!("again");
        if self.rng.per_cent(50) {
            for name in ["event_id", "payment_id", "operation_id"] {
                if let Some(text) = event[name].as_str() {
                    event[name] = json!(text.to_uppercase());
                }
            }
            event["occurred_at"] = match event["occurred_at"].as_str() {
                Some("2026-10-31T12:00:00Z") => json!("2026-10-31T14:00:00.0000009+02:00"),
                Some("2026-10-31T12:00:00.25Z") => json!("2026-10-31T12:00:00.250000Z"),
                _ => event["occurred_at"].clone(),
            };
        }
        event
    }

    fn same_id_other_content(&mut self) -> Value {
        let mut event = self.past_event();
        let (name, value) = match self.rng.below(9) {
            0 => ("event_type", json!("payment.initiated")),
            1 => ("user_id", json!(self.rng.pick(&self.users))),
            2 => ("merchant_id", json!("m-other")),
            3 => ("operation_id", json!(self.rng.uuid_v7(self.now_ms))),
            4 => ("sequence", json!(1_000)),
            5 => ("amount_minor", json!(77)),
            6 => ("currency", json!("CHF")),
            7 => ("occurred_at", json!("2026-10-31T12:00:00.000001Z")),
            _ => ("source", json!("another")),
        };
        event[name] = value;
        event
    }

    fn same_id_other_payment(&mut self, subject: usize) -> Value {
        let mut event = self.past_event();
        event["payment_id"] = json!(self.subjects[subject].id);
        event
    }

    /// Rule 7, when the past event named an operation; else one more of the same.
    fn same_operation_other_id(&mut self) -> Value {
        let mut event = self.past_event();
        event["event_id"] = json!(self.rng.recent_uuid_v7(self.now_ms));
        let of_past = |s: &Subject| event["payment_id"].as_str() == Some(&s.id.to_string());
        if let Some(subject) = self.subjects.iter().position(of_past) {
            event["sequence"] = json!(self.subjects[subject].sequence(&mut self.rng));
        }
        match self.rng.below(6) {
            0 => event["amount_minor"] = json!(60),
            1 => event["currency"] = json!(self.rng.pick(&CURRENCIES)),
            _ => {}
        }
        event
    }

    fn unknown_type(&mut self, subject: usize) -> Value {
        let mut event = self.ordinary(subject);
        event["event_type"] = json!(self.rng.pick(&UNKNOWN_TYPES));
        if self.rng.per_cent(50) {
            event["amount_minor"] = json!(0);
            event["merchant_id"] = Value::Null;
        }
        event
    }

    fn stranger(&mut self, subject: usize) -> Value {
        let mut event = self.ordinary(subject);
        event["user_id"] = match self.rng.per_cent(30) {
            true => json!("stranger"),
            false => json!(self.rng.pick(&self.users)),
        };
        event
    }

    fn changed(&mut self, subject: usize, name: &str, values: &[&str]) -> Value {
        let mut event = self.ordinary(subject);
        event[name] = json!(self.rng.pick(values));
        event
    }

    fn outside_window(&mut self, subject: usize) -> Value {
        let mut event = self.ordinary(subject);
        let time_ms = match self.rng.below(3) {
            0 => self.now_ms + 2 * DAY_MS,
            1 => self.now_ms - 3 * 365 * DAY_MS,
            _ => 0,
        };
        event["event_id"] = json!(self.rng.uuid_v7(time_ms));
        event
    }

    /// Fees until their sum reaches the end of 64 bits to the unit, and what is one too many before and after. Its
    /// user, merchant and currency are its own, so that the balances of others do not leave 64 bits by it.
    fn overflowing_payment(&mut self) -> Vec<Value> {
        let payment = self.rng.uuid_v7(self.now_ms - DAY_MS);
        let mut events = Vec::new();
        let mut add = |event_type: &str, amount_minor: i64| {
            let mut event = self.ordinary(0);
            for (name, value) in [
                ("event_type", json!(event_type)),
                ("payment_id", json!(payment)),
                ("user_id", json!("whale")),
                ("merchant_id", json!("m-whale")),
                ("operation_id", Value::Null),
                ("sequence", Value::Null),
                ("amount_minor", json!(amount_minor)),
                ("currency", json!("CLF")),
            ] {
                event[name] = value;
            }
            events.push(event);
        };
        add("payment.charged", AMOUNT_MAX);
        for _ in 0..1_025 {
            add("fee.charged", AMOUNT_MAX);
        }
        add("fee.charged", 1_023);
        add("fee.charged", 1);
        events
    }
}

impl Subject {
    fn new(rng: &mut SplitMix64, users: &[String], now_ms: i64) -> Self {
        let operations = [50, 100, 100, 150].map(|usual| (rng.uuid_v7(now_ms), usual));
        Subject {
            id: rng.uuid_v7(now_ms - DAY_MS),
            user: rng.pick(users).clone(),
            merchant: (*rng.pick(&MERCHANTS)).to_owned(),
            currency: CURRENCIES[rng.below(CURRENCIES.len() as u64) as usize],
            operations: operations.into(),
            numbering: *rng.pick(&[Numbering::Never, Numbering::Never, Numbering::Always, Numbering::Sometimes]),
            next_sequence: 1,
            gaps: Vec::new(),
            is_credit: rng.per_cent(8),
            published: 0,
        }
    }

    fn type_and_amount(&self, rng: &mut SplitMix64) -> (&'static str, i64) {
        if self.is_credit && self.published == 0 {
            return ("refund.unreferenced", 100);
        }
        let mut ticket = rng.below(TYPES.iter().map(|(_, weight, _)| weight).sum());
        for (event_type, weight, amounts) in TYPES {
            if ticket < weight {
                return (event_type, *rng.pick(amounts));
            }
            ticket -= weight;
        }
        ("payment.initiated", 0)
    }

    fn sequence(&mut self, rng: &mut SplitMix64) -> Option<i64> {
        let numbered = match self.numbering {
            Numbering::Never => false,
            Numbering::Always => true,
            Numbering::Sometimes => rng.per_cent(50),
        };
        if !numbered {
            return None;
        }
        if !self.gaps.is_empty() && rng.per_cent(35) {
            let gap = rng.below(self.gaps.len() as u64) as usize;
            return Some(self.gaps.remove(gap));
        }
        match rng.below(100) {
            0..=5 => Some(1 + rng.below(self.next_sequence as u64) as i64),
            6..=17 => {
                for _ in 0..=rng.below(2) {
                    self.gaps.push(self.next_sequence);
                    self.next_sequence += 1;
                }
                self.take_next()
            }
            18 => Some(self.next_sequence + 1_000),
            _ => self.take_next(),
        }
    }

    fn take_next(&mut self) -> Option<i64> {
        self.next_sequence += 1;
        Some(self.next_sequence - 1)
    }
}

/// Breaks one rule of form of a well-formed event of any type; `kind` is 0 to [`MALFORMED_KINDS`] - 1. What is left
/// unbroken stays as it was.
pub fn malformed(kind: u64, event: Value) -> Value {
    let Value::Object(mut fields) = event else {
        return event;
    };
    let long = |len: usize| json!("x".repeat(len));
    let (name, value) = match kind {
        // What an Avro body can carry.
        0 => ("event_id", json!("6f1d3c9e-4d0f-4c43-8a5b-3f6f6f0c7a11")), // version 4
        1 => ("event_id", json!("01932c07-2a00-7000-c000-000000000000")), // another variant
        2 => ("event_id", json!("not a uuid")),
        3 => ("payment_id", json!("")),
        4 => ("user_id", json!("")),
        5 => ("user_id", long(65)),
        6 => ("user_id", json!("a b")),
        7 => ("user_id", json!("usér")),
        8 => ("user_id", json!("a\u{7f}")),
        9 => ("merchant_id", json!("")),
        10 => ("merchant_id", long(65)),
        11 => ("operation_id", json!("op-1")),
        12 => ("sequence", json!(0)),
        13 => ("sequence", json!(-1)),
        14 => ("amount_minor", json!(-1)),
        15 => ("amount_minor", json!(AMOUNT_MAX + 1)),
        16 => ("currency", json!("XAU")),
        17 => ("currency", json!("XXX")),
        18 => ("currency", json!("eur")),
        19 => ("currency", json!("ZZZ")),
        20 => ("source", json!("")),
        21 => ("source", long(65)),
        22 => ("metadata", json!({ "x".repeat(65): "" })),
        23 => ("metadata", json!({ "key": "x".repeat(513) })),
        24 => ("metadata", thirty_three_entries()),
        // Rules that hang on the type.
        25..=31 => return breaks_rule_of_its_type(kind, fields),
        // What only the JSON form can get wrong.
        32 => ("event_id", Value::Null),
        33 => ("event_type", json!(7)),
        34 => ("amount_minor", json!("100")),
        35 => ("amount_minor", json!(100.5)),
        36 => ("sequence", json!("1")),
        37 => ("occurred_at", json!("yesterday")),
        38 => ("occurred_at", json!("2026-02-30T12:00:00Z")),
        39 => ("occurred_at", json!(1_793_491_200)),
        40 => ("correlation_id", json!(1)),
        41 => ("metadata", json!({ "key": 1 })),
        42 => ("colour", json!("green")),
        _ => {
            fields.remove("payment_id");
            return Value::Object(fields);
        }
    };
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

fn breaks_rule_of_its_type(kind: u64, mut fields: Map<String, Value>) -> Value {
    let (event_type, name, value) = match kind {
        25 => ("payment.captured", "amount_minor", json!(0)),
        26 => ("refund.unreferenced", "amount_minor", json!(0)),
        27 => ("payment.charged", "merchant_id", Value::Null),
        28 => ("refund.failed", "merchant_id", Value::Null),
        29 => ("dispute.opened", "merchant_id", Value::Null),
        30 => ("refund.initiated", "operation_id", Value::Null),
        _ => ("dispute.won", "operation_id", Value::Null),
    };
    fields.insert("event_type".to_owned(), json!(event_type));
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

fn thirty_three_entries() -> Value {
    (0..33).map(|n| (format!("key-{n}"), json!("value"))).collect::<Map<_, _>>().into()
}
