//! A database for one test, and a small lane that writes into it by the real path.
//!
//! The lane judges with `domain::book` and writes with `store::write`; what the consumers add (rule 2 against the
//! database, memory, batching) is theirs to test.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use millrace_domain::book::{Arrival, Became, Book, Numbering, Outcome};
use millrace_domain::event::{Event, EventType, Kind};
use millrace_domain::ids::{EventId, MerchantId, Micros, Offset, OperationId, Partition, PaymentId, Position, UserId};
use millrace_domain::money::Currency;
use millrace_domain::reason::Rejection;
use millrace_domain::window::AcceptedWindow;
use millrace_store::connect::{self, Connection, Database};
use millrace_store::lanes::{self, ClaimRequest};
use millrace_store::months;
use millrace_store::record::RawRecord;
use millrace_store::rows::{
    AppliedRow, Balances, Batch, Counts, DeadLetterRow, Fence, ParkedRow, PaymentRow, RejectedParked, Stood,
};
use millrace_store::write::{self, LaneBatch, Written};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub const TOPIC: &str = "payment-events";
pub const TOPIC_ID: &str = "dGVzdC10b3BpYy1pZC0xMg";
/// 2025-06-15, so that the ids of the tests lie in known months.
pub const NOW: Micros = Micros(1_749_945_600_000_000);
pub const WINDOW: AcceptedWindow = AcceptedWindow { back_ms: 40 * 86_400_000, ahead_ms: 3_600_000 };

const DATABASE_URL_DEFAULT: &str = "postgres://millrace@127.0.0.1:15432/millrace";

/// A database of its own, gone when the test ends.
pub struct TestDatabase {
    server: Database,
    pub database: Database,
    name: String,
}

impl TestDatabase {
    /// An empty database. A server that is away fails the test.
    pub async fn empty() -> TestDatabase {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("DATABASE_URL").unwrap_or(DATABASE_URL_DEFAULT.into());
        let server = Database::at(&url, "millrace store tests").unwrap();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("millrace_test_{}_{started}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = server.connect().await.expect("the tests need Postgres: start it with `make up`");
        run(&mut admin, &format!("CREATE DATABASE {name}")).await;
        TestDatabase { database: server.named(&name), server, name }
    }

    /// A database with the schema and the months of `WINDOW`.
    pub async fn migrated() -> TestDatabase {
        let test = TestDatabase::empty().await;
        let mut connection = test.connect().await;
        connect::migrate(&mut connection).await.unwrap();
        months::ensure(&mut connection, &WINDOW, NOW).await.unwrap();
        test
    }

    pub async fn connect(&self) -> Connection {
        self.database.connect().await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread of its own, for this one may be inside a runtime, and may be unwinding.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = server.connect().await.unwrap();
                run(&mut admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
            });
        });
        drop(dropping.join());
    }
}

/// Runs a statement that a test writes.
pub async fn run(connection: &mut Connection, statements: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// A lane's batch, to be written.
pub fn part<'a>(fence: &'a Fence, batch: &'a Batch) -> LaneBatch<'a> {
    LaneBatch { fence, batch }
}

/// A line for all that a batch may write.
pub async fn everything(connection: &mut Connection) -> String {
    let query = "SELECT concat_ws('; ',
        (SELECT string_agg(l::text, ' ' ORDER BY l.partition) FROM millrace.lanes AS l),
        (SELECT string_agg((to_jsonb(b) - 'batch_id')::text, ' ' ORDER BY b.partition, b.batch_id) FROM millrace.batches AS b),
        (SELECT string_agg(e::text, ' ' ORDER BY e.event_id) FROM millrace.events AS e),
        (SELECT string_agg(p::text, ' ' ORDER BY p.payment_id) FROM millrace.payments AS p),
        (SELECT string_agg(o::text, ' ' ORDER BY o::text) FROM millrace.operation_events AS o),
        (SELECT string_agg(s::text, ' ' ORDER BY s::text) FROM millrace.balances_by_partition AS s),
        (SELECT string_agg(p::text, ' ' ORDER BY p.event_id) FROM millrace.parked AS p),
        (SELECT string_agg(d::text, ' ' ORDER BY d.dead_letter_id) FROM millrace.dead_letters AS d))";
    sqlx::query_scalar(query).fetch_one(connection).await.unwrap()
}

