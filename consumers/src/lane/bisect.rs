//! What a lane does with a batch that the database refuses for a reason of some row's own: it finds the row that is to
//! blame, rejects its event, and applies the rest.
//!
//! A batch is halved until it is one record, or about one payment. What that writes is a sequence: the event itself, then
//! what it drains. Each row is tried with those before it and without those behind: the first with which the database
//! refuses is to blame, for the same rows come before it whatever becomes of the others.

use std::time::Duration;

use millrace_domain::book::Row;
use millrace_domain::ids::Position;
use millrace_store::error::{Remedy, StoreError};
use millrace_store::write::{self, LaneBatch};

use super::{LOOK_UPS_MAX, Lane, LaneEnd};
use crate::flow::refused::{Refused, Search};
use crate::flow::work::Work;
use crate::session::pause;

/// How long to wait before all of it again, where the trials told nothing.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Lane {
    /// Finds the rows that the database refuses for a reason of their own, rejects their events, applies the rest.
    pub(super) async fn bisect(&mut self, work: Work<'_>, refused: &mut Refused) -> Result<(), LaneEnd> {
        self.forget(work);
        if let Some((first, second)) = work.halves() {
            self.settle_part(first, refused).await?;
            return self.settle_part(second, refused).await;
        }
        match self.first_to_blame(work, refused).await? {
            Blame::Row(position, row, words) => {
                if !refused.insert(position, row, words.clone()) {
                    return Err(self.nobody_to_blame(&words));
                }
            }
            Blame::Nobody(words) => return Err(self.nobody_to_blame(&words)),
            // Settled as any other failure, with what is known so far.
            Blame::NotARow => {
                refused.trials_in_vain += 1;
                self.session.drop_connection();
                pause(AGAIN_AFTER, &self.stop).await?;
            }
            Blame::TakenAfterAll => pause(AGAIN_AFTER, &self.stop).await?,
        }
        self.forget(work);
        self.settle_part(work, refused).await
    }

    async fn first_to_blame(&mut self, work: Work<'_>, refused: &Refused) -> Result<Blame, LaneEnd> {
        let Ok(judged) = self.judged(work, refused, true).await? else { return Ok(Blame::NotARow) };
        let rows: Vec<Position> = judged.batch.applied.iter().map(|row| row.position).collect();
        // The record's own parking comes before all that it makes possible.
        let itself = work.first_position().map(|position| (position, Row::Parked));
        let with = |count: usize| {
            let applied = rows[..count].iter().map(|position| (*position, Row::Applied));
            refused.with_all_but(itself.into_iter().chain(applied))
        };
        let (mut search, mut words) = (Search::among(rows.len(), !judged.batch.parked.is_empty()), None);
        while let Some(count) = search.next() {
            match self.rehearse(work, &with(count)).await? {
                Rehearsed::Taken => search = search.after(count, true),
                Rehearsed::Refused(said) => {
                    search = search.after(count, false);
                    words = Some(said);
                }
                Rehearsed::Failed => return Ok(Blame::NotARow),
            }
        }
        let words = match words {
            Some(words) => words,
            // It was not tried with all of them yet.
            None => match self.rehearse(work, &with(rows.len())).await? {
                Rehearsed::Taken => return Ok(Blame::TakenAfterAll),
                Rehearsed::Refused(said) => said,
                Rehearsed::Failed => return Ok(Blame::NotARow),
            },
        };
        Ok(match (search.found().checked_sub(1).map(|last| rows[last]), itself) {
            (Some(position), _) => Blame::Row(position, Row::Applied, words),
            (None, Some((position, row))) => Blame::Row(position, row, words),
            (None, None) => Blame::Nobody(words),
        })
    }

    /// Whether the database takes the batch; nothing of it stands afterwards.
    async fn rehearse(&mut self, work: Work<'_>, refused: &Refused) -> Result<Rehearsed, LaneEnd> {
        self.state.progress();
        let Ok(judged) = self.judged(work, refused, true).await? else { return Ok(Rehearsed::Failed) };
        let Ok(connection) = self.session.connection().await? else { return Ok(Rehearsed::Failed) };
        let part = LaneBatch { fence: &self.fence, batch: &judged.batch };
        Ok(match write::rehearse(connection, part, &self.config.worker).await {
            Ok(()) => Rehearsed::Taken,
            Err(error) if is_of_a_row(&error, refused) => Rehearsed::Refused(error.to_string()),
            Err(_) => Rehearsed::Failed,
        })
    }

    fn nobody_to_blame(&self, words: &str) -> LaneEnd {
        LaneEnd::Halted(format!(
            "partition {}: the database refuses the batch at offset {} although no event of it is left to blame: {words}",
            self.fence.partition, self.stands_at
        ))
    }
}

/// Who is to blame for a batch that the database refuses.
enum Blame {
    /// This row of the record at this place, with the database's words.
    Row(Position, Row, String),
    /// No event: it is refused without any of them too.
    Nobody(String),
    /// The trouble is another.
    NotARow,
    /// It is not refused any more.
    TakenAfterAll,
}

/// What came of a rehearsal.
enum Rehearsed {
    Taken,
    Refused(String),
    /// For another reason than a row's own.
    Failed,
}

/// A key that stands is mostly a race that was lost meanwhile: another look settles it. One that stands again and again,
/// whatever was looked up, is of a row like any other refusal.
fn is_of_a_row(error: &StoreError, refused: &Refused) -> bool {
    match error.remedy() {
        Remedy::Bisect => true,
        Remedy::LookUp => refused.trials_in_vain >= LOOK_UPS_MAX,
        _ => false,
    }
}
