//! What a lane reads before it judges: states and parked events that it does not remember, and the event ids that
//! may stand already.
//!
//! The order of the reads is that of the design's fast path: ids are looked up only where an event may have been
//! applied before. Payments are not even read where all are expected to be new (`flow::novelty`), nor parked events
//! where none are expected (`flow::quiet`): single charges in their order are judged without a question. When a key said
//! that something stands, or the batch before was a replay, it is the other way round: all ids are looked up first, and
//! only the payments of events that do not stand are read, for a duplicate is judged by its id alone.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_domain::book::{Book, Parked};
use millrace_domain::content::ContentHash;
use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Offset, PaymentId};
use millrace_domain::payment::Payment;
use millrace_domain::reason::Rejection;
use millrace_store::IS_GUARDED;
use millrace_store::connect::Connection;
use millrace_store::error::StoreError;
use millrace_store::load;
use millrace_store::rows::{ParkedRow, Stood};
use millrace_wire::schemas::SchemaTable;
use uuid::Uuid;

use crate::flow::books::{ByPayment, Entry, Memory, PaymentIds};
use crate::flow::decode::decode;
use crate::flow::judge::{Judged, Setting, Standing, Unsure, judge};
use crate::flow::work::Work;

/// Reads what the work needs and judges it. `thorough`: everything is looked up, for a key said that something stands.
pub(crate) async fn judged(
    connection: &mut Connection,
    memory: &mut Memory,
    setting: Setting<'_>,
    work: Work<'_>,
    from: Offset,
    thorough: bool,
) -> Result<Judged, StoreError> {
    let ids_first = thorough || memory.is_replay;
    let mut desk = Reading::of(connection, memory, &setting, work);
    match ids_first {
        true => desk.read_ids_first().await?,
        false => desk.read_payments_first().await?,
    }
    desk.standing.redriven_from = load::dead_letters(desk.connection, &work.dead_letter_ids()).await?;
    if thorough || !desk.is_stream() {
        desk.look_up_parked().await?;
    }
    let mut judged = desk.surely(from).await?;
    desk.ensure_current(&judged).await?;
    desk.ensure_nowhere(&judged).await?;
    judged.batch.only_if_nothing_is_parked = desk.takes_nothing_for_parked;
    if let Work::Records(records) = work {
        memory.is_replay = judged.batch.counts.duplicate as usize * 2 > records.len();
    }
    Ok(judged)
}

/// What was read for one batch so far.
struct Reading<'a> {
    connection: &'a mut Connection,
    memory: &'a mut Memory,
    setting: &'a Setting<'a>,
    work: Work<'a>,
    needed: Vec<PaymentId>,
    /// Those of the needed payments that are not remembered.
    missing: Vec<PaymentId>,
    /// Those of the missing that were asked for.
    asked: PaymentIds,
    read: ByPayment<Entry>,
    standing: Standing,
    /// Parked events were not looked for.
    takes_nothing_for_parked: bool,
}

