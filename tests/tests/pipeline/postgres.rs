//! Postgres away, silent, or gone in the middle of a COMMIT; and Postgres that says no.

use std::time::Duration;

use millrace_tests::kafka::Raw;
use millrace_tests::proxy::{Link, Loss};
use millrace_tests::stack::heavy;
use millrace_tests::worker::Worker;
use millrace_tests::{Pipeline, Proxy, until};

use crate::load::four_streams;

const DRAIN_WITHIN: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);

/// A pipeline with records to consume, a proxy before its Postgres, and the ledger's URL by that proxy.
async fn behind_a_proxy(purpose: &str, records: Vec<Raw>) -> (Pipeline, Proxy, String) {
    let pipeline = Pipeline::new(purpose).await;
    let proxy = Proxy::to(pipeline.stack.postgres_address()).await;
    let url = proxy.url(&pipeline.name);
    pipeline.publish(records).await;
    (pipeline, proxy, url)
}

/// What `/readyz` says once it answers with this status.
async fn readiness(worker: &Worker, wanted: u16) -> String {
    until(&format!("/readyz answers {wanted}"), SOON, async || {
        let (status, body) = worker.get("/readyz").await;
        if status == wanted { Ok(body) } else { Err(format!("{status}: {body}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_a_worker_waits_says_so_once_and_goes_on() {
    let _turn = heavy().await;
    let (pipeline, proxy, url) = behind_a_proxy("pg-away", four_streams(71, 8_000)).await;
    let mut worker = pipeline.worker().set("DATABASE_URL", &url).with(&["--batch-records-max", "20"]).start();
    pipeline.consumed(800, SOON).await;
    proxy.set(Link::Cut);
    worker.says("Postgres is away", SOON).await;
    assert!(readiness(&worker, 503).await.contains("Postgres is away"));
    let (alive, _) = worker.get("/livez").await;
    assert_eq!(alive, 200, "a database that is away is no reason to restart the worker");
    proxy.set(Link::Up);
    readiness(&worker, 200).await;
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    assert_eq!(worker.times_said("Postgres is away"), 1, "{}", worker.said());
    assert_eq!(worker.times_said("Postgres is back"), 1, "{}", worker.said());
    pipeline.agrees_with_the_model().await;

    // In a quiet hour too, when no lane has anything to write.
    proxy.set(Link::Cut);
    assert!(readiness(&worker, 503).await.contains("Postgres is away"));
    proxy.set(Link::Up);
    readiness(&worker, 200).await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_share_the_connections_that_there_are_and_one_is_enough_through_an_outage() {
    let _turn = heavy().await;
    let (pipeline, proxy, url) = behind_a_proxy("pg-pool", four_streams(74, 8_000)).await;
    let plan = pipeline.worker().set("DATABASE_URL", &url);
    let mut worker = plan.with(&["--batch-records-max", "20", "--connections-max", "1", "--watchdog", "10s"]).start();
    pipeline.consumed(800, SOON).await;
    proxy.set(Link::Cut);
    worker.says("Postgres is away", SOON).await;
    proxy.set(Link::Up);
    worker.says("Postgres is back", SOON).await;
    proxy.lose(Loss::Reply, 2);
    pipeline.drained(DRAIN_WITHIN).await;
    let held = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'millrace worker %'";
    assert_eq!(pipeline.ledger.number(held).await, 1, "four lanes, one connection");
    worker.assert_running();
    assert_eq!(worker.times_said("Postgres is away"), 1, "{}", worker.said());
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_is_found_out_and_applied_once() {
    let _turn = heavy().await;
    let (pipeline, proxy, url) = behind_a_proxy("pg-commit", four_streams(72, 8_000)).await;
    let mut worker = pipeline.worker().set("DATABASE_URL", &url).with(&["--batch-records-max", "20"]).start();
    for (at, loss) in [(400, Loss::Reply), (1_500, Loss::Commit), (2_600, Loss::Reply), (4_000, Loss::Commit)] {
        pipeline.consumed(at, SOON).await;
        proxy.lose(loss, 3);
    }
    pipeline.drained(DRAIN_WITHIN).await;
    worker.assert_running();
    assert_eq!(proxy.lost(), 12);
    // Each is said once, or by each of the lanes that shared it: two to four.
    let shared = worker.times_said("the reply to a shared commit was lost");
    let alone = worker.times_said("the reply to a commit was lost") - shared;
    assert!(alone <= 12 && (2 * (12 - alone)..=4 * (12 - alone)).contains(&shared), "{}", worker.said());
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_hangs_on_a_silent_connection_ends_the_process_and_the_next_one_goes_on() {
    let _turn = heavy().await;
    let (pipeline, proxy, url) = behind_a_proxy("pg-silent", four_streams(73, 6_000)).await;
    let start = || {
        let plan = pipeline.worker().set("DATABASE_URL", &url);
        plan.with(&["--batch-records-max", "20", "--watchdog", "4s"]).start()
    };
    let mut hanging = start();
    pipeline.consumed(400, SOON).await;
    proxy.set(Link::Silent);
    let status = hanging.ended(SOON).await;
    assert_eq!(status.code(), Some(70), "{}", hanging.tail());
    assert!(hanging.said().contains("watchdog"), "{}", hanging.tail());
    proxy.set(Link::Up);
    let _next = start();
    pipeline.drained(DRAIN_WITHIN).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_no_ends_the_worker_with_the_reason_and_what_to_do() {
    let pipeline = Pipeline::of("pg-no", 1, "").await;
    let mut migration = pipeline.run(&["migrate"]);
    assert!(migration.ended(SOON).await.success(), "{}", migration.tail());
    assert!(migration.said().contains("migration  1 (ledger)"), "{}", migration.said());
    let role = pipeline.name.replace('-', "_");
    pipeline.ledger.execute(format!("CREATE ROLE {role} LOGIN")).await;
    let own = pipeline.stack.url_of(&pipeline.name);
    let as_role = own.replacen("millrace@", &format!("{role}@"), 1);
    let as_nobody = own.replacen("millrace@", "nobody-by-this-name@", 1);
    let nowhere = pipeline.stack.url_of("no-database-by-this-name");
    for (url, words) in [
        (as_role, ["42501", "rights"]),
        (as_nobody, ["28", "user and password"]),
        (nowhere, ["3D000", "create the database"]),
        ("mysql://localhost/x".to_owned(), ["--database-url", "postgres://"]),
    ] {
        let mut worker = pipeline.worker().set("DATABASE_URL", &url).start();
        let status = worker.ended(SOON).await;
        assert_eq!(status.code(), Some(1), "{url}: {}", worker.tail());
        for word in words {
            assert!(worker.said().contains(word), "{url}: no {word:?} in {}", worker.said());
        }
        assert!(!worker.said().contains("panicked"), "{}", worker.said());
    }
    pipeline.ledger.execute(format!("DROP ROLE {role}")).await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_never_reached_postgres_waits_and_can_be_stopped() {
    let pipeline = Pipeline::of("pg-none", 1, "").await;
    let mut worker = pipeline.worker().set("DATABASE_URL", "postgres://millrace@127.0.0.1:1/millrace").start();
    worker.says("Postgres is away", SOON).await;
    let (status, body) = worker.get("/readyz").await;
    assert_eq!((status, body.contains("Postgres is away")), (503, true), "{body}");
    worker.assert_running();
    worker.terminate();
    assert!(worker.ended(SOON).await.success(), "{}", worker.tail());
    assert_eq!(worker.times_said("Postgres is away"), 1, "{}", worker.said());
    pipeline.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_a_person_ends_are_made_anew_and_postgres_is_not_said_to_be_away() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("pg-ended").await;
    pipeline.publish(four_streams(75, 8_000)).await;
    let mut worker = pipeline.worker().with(&["--batch-records-max", "20"]).start();
    let end_one = "SELECT count(pg_terminate_backend(pid)) FROM (
                       SELECT pid FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name LIKE 'millrace worker %' AND state = 'active'
                       LIMIT 1
                   ) AS busy";
    let mut ended = 0;
    for records in (1..8).map(|n| n * 1_000) {
        pipeline.consumed(records, SOON).await;
        ended += pipeline.ledger.number(end_one).await;
    }
    pipeline.drained(DRAIN_WITHIN).await;
    assert!(ended > 0, "none was at work");
    assert_eq!(worker.times_said("Postgres is away"), 0, "{}", worker.said());
    worker.assert_running();
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
