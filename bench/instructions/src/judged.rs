//! A lane without a database: what stands after each batch is kept in maps, and read from them for the next.
//!
//! It looks ids up as the worker does (`consumers/src/reading.rs`): first those of known payments, then those of which
//! judging was unsure, and judges again. Both judgments are counted, for a worker pays both.

use std::collections::HashMap;

use millrace_consumers::flow::books::{ByPayment, Entry};
use millrace_consumers::flow::decode::{Decoded, Record};
use millrace_consumers::flow::judge::{Judged, Setting, Standing, stands};
use millrace_consumers::flow::refused::Refused;
use millrace_consumers::flow::work::Work;
use millrace_domain::content::ContentHash;
use millrace_domain::ids::{EventId, Offset, PaymentId};
use millrace_domain::window::AcceptedWindow;

use crate::counted::counted_judge;
use crate::input;

const YEAR_MS: i64 = 31_557_600_000;
const WINDOW: AcceptedWindow = AcceptedWindow { back_ms: 2 * YEAR_MS, ahead_ms: YEAR_MS };

/// What a database would hold.
pub struct Lane {
    payments: HashMap<PaymentId, Box<Entry>>,
    /// Applied events.
    applied: HashMap<EventId, ContentHash>,
    /// Parked events.
    parked: HashMap<EventId, ContentHash>,
    next: Offset,
}

impl Lane {
    /// One that has seen nothing.
    pub fn new() -> Lane {
        Lane { payments: HashMap::new(), applied: HashMap::new(), parked: HashMap::new(), next: Offset(0) }
    }

    /// How many events applied.
    pub fn applied(&self) -> usize {
        self.applied.len()
    }

    /// Judges a batch and keeps what came of it.
    pub fn take(&mut self, batch: &[(Record, Decoded)]) {
        let nothing_refused = Refused::default();
        let setting =
            Setting { partition: input::PARTITION, window: WINDOW, now: input::NOW, refused: &nothing_refused };
        let work = Work::Records(batch);
        let mut standing = Standing::default();
        standing.hashes.extend(work.event_ids().iter().filter_map(|id| self.parked.get_key_value(id)));
        self.look_up(
            &mut standing,
            work.likely_applied(|id| self.payments.get(&id).is_some_and(|e| e.book.payment.is_known())),
        );
        let mut judged = counted_judge(&setting, batch, self.next, self.at_hand(work), &standing);
        if !judged.unsure.is_empty() {
            self.look_up(&mut standing, judged.unsure.iter().map(|unsure| unsure.event_id).collect());
            judged = counted_judge(&setting, batch, self.next, self.at_hand(work), &standing);
        }
        self.keep(judged);
    }

    fn at_hand(&self, work: Work<'_>) -> ByPayment<Box<Entry>> {
        work.payments(|_| true).iter().filter_map(|id| Some((*id, self.payments.get(id)?.clone()))).collect()
    }

    fn look_up(&self, standing: &mut Standing, ids: Vec<EventId>) {
        standing.hashes.extend(ids.iter().filter_map(|id| self.applied.get_key_value(id)));
        standing.looked_up.extend(ids);
    }

    fn keep(&mut self, judged: Judged) {
        let Judged { batch, entries, .. } = judged;
        self.next = batch.to;
        for id in batch.unparked.iter().chain(batch.rejected_parked.iter().map(|rejected| &rejected.event_id)) {
            self.parked.remove(id);
        }
        for entry in entries.values() {
            let parked = entry.book.parked().map(|parked| &parked.event);
            self.parked.extend(parked.map(|event| (event.event_id, ContentHash::of(event))));
        }
        self.applied.extend(batch.applied.iter().map(|row| (row.event.event_id, ContentHash::of(&row.event))));
        for (id, mut entry) in entries {
            entry.stood = Some(stands(&entry));
            entry.written_by = Some(input::PARTITION);
            self.payments.insert(id, entry);
        }
    }
}
