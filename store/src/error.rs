//! What can go wrong in Postgres, and what a lane does about it: the SQLSTATE table of the design.

use std::io::ErrorKind;

use millrace_domain::ids::Partition;

/// What a caller does about an error. The error decides, not the call site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Do the same again after a short, random wait.
    Retry,
    /// The database is away: wait, connect anew, and go on, for ever.
    Reconnect,
    /// A key stands already: read again, look every id up, and judge again.
    LookUp,
    /// A row was refused for a reason of its own: find it, reject it, apply the rest.
    Bisect,
    /// Something is parked after all: look, and judge again.
    LookForParked,
    /// Another worker owns the lane: stop it.
    Fenced,
    /// The schema or the rights are wrong: stop the lane and say so.
    Halt,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The fence of the lane stands elsewhere or under another epoch.
    #[error("partition {partition}: another worker claimed the lane")]
    Fenced {
        /// The lane.
        partition: Partition,
    },
    /// The batch was to be written only if nothing is parked. Whether the lane is still this worker's is not known.
    #[error("partition {partition}: events are parked, or another worker claimed the lane")]
    Parked {
        /// The lane.
        partition: Partition,
    },
    /// A payment's row was changed by another lane since it was read.
    #[error("partition {partition}: a payment's row changed since it was read")]
    Stale {
        /// The lane.
        partition: Partition,
    },
    /// The reply to a commit was lost, of a transaction with other lanes' batches.
    #[error("the reply to a shared commit was lost: {why}")]
    Unanswered {
        /// What came in place of the reply.
        why: String,
    },
    /// Postgres said no, or could not be reached. Its words are in the message, and not a second time as the source.
    #[error("{}", describe(.0))]
    Database(sqlx::Error),
    /// A stored row cannot be what this build wrote.
    #[error("{0}: this build cannot have written that; was the database changed by hand or by a newer version?")]
    Corrupt(String),
    /// A migration failed.
    #[error("cannot bring the schema millrace up to date: {0}")]
    Migrate(String),
    /// The database holds the ledger of another topic.
    #[error(
        "this database holds the ledger of topic {held:?}, not of {wanted:?}: give each topic a database of its own (DATABASE_URL)"
    )]
    OtherTopic {
        /// The topic whose lanes stand in the database.
        held: String,
        /// The topic that was asked for.
        wanted: String,
    },
    /// The topic was deleted and made again since its offsets were stored.
    #[error(
        "topic {topic:?} was deleted and made again: its id is {found}, the ledger was written from {stored}. Nothing is skipped: \
         restore the topic, or start a new ledger in another database, with a --group of its own"
    )]
    OtherTopicId {
        /// The topic's name.
        topic: String,
        /// The id that the ledger knows.
        stored: String,
        /// The id that Kafka has now.
        found: String,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        StoreError::Database(error)
    }
}

impl StoreError {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            StoreError::Fenced { .. } => Remedy::Fenced,
            StoreError::Parked { .. } => Remedy::LookForParked,
            StoreError::Stale { .. } => Remedy::LookUp,
            StoreError::Unanswered { .. } => Remedy::Retry,
            StoreError::Corrupt(_)
            | StoreError::Migrate(_)
            | StoreError::OtherTopic { .. }
            | StoreError::OtherTopicId { .. } => Remedy::Halt,
            StoreError::Database(error) => of_database(error),
        }
    }

    /// Whether a connection broke or was ended by command (`pg_terminate_backend`). It may be the only one: whether
    /// Postgres is away, the next that is made tells. Silence and a connection that cannot be made are not of this kind.
    pub fn is_broken_connection(&self) -> bool {
        match self {
            StoreError::Database(sqlx::Error::Io(error)) => matches!(
                error.kind(),
                ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
            ),
            _ => self.is_ended_by_command(),
        }
    }

    /// Whether the session was ended by command, be it while it was made: the next connection tells what of.
    pub fn is_ended_by_command(&self) -> bool {
        self.sqlstate().as_deref() == Some("57P01")
    }

    /// The SQLSTATE, where Postgres gave one.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            StoreError::Database(sqlx::Error::Database(e)) => e.code().map(|c| c.into_owned()),
            _ => None,
        }
    }
}

fn of_database(error: &sqlx::Error) -> Remedy {
    match error {
        sqlx::Error::Database(e) => e.code().map_or(Remedy::Reconnect, |code| of_sqlstate(&code)),
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::Configuration(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::Encode(_) => Remedy::Halt,
        // I/O, TLS, protocol, a connection that was closed: the environment's fault is never the record's.
        _ => Remedy::Reconnect,
    }
}

fn of_sqlstate(code: &str) -> Remedy {
    match code {
        "40001" | "40P01" | "55P03" | "57014" => Remedy::Retry,
        "23505" => Remedy::LookUp,
        _ => match code.get(..2) {
            Some("22" | "23") => Remedy::Bisect,
            Some("42" | "28" | "3D" | "3F" | "0A") => Remedy::Halt,
            // 08, 57P, 25006, 53, 58 and whatever else says nothing of the record.
            _ => Remedy::Reconnect,
        },
    }
}

/// The database's own words with its SQLSTATE, and where the cause is known, what to do.
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            let advice = match &*code {
                "42501" => "; grant the role the rights on schema millrace, or run `millrace migrate` as its owner",
                "42P01" | "3F000" | "42703" | "42883" => "; the schema is not this version's: run `millrace migrate`",
                "28P01" | "28000" => "; check user and password in DATABASE_URL",
                "3D000" => "; create the database, or check its name in DATABASE_URL",
                "53300" => "; raise max_connections, or run fewer workers",
                "55P03" => {
                    "; another session holds a lock: SELECT pid, query, pg_blocking_pids(pid) FROM pg_stat_activity WHERE \
                     wait_event_type = 'Lock' names it"
                }
                "53100" => "; free space on the database's disk",
                _ => "",
            };
            format!("Postgres: {} (SQLSTATE {code}){advice}", e.message())
        }
        sqlx::Error::Io(e) => format!("cannot reach Postgres: {e}"),
        other => format!("Postgres: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_what_cannot_be_reached_are_an_outage_and_a_connection_that_broke_may_be_the_only_one() {
        let of_kind = |kind: ErrorKind| StoreError::Database(sqlx::Error::Io(kind.into()));
        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
            assert!(of_kind(kind).is_broken_connection(), "{kind}");
        }
        for kind in [ErrorKind::TimedOut, ErrorKind::ConnectionRefused] {
            assert!(!of_kind(kind).is_broken_connection(), "{kind}");
        }
    }

    #[test]
    fn every_sqlstate_of_the_design_has_its_remedy() {
        for (codes, remedy) in [
            (&["40001", "40P01", "55P03", "57014"][..], Remedy::Retry),
            (&["08006", "57P01", "57P03", "25006", "53300", "53100", "58030"][..], Remedy::Reconnect),
            (&["23505"][..], Remedy::LookUp),
            (&["22021", "22008", "22P05", "23514", "23502"][..], Remedy::Bisect),
            (&["42501", "42P01", "28P01", "3D000"][..], Remedy::Halt),
        ] {
            for code in codes {
                assert_eq!(of_sqlstate(code), remedy, "{code}");
            }
        }
    }
}
