//! What people do with dead letters. Looking at them is `report`'s.

use sqlx::postgres::PgConnection;

use crate::error::StoreError;
use crate::report::WholeDeadLetter;

/// What a person did with a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handling {
    /// It was published again.
    Redriven,
    /// It was given up.
    Discarded,
}

impl Handling {
    /// The stable label.
    pub fn label(self) -> &'static str {
        match self {
            Handling::Redriven => "redriven",
            Handling::Discarded => "discarded",
        }
    }
}

/// The open dead letters of these ids and of this reason, whole, in the order of the topic: at most `limit`.
pub async fn open(
    connection: &mut PgConnection,
    ids: &[i64],
    reason: Option<&str>,
    limit: i64,
) -> Result<Vec<WholeDeadLetter>, StoreError> {
    let query = sqlx::query_as(include_str!("../queries/select_dead_letters.sql"));
    Ok(query.bind(ids).bind(reason).bind(limit).bind(false).fetch_all(connection).await?)
}

/// Keeps what a person did with these, if they are open still; gives those that were.
pub async fn handle(
    connection: &mut PgConnection,
    ids: &[i64],
    handling: Handling,
    by: &str,
    note: Option<&str>,
) -> Result<Vec<i64>, StoreError> {
    let query = sqlx::query_scalar(include_str!("../queries/handle_dead_letters.sql"));
    Ok(query.bind(ids).bind(handling.label()).bind(by).bind(note).fetch_all(connection).await?)
}
