//! What a lane reads before it judges: states and parked events that it does not remember, and the event ids that
//! may stand already.
//!
//! The order of the reads is that of the design's fast path: ids are looked up only where an event may have been
//! applied before, and all of them only when a key said so.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_domain::book::{Book, Parked};
use millrace_domain::content::ContentHash;
use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, Offset, PaymentId};
use millrace_store::connect::Connection;
use millrace_store::error::StoreError;
use millrace_store::load;
use millrace_store::rows::{ParkedRow, Stood};
use millrace_wire::schemas::SchemaTable;
use uuid::Uuid;

use crate::flow::books::{ByPayment, Entry, Memory};
use crate::flow::decode::decode;
use crate::flow::judge::{Judged, Setting, Standing, Work, judge};

/// Reads what the work needs and judges it. `thorough`: every id is looked up, for a key said that one stands.
pub(crate) async fn judged(
    connection: &mut Connection,
    memory: &mut Memory,
    setting: Setting<'_>,
    work: Work<'_>,
    from: Offset,
    thorough: bool,
) -> Result<Judged, StoreError> {
    let needed = work.payments();
    let (read, mut standing) = read(connection, memory, &setting, work, &needed).await?;
    standing.redriven_from = load::dead_letters(connection, &work.dead_letter_ids()).await?;
    let entries = at_hand(memory, &read, &needed);
    let suspected = if thorough { work.event_ids() } else { work.likely_applied(&entries) };
    look_up(connection, &mut standing, suspected).await?;
    let judged = judge(&setting, work, from, entries, &standing);
    if judged.unsure.is_empty() {
        return Ok(judged);
    }
    look_up(connection, &mut standing, judged.unsure).await?;
    let mut again = judge(&setting, work, from, at_hand(memory, &read, &needed), &standing);
    if !again.unsure.is_empty() {
        // What was looked up changed other judgments: now every id is.
        look_up(connection, &mut standing, work.event_ids()).await?;
        again = judge(&setting, work, from, at_hand(memory, &read, &needed), &standing);
    }
    Ok(again)
}

/// The payments that the lane does not remember, and what stands in `parked` under the work's ids.
async fn read(
    connection: &mut Connection,
    memory: &mut Memory,
    setting: &Setting<'_>,
    work: Work<'_>,
    needed: &[PaymentId],
) -> Result<(ByPayment<Entry>, Standing), StoreError> {
    let missing: Vec<Uuid> = needed.iter().filter(|id| memory.get(**id).is_none()).map(|id| id.0).collect();
    let events: Vec<Uuid> = work.event_ids().iter().map(|id| id.0).collect();
    let stored = load::payments(connection, &missing).await?;
    let parked = load::parked(connection, setting.partition, &missing, &events).await?;
    let mut standing = Standing::default();
    let mut waiting: HashMap<PaymentId, Vec<(Parked, ParkedRow)>> = HashMap::new();
    for row in parked {
        let event = event_of(&row)?;
        standing.hashes.insert(row.event_id, ContentHash::of(&event));
        if row.position.partition == setting.partition {
            waiting.entry(row.payment_id).or_default().push((parked_event(event, &row), row));
        }
    }
    let mut read: ByPayment<Entry> = stored
        .into_iter()
        .map(|(id, payment)| {
            let Stood { version, last_sequence } =
                Stood { version: payment.state.version, last_sequence: payment.state.last_sequence };
            let entry = Entry {
                book: Book::new(payment.state, []),
                stood: Some(Stood { version, last_sequence }),
                written_by: Some(payment.partition),
                published: Default::default(),
            };
            (id, entry)
        })
        .collect();
    for (id, waiting) in waiting {
        // What a remembered payment has parked, it remembers too.
        if needed.binary_search(&id).is_ok() && memory.get(id).is_none() {
            let entry = read.entry(id).or_default();
            entry.published = waiting.iter().map(|(_, row)| (row.event_id, row.record.published_at)).collect();
            let payment = std::mem::take(&mut entry.book).payment;
            entry.book = Book::new(payment, waiting.into_iter().map(|(parked, _)| parked));
        }
    }
    Ok((read, standing))
}

/// The payments as the batch begins with them. One that nobody has seen is not among them.
fn at_hand(memory: &mut Memory, read: &ByPayment<Entry>, needed: &[PaymentId]) -> ByPayment<Entry> {
    let entry = |id: &PaymentId| memory.get(*id).or_else(|| read.get(id)).cloned().map(|entry| (*id, entry));
    needed.iter().filter_map(entry).collect()
}

async fn look_up(connection: &mut Connection, standing: &mut Standing, ids: Vec<EventId>) -> Result<(), StoreError> {
    let fresh: Vec<Uuid> = ids.into_iter().filter(|id| standing.looked_up.insert(*id)).map(|id| id.0).collect();
    standing.hashes.extend(load::applied(connection, &fresh).await?);
    Ok(())
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
