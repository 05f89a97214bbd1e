//! The binary: what it reads, what it prints, and what it says of a line that it cannot read.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn run(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace-model"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn event(n: u32, event_type: &str, amount_minor: i64) -> Value {
    json!({
        "event_id": format!("019a3cb9-a400-7000-8000-{n:0>12}"), "event_type": event_type,
        "payment_id": "00000000-0000-4000-8000-000000000001", "user_id": "u-1", "merchant_id": "m-1",
        "operation_id": null, "sequence": null, "amount_minor": amount_minor, "currency": "EUR",
        "occurred_at": "2025-11-01T00:00:00Z", "source": "test",
    })
}

#[test]
fn it_prints_the_totals_of_the_records_that_it_reads() {
    let now_ms = 1_761_955_200_000_i64; // 2025-11-01T00:00:00Z
    let lines = [
        json!({"partition": 3, "offset": 0, "now_ms": now_ms, "event": event(1, "payment.captured", 100)}),
        json!({"partition": 3, "offset": 1, "now_ms": now_ms, "event": event(2, "payment.authorized", 300)}),
        json!({"partition": 3, "offset": 2, "now_ms": now_ms, "undecodable": "wrong_key"}),
        json!({"partition": 3, "claim": ["payment.voided"]}),
        json!({"partition": 3, "offset": 3, "now_ms": now_ms, "event": event(3, "fee.charged", 5)}),
        json!({"partition": 3, "offset": 4, "now_ms": now_ms, "event": event(4, "payment.voided", 5)}),
        json!({"partition": 3, "now_ms": now_ms + 300_000_000, "expire": true}),
    ];
    let output = run(&lines.map(|line| line.to_string()).join("\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        report,
        json!({
            "records": {
                "applied": 2, "duplicate": 0,
                "parked": {"missing_authorization": 1, "unknown_type": 1}, "rejected": {"wrong_key": 1},
            },
            "drained": {"applied": 1, "duplicate": 0, "parked": {}, "rejected": {"unknown_type": 1}},
            "payments": {"00000000-0000-4000-8000-000000000001": {
                "status": "partially_captured", "last_sequence": 0, "version": 3,
                "user_id": "u-1", "merchant_id": "m-1", "currency": "EUR",
                "authorized": 300, "captured": 100, "voided": 5, "refund_pending": 0,
                "refunded": 0, "disputed": 0, "lost": 0, "fees": 0,
            }},
            "operations": {},
            "balances": {"merchant_payable:m-1 EUR": -100, "psp_receivable EUR": 100},
            "parked": {},
        })
    );
}

#[test]
fn it_names_the_line_that_it_cannot_read() {
    let output = run("{\"partition\": 0, \"now_ms\": 1, \"expire\": true}\n{\"partition\": 0, \"now_ms\": 1}\n");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("standard input, line 2: one of event, undecodable, expire or claim"), "{error}");
}
