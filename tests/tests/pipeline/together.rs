//! Lanes that keep up share transactions: each ends as if it had been alone.

use std::time::Duration;

use millrace_tests::events::{charge, next, record_in};
use millrace_tests::kafka::Raw;
use millrace_tests::proxy::Loss;
use millrace_tests::stack::heavy;
use millrace_tests::{Pipeline, Proxy, until};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

const PARTITIONS: i32 = 4;
const DRAIN_WITHIN: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);
const SHARED: &str = "SELECT count(*) FROM (
    SELECT FROM millrace.batches GROUP BY xmin::text HAVING count(DISTINCT partition) > 1
) AS transactions";

/// Charges in turn for each partition. Every so often one comes a second time in the next partition, so that the key of
/// the other lane refuses it, or is refunded beyond what was captured.
fn crossing(charges: i32) -> Vec<Raw> {
    let mut records = Vec::new();
    let mut last: Option<Value> = None;
    for n in 0..charges {
        let partition = n % PARTITIONS;
        let new = charge(&format!("u-{}", n % 400), 100 + i64::from(n));
        records.push(record_in(partition, &new));
        match (n % 200, &last) {
            (0, Some(last)) => records.push(record_in(partition, last)),
            (10, _) => records.push(record_in(partition, &next(&new, "refund.succeeded", 1_000_000))),
            (15, _) => records.push(record_in(partition, &next(&new, "refund.succeeded", 1))),
            _ => {}
        }
        last = Some(new);
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_share_transactions_and_what_one_cannot_write_holds_no_other_up() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("together").await;
    let proxy = Proxy::to(pipeline.stack.postgres_address()).await;
    pipeline.publish(crossing(12_000)).await;
    let plan = pipeline.worker().set("DATABASE_URL", &proxy.url(&pipeline.name));
    let mut worker = plan.with(&["--batch-records-max", "20"]).start();
    for (at, loss) in [(400, Loss::Reply), (2_000, Loss::Commit), (4_000, Loss::Reply), (6_000, Loss::Commit)] {
        pipeline.consumed(at, SOON).await;
        proxy.lose(loss, 6);
    }
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    assert_eq!(proxy.lost(), 24);
    assert!(worker.times_said("the reply to a shared commit was lost") > 0, "{}", worker.said());
    assert!(pipeline.ledger.number(SHARED).await > 10, "lanes wrote alone");
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_waits_for_a_lock_holds_no_other_up() {
    const WAITING: &str = "SELECT concat_ws(' ', pid, query_start) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let pipeline = Pipeline::of("together-lock", 2, "").await;
    let _worker = pipeline.worker().start();
    let first = charge("u-1", 100);
    pipeline.publish([record_in(0, &first)]).await;
    pipeline.drained(DRAIN_WITHIN).await;

    let mut person = PgConnection::connect(&pipeline.stack.url_of(&pipeline.name)).await.expect("Postgres is there");
    person.execute("BEGIN; SELECT FROM millrace.payments FOR UPDATE").await.expect("nobody else locks it");
    pipeline.publish([record_in(0, &next(&first, "refund.succeeded", 1))]).await;
    let waits = until("a lane waits for the lock", SOON, async || {
        let waits = pipeline.ledger.texts(WAITING).await.map_err(|error| error.to_string())?;
        if waits.is_empty() { Err("none does".to_owned()) } else { Ok(waits) }
    })
    .await;
    pipeline.publish([record_in(1, &charge("u-2", 100))]).await;
    until("the other lane writes", SOON, async || {
        let positions = pipeline.ledger.positions().await.map_err(|error| error.to_string())?;
        if positions[&1].1 == 1 { Ok(()) } else { Err(format!("{positions:?}")) }
    })
    .await;
    assert_eq!(
        pipeline.ledger.texts(WAITING).await.expect("the ledger answers"),
        waits,
        "it wrote only behind the wait"
    );

    person.execute("COMMIT").await.expect("it is still there");
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
