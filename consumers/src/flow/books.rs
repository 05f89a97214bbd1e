//! The payments that a lane has at hand, each with what is parked for it, and a bounded memory of the hot ones.
//!
//! While a lane holds its fence, its memory of a payment that it owns is as good as the row. Losing the fence, or any
//! doubt, empties it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;

use lru::LruCache;
use millrace_domain::book::Book;
use millrace_domain::content::ContentHash;
use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Micros, Partition, PaymentId};
use millrace_store::rows::Stood;

use super::novelty::Novelty;
use super::quiet::Quiet;

/// Values by payment. Ids come from publishers: the hash is quick, and seeded anew in each process.
pub type ByPayment<T> = HashMap<PaymentId, T, foldhash::fast::RandomState>;
/// Values by event.
pub type ByEvent<T> = HashMap<EventId, T, foldhash::fast::RandomState>;
/// Events, each once.
pub type EventIds = HashSet<EventId, foldhash::fast::RandomState>;

/// Payments, each once.
pub type PaymentIds = HashSet<PaymentId, foldhash::fast::RandomState>;

/// A payment with more parked events than this is not remembered: it is read anew for each batch.
const REMEMBERED_PARKED_MAX: usize = 64;
/// A payment with more operations than this is not remembered either.
const REMEMBERED_FACTS_MAX: usize = 64;

/// A payment as a batch begins with it.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// State and parked events.
    pub book: Book,
    /// What its row held when it was read or last written; none without a row.
    pub stood: Option<Stood>,
    /// The lane that wrote the row last.
    pub written_by: Option<Partition>,
    /// When the records of its parked events were published.
    pub published: BTreeMap<EventId, Option<Micros>>,
}

impl Entry {
    /// Takes note of parked events under whose ids another lane applied one, which came first (rule 2).
    pub fn stand_elsewhere(&mut self, applied: &ByEvent<ContentHash>) {
        let is_same = |event: &Event| Some(*applied.get(&event.event_id)? == ContentHash::of(event));
        let found: Vec<(EventId, bool)> =
            self.book.parked().filter_map(|p| Some((p.event.event_id, is_same(&p.event)?))).collect();
        found.into_iter().for_each(|(id, same)| self.book.stands_elsewhere(id, same));
    }
}

/// The hot payments of one lane.
pub struct Memory {
    hot: LruCache<PaymentId, Box<Entry>>,
    /// What was seen of the payments that are not remembered.
    pub novelty: Novelty,
    /// What was seen of parked events.
    pub quiet: Quiet,
    /// Whether most of the last batch stood already: then the next is likely more of the same.
    pub is_replay: bool,
}

impl Default for Memory {
    /// An empty memory, without a bound as yet.
    fn default() -> Memory {
        Memory { hot: LruCache::unbounded(), novelty: Novelty::UNKNOWN, quiet: Quiet::UNKNOWN, is_replay: false }
    }
}

impl Memory {
    /// From now on at most this many payments; the coldest are forgotten.
    pub fn bound(&mut self, payments_max: NonZeroUsize) {
        if self.hot.cap() != payments_max {
            self.hot.resize(payments_max);
        }
    }

    /// The payment, if it is remembered.
    pub fn get(&mut self, id: PaymentId) -> Option<&Entry> {
        self.hot.get(&id).map(|entry| &**entry)
    }

    /// Takes note of a payment whose row this lane just wrote.
    pub fn remember(&mut self, id: PaymentId, entry: Box<Entry>) {
        // Nobody owns a payment of version 0: another lane may change its row.
        let payment = &entry.book.payment;
        let small = entry.book.parked().len() <= REMEMBERED_PARKED_MAX && payment.facts.len() <= REMEMBERED_FACTS_MAX;
        if payment.is_known() && small {
            self.hot.put(id, entry);
        } else {
            self.hot.pop(&id);
        }
    }

    /// Forgets a payment.
    pub fn forget(&mut self, id: PaymentId) {
        self.hot.pop(&id);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.hot.clear();
    }
}
