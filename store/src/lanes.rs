//! Fences: claiming a lane, and finding out where it stands after a lost reply.

use millrace_domain::ids::{Offset, Partition};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::error::StoreError;
use crate::rows::Fence;

/// A lane that this worker may write for, until another claims it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The fence.
    pub fence: Fence,
    /// The first offset that is not accounted for.
    pub next_offset: Offset,
}

/// Who claims what.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Kafka's id of the topic as it is now.
    pub topic_id: &'a str,
    /// The partition.
    pub partition: Partition,
    /// The worker, for people.
    pub worker: &'a str,
}

/// Takes the fence of a partition. Every earlier owner is fenced from here on; a batch in flight is waited for.
/// None: the partition was never claimed, and `open` must say first where it begins.
pub async fn claim(connection: &mut PgConnection, request: ClaimRequest<'_>) -> Result<Option<Claim>, StoreError> {
    let ClaimRequest { topic, topic_id, partition, worker } = request;
    let row = sqlx::query(include_str!("../queries/claim_lane.sql"))
        .bind(topic)
        .bind(partition.0)
        .bind(worker)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let stored: String = row.try_get("topic_id")?;
    if stored != topic_id {
        return Err(StoreError::OtherTopicId { topic: topic.into(), stored, found: topic_id.into() });
    }
    let fence = Fence { topic: topic.into(), topic_id: stored, partition, epoch: row.try_get("owner_epoch")? };
    Ok(Some(Claim { fence, next_offset: Offset(row.try_get("next_offset")?) }))
}

/// For a claim that waited in vain: ends the session of an owner that holds the fence and does not go on. Says how many
/// sessions were ended.
pub async fn evict(connection: &mut PgConnection, request: ClaimRequest<'_>) -> Result<i64, StoreError> {
    let evicted = sqlx::query_scalar(include_str!("../queries/evict_owner.sql"))
        .bind(request.topic)
        .bind(request.partition.0)
        .fetch_one(connection)
        .await?;
    Ok(evicted)
}

/// Whether the topic's lanes were opened: a partition that has none was added since.
pub async fn are_open(connection: &mut PgConnection, topic: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(include_str!("../queries/are_lanes_open.sql")).bind(topic).fetch_one(connection).await?)
}

/// Opens partitions that were never claimed, each where it is said to begin. One that is open stays as it is.
pub async fn open(
    connection: &mut PgConnection,
    request: ClaimRequest<'_>,
    first_offsets: &[(Partition, Offset)],
) -> Result<(), StoreError> {
    refuse_other_topic(connection, request.topic).await?;
    let (partitions, offsets): (Vec<i32>, Vec<i64>) = first_offsets.iter().map(|(p, first)| (p.0, first.0)).unzip();
    sqlx::query(include_str!("../queries/open_lanes.sql"))
        .bind(request.topic)
        .bind(request.topic_id)
        .bind(partitions)
        .bind(offsets)
        .execute(connection)
        .await?;
    Ok(())
}

async fn refuse_other_topic(connection: &mut PgConnection, topic: &str) -> Result<(), StoreError> {
    let held: Option<String> =
        sqlx::query_scalar(include_str!("../queries/other_topic.sql")).bind(topic).fetch_optional(connection).await?;
    match held {
        Some(held) => Err(StoreError::OtherTopic { held, wanted: topic.into() }),
        None => Ok(()),
    }
}

/// What became of a transaction whose commit was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostCommit {
    /// It committed.
    Committed,
    /// It did not; the batch may be written again.
    NotCommitted,
    /// Another worker claimed the lane since; whether it committed is the new owner's to know.
    Fenced,
}

/// Reads the fence on a new connection, waiting for the lost transaction to end.
pub async fn find_out(
    connection: &mut PgConnection,
    fence: &Fence,
    from: Offset,
    to: Offset,
) -> Result<LostCommit, StoreError> {
    let row = sqlx::query(include_str!("../queries/read_fence.sql"))
        .bind(&fence.topic)
        .bind(fence.partition.0)
        .fetch_one(connection)
        .await?;
    let (next, epoch): (i64, i64) = (row.try_get("next_offset")?, row.try_get("owner_epoch")?);
    Ok(match () {
        () if epoch != fence.epoch => LostCommit::Fenced,
        () if next == from.0 => LostCommit::NotCommitted,
        () if next == to.0 => LostCommit::Committed,
        () => LostCommit::Fenced,
    })
}
