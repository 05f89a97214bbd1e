//! A lane's hold on Postgres: a connection while it works, dropped on any doubt, and borrowed for as long as it takes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use millrace_store::connect::Connection;
use millrace_store::error::{Remedy, StoreError};
use tokio_util::sync::CancellationToken;

use crate::buffer::LaneState;
use crate::connections::{Connections, Lent};

/// How often a lane that waits for a connection says that it is not stuck.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Waits between tries to reach a service that is away: soon at first, then every few seconds, with jitter, for ever.
pub(crate) fn waits() -> impl Iterator<Item = Duration> + Send {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(3);
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .without_max_times()
        .build()
}

/// The lane was told to stop while it waited.
#[derive(Debug)]
pub(crate) struct Stopped;

/// Borrows a connection to Postgres, however long that takes. Says once that it is away; an error that only a person can
/// mend is returned.
pub(crate) async fn borrow(
    connections: &Connections,
    stop: &CancellationToken,
    progress: impl Fn(),
) -> Result<Result<Lent, StoreError>, Stopped> {
    let mut waits = waits();
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    loop {
        let mut lending = pin!(connections.lend());
        let lent = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Stopped),
                lent = &mut lending => break lent,
                // Others have them all, or Postgres lets us wait: neither is this lane's fault.
                _ = ticks.tick() => progress(),
            }
        };
        match lent {
            Ok(lent) => return Ok(Ok(lent)),
            Err(error) if error.remedy() == Remedy::Halt => return Ok(Err(error)),
            // Someone ended it while it was made.
            Err(error) if error.is_ended_by_command() => {}
            Err(error) => connections.postgres.failed(&error),
        }
        pause(waits.next().unwrap_or(Duration::from_secs(3)), stop).await?;
    }
}

/// Sleeps, unless the lane is told to stop.
pub(crate) async fn pause(wait: Duration, stop: &CancellationToken) -> Result<(), Stopped> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Stopped),
        () = tokio::time::sleep(wait) => Ok(()),
    }
}

/// What a lane holds of the worker's connections: one while it works, none while it waits.
pub(crate) struct Session {
    connections: Connections,
    stop: CancellationToken,
    state: Arc<LaneState>,
    lent: Option<Lent>,
}

impl Session {
    pub(crate) fn new(connections: Connections, stop: CancellationToken, state: Arc<LaneState>) -> Session {
        Session { connections, stop, state, lent: None }
    }

    /// The connection that the lane has, or one that it borrows now.
    pub(crate) async fn connection(&mut self) -> Result<Result<&mut Connection, StoreError>, Stopped> {
        if self.lent.is_none() {
            match borrow(&self.connections, &self.stop, || self.state.progress()).await? {
                Ok(lent) => self.lent = Some(lent),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(self.lent.as_mut().expect("it was borrowed just now")))
    }

    /// Gives back the connection: whatever was begun on it has ended.
    pub(crate) fn rest(&mut self) {
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }

    /// Drops a connection whose state is in doubt: the server then ends its transaction.
    pub(crate) fn drop_connection(&mut self) {
        self.lent = None;
    }

    /// After an error that Postgres answered with: the transaction is ended and the connection kept, if that works.
    pub(crate) async fn roll_back(&mut self) {
        if let Some(lent) = self.lent.as_mut()
            && millrace_store::write::rollback(lent).await.is_err()
        {
            self.lent = None;
        }
    }

    /// Says that Postgres is away, for the error that a statement ended with.
    pub(crate) fn lost(&mut self, error: &StoreError) {
        self.connections.lost(self.lent.take(), error);
    }
}
