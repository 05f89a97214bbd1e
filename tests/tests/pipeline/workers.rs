//! Workers that die, leave, stand by, freeze and fight: the totals stay those of a quiet run.

use std::time::Duration;

use millrace_tests::events::{charge, record_in};
use millrace_tests::stack::heavy;
use millrace_tests::{Pipeline, Worker, until};

use crate::load::{Schedule, four_streams};

const DRAIN_WITHIN: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);

fn rounds() -> usize {
    std::env::var("MILLRACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_and_added_at_random_under_load_end_in_the_totals_of_a_quiet_run() {
    let _turn = heavy().await;
    let seed = std::env::var("MILLRACE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(17);
    let mut schedule = Schedule(seed);
    let pipeline = Pipeline::new("kill-9").await;
    let records = four_streams(seed, 4_000 * (rounds() + 1));
    let total = records.len();
    let (first, second) = records.split_at(total / 2);
    pipeline.publish(first.to_vec()).await;
    let start = || pipeline.worker().with(&["--batch-records-max", "40"]).start();
    let killing = async {
        let mut workers: Vec<Worker> = (0..3).map(|_| start()).collect();
        for round in 1..=rounds() {
            let at = total * (round - 1) / rounds() + schedule.below(total / rounds());
            pipeline.consumed(at as i64, DRAIN_WITHIN).await;
            workers.iter_mut().for_each(Worker::assert_running);
            for _ in 0..=schedule.below(2) {
                let victim = schedule.below(workers.len());
                workers[victim].kill_9();
                workers.swap_remove(victim);
            }
            while workers.len() < 2 + schedule.below(2) {
                workers.push(start());
            }
        }
        pipeline.drained(DRAIN_WITHIN).await;
    };
    let publishing = async {
        for some in second.chunks(500) {
            pipeline.publish(some.to_vec()).await;
        }
    };
    tokio::join!(killing, publishing);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_stop_under_load_ends_cleanly_and_its_partitions_move_at_once() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("sigterm").await;
    pipeline.publish(four_streams(23, 12_000)).await;
    // A session timeout far beyond the deadlines below: only leaving the group can move the partitions in time.
    let patient = ["--session-timeout", "5m", "--batch-records-max", "20"];
    let plan = |name: &str| pipeline.worker().with(&patient).with(&["--name", name]);
    let mut leaver = plan("leaver").start();
    let mut stayer = plan("stayer").start();
    pipeline.consumed(1_000, SOON).await;
    stayer.says("lanes begin", SOON).await;
    leaver.terminate();
    let status = leaver.ended(SOON).await;
    assert!(status.success(), "{status}: {}", leaver.tail());
    until("every lane belongs to the one that stayed", SOON, async || {
        let owners =
            pipeline.ledger.texts("SELECT DISTINCT owner FROM millrace.lanes").await.map_err(|e| e.to_string())?;
        if owners == ["stayer"] { Ok(()) } else { Err(format!("{owners:?}")) }
    })
    .await;
    pipeline.drained(DRAIN_WITHIN).await;
    stayer.assert_running();
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_beyond_the_number_of_partitions_stands_by_and_takes_over_when_another_dies() {
    let pipeline = Pipeline::of("standby", 2, "").await;
    let mut workers: Vec<Worker> = (0..3).map(|_| pipeline.worker().start()).collect();
    let standby = until("one of three workers on two partitions stands by, two have a lane", SOON, async || {
        let idle = |worker: &Worker| worker.said().contains("standby") && !worker.said().contains("lanes begin");
        let busy = workers.iter().filter(|worker| worker.said().contains("lanes begin")).count();
        let found = workers.iter().position(idle).filter(|_| busy == 2);
        found.ok_or_else(|| workers.iter().map(Worker::tail).collect::<Vec<_>>().join("\n"))
    })
    .await;
    assert_eq!(workers[standby].times_said("standby"), 1);
    let (status, _) = workers[standby].get("/readyz").await;
    assert_eq!(status, 200, "a standby is ready");
    let halves = |seed| {
        four_streams(seed, 800).into_iter().map(|record| millrace_tests::kafka::Raw {
            partition: record.partition.map(|partition| partition % 2),
            ..record
        })
    };
    pipeline.publish(halves(31).collect::<Vec<_>>()).await;
    workers[(standby + 1) % 3].kill_9();
    pipeline.publish(halves(32).collect::<Vec<_>>()).await;
    workers[standby].says("lanes begin", SOON).await;
    pipeline.drained(SOON).await;
    workers[standby].assert_running();
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_until_others_took_over_writes_nothing_any_more() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("frozen").await;
    pipeline.publish(four_streams(41, 8_000)).await;
    let plan = |name: &str| pipeline.worker().with(&["--batch-records-max", "20", "--name", name]);
    let mut frozen = plan("frozen").start();
    pipeline.consumed(400, SOON).await;
    frozen.signal("-STOP");
    let _other = plan("other").start();
    pipeline.drained(DRAIN_WITHIN).await;
    let newest = "SELECT coalesce(max(batch_id), 0) FROM millrace.batches WHERE worker = 'frozen'";
    let before = pipeline.ledger.number(newest).await;
    let claims = "SELECT sum(owner_epoch)::bigint FROM millrace.lanes";
    let claimed = pipeline.ledger.number(claims).await;
    frozen.signal("-CONT");
    // It tries to go on where it was, is fenced, joins again, and claims what the group gives it.
    until("the worker that was frozen claims lanes anew", SOON, async || {
        let now = pipeline.ledger.number(claims).await;
        if now > claimed { Ok(()) } else { Err(frozen.tail()) }
    })
    .await;
    frozen.assert_running();
    assert_eq!(pipeline.ledger.number(newest).await, before, "it wrote under a claim that it had lost");
    pipeline.publish(four_streams(42, 1_000)).await;
    pipeline.drained(SOON).await;
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_two_groups_that_fight_for_the_same_lanes_write_nothing_twice() {
    let _turn = heavy().await;
    let pipeline = Pipeline::new("zombies").await;
    let plan = || pipeline.worker().with(&["--batch-records-max", "20"]);
    let first = plan().start();
    let second = plan().set("MILLRACE_GROUP", &format!("{}-2", pipeline.name)).start();
    for some in four_streams(51, 6_000).chunks(200) {
        pipeline.publish(some.to_vec()).await;
    }
    pipeline.drained(DRAIN_WITHIN).await;
    let fenced = first.times_said("another worker claimed") + second.times_said("another worker claimed");
    assert!(fenced > 0, "nobody was fenced: {}\n{}", first.tail(), second.tail());
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_former_owners_noted_of_balances_is_folded_by_each_lane() {
    let pipeline = Pipeline::of("notes", 2, "").await;
    let charges = || (0..60).map(|n| record_in(n % 2, &charge(&format!("user-{}", n % 2), 100 + i64::from(n))));
    let mut former = pipeline.worker().start();
    pipeline.publish(charges()).await;
    pipeline.drained(DRAIN_WITHIN).await;
    former.kill_9();
    let ledger = &pipeline.ledger;
    assert_eq!(ledger.number("SELECT count(*) FROM millrace.balance_stripes").await, 0, "it is too soon to fold");
    let many = "INSERT INTO millrace.balance_changes (partition, accounts, currencies, amounts)
                SELECT partition, '{}', '{}', '{}' FROM generate_series(0, 1) AS partition, generate_series(1, 2000)";
    ledger.execute(many).await;
    let balances = ledger.balances().await;

    // One lane at a time folds: one that was refused does it with a later batch.
    let _worker = pipeline.worker().with(&["--batch-records-max", "1"]).start();
    pipeline.publish(charges()).await;
    pipeline.drained(DRAIN_WITHIN).await;
    let notes = ledger.number("SELECT count(*) FROM millrace.balance_changes").await;
    assert!(notes < 60, "{notes} notes are left");
    assert_eq!(ledger.number("SELECT count(DISTINCT partition) FROM millrace.balance_stripes").await, 2);
    assert_ne!(ledger.balances().await, balances);
    pipeline.agrees_with_the_model().await;
    pipeline.finish().await;
}
