//! The audit and the comparison are themselves tested: each way of breaking a ledger is found.

use std::time::Duration;

use millrace_tests::Pipeline;
use millrace_tests::audit::problems;

use crate::load::four_streams;

/// A way of breaking the ledger, and words of what the audit says about it.
const BREAKS: &[(&str, &str)] = &[
    ("DELETE FROM millrace.batches WHERE batch_id = (SELECT min(batch_id) FROM millrace.batches)", "gap or overlap"),
    ("UPDATE millrace.lanes SET next_offset = next_offset + 1 WHERE partition = 1", "the fence does not stand"),
    (
        "UPDATE millrace.batches SET applied = applied - 1, duplicate = duplicate + 1
         WHERE batch_id = (SELECT min(batch_id) FROM millrace.batches WHERE applied > 0)",
        "counts of the proof rows are not the rows",
    ),
    (
        "UPDATE millrace.batches SET epoch = 99 WHERE batch_id = (SELECT min(batch_id) FROM millrace.batches)",
        "backwards",
    ),
    ("UPDATE millrace.events SET \"offset\" = 0 WHERE partition = 2", "an offset has two dispositions"),
    (
        "UPDATE millrace.dead_letters SET \"offset\" = 999999 WHERE dead_letter_id = (SELECT min(dead_letter_id) FROM millrace.dead_letters)",
        "outside of what its lane consumed",
    ),
    (
        "UPDATE millrace.parked SET event_id = (SELECT event_id FROM millrace.events LIMIT 1)
         WHERE event_id = (SELECT event_id FROM millrace.parked LIMIT 1)",
        "an event id stands twice",
    ),
    (
        "UPDATE millrace.balance_stripes SET amount_minor = amount_minor + 1 WHERE account = 'psp_receivable'",
        "a balance is not the sum",
    ),
    (
        "UPDATE millrace.balance_stripes SET amount_minor = amount_minor - 1 WHERE account = 'psp_receivable'",
        "do not sum up to 0",
    ),
    (
        "UPDATE millrace.events SET amount_minor = amount_minor + 1 WHERE event_type = 'payment.captured'",
        "a balance is not the sum",
    ),
    (
        "UPDATE millrace.payments SET fees = fees + 1 WHERE payment_id = (SELECT payment_id FROM millrace.events LIMIT 1)",
        "the fold of its events",
    ),
    (
        "UPDATE millrace.payments SET status = 'initiated' WHERE status = 'refunded' OR status = 'disputed'",
        "the fold of its events",
    ),
    ("UPDATE millrace.events SET version = version + 1 WHERE version > 1", "follows"),
    ("DELETE FROM millrace.operation_events WHERE event_type = 'dispute.opened'", "operation "),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_each_way_of_breaking_a_ledger() {
    let pipeline = Pipeline::new("audit").await;
    pipeline.publish(four_streams(61, 2_000)).await;
    let mut worker = pipeline.worker().with(&["--batch-records-max", "50"]).start();
    pipeline.drained(Duration::from_secs(60)).await;
    worker.kill_9();
    fold_balances(&pipeline).await;
    assert_eq!(problems(&pipeline.ledger).await, Vec::<String>::new());
    assert_eq!(pipeline.differences(Default::default()).await, Vec::<String>::new());
    let tables = [
        "batches",
        "lanes",
        "events",
        "dead_letters",
        "parked",
        "balance_stripes",
        "balance_changes",
        "payments",
        "operation_events",
    ];
    let each = |statement: &dyn Fn(&str) -> String| tables.iter().map(|t| statement(t)).collect::<Vec<_>>().join(";");
    pipeline.ledger.execute(each(&|table| format!("CREATE TABLE public.kept_{table} AS TABLE millrace.{table}"))).await;
    for (statement, words) in BREAKS {
        pipeline.ledger.execute(*statement).await;
        let found = problems(&pipeline.ledger).await;
        assert!(found.iter().any(|problem| problem.contains(words)), "{statement}\nleft the audit with: {found:#?}");
        restore(&pipeline, &tables).await;
        let left = problems(&pipeline.ledger).await;
        assert!(left.is_empty(), "after {statement} was taken back: {left:#?}");
    }
    pipeline.finish().await;
}

/// What the lanes noted goes into the stripes, as the next fold would do it: so there is a stripe to break.
async fn fold_balances(pipeline: &Pipeline) {
    let fold = "INSERT INTO millrace.balance_stripes (account, currency, partition, amount_minor)
                SELECT account, currency, partition, amount_minor FROM millrace.balances_by_partition
                ON CONFLICT (account, currency, partition) DO UPDATE SET amount_minor = excluded.amount_minor;
                TRUNCATE millrace.balance_changes";
    pipeline.ledger.execute(fold).await;
}

/// Puts back what was kept. Columns that Postgres numbers itself take the old numbers.
async fn restore(pipeline: &Pipeline, tables: &[&str]) {
    for table in tables {
        let copy = format!(
            "TRUNCATE millrace.{table}; INSERT INTO millrace.{table} OVERRIDING SYSTEM VALUE SELECT * FROM public.kept_{table}"
        );
        pipeline.ledger.execute(copy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comparison_finds_a_single_unit_and_a_single_record() {
    let pipeline = Pipeline::new("compare").await;
    pipeline.publish(four_streams(62, 1_000)).await;
    let mut worker = pipeline.worker().start();
    pipeline.drained(Duration::from_secs(60)).await;
    worker.kill_9();
    fold_balances(&pipeline).await;
    pipeline.agrees_with_the_model().await;
    for (table, change) in [
        ("balance_stripes", "amount_minor = amount_minor + 1 WHERE account = 'fee_revenue' AND currency = 'EUR'"),
        ("dead_letters", "reason = 'malformed' WHERE reason = 'sequence_conflict'"),
        ("parked", "reason = 'missing_capture' WHERE reason = 'missing_sequence'"),
        ("payments", "last_sequence = last_sequence + 1 WHERE version > 0"),
        ("batches", "duplicate = duplicate + 1, applied = applied - 1 WHERE applied > 0"),
    ] {
        let kept = format!("CREATE TABLE public.kept AS TABLE millrace.{table}; UPDATE millrace.{table} SET {change}");
        pipeline.ledger.execute(kept).await;
        let found = pipeline.differences(Default::default()).await;
        assert!(!found.is_empty(), "{change} was not found");
        pipeline
            .ledger
            .execute(format!(
                "TRUNCATE millrace.{table}; INSERT INTO millrace.{table} OVERRIDING SYSTEM VALUE TABLE public.kept;
                 DROP TABLE public.kept"
            ))
            .await;
    }
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
