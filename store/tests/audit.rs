//! The audit is itself tested: a correct ledger is clean, and each way of breaking it is reported by name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod common;

use std::collections::BTreeSet;

use common::{TestDatabase, run, small_ledger};
use millrace_domain::ids::{Offset, Partition};
use millrace_store::audit::{self, Audit, CHECKS};
use millrace_store::gaps::{self, Gap};

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_written_by_batches_is_clean() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    small_ledger(&mut connection).await;
    let audit = audit::run(&mut connection, &mut [], |_| {}).await.unwrap();
    assert_eq!(described(&audit), Vec::<String>::new());
    assert_eq!(audit.findings.len(), CHECKS.len());
    let extents: Vec<_> = audit.lanes.iter().map(|l| (l.partition, l.start_offset, l.next_offset, l.records)).collect();
    assert_eq!(extents, [(0, 0, 20, 20), (1, 5, 15, 10)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_make_each_check_once_and_all_in_the_same_snapshot() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    small_ledger(&mut connection).await;
    let alone = audit::run(&mut connection, &mut [], |_| {}).await.unwrap();
    let mut others = [test.connect().await, test.connect().await];
    // Whatever one of them sees, all see: the ledger is broken for good once the first check has begun.
    let begun = std::sync::Mutex::new(Vec::new());
    let together = audit::run(&mut connection, &mut others, |check| {
        let mut begun = begun.lock().unwrap();
        if begun.is_empty() {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    run(&mut test.connect().await, "DELETE FROM millrace.events; DELETE FROM millrace.payments").await;
                });
            });
        }
        begun.push(check.name);
    })
    .await
    .unwrap();
    assert_eq!(*begun.lock().unwrap(), CHECKS.iter().map(|check| check.name).collect::<Vec<_>>());
    let found = |audit: &Audit| audit.findings.iter().map(|f| (f.check.name, f.violations)).collect::<Vec<_>>();
    assert_eq!((found(&together), &together.lanes), (found(&alone), &alone.lanes));
    assert!(!audit::run(&mut connection, &mut others, |_| {}).await.unwrap().holds(), "a new snapshot sees it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_ledger_is_clean() {
    let test = TestDatabase::migrated().await;
    let audit = audit::run(&mut test.connect().await, &mut [], |_| {}).await.unwrap();
    assert_eq!(described(&audit), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_was_accepted_is_no_violation_and_is_listed() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    small_ledger(&mut connection).await;
    let gap = |from: i64, to: i64| Gap {
        topic: "payment-events",
        topic_id: "dGVzdC10b3BpYy1pZC0xMg",
        partition: Partition(0),
        from: Offset(from),
        to: Offset(to),
        reason: "retention",
        accepted_by: "somebody",
    };
    assert_eq!(gaps::accept(&mut connection, gap(19, 25)).await.unwrap(), None, "the lane stands elsewhere");
    let other = Gap { topic_id: "another", ..gap(20, 25) };
    assert_eq!(gaps::accept(&mut connection, other).await.unwrap(), None, "the topic is another");
    let accepted = gaps::accept(&mut connection, gap(20, 25)).await.unwrap().unwrap();
    let audit = audit::run(&mut connection, &mut [], |_| {}).await.unwrap();
    assert_eq!((described(&audit), audit.accepted_gaps), (Vec::<String>::new(), vec![accepted]));
    assert_eq!(audit.lanes.first().map(|lane| (lane.next_offset, lane.records)), Some((25, 20)));
    // Accepted is that gap and no other.
    run(&mut connection, "UPDATE millrace.lanes SET next_offset = 26 WHERE partition = 0").await;
    assert!(!audit::run(&mut connection, &mut [], |_| {}).await.unwrap().holds());
}

/// What is done by hand, and the checks that must say so: these and no others.
const BREAKS: &[(&str, &[&str])] = &[
    // The proof rows.
    ("UPDATE millrace.batches SET topic_id = 'another' WHERE batch_id = 1", &["proof_topic"]),
    ("INSERT INTO millrace.lanes VALUES ('other-topic', 7, 'another', 0, 0)", &["proof_topic"]),
    ("UPDATE millrace.lanes SET start_offset = 4 WHERE partition = 1", &["proof_tiles"]),
    ("UPDATE millrace.lanes SET next_offset = 21 WHERE partition = 0", &["proof_tiles"]),
    ("INSERT INTO millrace.lanes VALUES ('payment-events', 2, 'dGVzdC10b3BpYy1pZC0xMg', 0, 3)", &["proof_tiles"]),
    // A batch without records in the middle of another.
    (
        "INSERT INTO millrace.batches (topic_id, partition, from_offset, to_offset, epoch, applied, duplicate, parked,
                                       rejected, drained_applied, drained_duplicate, drained_rejected, worker)
         VALUES ('dGVzdC10b3BpYy1pZC0xMg', 0, 3, 3, 1, 0, 0, 0, 0, 0, 0, 0, 'hand')",
        &["proof_tiles"],
    ),
    (
        "DELETE FROM millrace.batches WHERE partition = 0 AND from_offset = 6",
        &["proof_tiles", "count_applied", "count_parked", "batch_rows", "applied_in_order"],
    ),
    // A gap where there is none, and one of another topic.
    (
        "INSERT INTO millrace.accepted_gaps (topic_id, partition, from_offset, to_offset, reason, accepted_by)
         VALUES ('dGVzdC10b3BpYy1pZC0xMg', 0, 6, 8, 'a test', 'hand')",
        &["proof_tiles"],
    ),
    (
        "UPDATE millrace.lanes SET next_offset = 22 WHERE partition = 0;
         INSERT INTO millrace.accepted_gaps (topic_id, partition, from_offset, to_offset, reason, accepted_by)
         VALUES ('another', 0, 20, 22, 'a test', 'hand')",
        &["proof_topic"],
    ),
    ("UPDATE millrace.batches SET epoch = 0 WHERE partition = 0 AND from_offset = 19", &["proof_epochs"]),
    ("UPDATE millrace.batches SET epoch = 2 WHERE partition = 1 AND from_offset = 11", &["proof_epochs"]),
    // Counts.
    ("UPDATE millrace.batches SET drained_applied = 2 WHERE drained_applied = 1", &["count_applied", "count_parked"]),
    ("UPDATE millrace.batches SET drained_duplicate = 1 WHERE from_offset = 12", &["count_parked"]),
    ("UPDATE millrace.batches SET drained_rejected = 2 WHERE drained_rejected = 1", &["count_parked", "count_rejected"]),
    (
        "UPDATE millrace.batches SET applied = applied - 1, duplicate = duplicate + 1 WHERE partition = 0 AND from_offset = 0;
         UPDATE millrace.batches SET applied = applied + 1, duplicate = duplicate - 1 WHERE partition = 0 AND from_offset = 6",
        &["batch_rows"],
    ),
    // An event lost, an event made up.
    (
        "DELETE FROM millrace.events WHERE event_type = 'payment.voided' AND partition = 1",
        &["count_applied", "batch_rows", "payment_versions", "payment_fold"],
    ),
    (
        "INSERT INTO millrace.dead_letters (partition, \"offset\", reason, number_used, was_parked, header_names, header_values)
         VALUES (0, 10, 'malformed', false, false, '{}', '{}')",
        &["count_rejected", "batch_rows"],
    ),
    // Offsets.
    ("UPDATE millrace.parked SET \"offset\" = 16", &["offset_once"]),
    ("UPDATE millrace.parked SET \"offset\" = 1000", &["offset_in_lane", "batch_rows"]),
    (
        "UPDATE millrace.dead_letters SET partition = 9 WHERE \"offset\" = 19",
        &["offset_in_lane", "batch_rows", "count_rejected"],
    ),
    (
        "UPDATE millrace.parked SET event_id = (SELECT event_id FROM millrace.events WHERE event_type = 'fee.charged')",
        &["event_once"],
    ),
    // Offsets 0 and 1 in turn: the batch parked nothing.
    ("UPDATE millrace.events SET \"offset\" = 1 - \"offset\" WHERE partition = 0 AND \"offset\" < 2", &["applied_in_order"]),
    // Payments.
    ("UPDATE millrace.payments SET version = version + 1 WHERE status = 'credit'", &["payment_versions"]),
    ("UPDATE millrace.events SET version = 7 WHERE event_type = 'fee.charged'", &["payment_versions"]),
    ("UPDATE millrace.payments SET first_event_id = payment_id WHERE status = 'credit'", &["payment_versions"]),
    ("UPDATE millrace.payments SET fees = fees + 1 WHERE fees = 10", &["payment_fold"]),
    ("UPDATE millrace.payments SET intended = 999 WHERE intended = 1000", &["payment_fold"]),
    ("UPDATE millrace.payments SET authorized = 151 WHERE authorized = 150", &["payment_fold"]),
    ("UPDATE millrace.payments SET declined = NOT declined WHERE authorized = 150", &["payment_fold"]),
    ("UPDATE millrace.payments SET refunded = 101 WHERE refunded = 100", &["payment_fold"]),
    ("UPDATE millrace.payments SET user_id = 'somebody' WHERE status = 'credit'", &["payment_owner"]),
    ("UPDATE millrace.events SET currency = 'EUR' WHERE event_type = 'payment.adjusted'", &["payment_owner"]),
    ("UPDATE millrace.events SET merchant_id = 'stall' WHERE event_type = 'payment.adjusted'", &["payment_owner"]),
    ("UPDATE millrace.payments SET status = 'captured' WHERE status = 'charged_back'", &["payment_status"]),
    (
        "ALTER TABLE millrace.payments DROP CONSTRAINT payments_check;
         UPDATE millrace.payments SET voided = 200 WHERE authorized = 150",
        &["payment_limits", "payment_fold"],
    ),
    (
        "ALTER TABLE millrace.payments DROP CONSTRAINT payments_check1;
         UPDATE millrace.payments SET refund_pending = 400 WHERE refund_pending = 30",
        &["payment_limits", "payment_fold", "operation_sums"],
    ),
    ("UPDATE millrace.payments SET last_sequence = 1 WHERE last_sequence = 4", &["payment_sequences"]),
    ("UPDATE millrace.events SET sequence = 2 WHERE sequence = 3", &["payment_sequences"]),
    // Operations.
    ("DELETE FROM millrace.operation_events WHERE event_type = 'payment.captured'", &["operation_events"]),
    (
        "DELETE FROM millrace.operation_events WHERE event_type = 'refund.succeeded'",
        &["operation_events", "operation_sums"],
    ),
    (
        "INSERT INTO millrace.operation_events
         SELECT payment_id, operation_id, 'dispute.lost', amount_minor, partition
         FROM millrace.operation_events WHERE event_type = 'dispute.won'",
        &["operation_events", "operation_life"],
    ),
    ("UPDATE millrace.payments SET lost = 299 WHERE lost = 300", &["payment_fold", "operation_sums"]),
    // Money.
    (
        "ALTER TABLE millrace.events DROP CONSTRAINT events_check;
         UPDATE millrace.events SET credit = debit WHERE event_type = 'fee.charged'",
        &["transfer_form", "transfer_posting", "balance_sums"],
    ),
    (
        "UPDATE millrace.events SET debit = credit, credit = debit WHERE event_type = 'dispute.won'",
        &["transfer_posting", "balance_sums"],
    ),
    (
        "UPDATE millrace.events SET amount_minor = 601 WHERE event_type = 'payment.captured' AND amount_minor = 600",
        &["payment_fold", "operation_events", "balance_sums"],
    ),
    (
        "UPDATE millrace.balance_stripes SET amount_minor = amount_minor + 1 WHERE account = 'fee_revenue';
         UPDATE millrace.balance_stripes SET amount_minor = amount_minor - 1
         WHERE account = 'psp_receivable' AND partition = 0",
        &["balance_sums"],
    ),
    (
        "UPDATE millrace.balance_stripes SET amount_minor = amount_minor + 1 WHERE account = 'fee_revenue'",
        &["balance_sums", "balance_zero"],
    ),
    ("DELETE FROM millrace.balance_stripes WHERE account = 'fee_revenue'", &["balance_sums", "balance_zero"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_break_is_reported_by_the_checks_that_it_concerns_and_by_no_other() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    small_ledger(&mut connection).await;
    let mut wrong = Vec::new();
    for (statements, wanted) in BREAKS {
        run(&mut connection, "BEGIN").await;
        run(&mut connection, statements).await;
        let audit = audit::examine(&mut connection, &mut [], |_| {}).await.unwrap();
        run(&mut connection, "ROLLBACK").await;
        let found: BTreeSet<&str> = audit.broken().map(|finding| finding.check.name).collect();
        if found != wanted.iter().copied().collect() {
            wrong.push(format!("{statements}\n  wanted {wanted:?}\n  found {:#?}", described(&audit)));
        }
        let speechless = |f: &&audit::Finding| f.examples.is_empty() || f.examples.iter().any(String::is_empty);
        assert_eq!(audit.broken().find(speechless), None, "{statements}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_check_is_seen_to_fail() {
    let seen: BTreeSet<&str> = BREAKS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let all: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(seen, all);
}

fn described(audit: &Audit) -> Vec<String> {
    audit.broken().map(|f| format!("{} ({}): {}", f.check.name, f.violations, f.examples.join(" | "))).collect()
}
