//! Claiming lanes from inside the rebalance callback: blocking, and with a deadline.

use std::sync::Arc;
use std::time::Duration;

use millrace_domain::ids::{Offset, Partition};
use millrace_store::connect::Connection;
use millrace_store::error::{Remedy, StoreError};
use millrace_store::lanes::{self, Claim, ClaimRequest};
use tokio::runtime::Handle;

use crate::config::WorkerConfig;
use crate::connections::Connections;

/// How long asking who holds a lane may take; the claim is tried again anyway.
const EVICT_DEADLINE: Duration = Duration::from_secs(1);

/// Why a lane could not be claimed now.
#[derive(Debug)]
pub(crate) enum ClaimFailure {
    /// It may be claimed later.
    Later(String),
    /// Only a person can mend it.
    Never(String),
}

/// Claims lanes for one worker.
pub(crate) struct Claims {
    config: Arc<WorkerConfig>,
    connections: Connections,
    runtime: Handle,
}

impl Claims {
    pub(crate) fn new(config: Arc<WorkerConfig>, connections: Connections, runtime: Handle) -> Claims {
        Claims { config, connections, runtime }
    }

    /// Claims a partition within `deadline`. `first_offsets` of all partitions are asked only where the ledger begins.
    pub(crate) fn claim(
        &self,
        partition: Partition,
        topic_id: &str,
        first_offsets: impl Fn() -> Result<Vec<(Partition, Offset)>, String>,
        deadline: Duration,
    ) -> Result<Claim, ClaimFailure> {
        let request = ClaimRequest { topic: &self.config.topic, topic_id, partition, worker: &self.config.worker };
        let claiming = async {
            let mut connection = self.connections.lend().await?;
            let claim = match lanes::claim(&mut connection, request).await? {
                Some(claim) => Ok(claim),
                None => open(&mut connection, request, first_offsets).await?,
            };
            // Only when every statement was answered.
            connection.give_back();
            Ok::<_, StoreError>(claim)
        };
        match self.runtime.block_on(async { tokio::time::timeout(deadline, claiming).await }) {
            Ok(Ok(claim)) => {
                self.connections.postgres.answered();
                claim
            }
            Ok(Err(error)) if error.remedy() == Remedy::Halt => Err(ClaimFailure::Never(error.to_string())),
            Ok(Err(error)) => {
                if error.remedy() == Remedy::Reconnect {
                    self.connections.lost(None, &error);
                }
                Err(ClaimFailure::Later(error.to_string()))
            }
            Err(_) => {
                self.evict(request);
                Err(ClaimFailure::Later(format!("no answer from Postgres within {} ms", deadline.as_millis())))
            }
        }
    }

    /// The former owner may be frozen with the fence in its hand: `kill -9` frees it, a stopped machine does not.
    fn evict(&self, request: ClaimRequest<'_>) {
        let evicting = async {
            let mut connection = self.connections.database.connect_lane().await?;
            lanes::evict(&mut connection, request).await
        };
        match self.runtime.block_on(async { tokio::time::timeout(EVICT_DEADLINE, evicting).await }) {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => {
                tracing::warn!(partition = %request.partition, "ended a session that held the lane and did not go on")
            }
            Ok(Err(error)) => tracing::debug!(%error, "cannot ask who holds the lane"),
            Err(_) => tracing::debug!("no answer to who holds the lane"),
        }
    }
}

/// Opens a partition that was never claimed, with all others where the ledger begins, and claims it.
async fn open(
    connection: &mut Connection,
    request: ClaimRequest<'_>,
    first_offsets: impl Fn() -> Result<Vec<(Partition, Offset)>, String>,
) -> Result<Result<Claim, ClaimFailure>, StoreError> {
    let first = match lanes::are_open(connection, request.topic).await? {
        // Added since: what Kafka does not hold of it any more is a hole as in any other.
        true => Ok(vec![(request.partition, Offset(0))]),
        false => first_offsets(),
    };
    let first = match first {
        Ok(first) => first,
        Err(problem) => return Ok(Err(ClaimFailure::Later(problem))),
    };
    lanes::open(connection, request, &first).await?;
    let claim = lanes::claim(connection, request).await?;
    Ok(claim.ok_or_else(|| ClaimFailure::Later("Kafka does not tell where it begins".into())))
}
