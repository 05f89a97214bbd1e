//! A lane's hold on Postgres: its own connection, dropped on any doubt, and made anew for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use millrace_store::connect::{Connection, Database};
use millrace_store::error::{Remedy, StoreError};
use tokio_util::sync::CancellationToken;

use crate::availability::Availability;
use crate::buffer::LaneState;

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

/// Connects to Postgres, however long that takes. Says once that it is away; an error that only a person can mend is
/// returned.
pub(crate) async fn connect(
    database: &Database,
    postgres: &Availability,
    stop: &CancellationToken,
    progress: impl Fn(),
) -> Result<Result<Connection, StoreError>, Stopped> {
    let mut waits = waits();
    loop {
        progress();
        let connected = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Stopped),
            connected = database.connect_lane() => connected,
        };
        match connected {
            Ok(connection) => {
                postgres.answered();
                return Ok(Ok(connection));
            }
            Err(error) if error.remedy() == Remedy::Halt => return Ok(Err(error)),
            Err(error) => postgres.failed(&error),
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

/// A lane's own connection.
pub(crate) struct Session {
    database: Database,
    postgres: Arc<Availability>,
    stop: CancellationToken,
    state: Arc<LaneState>,
    connection: Option<Connection>,
    /// How often Postgres had come back when the connection was made.
    recoveries: u64,
}

impl Session {
    pub(crate) fn new(
        database: Database,
        postgres: Arc<Availability>,
        stop: CancellationToken,
        state: Arc<LaneState>,
    ) -> Session {
        Session { database, postgres, stop, state, connection: None, recoveries: 0 }
    }

    /// The connection, made anew if the last one was dropped.
    pub(crate) async fn connection(&mut self) -> Result<Result<&mut Connection, StoreError>, Stopped> {
        if self.connection.is_none() {
            match connect(&self.database, &self.postgres, &self.stop, || self.state.progress()).await? {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.recoveries = self.postgres.recoveries();
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(self.connection.as_mut().expect("it was made just now")))
    }

    /// Drops a connection whose state is in doubt: the server then ends its transaction.
    pub(crate) fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// After an error that Postgres answered with: the transaction is ended and the connection kept, if that works.
    pub(crate) async fn roll_back(&mut self) {
        if let Some(connection) = self.connection.as_mut()
            && millrace_store::write::rollback(connection).await.is_err()
        {
            self.connection = None;
        }
    }

    /// Says that Postgres is away, for the error that a statement ended with. A connection that an outage broke which is
    /// over by now is no news.
    pub(crate) fn lost(&mut self, error: &StoreError) {
        if self.recoveries == self.postgres.recoveries() {
            self.postgres.failed(error);
        }
        self.connection = None;
    }
}
