//! Batches of several lanes in one transaction: the rows that each would write alone, or nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod common;

use common::{Lane, TestDatabase, about, claim_request, event, everything, number, numbered, part};
use millrace_domain::event::Event;
use millrace_domain::event::Kind::{
    PaymentAuthorized, PaymentCaptured, PaymentCharged, PaymentInitiated, RefundInitiated, RefundSucceeded,
};
use millrace_store::connect::Connection;
use millrace_store::lanes;
use millrace_store::rows::{Balances, Batch, Stood};
use millrace_store::write::{self, LaneBatch, Written, one_statement};
use sqlx::Executor;

/// How batches are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Alone,
    OneStatement,
    Transaction,
}

const TOGETHER: [Way; 2] = [Way::OneStatement, Way::Transaction];

async fn written(connection: &mut Connection, parts: &[LaneBatch<'_>], way: Way) -> Written {
    match way {
        Way::Transaction => write::in_transaction(connection, parts, "test").await,
        Way::OneStatement | Way::Alone => {
            assert!(one_statement::fits(parts));
            write::batches(connection, parts, "test").await
        }
    }
}

fn judged(lane: &mut Lane, events: &[Event]) -> Batch {
    let records: Vec<_> = events.iter().cloned().map(Some).collect();
    Batch { balances: Balances::Note, ..lane.judge(&records) }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_two_lanes_leave_the_same_rows_together_as_each_alone() {
    let rounds = [
        [
            vec![event(1, 1, PaymentCharged, 100), event(2, 2, PaymentInitiated, 0)],
            vec![event(3, 3, PaymentAuthorized, 70)],
        ],
        [
            vec![about(1, event(4, 1, RefundInitiated, 30)), event(2, 2, PaymentInitiated, 0)],
            vec![event(5, 3, PaymentCaptured, 50), numbered(1, event(6, 4, PaymentCharged, 9))],
        ],
        [vec![about(1, event(7, 1, RefundSucceeded, 30))], vec![event(8, 5, PaymentCharged, 8)]],
    ];
    let mut ledgers = Vec::new();
    for way in [Way::Alone, Way::OneStatement, Way::Transaction] {
        let test = TestDatabase::migrated().await;
        let mut connection = test.connect().await;
        let mut lanes = [Lane::claim(&mut connection, 0, 0).await, Lane::claim(&mut connection, 1, 5).await];
        for events in &rounds {
            let batches = [judged(&mut lanes[0], &events[0]), judged(&mut lanes[1], &events[1])];
            let parts = [part(&lanes[0].fence, &batches[0]), part(&lanes[1].fence, &batches[1])];
            let groups: Vec<&[LaneBatch]> = if way == Way::Alone { parts.chunks(1).collect() } else { vec![&parts] };
            for group in groups {
                let written = written(&mut connection, group, way).await;
                assert!(matches!(written, Written::Committed), "{way:?}: {written:?}");
            }
            lanes.iter_mut().zip(&batches).for_each(|(lane, batch)| lane.committed(batch));
        }
        let transactions = "SELECT count(DISTINCT xmin::text) FROM millrace.batches";
        assert_eq!(number(&mut connection, transactions).await, if way == Way::Alone { 6 } else { 3 });
        common::run(&mut connection, "UPDATE millrace.batches SET committed_at = 'epoch'").await;
        common::run(&mut connection, "UPDATE millrace.lanes SET claimed_at = 'epoch'").await;
        assert_eq!(number(&mut connection, "SELECT count(*) FROM millrace.events").await, 8);
        ledgers.push(everything(&mut connection).await);
    }
    assert_eq!(ledgers[0], ledgers[1]);
    assert_eq!(ledgers[0], ledgers[2]);
}

/// Writes both together, which must fail, and gives what the ledger held before: it still does.
async fn assert_nothing_is_written(connection: &mut Connection, parts: &[LaneBatch<'_>], why: &str) {
    for way in TOGETHER {
        let before = everything(connection).await;
        match (way, written(connection, parts, way).await) {
            (Way::Transaction, Written::Failed(_)) => write::rollback(connection).await.unwrap(),
            (Way::OneStatement, Written::Refused(_)) => {}
            (_, other) => panic!("{why}, {way:?}: {other:?}"),
        }
        assert_eq!(everything(connection).await, before, "{why}, {way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_batch_of_several_cannot_be_written_none_is() {
    let test = TestDatabase::migrated().await;
    let mut connection = test.connect().await;
    let (mut good, mut bad) = (Lane::claim(&mut connection, 0, 0).await, Lane::claim(&mut connection, 1, 0).await);
    for (lane, payment) in [(&mut good, 1), (&mut bad, 2)] {
        lane.write(&mut connection, &[Some(event(u16::from(payment), payment, PaymentAuthorized, 50))]).await;
    }
    let fine = judged(&mut good, &[event(11, 1, PaymentCaptured, 50), event(12, 11, PaymentCharged, 5)]);
    let fine = part(&good.fence, &fine);

    let mut stale = judged(&mut bad, &[event(21, 2, PaymentCaptured, 50)]);
    stale.payments[0].stood = Some(Stood { version: 7, last_sequence: 0 });
    assert_nothing_is_written(&mut connection, &[fine, part(&bad.fence, &stale)], "a payment changed").await;

    // Of the other lane's payment, under the other lane's id: only keys know.
    let taken = judged(&mut bad, &[event(1, 22, PaymentCharged, 5)]);
    assert_nothing_is_written(&mut connection, &[fine, part(&bad.fence, &taken)], "an id stands").await;
    let same = judged(&mut bad, &[event(23, 11, PaymentCharged, 5)]);
    assert_nothing_is_written(&mut connection, &[part(&bad.fence, &same), fine], "both begin one payment").await;

    let claimed = judged(&mut bad, &[event(24, 24, PaymentCharged, 5)]);
    lanes::claim(&mut connection, claim_request(1)).await.unwrap().unwrap();
    assert_nothing_is_written(&mut connection, &[fine, part(&bad.fence, &claimed)], "one is fenced").await;
    assert_nothing_is_written(&mut connection, &[part(&bad.fence, &claimed), fine], "the first is fenced").await;

    let written = written(&mut connection, &[fine], Way::OneStatement).await;
    assert!(matches!(written, Written::Committed), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_lane_waits_for_ends_a_shared_transaction_soon_and_no_later_one() {
    let test = TestDatabase::migrated().await;
    let (mut connection, mut person) = (test.connect().await, test.connect().await);
    let mut lanes = [Lane::claim(&mut connection, 0, 0).await, Lane::claim(&mut connection, 1, 0).await];
    let batches = [
        judged(&mut lanes[0], &[event(1, 1, PaymentCharged, 5)]),
        judged(&mut lanes[1], &[event(2, 2, PaymentCharged, 5)]),
    ];
    let parts = [part(&lanes[0].fence, &batches[0]), part(&lanes[1].fence, &batches[1])];
    person.execute("BEGIN; SELECT FROM millrace.lanes WHERE partition = 1 FOR UPDATE").await.unwrap();
    for way in TOGETHER {
        // Without an end of its own, the wait would be for ever: this connection has no bounds.
        match written(&mut connection, &parts, way).await {
            Written::Refused(error) => assert_eq!(error.sqlstate().as_deref(), Some("55P03"), "{way:?}: {error}"),
            Written::Failed(error) => {
                assert_eq!(error.sqlstate().as_deref(), Some("55P03"), "{way:?}: {error}");
                write::rollback(&mut connection).await.unwrap();
            }
            other => panic!("{way:?}: {other:?}"),
        }
    }
    let alone = written(&mut connection, &parts[..1], Way::Alone).await;
    assert!(matches!(alone, Written::Committed), "{alone:?}");
    let bound: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut connection).await.unwrap();
    assert_eq!(bound, "0", "of that transaction alone");
}
