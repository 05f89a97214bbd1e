//! What a lane does with a batch that the database refuses for a reason of some row's own: it finds the event that is to
//! blame, rejects it, and applies the rest.

use millrace_domain::ids::EventId;
use millrace_store::error::{Remedy, StoreError};
use millrace_store::write;

use super::{Lane, LaneEnd};
use crate::flow::judge::{Judged, Refused, Work};

impl Lane {
    /// Finds the rows that the database refuses for a reason of their own, rejects their events, applies the rest.
    pub(super) async fn bisect(&mut self, work: Work<'_>, refused: &mut Refused) -> Result<(), LaneEnd> {
        self.forget(work);
        if let Work::Records(records) = work
            && records.len() > 1
        {
            let (first, second) = records.split_at(records.len() / 2);
            self.settle_part(Work::Records(first), refused).await?;
            return self.settle_part(Work::Records(second), refused).await;
        }
        // One record, or none: what it moved may be more.
        let suspects = match self.judged(work, refused, true).await? {
            Ok(judged) => written_by(&judged).into_iter().filter(|id| !refused.contains_key(id)).collect::<Vec<_>>(),
            Err(error) => return Err(LaneEnd::Halted(error.to_string())),
        };
        if suspects.is_empty() {
            return Err(LaneEnd::Halted(format!(
                "partition {}: the database refuses the batch at offset {} although no event of it is left to blame",
                self.fence.partition, self.stands_at
            )));
        }
        // Each in turn without what it moved: the first with which the batch fails is to blame. To refuse one alone would
        // also help where it is only what drains the culprit.
        for (index, suspect) in suspects.iter().enumerate() {
            let mut without = refused.clone();
            without.extend(suspects[index + 1..].iter().map(|later| (*later, String::new())));
            match self.rehearse(work, &without).await? {
                Ok(()) => {}
                Err(error) if matches!(error.remedy(), Remedy::Bisect | Remedy::LookUp) => {
                    refused.insert(*suspect, error.to_string());
                    break;
                }
                // Not about the row: settled as any other failure, with what is known so far.
                Err(_) => {
                    self.session.drop_connection();
                    break;
                }
            }
        }
        self.forget(work);
        self.settle_part(work, refused).await
    }

    /// Whether the database takes the batch; nothing of it stands afterwards.
    async fn rehearse(&mut self, work: Work<'_>, refused: &Refused) -> Result<Result<(), StoreError>, LaneEnd> {
        let judged = match self.judged(work, refused, true).await? {
            Ok(judged) => judged,
            Err(error) => return Ok(Err(error)),
        };
        let connection = match self.session.connection().await? {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        Ok(write::rehearse(connection, &self.fence, &judged.batch, &self.config.worker).await)
    }
}

/// The events that leave a row of their own text when this batch is written, the last one last.
fn written_by(judged: &Judged) -> Vec<EventId> {
    let parked = judged.batch.parked.iter().map(|row| row.event_id);
    parked.chain(judged.batch.applied.iter().map(|row| row.event.event_id)).collect()
}
