//! Offsets that Kafka lost before a worker read them. A lane never steps over them by itself; a person may, on the record.

use millrace_domain::ids::{Offset, Partition};
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::error::StoreError;

/// A gap that a person accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, FromRow)]
pub struct AcceptedGap {
    /// The partition.
    pub partition: i32,
    /// The first offset that is lost.
    pub from_offset: i64,
    /// The first one behind them.
    pub to_offset: i64,
    /// Why, in that person's words.
    pub reason: String,
    /// Who.
    pub accepted_by: String,
    /// When: RFC 3339 in UTC, by the database's clock.
    pub accepted_at: String,
}

/// What is to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Gap<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// Kafka's id of the topic as it is now.
    pub topic_id: &'a str,
    /// The partition.
    pub partition: Partition,
    /// The first offset that is lost: where the lane stands.
    pub from: Offset,
    /// The first one behind them.
    pub to: Offset,
    /// Why.
    pub reason: &'a str,
    /// Who says so.
    pub accepted_by: &'a str,
}

/// Where a lane stands.
#[derive(Clone, PartialEq, Eq, Debug, FromRow)]
pub struct LanePosition {
    /// Kafka's id of the topic, when the lane was first claimed.
    pub topic_id: String,
    /// The first offset that is not accounted for.
    pub next_offset: i64,
}

/// Where the lane of a partition stands; none if it was never claimed.
pub async fn position(
    connection: &mut PgConnection,
    topic: &str,
    partition: Partition,
) -> Result<Option<LanePosition>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/lane_position.sql"));
    Ok(query.bind(topic).bind(partition.0).fetch_optional(connection).await?)
}

/// Has the lane step over the gap and keeps who accepted it, in one statement. None, and nothing is changed: the lane does
/// not stand where the gap begins.
pub async fn accept(connection: &mut PgConnection, gap: Gap<'_>) -> Result<Option<AcceptedGap>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/accept_gap.sql"));
    let query = query.bind(gap.topic).bind(gap.topic_id).bind(gap.partition.0).bind(gap.from.0).bind(gap.to.0);
    Ok(query.bind(gap.reason).bind(gap.accepted_by).fetch_optional(connection).await?)
}

/// All gaps that were accepted, by partition and offset.
pub async fn accepted(connection: &mut PgConnection) -> Result<Vec<AcceptedGap>, StoreError> {
    Ok(sqlx::query_as(include_str!("../queries/list_accepted_gaps.sql")).fetch_all(connection).await?)
}