/// Reads one number.
pub async fn number(connection: &mut Connection, query: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(connection).await.unwrap()
}

pub fn payment_id(n: u8) -> PaymentId {
    PaymentId(Uuid::from_u128(0x4000_8000_0000_0000_0000 << 48 | u128::from(n)))
}

pub fn operation_id(n: u8) -> OperationId {
    OperationId(Uuid::from_u128(0x4000_9000_0000_0000_0000 << 48 | u128::from(n)))
}

/// A UUIDv7 of `NOW`.
pub fn event_id(n: u16) -> EventId {
    let ms = u128::try_from(NOW.0 / 1000).unwrap();
    EventId(Uuid::from_u128(ms << 80 | 0x7000 << 64 | 0x8000 << 48 | u128::from(n)))
}

/// An event of a payment; what a test says nothing about has a usual value.
pub fn event(n: u16, payment: u8, kind: Kind, amount_minor: i64) -> Event {
    Event {
        event_id: event_id(n),
        event_type: EventType::Known(kind),
        payment_id: payment_id(payment),
        user_id: UserId(format!("user-{payment}").into()),
        merchant_id: Some(MerchantId("shop".into())),
        operation_id: None,
        sequence: None,
        amount_minor,
        currency: Currency::from_code("GBP").unwrap(),
        occurred_at: NOW,
        source: "test".into(),
        correlation_id: None,
        causation_id: None,
        metadata: BTreeMap::new(),
    }
}

pub fn about(operation: u8, event: Event) -> Event {
    Event { operation_id: Some(operation_id(operation)), ..event }
}

pub fn numbered(sequence: i64, event: Event) -> Event {
    Event { sequence: Some(sequence), ..event }
}

/// One lane: what it holds in memory between batches.
pub struct Lane {
    pub fence: Fence,
    pub next: Offset,
    books: BTreeMap<PaymentId, Book>,
    stood: BTreeMap<PaymentId, Stood>,
    seen: BTreeSet<EventId>,
}