impl<'a> Reading<'a> {
    fn of(
        connection: &'a mut Connection,
        memory: &'a mut Memory,
        setting: &'a Setting<'a>,
        work: Work<'a>,
    ) -> Reading<'a> {
        let (needed, missing, asked, read, standing, takes_nothing_for_parked) = Default::default();
        Reading { connection, memory, setting, work, needed, missing, asked, read, standing, takes_nothing_for_parked }
    }

    /// Ids of parked events under which another lane applied one at the same moment. A record meets that as a key that
    /// stands; a sweep asks each time.
    async fn look_up_parked(&mut self) -> Result<(), StoreError> {
        let Reading { memory, read, needed, .. } = self;
        let mut parked: Vec<Uuid> = Vec::new();
        for id in needed.iter() {
            let Some(entry) = memory.get(*id).or_else(|| read.get(id)) else { continue };
            parked.extend(entry.book.parked().map(|parked| parked.event.event_id.0));
        }
        self.standing.parked_and_applied = load::applied(self.connection, parked).await?.into_iter().collect();
        Ok(())
    }

    async fn read_payments_first(&mut self) -> Result<(), StoreError> {
        self.need(self.work.payments(|_| true));
        match self.is_stream() && self.memory.quiet.is_expected() {
            true => self.takes_nothing_for_parked = true,
            false => self.read_parked().await?,
        }
        self.read_payments().await?;
        self.look_up_suspected().await
    }

    async fn read_ids_first(&mut self) -> Result<(), StoreError> {
        let stood = self.look_up(self.work.event_ids()).await?;
        self.stood_after_all(stood);
        self.need(self.work.payments(|event| !self.standing.hashes.contains_key(&event)));
        self.read_parked().await?;
        self.ask_after_all(self.missing.clone()).await?;
        Ok(())
    }

    /// Whether the work tells what the stream is like: a sweep goes over what is parked, by choice.
    fn is_stream(&self) -> bool {
        matches!(self.work, Work::Records(_))
    }

    fn need(&mut self, payments: Vec<PaymentId>) {
        self.missing = payments.iter().copied().filter(|id| self.memory.get(*id).is_none()).collect();
        self.needed = payments;
    }

    /// Judges, again with more looked up until nothing is unsure.
    async fn surely(&mut self, from: Offset) -> Result<Judged, StoreError> {
        let mut judged = self.judge(from);
        if judged.unsure.is_empty() || !self.read_unsure(std::mem::take(&mut judged.unsure)).await? {
            // Where nothing else was found, nothing else would be judged.
            return Ok(judged);
        }
        let again = self.judge(from);
        if again.unsure.is_empty() {
            return Ok(again);
        }
        // What was found changed other judgments: now everything is looked up.
        self.look_up(self.work.event_ids()).await?;
        self.ask_after_all(self.missing.clone()).await?;
        Ok(self.judge(from))
    }

    /// A payment that was remembered and against which an event was rejected is as it is remembered still. What applies, and
    /// what uses up a number, writes the payment's row, which tells whether another lane has changed it meanwhile; a
    /// rejection writes none. More partitions move a user, and the lane that had him may apply what waited in it.
    async fn ensure_current(&mut self, judged: &Judged) -> Result<(), StoreError> {
        let rejected = judged.batch.dead_letters.iter().filter(|row| is_by_payment(row.reason));
        let mut doubtful: Vec<Uuid> = rejected.filter_map(|row| row.payment_id).map(|id| id.0).collect();
        doubtful.retain(|id| self.memory.get(PaymentId(*id)).is_some());
        if doubtful.is_empty() {
            return Ok(());
        }
        let stored = load::payments(self.connection, &doubtful).await?;
        let is_current = |id: &Uuid| {
            let held = stored.get(&PaymentId(*id)).map(|payment| (payment.state.version, payment.state.last_sequence));
            let remembered = self.memory.get(PaymentId(*id)).and_then(|entry| entry.stood);
            held == remembered.map(|stood| (stood.version, stood.last_sequence))
        };
        match doubtful.iter().all(is_current) {
            true => Ok(()),
            false => Err(StoreError::Stale { partition: self.setting.partition }),
        }
    }

    /// An event that its payment rejects stands nowhere. Another lane may have applied or parked it behind the look at the
    /// ids and before that at the payment, and then it is a duplicate, or in conflict.
    async fn ensure_nowhere(&mut self, judged: &Judged) -> Result<(), StoreError> {
        if !IS_GUARDED {
            return Ok(());
        }
        let batch = &judged.batch;
        let drained: Vec<_> = batch.rejected_parked.iter().map(|row| (row.reason, row.event_id)).collect();
        let leaves = |id: &EventId| batch.unparked.contains(id) || drained.iter().any(|(_, drained)| drained == id);
        let rejected = batch.dead_letters.iter().filter_map(|row| Some((row.reason, row.event_id?)));
        let rejected: Vec<Uuid> =
            rejected.filter(|(reason, id)| is_by_payment(*reason) && !leaves(id)).map(|(_, id)| id.0).collect();
        let drained = drained.iter().filter(|(reason, _)| is_by_payment(*reason)).map(|(_, id)| id.0);
        let stands =
            !load::applied(self.connection, drained.chain(rejected.iter().copied()).collect()).await?.is_empty()
                || !load::parked(self.connection, self.setting.partition, &[], &rejected).await?.is_empty();
        match stands {
            true => Err(StoreError::Stale { partition: self.setting.partition }),
            false => Ok(()),
        }
    }

    /// What is parked for the payments that are not remembered, and what stands in `parked` under the work's ids. What a
    /// remembered payment has parked, it remembers too.
    async fn read_parked(&mut self) -> Result<(), StoreError> {
        let missing: Vec<Uuid> = self.missing.iter().map(|id| id.0).collect();
        let events: Vec<Uuid> = match IS_GUARDED {
            true => self.work.event_ids().iter().map(|id| id.0).collect(),
            false => Vec::new(),
        };
        let mut waiting: HashMap<PaymentId, Vec<(Parked, ParkedRow)>> = HashMap::new();
        let parked = load::parked(self.connection, self.setting.partition, &missing, &events).await?;
        if self.is_stream() {
            self.memory.quiet = self.memory.quiet.after_looking(parked.len());
        }
        for row in parked {
            let event = event_of(&row)?;
            // What was applied under the id came first.
            self.standing.hashes.entry(row.event_id).or_insert_with(|| ContentHash::of(&event));
            if row.position.partition == self.setting.partition && self.missing.binary_search(&row.payment_id).is_ok() {
                waiting.entry(row.payment_id).or_default().push((parked_event(event, &row), row));
            }
        }
        for (id, waiting) in waiting {
            let entry = self.read.entry(id).or_default();
            entry.published = waiting.iter().map(|(_, row)| (row.event_id, row.record.published_at)).collect();
            entry.book = Book::new(Payment::default(), waiting.into_iter().map(|(parked, _)| parked));
        }
        Ok(())
    }

    /// The payments that are not remembered; none but those with something parked, if all are expected to be new.
    async fn read_payments(&mut self) -> Result<(), StoreError> {
        if self.is_stream() && self.memory.novelty.is_expected(self.missing.len()) {
            let waiting = self.read.keys().copied().collect();
            self.ask(waiting).await?;
            return Ok(());
        }
        let found = self.ask(self.missing.clone()).await?;
        if self.is_stream() {
            self.memory.novelty = self.memory.novelty.after_reading(self.missing.len(), found);
        }
        Ok(())
    }

    /// What judging was unsure of: an event that does not apply meets no key. Gives whether anything stood.
    async fn read_unsure(&mut self, unsure: Vec<Unsure>) -> Result<bool, StoreError> {
        let payments = unsure.iter().map(|unsure| unsure.payment_id).collect();
        let payments_stood = self.ask_after_all(payments).await?;
        let events_stood = self.look_up(unsure.into_iter().map(|unsure| unsure.event_id).collect()).await?;
        Ok(payments_stood + events_stood > 0)
    }

    /// The ids of events whose payment is known.
    async fn look_up_suspected(&mut self) -> Result<(), StoreError> {
        let Reading { memory, read, work, .. } = self;
        let is_known = |id| memory.get(id).or_else(|| read.get(&id)).is_some_and(|e| e.book.payment.is_known());
        let suspected = work.likely_applied(is_known);
        self.look_up(suspected).await?;
        Ok(())
    }

    /// Reads payments that may have been taken for new, and takes note if one of them was not. Gives how many stood.
    async fn ask_after_all(&mut self, payments: Vec<PaymentId>) -> Result<usize, StoreError> {
        let stood = self.ask(payments).await?;
        self.stood_after_all(stood);
        Ok(stood)
    }

    /// Takes note if something stood where all may have been taken for new.
    fn stood_after_all(&mut self, stood: usize) {
        if stood > 0 && self.memory.novelty.is_hopeful() {
            self.memory.novelty = self.memory.novelty.after_being_wrong();
        }
    }

    /// Reads those of these payments that are missing and were not asked for yet; gives how many stood.
    async fn ask(&mut self, payments: Vec<PaymentId>) -> Result<usize, StoreError> {
        let is_missing = |id: &PaymentId| self.missing.binary_search(id).is_ok();
        let fresh: Vec<Uuid> =
            payments.into_iter().filter(|id| is_missing(id) && self.asked.insert(*id)).map(|id| id.0).collect();
        let stored = load::payments(self.connection, &fresh).await?;
        let found = stored.len();
        for (id, payment) in stored {
            let Payment { version, last_sequence, .. } = payment.state;
            let entry = self.read.entry(id).or_default();
            entry.book.payment = payment.state;
            entry.stood = Some(Stood { version, last_sequence });
            entry.written_by = Some(payment.partition);
        }
        Ok(found)
    }

    /// The payments as the batch begins with them. One that nobody has seen is not among them.
    fn at_hand(&mut self) -> ByPayment<Box<Entry>> {
        // Room for those that nobody has seen too: they join while the batch is judged.
        let mut entries = ByPayment::with_capacity_and_hasher(self.needed.len(), Default::default());
        let entry = |id: &PaymentId| {
            let entry = self.memory.get(*id).or_else(|| self.read.get(id))?;
            Some((*id, Box::new(entry.clone())))
        };
        entries.extend(self.needed.iter().filter_map(entry));
        let applied = &self.standing.parked_and_applied;
        for entry in entries.values_mut().filter(|_| !applied.is_empty()) {
            entry.stand_elsewhere(applied);
        }
        entries
    }

    /// Looks ids up among those that were applied; gives how many were.
    async fn look_up(&mut self, ids: Vec<EventId>) -> Result<usize, StoreError> {
        let fresh: Vec<Uuid> =
            ids.into_iter().filter(|id| self.standing.looked_up.insert(*id)).map(|id| id.0).collect();
        if !IS_GUARDED {
            return Ok(0);
        }
        let applied = load::applied(self.connection, fresh).await?;
        let stood = applied.len();
        self.standing.hashes.extend(applied);
        Ok(stood)
    }

    fn judge(&mut self, from: Offset) -> Judged {
        let entries = self.at_hand();
        judge(self.setting, self.work, from, entries, &self.standing)
    }
}

/// Whether a payment's state is what an event was rejected for.
fn is_by_payment(reason: Rejection) -> bool {
    use Rejection::{HeaderMismatch, IdConflict, Malformed, OutsideWindow, RefusedByStore, UnknownSchema, WrongKey};
    !matches!(
        reason,
        Malformed | UnknownSchema | HeaderMismatch | WrongKey | IdConflict | OutsideWindow | RefusedByStore
    )
}

fn event_of(row: &ParkedRow) -> Result<Arc<Event>, StoreError> {
    let decoded = decode(row.position, &row.record, SchemaTable::built_in());
    decoded.content.map(|content| content.event).map_err(|refusal| {
        StoreError::Corrupt(format!(
            "parked event {} (partition {}, offset {}): {refusal}",
            row.event_id, row.position.partition, row.position.offset
        ))
    })
}

fn parked_event(event: Arc<Event>, row: &ParkedRow) -> Parked {
    Parked { event, position: row.position, waits_for: row.reason, since: row.since }
}
