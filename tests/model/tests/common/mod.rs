//! A small language for scripts: one record a line, and what became of it. One `check` is the only boundary at which
//! the model is tested, so that a redesign of it rewrites no script.
//!
//! `payment.captured 100 op=1 seq=2 => applied 3; #1 applied 4`: this record takes version 3, and by it the first
//! record of the script, which was parked, takes version 4. More words: `pay=`, `user=`, `mer=`, `cur=`, `id=`,
//! `part=`, `at=` (seconds), `src=`, `idtime=` (hours from now); `mer=-` is null. Lines that are no record:
//! `clock +73h`, `expire => ...`, `claim TYPE ... => ...`, `claim all`, `undecodable REASON => ...` and
//! `state NAME=VALUE ...`, which compares the payment.

use millrace_model::form::TYPES_OF_V1;
use millrace_model::{Config, Disposition, Input, Model, Outcome, Record};
use serde_json::{Value, json};
use uuid::Uuid;

pub const NOW_MS: i64 = 1_793_491_200_000;
pub const HOUR_MS: i64 = 3_600_000;

/// Plays the script on an empty model and compares line by line; gives the model for further looks.
pub fn check(script: &str) -> Model {
    let mut model = Model::new(Config::default());
    let (mut records, mut now_ms) = (0, NOW_MS);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (input, expected) = line.split_once("=>").unwrap_or((line, ""));
        let words: Vec<&str> = input.split_whitespace().collect();
        let partition = value_of(&words, "part").map_or(0, |n| n.parse().expect("a partition"));
        let outcomes = match words[0] {
            "clock" => {
                let hours = words[1].trim_start_matches('+').trim_end_matches('h');
                now_ms += hours.parse::<i64>().expect("hours") * HOUR_MS;
                Vec::new()
            }
            "clock_ms" => {
                now_ms += words[1].parse::<i64>().expect("milliseconds");
                Vec::new()
            }
            "state" => {
                compare_state(&model, line, &words);
                Vec::new()
            }
            "expire" => model.expire(partition, now_ms),
            "claim" if words[1] == "all" => model.claim(partition, TYPES_OF_V1),
            "claim" => model.claim(partition, words[1..].iter().copied()),
            _ => {
                records += 1;
                let event = event(&words, records, now_ms);
                let input = match words[0] {
                    "undecodable" => Input::Undecodable { reason: leaked(words[1]) },
                    _ => Input::Event(&event),
                };
                model.record(&Record { partition, offset: records, input, now_ms })
            }
        };
        let seen: Vec<String> = outcomes.iter().map(|o| shown(o, records)).collect();
        assert_eq!(seen.join("; "), expected.trim(), "\nat: {line}\nin:\n{script}");
    }
    model
}

/// The id of the `n`th payment or operation of a script.
pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 | n)
}

pub fn event_id(n: u128, time_ms: i64) -> Uuid {
    Uuid::from_u128((u128::from(time_ms as u64) << 80) | (0x7 << 76) | (0b10 << 62) | n)
}

fn event(words: &[&str], record: i64, now_ms: i64) -> Value {
    let number = |name| value_of(words, name).map(|n| n.parse::<u128>().expect("a number"));
    let text = |name, usual: &str| match value_of(words, name) {
        Some("-") => None,
        Some(value) => Some(value.to_owned()),
        None => Some(usual.to_owned()),
    };
    let idtime_ms = match value_of(words, "idtime") {
        Some(hours) => now_ms + hours.parse::<i64>().expect("hours") * HOUR_MS,
        None => match value_of(words, "idtime_ms") {
            Some(ms) => now_ms + ms.parse::<i64>().expect("milliseconds"),
            None => NOW_MS,
        },
    };
    json!({
        "event_id": event_id(number("id").unwrap_or(1_000 + record as u128), idtime_ms),
        "event_type": words[0],
        "payment_id": id(number("pay").unwrap_or(1)),
        "user_id": text("user", "u-1"),
        "merchant_id": text("mer", "m-1"),
        "operation_id": number("op").map(id),
        "sequence": value_of(words, "seq").map(|n| n.parse::<i64>().expect("a sequence")),
        "amount_minor": words.get(1).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0),
        "currency": text("cur", "EUR"),
        "occurred_at": format!("2026-10-31T12:00:{:0>2}Z", value_of(words, "at").unwrap_or("0")),
        "source": text("src", "script"),
    })
}

fn value_of<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn shown(outcome: &Outcome, record: i64) -> String {
    let what = match &outcome.disposition {
        Disposition::Applied { version } => format!("applied {version}"),
        Disposition::Duplicate => "duplicate".to_owned(),
        Disposition::Parked { reason } => format!("parked {reason}"),
        Disposition::Rejected { reason } => format!("rejected {reason}"),
    };
    assert!(outcome.drained || outcome.offset == record, "{outcome:?} is not of record {record}");
    if outcome.drained { format!("#{} {what}", outcome.offset) } else { what }
}

fn compare_state(model: &Model, line: &str, words: &[&str]) {
    let payment = id(value_of(words, "pay").map_or(1, |n| n.parse().expect("a payment")));
    let state = model.state(&payment).cloned().unwrap_or_default();
    for word in &words[1..] {
        let (name, expected) = word.split_once('=').expect("name=value");
        let counter = state.counters().into_iter().find(|(n, _)| *n == name);
        let seen = match (name, counter) {
            ("pay", _) => continue,
            (_, Some((_, sum))) => sum.to_string(),
            ("status", _) => state.status().unwrap_or("-").to_owned(),
            ("version", _) => state.version.to_string(),
            ("last", _) => state.last_sequence.to_string(),
            ("user", _) => state.user_id.clone().unwrap_or("-".to_owned()),
            ("currency", _) => state.currency.clone().unwrap_or("-".to_owned()),
            ("merchant", _) => state.merchant_id.clone().unwrap_or("-".to_owned()),
            ("intended", _) => state.intended.to_string(),
            ("waiting", _) => {
                let waiting = model.parked();
                waiting.iter().map(|(_, w)| w.reason).collect::<Vec<_>>().join(",")
            }
            _ => match name.strip_prefix("op") {
                Some(n) => state
                    .operations
                    .get(&id(n.parse().expect("an operation")))
                    .map_or("-".to_owned(), |o| format!("{}:{}:{}", o.kind.name(), o.status.name(), o.amount_minor)),
                None => panic!("{name}: no such thing to compare in {line}"),
            },
        };
        assert_eq!(seen, expected, "{name} at: {line}");
    }
}