impl Lane {
    /// Opens and claims a partition.
    pub async fn claim(connection: &mut Connection, partition: i32, first_offset: i64) -> Lane {
        let request = claim_request(partition);
        lanes::open(connection, request, &[(request.partition, Offset(first_offset))]).await.unwrap();
        let claim = lanes::claim(connection, request).await.unwrap().expect("it was just opened");
        Lane {
            fence: claim.fence,
            next: claim.next_offset,
            books: BTreeMap::new(),
            stood: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Judges the records (none: one that cannot be decoded) and writes them as one batch.
    pub async fn write(&mut self, connection: &mut Connection, records: &[Option<Event>]) {
        let batch = self.judge(records);
        self.commit(connection, batch).await;
    }

    /// Rejects all that is parked for a payment, in a batch without records.
    pub async fn expire(&mut self, connection: &mut Connection, payment: PaymentId) {
        let mut desk = Desk::at(self.next);
        let mut outcomes = Vec::new();
        self.books.get_mut(&payment).unwrap().expire(Micros(i64::MAX), &mut outcomes);
        outcomes.into_iter().for_each(|outcome| desk.note(outcome));
        let batch = self.finish(desk, self.next);
        self.commit(connection, batch).await;
    }

    /// The batch that these records would be.
    pub fn judge(&mut self, records: &[Option<Event>]) -> Batch {
        let mut desk = Desk::at(self.next);
        let mut offset = self.next;
        for record in records {
            let position = Position { partition: self.fence.partition, offset };
            match record {
                None => desk.reject(position, None, Rejection::Malformed, false),
                Some(event) if !self.seen.insert(event.event_id) => desk.batch.counts.duplicate += 1,
                Some(event) => {
                    let arrival =
                        Arrival { event: event.clone().into(), position, now: NOW, numbering: Numbering::Judged };
                    let mut outcomes = Vec::new();
                    self.books.entry(event.payment_id).or_default().admit(arrival, &mut outcomes);
                    outcomes.into_iter().for_each(|outcome| desk.note(outcome));
                }
            }
            offset = offset.next();
        }
        self.finish(desk, offset)
    }

    fn finish(&self, desk: Desk, to: Offset) -> Batch {
        let mut batch = desk.batch;
        batch.to = to;
        batch.payments = desk
            .touched
            .iter()
            .map(|id| PaymentRow {
                payment_id: *id,
                stood: self.stood.get(id).copied(),
                state: self.books[id].payment.clone(),
            })
            .filter(|row| stands(row) != row.stood.unwrap_or(Stood { version: 0, last_sequence: 0 }))
            .collect();
        batch
    }

    pub async fn commit(&mut self, connection: &mut Connection, batch: Batch) {
        match write::batches(connection, &[part(&self.fence, &batch)], "test").await {
            Written::Committed => {}
            other => panic!("{other:?}"),
        }
        self.committed(&batch);
    }

    /// Takes note of a batch that a test wrote itself.
    pub fn committed(&mut self, batch: &Batch) {
        self.stood.extend(batch.payments.iter().map(|row| (row.payment_id, stands(row))));
        self.next = batch.to;
    }
}

pub fn claim_request(partition: i32) -> ClaimRequest<'static> {
    ClaimRequest { topic: TOPIC, topic_id: TOPIC_ID, partition: Partition(partition), worker: "test" }
}

fn stands(row: &PaymentRow) -> Stood {
    Stood { version: row.state.version, last_sequence: row.state.last_sequence }
}

pub fn empty_batch(from: Offset) -> Batch {
    Batch {
        only_if_nothing_is_parked: false,
        from,
        to: from,
        counts: Counts::default(),
        applied: vec![],
        payments: vec![],
        parked: vec![],
        reparked: vec![],
        unparked: vec![],
        rejected_parked: vec![],
        dead_letters: vec![],
        balances: Balances::Fold,
    }
}

/// A batch in the making.
struct Desk {
    batch: Batch,
    touched: BTreeSet<PaymentId>,
}

impl Desk {
    fn at(from: Offset) -> Desk {
        Desk { batch: empty_batch(from), touched: BTreeSet::new() }
    }

    fn note(&mut self, outcome: Outcome) {
        let Outcome { event, position, drained, became } = outcome;
        self.touched.insert(event.payment_id);
        let (event_id, counts) = (event.event_id, &mut self.batch.counts);
        match became {
            Became::Applied { version, transfer } => {
                *(if drained { &mut counts.drained_applied } else { &mut counts.applied }) += 1;
                self.batch.applied.push(AppliedRow { event, position, published_at: Some(NOW), version, transfer });
            }
            Became::Duplicate => *(if drained { &mut counts.drained_duplicate } else { &mut counts.duplicate }) += 1,
            Became::Parked(reason) if drained => return self.batch.reparked.push((event_id, reason)),
            Became::Parked(reason) => {
                counts.parked += 1;
                let (payment_id, record) = (event.payment_id, record_of(&event));
                let row = ParkedRow { event_id, payment_id, position, reason, since: NOW, record };
                return self.batch.parked.push(row);
            }
            Became::Rejected { reason, number_used } if drained => {
                counts.drained_rejected += 1;
                return self.batch.rejected_parked.push(RejectedParked {
                    event_id,
                    reason,
                    number_used,
                    detail: "a test".into(),
                });
            }
            Became::Rejected { reason, number_used } => {
                return self.reject(position, Some(&event), reason, number_used);
            }
        }
        if drained {
            self.batch.unparked.push(event_id);
        }
    }

