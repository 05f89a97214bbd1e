//! What a batch works on: records, or what is parked for some payments.

use millrace_domain::ids::{EventId, Micros, PaymentId, Position};

use super::decode::{Content, Decoded, Record};

/// What a batch works on.
#[derive(Clone, Copy, Debug)]
pub enum Work<'a> {
    /// Records, in offset order, with what was decoded from each.
    Records(&'a [(Record, Decoded)]),
    /// What is parked for these payments and was parked before `limit` is too old.
    Expire {
        /// The payments, the one with the earliest parked event first.
        payments: &'a [PaymentId],
        /// The parking limit as a moment.
        limit: Micros,
    },
    /// What is parked for these payments is judged again.
    JudgeAgain {
        /// The payments.
        payments: &'a [PaymentId],
    },
}

impl<'a> Work<'a> {
    /// The payments that must be at hand, each once, in order: of the records those of these events.
    pub fn payments(&self, is_wanted: impl Fn(EventId) -> bool) -> Vec<PaymentId> {
        let mut ids: Vec<PaymentId> = match self {
            Work::Records(records) => {
                contents(records).filter(|c| is_wanted(c.event.event_id)).map(|c| c.event.payment_id).collect()
            }
            Work::Expire { payments, .. } | Work::JudgeAgain { payments } => payments.to_vec(),
        };
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The payments from the first record to the last. One may come several times.
    pub fn payments_as_they_came(&self) -> impl Iterator<Item = PaymentId> {
        let (records, swept) = match *self {
            Work::Records(records) => (records, &[][..]),
            Work::Expire { payments, .. } | Work::JudgeAgain { payments } => (&[][..], payments),
        };
        contents(records).map(|content| content.event.payment_id).chain(swept.iter().copied())
    }

    /// The ids of the records' events.
    pub fn event_ids(&self) -> Vec<EventId> {
        match self {
            Work::Records(records) => contents(records).map(|c| c.event.event_id).collect(),
            Work::Expire { .. } | Work::JudgeAgain { .. } => Vec::new(),
        }
    }

    /// Where its first record stands, if it has any.
    pub fn first_position(&self) -> Option<Position> {
        match self {
            Work::Records(records) => records.first().map(|(_, decoded)| decoded.position),
            Work::Expire { .. } | Work::JudgeAgain { .. } => None,
        }
    }

    /// Two works that do the same one after the other; none if it is one record, or about one payment.
    pub fn halves(&self) -> Option<(Work<'a>, Work<'a>)> {
        let halves = |count: usize| (count > 1).then_some(count / 2);
        Some(match *self {
            Work::Records(records) => {
                let (first, second) = records.split_at(halves(records.len())?);
                (Work::Records(first), Work::Records(second))
            }
            Work::Expire { payments, limit } => {
                let (first, second) = payments.split_at(halves(payments.len())?);
                (Work::Expire { payments: first, limit }, Work::Expire { payments: second, limit })
            }
            Work::JudgeAgain { payments } => {
                let (first, second) = payments.split_at(halves(payments.len())?);
                (Work::JudgeAgain { payments: first }, Work::JudgeAgain { payments: second })
            }
        })
    }

    /// The dead letters that the records say they were redriven from.
    pub fn dead_letter_ids(&self) -> Vec<i64> {
        match self {
            Work::Records(records) => contents(records).filter_map(|c| c.redriven_from).collect(),
            Work::Expire { .. } | Work::JudgeAgain { .. } => Vec::new(),
        }
    }

    /// The ids that must be looked up among the applied ones before judging: an event of a payment that nobody has
    /// seen was hardly applied before, and the key catches it if it was.
    pub fn likely_applied(&self, mut is_known: impl FnMut(PaymentId) -> bool) -> Vec<EventId> {
        match self {
            Work::Records(records) => {
                contents(records).filter(|c| is_known(c.event.payment_id)).map(|c| c.event.event_id).collect()
            }
            Work::Expire { .. } | Work::JudgeAgain { .. } => Vec::new(),
        }
    }
}

fn contents(records: &[(Record, Decoded)]) -> impl Iterator<Item = &Content> {
    records.iter().filter_map(|(_, decoded)| decoded.content.as_ref().ok())
}
