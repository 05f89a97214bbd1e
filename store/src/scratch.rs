//! Databases that are thrown away: a demo's or a test's own, made anew each time.
//!
//! The only place that drops anything. It refuses a name that does not say what the database is for.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::error::StoreError;

/// What every scratch database's name begins with.
const PREFIX: &str = "millrace_";

/// Drops the database with all that it holds, whoever is connected to it, and makes it anew, empty.
///
/// `connection` is one to another database of the same server, whose role may create databases.
///
/// # Panics
/// If the name is not `millrace_` and small letters, digits or `_` behind it: it is a constant of the caller.
pub async fn make_anew(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    drop_database(connection, name).await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {}", checked(name)))).await?;
    Ok(())
}

/// Drops the database, if it is there, whoever is connected to it. Panics as `make_anew` does.
pub async fn drop_database(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", checked(name)))).await?;
    Ok(())
}

/// Whether nobody else holds this name; if so, this connection does until it ends.
pub async fn hold(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(include_str!("../queries/hold_name.sql")).bind(name).fetch_one(connection).await?)
}

fn checked(name: &str) -> &str {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!rest.is_empty() && rest.chars().all(plain), "not the name of a scratch database: {name:?}");
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_that_says_whose_it_is_can_be_dropped() {
        assert_eq!(checked("millrace_demo"), "millrace_demo");
        for name in ["millrace", "millrace_", "postgres", "millrace_x; drop", "millrace_\"", "Millrace_demo"] {
            assert!(std::panic::catch_unwind(|| checked(name)).is_err(), "{name}");
        }
    }
}