    fn reject(&mut self, position: Position, event: Option<&Event>, reason: Rejection, number_used: bool) {
        self.batch.counts.rejected += 1;
        self.batch.dead_letters.push(DeadLetterRow {
            position,
            reason,
            detail: Some("made by a test".into()),
            event_id: event.map(|e| e.event_id),
            payment_id: event.map(|e| e.payment_id),
            number_used,
            record: event.map(record_of).unwrap_or_default(),
        });
    }
}

fn record_of(event: &Event) -> RawRecord {
    let id = event.event_id.to_string();
    let headers: [(&[u8], Option<&[u8]>); 2] = [(b"ce_id", Some(id.as_bytes())), (b"\xff", None)];
    RawRecord::new(Some(event.user_id.as_str().as_bytes()), Some(&[0, 1, 2]), headers, Some(NOW))
}

/// A ledger with something of everything: see the comments for where each payment ends.
pub async fn small_ledger(connection: &mut Connection) {
    use Kind::*;
    let mut lane = Lane::claim(connection, 0, 0).await;
    let mut other = Lane::claim(connection, 1, 5).await;
    // 1: numbered; captured in part, the rest lapsed, a refund without an operation.
    // 2: charged, refunded in part by an operation, a dispute lost, a fee.
    let batch = [
        Some(numbered(1, event(1, 1, PaymentInitiated, 1000))),
        Some(numbered(2, event(2, 1, PaymentAuthorized, 1000))),
        Some(numbered(3, about(1, event(3, 1, PaymentCaptured, 600)))),
        None,
        Some(event(4, 2, PaymentCharged, 500)),
        Some(about(2, event(5, 2, RefundInitiated, 200))),
    ];
    lane.write(connection, &batch).await;
    // 3: its capture comes before its authorization.
    let batch = [
        Some(numbered(4, event(6, 1, PaymentExpired, 0))),
        Some(event(7, 1, RefundSucceeded, 100)),
        Some(about(2, event(8, 2, RefundSucceeded, 200))),
        Some(about(3, event(9, 2, DisputeOpened, 300))),
        Some(event(4, 2, PaymentCharged, 500)),
        Some(event(10, 3, PaymentCaptured, 50)),
    ];
    lane.write(connection, &batch).await;
    // 4: a credit. 5 waits for its authorization, 6 waits in vain.
    let batch = [
        Some(event(11, 3, PaymentAuthorized, 80)),
        Some(event(12, 3, PaymentVoided, 30)),
        Some(about(4, event(13, 4, RefundUnreferenced, 70))),
        Some(about(3, event(14, 2, DisputeLost, 300))),
        Some(event(15, 2, FeeCharged, 10)),
        Some(event(16, 5, PaymentCaptured, 40)),
        Some(event(17, 6, PaymentCaptured, 45)),
    ];
    lane.write(connection, &batch).await;
    lane.expire(connection, payment_id(6)).await;
    lane.write(connection, &[Some(event(18, 1, PaymentCaptured, 99))]).await;
    // 7: a refund that failed and one that is pending, a dispute won. 8: declined, then authorized, adjusted, voided
    // in part. In another lane, which began at offset 5.
    let batch = [
        Some(event(20, 7, PaymentCharged, 300)),
        Some(about(5, event(21, 7, RefundInitiated, 100))),
        Some(about(5, event(22, 7, RefundFailed, 100))),
        Some(about(6, event(23, 7, DisputeOpened, 50))),
        Some(about(6, event(24, 7, DisputeWon, 50))),
        Some(about(7, event(25, 7, RefundInitiated, 30))),
    ];
    other.write(connection, &batch).await;
    let batch = [
        Some(event(26, 8, PaymentDeclined, 10)),
        Some(event(27, 8, PaymentAuthorized, 100)),
        Some(event(28, 8, PaymentAdjusted, 150)),
        Some(event(29, 8, PaymentVoided, 50)),
    ];
    other.write(connection, &batch).await;
}
