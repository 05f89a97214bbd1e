//! The write path on a real Postgres: fences, refusals and lost replies leave a batch whole or leave nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod common;

use std::path::Path;

use common::{
    Lane, NOW, TOPIC, TestDatabase, WINDOW, about, claim_request, empty_batch, event, event_id, everything, number,
    numbered, part, payment_id, small_ledger,
};
use millrace_domain::event::Event;
use millrace_domain::event::Kind::{
    PaymentAuthorized, PaymentCaptured, PaymentCharged, PaymentInitiated, RefundInitiated, RefundSucceeded,
};
use millrace_domain::ids::{Micros, Offset, Partition};
use millrace_store::connect::{self, Connection};
use millrace_store::error::{Remedy, StoreError};
use millrace_store::lanes::{self, ClaimRequest, LostCommit};
use millrace_store::rows::{Balances, Batch, Fence, Stood};
use millrace_store::write::{self, Written, one_statement};
use millrace_store::{load, months};
use sqlx::{AssertSqlSafe, Executor};

/// Writes a batch that must fail, in every way in which it can be written, and gives the error.
async fn refused(connection: &mut Connection, fence: &Fence, batch: &Batch) -> StoreError {
    let before = everything(connection).await;
    let error = match write::in_transaction(connection, &[part(fence, batch)], "test").await {
        Written::Failed(error) => error,
        other => panic!("{other:?}"),
    };
    write::rollback(connection).await.unwrap();
    assert_eq!(everything(connection).await, before, "a batch that failed left something: {error}");
    let batch = Batch { balances: Balances::Note, ..batch.clone() };
    if one_statement::fits(&[part(fence, &batch)]) {
        let same = match write::batches(connection, &[part(fence, &batch)], "test").await {
            Written::Refused(error) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(everything(connection).await, before, "a statement that failed left something: {error}");
        assert_eq!((same.remedy(), same.sqlstate()), (error.remedy(), error.sqlstate()), "{same}");
        assert_eq!(std::mem::discriminant(&same), std::mem::discriminant(&error));
    }
    error
}

/// Events that between them have every column, with and without a value.
fn batches_of_everything() -> Vec<Vec<Event>> {
    let full = Event {
        correlation_id: Some("order-1".into()),
        causation_id: Some("\u{1F4B6} \"quoted\", {braced}, NULL".into()),
        metadata: [("k".into(), "v \u{1F4B6}".into()), ("\\".into(), "\"".into())].into(),
        occurred_at: Micros(253_402_300_799_999_999),
        ..event(1, 1, PaymentAuthorized, 500)
    };
    let unnamed = Event { merchant_id: None, occurred_at: Micros(-1), ..event(2, 2, PaymentInitiated, 0) };
    vec![
        vec![full, unnamed, about(1, numbered(1, event(3, 3, PaymentCharged, i64::from(i32::MAX))))],
        vec![event(4, 1, PaymentCaptured, 200), numbered(2, about(2, event(5, 3, RefundInitiated, 7)))],
        vec![event(4, 1, PaymentCaptured, 200)],
        vec![numbered(3, about(2, event(6, 3, RefundSucceeded, 7))), event(7, 4, PaymentCharged, 9)],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_batch_leaves_the_same_rows_by_one_statement_as_by_many() {
    let mut ledgers = Vec::new();
    for in_one in [true, false] {
        let test = TestDatabase::migrated().await;
        let mut connection = test.connect().await;
        let mut lane = Lane::claim(&mut connection, 0, 0).await;
        for events in batches_of_everything() {
            let records: Vec<Option<Event>> = events.into_iter().map(Some).collect();
            let mut batch = Batch { balances: Balances::Note, ..lane.judge(&records) };
            if let [first, ..] = &mut *batch.applied {
                first.published_at = None;
            }
            assert!(one_statement::fits(&[part(&lane.fence, &batch)]));
            let written = match in_one {
                true => write::batches(&mut connection, &[part(&lane.fence, &batch)], "test").await,
                false => write::in_transaction(&mut connection, &[part(&lane.fence, &batch)], "test").await,
            };
            assert!(matches!(written, Written::Committed), "{written:?}");
            lane.committed(&batch);
        }
        common::run(&mut connection, "UPDATE millrace.batches SET committed_at = 'epoch'").await;
        common::run(&mut connection, "UPDATE millrace.lanes SET claimed_at = 'epoch'").await;
        assert_eq!(number(&mut connection, "SELECT count(*) FROM millrace.events").await, 7);
        ledgers.push(everything(&mut connection).await);
    }
    assert_eq!(ledgers[0], ledgers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_lost_its_fence_writes_nothing() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut zombie = Lane::claim(&mut connection, 0, 0).await;
    let batch = zombie.judge(&[Some(event(1, 1, PaymentCharged, 5))]);
    lanes::claim(&mut connection, claim_request(0)).await.unwrap().unwrap();
    let error = refused(&mut connection, &zombie.fence, &batch).await;
    assert_eq!(error.remedy(), Remedy::Fenced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_does_not_begin_at_the_fence_writes_nothing() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 10).await;
    for from in [9, 11] {
        lane.next = Offset(from);
        let batch = lane.judge(&[None]);
        let error = refused(&mut connection, &lane.fence, &batch).await;
        assert_eq!(error.remedy(), Remedy::Fenced, "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_another_topic_id_writes_nothing() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    let batch = lane.judge(&[None]);
    let fence = Fence { topic_id: "another".into(), ..lane.fence };
    assert_eq!(refused(&mut connection, &fence, &batch).await.remedy(), Remedy::Fenced);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_row_changed_since_it_was_read_is_read_again() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    lane.write(&mut connection, &[Some(event(1, 1, PaymentAuthorized, 5))]).await;
    let mut batch = lane.judge(&[Some(event(2, 1, PaymentCaptured, 5))]);
    batch.payments[0].stood = Some(Stood { version: 2, last_sequence: 0 });
    let error = refused(&mut connection, &lane.fence, &batch).await;
    assert!(matches!(error, StoreError::Stale { partition: Partition(0) }), "{error:?}");
    assert_eq!(error.remedy(), Remedy::LookUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_row_changes_while_one_statement_waits_for_it_is_read_again() {
    let test = TestDatabase::migrated().await;
    let (mut connection, mut rival) = (test.connect().await, test.connect().await);
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    lane.write(&mut connection, &[Some(event(1, 1, PaymentAuthorized, 5))]).await;
    let judged = lane.judge(&[Some(event(2, 1, PaymentCaptured, 5))]);
    let batch = Batch { balances: Balances::Note, ..judged };
    let fence = lane.fence.clone();
    assert!(one_statement::fits(&[part(&fence, &batch)]));
    rival.execute("BEGIN; UPDATE millrace.payments SET last_sequence = 7").await.unwrap();
    let writing = tokio::spawn(async move { write::batches(&mut connection, &[part(&fence, &batch)], "test").await });
    // It has begun, for it waits.
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
    while number(&mut test.connect().await, waits).await == 0 {
        tokio::task::yield_now().await;
    }
    rival.execute("COMMIT").await.unwrap();
    match writing.await.unwrap() {
        Written::Refused(error) => assert!(matches!(error, StoreError::Stale { .. }), "{error:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(number(&mut test.connect().await, "SELECT count(*) FROM millrace.events").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_that_stands_already_asks_for_a_look_up() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    let mut other = Lane::claim(&mut connection, 1, 0).await;
    lane.write(&mut connection, &[Some(event(1, 1, PaymentCharged, 5))]).await;
    // Another lane, under another payment: only the key knows.
    let batch = other.judge(&[Some(event(3, 3, PaymentCharged, 1)), Some(event(1, 2, PaymentCharged, 5))]);
    let error = refused(&mut connection, &other.fence, &batch).await;
    assert_eq!((error.remedy(), error.sqlstate().as_deref()), (Remedy::LookUp, Some("23505")));
    assert_eq!(load::applied(&mut connection, vec![event_id(3).0, event_id(1).0]).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_postgres_refuses_asks_for_bisection() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    let mut nul = event(2, 2, PaymentCharged, 7);
    nul.source = "te\0st".into();
    let batch = lane.judge(&[Some(event(1, 1, PaymentCharged, 5)), Some(nul)]);
    let error = refused(&mut connection, &lane.fence, &batch).await;
    assert_eq!((error.remedy(), error.sqlstate().as_deref()), (Remedy::Bisect, Some("22021")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_month_that_nobody_made_asks_for_bisection() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    let mut old = event(2, 2, PaymentCharged, 7);
    old.event_id.0 = uuid::Uuid::from_u128(1_400_000_000_000 << 80 | 0x7000 << 64 | 0x8000 << 48);
    let batch = lane.judge(&[Some(old)]);
    let error = refused(&mut connection, &lane.fence, &batch).await;
    assert_eq!((error.remedy(), error.sqlstate().as_deref()), (Remedy::Bisect, Some("23514")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_commit_is_found_out_from_the_fence() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 4).await;
    let (from, to) = (Offset(4), Offset(5));
    let ask = async |fence: &Fence| lanes::find_out(&mut test.connect().await, fence, from, to).await.unwrap();
    assert_eq!(ask(&lane.fence).await, LostCommit::NotCommitted);
    lane.write(&mut connection, &[None]).await;
    assert_eq!(ask(&lane.fence).await, LostCommit::Committed);
    lanes::claim(&mut connection, claim_request(0)).await.unwrap();
    assert_eq!(ask(&lane.fence).await, LostCommit::Fenced);
}

#[tokio::test(flavor = "multi_thread")]
async fn finding_out_waits_until_the_transaction_in_doubt_has_ended() {
    let test = TestDatabase::migrated().await;
    let (mut writer, mut asker) = (test.connect().await, test.connect().await);
    let lane = Lane::claim(&mut writer, 0, 0).await;
    common::run(&mut writer, "BEGIN; UPDATE millrace.lanes SET next_offset = 1").await;
    let fence = lane.fence.clone();
    let asking = tokio::spawn(async move { lanes::find_out(&mut asker, &fence, Offset(0), Offset(1)).await });
    // Seen to wait on the row, not guessed to by a sleep.
    let mut watcher = test.connect().await;
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while number(&mut watcher, waiting).await == 0 {
        assert!(!asking.is_finished(), "it answered before the transaction ended");
    }
    common::run(&mut writer, "COMMIT").await;
    assert_eq!(asking.await.unwrap().unwrap(), LostCommit::Committed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_opened_once_and_each_claim_counts() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    assert_eq!(lanes::claim(&mut connection, claim_request(3)).await.unwrap(), None);
    assert!(!lanes::are_open(&mut connection, TOPIC).await.unwrap());
    for first_offset in [7, 9] {
        lanes::open(&mut connection, claim_request(3), &[(Partition(3), Offset(first_offset))]).await.unwrap();
    }
    assert!(lanes::are_open(&mut connection, TOPIC).await.unwrap());
    for epoch in [1, 2] {
        let claim = lanes::claim(&mut connection, claim_request(3)).await.unwrap().unwrap();
        assert_eq!((claim.fence.epoch, claim.next_offset), (epoch, Offset(7)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_or_has_another_name_is_refused() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    Lane::claim(&mut connection, 0, 0).await;
    let made_again = ClaimRequest { topic_id: "another", ..claim_request(0) };
    let error = lanes::claim(&mut connection, made_again).await.unwrap_err();
    assert!(matches!(&error, StoreError::OtherTopicId { topic, .. } if topic == TOPIC), "{error:?}");
    assert_eq!(error.remedy(), Remedy::Halt);
    let other = ClaimRequest { topic: "other-topic", ..claim_request(1) };
    let error = lanes::open(&mut connection, other, &[(Partition(1), Offset(0))]).await.unwrap_err();
    assert!(matches!(&error, StoreError::OtherTopic { held, .. } if held == TOPIC), "{error:?}");
    assert_eq!(error.remedy(), Remedy::Halt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_without_records_moves_no_fence_and_leaves_its_proof_row() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 3).await;
    for _ in 0..2 {
        lane.commit(&mut connection, empty_batch(Offset(3))).await;
    }
    assert_eq!(number(&mut connection, "SELECT count(*) FROM millrace.batches WHERE to_offset = 3").await, 2);
    assert_eq!(number(&mut connection, "SELECT next_offset FROM millrace.lanes").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_read_back_as_it_was() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    let batch = lane.judge(&[Some(event(1, 1, PaymentCharged, 5)), Some(event(2, 2, PaymentCaptured, 5))]);
    lane.commit(&mut connection, batch.clone()).await;
    let stored = load::payments(&mut connection, &[payment_id(1).0]).await.unwrap();
    assert_eq!(stored[&payment_id(1)].state, batch.payments[0].state);
    let parked = load::parked(&mut connection, Partition(0), &[payment_id(2).0], &[]).await.unwrap();
    assert_eq!(parked, batch.parked);
}

#[tokio::test(flavor = "multi_thread")]
async fn months_are_made_once_however_many_ask() {
    let test = TestDatabase::empty().await;
    let migrations = connect::migrate(&mut test.connect().await).await.unwrap();
    assert_eq!((migrations[0].version, migrations[0].description.as_str()), (1, "ledger"));
    let mut asking = Vec::new();
    for _ in 0..8 {
        let mut connection = test.connect().await;
        asking.push(tokio::spawn(async move { months::ensure(&mut connection, &WINDOW, NOW).await }));
    }
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    let mut connection = test.connect().await;
    months::ensure(&mut connection, &WINDOW, NOW).await.unwrap();
    // May to June 2025 by the window, and two months ahead.
    let made = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'millrace.events'::regclass";
    assert_eq!(number(&mut connection, made).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_that_name_which_others_made_is_left_as_it_is() {
    let test = TestDatabase::empty().await;
    let mut connection = test.connect().await;
    for statement in ["CREATE SCHEMA millrace", "CREATE TABLE millrace.payments (id integer)"] {
        common::run(&mut connection, statement).await;
    }
    let refused = connect::migrate(&mut connection).await.expect_err("another's schema").to_string();
    assert!(refused.contains("was not made by Millrace"), "{refused}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'millrace'";
    assert_eq!(number(&mut connection, tables).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_made_once_however_many_ask() {
    let test = TestDatabase::empty().await;
    // On threads: sqlx's migrations are not for spawning.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { connect::migrate(&mut test.connect().await).await.unwrap() });
            });
        }
    });
    let mut connection = test.connect().await;
    assert_eq!(connect::migrate(&mut connection).await.unwrap(), [], "nothing is missing any more");
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap().count();
    assert_eq!(number(&mut connection, "SELECT count(*) FROM millrace.schema_migrations").await, files as i64);
}

/// Stands for checking at compile time: a build then needs no database, and a query that does not fit the schema fails
/// here. COPY cannot be prepared; the tests above run every one.
#[tokio::test(flavor = "multi_thread")]
async fn every_query_fits_the_schema() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    small_ledger(&mut connection).await;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut prepared = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let begins = text.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
        if begins.starts_with("COPY") || begins.starts_with("BEGIN") {
            continue;
        }
        let statement = AssertSqlSafe(format!("PREPARE it AS {text}; DEALLOCATE it"));
        let done = sqlx::raw_sql(statement).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        prepared += 1;
    }
    assert!(prepared > 50, "only {prepared} queries found in {}", directory.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_right_at_every_commit_whether_changes_are_noted_or_folded() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let mut lane = Lane::claim(&mut connection, 0, 0).await;
    for (payment, balances, noted) in [
        (1_u8, Balances::Note, 1),
        (2, Balances::Note, 2),
        (3, Balances::Fold, 0),
        (4, Balances::Fold, 0),
        (5, Balances::Note, 1),
    ] {
        let charged = lane.judge(&[Some(event(u16::from(payment), payment, PaymentCharged, 100))]);
        lane.commit(&mut connection, Batch { balances, ..charged }).await;
        let held: Vec<(String, String)> =
            sqlx::query_as("SELECT account, amount_minor::text FROM millrace.balances ORDER BY account")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let total = i64::from(payment) * 100;
        let wanted = [
            ("merchant_payable:shop".to_owned(), (-total).to_string()),
            ("psp_receivable".to_owned(), total.to_string()),
        ];
        assert_eq!(held, wanted, "after {balances:?}");
        let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM millrace.balance_changes")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(notes, noted, "after {balances:?}");
    }
}
