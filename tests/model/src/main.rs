//! `millrace-model`: what a correct pipeline must end with, for records on standard input.
//!
//! One JSON object a line, in offset order within each partition:
//!
//! ```text
//! {"partition": 0, "offset": 7, "now_ms": 1793491200000, "event": {...}}
//! {"partition": 0, "offset": 8, "now_ms": 1793491200000, "undecodable": "malformed"}
//! {"partition": 0, "now_ms": 1793750400001, "expire": true}
//! {"partition": 0, "claim": ["payment.charged", "fee.charged"]}
//! ```
//!
//! One JSON object comes out. Options: `--window-back-ms N`, `--window-ahead-ms N`, `--parking-limit-ms N`, and
//! `--outcomes FILE`, which writes each outcome as a line of its own, to find where two readings part.
//!
//! It reads no database and no Kafka: whoever compares brings both sides.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::process::ExitCode;

use millrace_model::{Config, Disposition, Input, Model, Outcome, Record};
use serde_json::{Map, Value, json};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace-model: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (config, mut outcomes_file) = options()?;
    let mut model = Model::new(config);
    let mut counts = Counts::default();
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let at = |what: String| format!("standard input, line {}: {what}", index + 1);
        let line = line.map_err(|e| at(e.to_string()))?;
        let line: Value = serde_json::from_str(&line).map_err(|e| at(e.to_string()))?;
        for outcome in step(&mut model, &line).map_err(at)? {
            counts.add(&outcome);
            if let Some(file) = &mut outcomes_file {
                writeln!(file, "{}", outcome_as_json(&outcome)).map_err(|e| e.to_string())?;
            }
        }
    }
    if let Some(file) = &mut outcomes_file {
        file.flush().map_err(|e| e.to_string())?;
    }
    let report = report(&model, counts);
    writeln!(io::stdout(), "{report:#}").map_err(|e| e.to_string())
}

fn options() -> Result<(Config, Option<BufWriter<File>>), String> {
    let mut config = Config::default();
    let mut outcomes_file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name}: a value must follow"))?;
        let ms = || value.parse().map_err(|_| format!("{name}: {value} is not a whole number"));
        match name.as_str() {
            "--window-back-ms" => config.window_back_ms = ms()?,
            "--window-ahead-ms" => config.window_ahead_ms = ms()?,
            "--parking-limit-ms" => config.parking_limit_ms = ms()?,
            "--outcomes" => {
                let file = File::create(&value).map_err(|e| format!("{value}: {e}"))?;
                outcomes_file = Some(BufWriter::new(file));
            }
            _ => return Err(format!("{name}: no such option")),
        }
    }
    Ok((config, outcomes_file))
}

fn step(model: &mut Model, line: &Value) -> Result<Vec<Outcome>, String> {
    let integer = |name: &str| {
        let value = line.get(name).and_then(Value::as_i64);
        value.ok_or_else(|| format!("{name}: an integer must be there"))
    };
    let partition = i32::try_from(integer("partition")?).map_err(|e| format!("partition: {e}"))?;
    if let Some(types) = line.get("claim").and_then(Value::as_array) {
        return Ok(model.claim(partition, types.iter().filter_map(Value::as_str)));
    }
    let now_ms = integer("now_ms")?;
    if line.get("expire") == Some(&Value::Bool(true)) {
        return Ok(model.expire(partition, now_ms));
    }
    let input = match (line.get("event"), line.get("undecodable")) {
        (Some(event), None) => Input::Event(event),
        (None, Some(reason)) => Input::Undecodable { reason: undecodable(reason)? },
        _ => return Err("one of event, undecodable, expire or claim must be there".to_owned()),
    };
    Ok(model.record(&Record { partition, offset: integer("offset")?, input, now_ms }))
}

fn undecodable(reason: &Value) -> Result<&'static str, String> {
    ["malformed", "unknown_schema", "header_mismatch", "wrong_key"]
        .into_iter()
        .find(|name| reason == name)
        .ok_or_else(|| format!("undecodable: {reason} is no reason of rule 1"))
}

/// Dispositions by name and reason, records and drained apart.
#[derive(Default)]
struct Counts {
    records: BTreeMap<(&'static str, &'static str), u64>,
    drained: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        let counts = if outcome.drained { &mut self.drained } else { &mut self.records };
        *counts.entry(names(&outcome.disposition)).or_insert(0) += 1;
    }
}

fn names(disposition: &Disposition) -> (&'static str, &'static str) {
    match disposition {
        Disposition::Applied { .. } => ("applied", ""),
        Disposition::Duplicate => ("duplicate", ""),
        Disposition::Parked { reason } => ("parked", reason),
        Disposition::Rejected { reason } => ("rejected", reason),
    }
}

fn outcome_as_json(outcome: &Outcome) -> Value {
    let (disposition, reason) = names(&outcome.disposition);
    let mut line = json!({
        "partition": outcome.partition,
        "offset": outcome.offset,
        "event_id": outcome.event_id.map(|id| id.to_string()),
        "disposition": disposition,
        "drained": outcome.drained,
    });
    if let Disposition::Applied { version } = outcome.disposition {
        line["version"] = json!(version);
    }
    if !reason.is_empty() {
        line["reason"] = json!(reason);
    }
    line
}

fn report(model: &Model, counts: Counts) -> Value {
    json!({
        "records": by_reason(counts.records),
        "drained": by_reason(counts.drained),
        "payments": payments(model),
        "operations": operations(model),
        "balances": balances(model),
        "parked": parked(model),
    })
}

/// `applied` and `duplicate` as numbers, `parked` and `rejected` as numbers by reason.
fn by_reason(counts: BTreeMap<(&'static str, &'static str), u64>) -> Value {
    let mut report = json!({ "applied": 0, "duplicate": 0, "parked": {}, "rejected": {} });
    for ((disposition, reason), count) in counts {
        if reason.is_empty() {
            report[disposition] = json!(count);
        } else {
            report[disposition][reason] = json!(count);
        }
    }
    report
}

fn payments(model: &Model) -> Value {
    let mut report = Map::new();
    for (id, payment) in model.payments() {
        let mut fields = json!({
            "status": payment.status(),
            "last_sequence": payment.last_sequence,
            "version": payment.version,
            "user_id": payment.user_id,
            "merchant_id": payment.merchant_id,
            "currency": payment.currency,
        });
        for (name, sum) in payment.counters() {
            fields[name] = number(sum);
        }
        report.insert(id.to_string(), fields);
    }
    Value::Object(report)
}

fn operations(model: &Model) -> Value {
    let mut report = Map::new();
    for ((payment, id), operation) in model.operations() {
        report.insert(
            format!("{payment} {id}"),
            json!({
                "kind": operation.kind.name(),
                "status": operation.status.name(),
                "amount": number(operation.amount_minor),
            }),
        );
    }
    Value::Object(report)
}

fn balances(model: &Model) -> Value {
    let mut report = Map::new();
    for ((account, currency), sum) in model.balances() {
        report.insert(format!("{account} {currency}"), number(sum));
    }
    Value::Object(report)
}

fn parked(model: &Model) -> Value {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, waiting) in model.parked() {
        *counts.entry(waiting.reason).or_insert(0) += 1;
    }
    json!(counts)
}

/// A number where 64 bits hold it, else its digits as a string.
fn number(sum: i128) -> Value {
    i64::try_from(sum).map_or_else(|_| json!(sum.to_string()), |n| json!(n))
}
