//! The worker's connections to Postgres, lent for one piece of work at a time.
//!
//! A lane needs one for as long as it works on a batch. Lanes that wait for records, or for their turn, hold none: a
//! worker with 64 partitions and a backlog gets along with as many as work at the same time, and each finds its catalog,
//! its plans and its pages warm.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use millrace_store::connect::{Connection, Database};
use millrace_store::error::StoreError;

use crate::availability::Availability;

/// A connection that nobody used for this long is closed and not lent.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// All connections of a worker.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool<Maker>,
    pub(crate) database: Database,
    pub(crate) postgres: Arc<Availability>,
}

/// Makes connections, and says which are still good.
struct Maker {
    database: Database,
    postgres: Arc<Availability>,
}

/// A connection, and how often Postgres had come back when it was made.
pub(crate) struct Made {
    connection: Connection,
    recoveries: u64,
}

impl Manager for Maker {
    type Type = Made;
    type Error = StoreError;

    async fn create(&self) -> Result<Made, StoreError> {
        let connection = self.database.connect_lane().await?;
        self.postgres.answered();
        Ok(Made { connection, recoveries: self.postgres.recoveries() })
    }

    /// An outage that is over broke what was made before it, and a firewall forgets what is silent for long.
    async fn recycle(&self, made: &mut Made, metrics: &Metrics) -> RecycleResult<StoreError> {
        if made.recoveries != self.postgres.recoveries() {
            return Err(RecycleError::message("made before an outage"));
        }
        match metrics.last_used() < IDLE_MAX {
            true => Ok(()),
            false => Err(RecycleError::message("silent for too long")),
        }
    }
}

impl Connections {
    pub(crate) fn to(database: Database, postgres: Arc<Availability>, max: NonZeroUsize) -> Connections {
        let maker = Maker { database: database.clone(), postgres: postgres.clone() };
        let pool = Pool::builder(maker)
            .max_size(max.get())
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("only a pool with time limits needs to know the runtime");
        Connections { pool, database, postgres }
    }

    /// A connection, as soon as one is free; made if all that there are have been lent.
    pub(crate) async fn lend(&self) -> Result<Lent, StoreError> {
        match self.pool.get().await {
            Ok(object) => Ok(Lent(Some(object))),
            Err(PoolError::Backend(error)) => Err(error),
            Err(_) => unreachable!("the pool has no time limits and no hooks, and is never closed"),
        }
    }

    /// Says that Postgres is away, for the error that a statement ended with, and closes what waits to be lent. A
    /// connection that an outage broke which is over by now is no news. One that broke may be the only one, as where
    /// another worker claims a lane and has its former owner's ended: if Postgres is away, the next connection tells.
    pub(crate) fn lost(&self, lent: Option<Lent>, error: &StoreError) {
        let is_news = lent.as_ref().is_none_or(|lent| lent.made().recoveries == self.postgres.recoveries());
        if is_news {
            if !error.is_broken_connection() {
                self.postgres.failed(error);
            }
            drop(self.pool.retain(|_, _| false));
        }
    }
}

/// A connection on loan. Dropped, it is closed, for its transaction may be in any state; what is known to be in order is
/// given back.
pub(crate) struct Lent(Option<Object<Maker>>);

impl Lent {
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }

    fn made(&self) -> &Made {
        self.0.as_ref().expect("there until it is given back or dropped")
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.made().connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0.as_mut().expect("there until it is given back or dropped").connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
