//! A lane's looks at what is parked in it, without a record that comes along: what is too old, what a newer build knows, and
//! what another lane may have made ready.

use std::time::{Duration, Instant};

use millrace_domain::ids::{Micros, PaymentId};
use millrace_store::load;

use super::{Lane, LaneEnd, micros, now};
use crate::flow::refused::Refused;
use crate::flow::work::Work;

/// How often a lane looks whether what waits in it was moved with its user to another lane.
const MOVED_INTERVAL: Duration = Duration::from_secs(60);
/// How many payments one sweep takes.
const SWEEP_PAYMENTS_MAX: i64 = 500;

impl Lane {
    /// A newer worker may know a type that was unknown when its event was parked.
    pub(super) async fn judge_unknown_types_again(&mut self) -> Result<(), LaneEnd> {
        let partition = self.fence.partition;
        let payments =
            self.patiently(move |connection| Box::pin(load::payments_of_unknown_type(connection, partition))).await?;
        self.judge_again(&payments).await
    }

    async fn judge_again(&mut self, payments: &[PaymentId]) -> Result<(), LaneEnd> {
        for some in payments.chunks(SWEEP_PAYMENTS_MAX as usize) {
            self.settle(Work::JudgeAgain { payments: some }, &mut Refused::default()).await?;
        }
        Ok(())
    }

    /// What waits here for events of a user whom more partitions moved to another lane: what that lane applies does not
    /// drain it. Seldom, and only while something waits.
    pub(super) async fn look_for_moved(&mut self) -> Result<(), LaneEnd> {
        if self.due_at.is_none() || self.looked_for_moved_at.elapsed() < MOVED_INTERVAL {
            return Ok(());
        }
        self.judge_moved_again().await
    }

    async fn judge_moved_again(&mut self) -> Result<(), LaneEnd> {
        self.looked_for_moved_at = Instant::now();
        let partition = self.fence.partition;
        let payments = self.patiently(move |connection| Box::pin(load::payments_moved(connection, partition))).await?;
        // What this lane remembers of them is from before.
        payments.iter().for_each(|id| self.memory.forget(*id));
        self.judge_again(&payments).await
    }

    /// Rejects what was parked for longer than the limit, in batches of its own.
    pub(super) async fn expire_parked(&mut self) -> Result<(), LaneEnd> {
        let limit = now().minus(micros(self.config.parking_limit));
        if self.due_at.is_none_or(|due| due > now()) {
            return Ok(());
        }
        // Nothing is rejected for want of what another lane has applied.
        self.judge_moved_again().await?;
        let partition = self.fence.partition;
        loop {
            let payments = self
                .patiently(move |connection| {
                    Box::pin(load::payments_due(connection, partition, limit, SWEEP_PAYMENTS_MAX))
                })
                .await?;
            if payments.is_empty() {
                break;
            }
            self.settle(Work::Expire { payments: &payments, limit }, &mut Refused::default()).await?;
        }
        let oldest = self.patiently(move |connection| Box::pin(load::oldest_parked(connection, partition))).await?;
        self.due_at =
            oldest.map(|since| Micros(since.0.saturating_add(micros(self.config.parking_limit)).saturating_add(1)));
        Ok(())
    }
}
