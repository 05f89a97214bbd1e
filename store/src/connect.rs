//! Connections, and the schema's migrations.
//!
//! Whoever has a connection drops it on any doubt: a transaction of an unknown state is never reused.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection as _};

use crate::error::StoreError;
use crate::nodelay;

/// How long to wait for one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Postgres' own limits for a worker's connection: a statement that hangs is ended and tried again.
const STATEMENT_TIMEOUT: &str = "60s";
const LOCK_TIMEOUT: &str = "20s";
/// A worker that died with a transaction open must not hold its fence row for long.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "60s";

/// A person who looks waits behind a lock for so long.
const READER_LOCK_TIMEOUT: &str = "5s";
const READ_ONLY: &str = "only reading is allowed (a standby, or default_transaction_read_only is on)";

/// One connection to Postgres. Only this crate names the library behind it.
pub type Connection = PgConnection;

/// Where the database is, and as whom.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    shown: String,
}

/// A `DATABASE_URL` that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL is not of the form postgres://user:password@host:port/database: {0}")]
pub struct UrlError(String);

impl Database {
    /// The database at this URL; `application` is what `pg_stat_activity` shows.
    pub fn at(url: &str, application: &str) -> Result<Database, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError("it does not begin with postgres://".into()));
        }
        let options = PgConnectOptions::from_str(url).map_err(|e| UrlError(e.to_string()))?;
        let options = options.application_name(application).disable_statement_logging();
        let shown = format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_else(|| options.get_username())
        );
        Ok(Database { options, shown })
    }

    /// Host, port and database, without user and password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The same server, another database.
    pub fn named(&self, database: &str) -> Database {
        let options = self.options.clone().database(database);
        let shown = format!("{}:{}/{database}", options.get_host(), options.get_port());
        Database { options, shown }
    }

    /// One connection for reading and administering.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        self.connect_with(&self.options).await
    }

    /// One connection for a person who looks: who waits behind somebody's lock is told so.
    pub async fn connect_reader(&self) -> Result<PgConnection, StoreError> {
        self.connect_with(&self.options.clone().options([("lock_timeout", READER_LOCK_TIMEOUT)])).await
    }

    /// One connection for a lane: bounded statements, and plans that stay right while tables grow from empty.
    pub async fn connect_lane(&self) -> Result<PgConnection, StoreError> {
        let options = self.options.clone().options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT),
            // Every read of a lane is a probe by key. Planned once, and never by what an empty table suggested.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
        ]);
        let mut connection = self.connect_with(&options).await?;
        // A standby, as after a failover that the address did not follow: it answers, and is of no use to a lane.
        let read_only: String =
            sqlx::query_scalar(include_str!("../queries/is_read_only.sql")).fetch_one(&mut connection).await?;
        match read_only.as_str() {
            "off" => Ok(connection),
            _ => Err(self.unreachable(std::io::ErrorKind::ReadOnlyFilesystem, READ_ONLY)),
        }
    }

    /// That nothing was there, and where it was sought.
    fn unreachable(&self, kind: std::io::ErrorKind, why: &str) -> StoreError {
        let error = std::io::Error::new(kind, format!("{why} at {}", self.shown));
        StoreError::Database(sqlx::Error::Io(error))
    }

    /// That it did not answer for so long.
    pub fn silent_for(&self, time: Duration) -> StoreError {
        self.unreachable(std::io::ErrorKind::TimedOut, &format!("no answer within {} s", time.as_secs()))
    }

    async fn connect_with(&self, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
        let connecting = PgConnection::connect_with(options);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => {
                nodelay::set(options.get_port());
                Ok(connection)
            }
            Ok(Err(sqlx::Error::Io(error))) => Err(self.unreachable(error.kind(), &error.to_string())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(self.silent_for(CONNECT_TIMEOUT)),
        }
    }
}

/// Whether the database still answers on this connection.
pub async fn ping(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.ping().await?;
    Ok(())
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The migrations that were run stand beside what they made, not in somebody else's schema.
const MIGRATIONS_TABLE: &str = "millrace.schema_migrations";

/// A step of the schema.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Migration {
    /// Its number: they are run in this order.
    pub version: i64,
    /// What it is about, in a few words.
    pub description: String,
}

/// Brings the schema up to date, and says which migrations that took. Many workers may do so at once: one does the work,
/// the others wait, and say the same. A role that may not change the schema is enough where nothing has to be done.
pub async fn migrate(connection: &mut PgConnection) -> Result<Vec<Migration>, StoreError> {
    let done = migrations_done(connection).await?;
    if MIGRATIONS.iter().map(|m| &m.version).eq(&done) {
        return Ok(Vec::new());
    }
    // In one statement: who makes the schema at the same moment keeps its migrations before anything else.
    let strangers: bool =
        sqlx::query_scalar(include_str!("../queries/has_strangers.sql")).fetch_one(&mut *connection).await?;
    if strangers {
        return Err(StoreError::Migrate(
            "the schema millrace of this database was not made by Millrace, and holds something: give the ledger a \
             database of its own"
                .into(),
        ));
    }
    let mut migrator =
        sqlx::migrate::Migrator { migrations: MIGRATIONS.migrations.clone(), ..sqlx::migrate::Migrator::DEFAULT };
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator.create_schema("millrace");
    match migrator.run(connection).await {
        Ok(()) => Ok(missing(&done)),
        Err(sqlx::migrate::MigrateError::Execute(error)) => Err(StoreError::Database(error)),
        Err(sqlx::migrate::MigrateError::ExecuteMigration(error, _)) => Err(StoreError::Database(error)),
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => Err(StoreError::Migrate(format!(
            "the database has migration {version}, which this build does not know: use the newer version of millrace"
        ))),
        Err(error) => Err(StoreError::Migrate(error.to_string())),
    }
}

/// The migrations of this build that are not among these.
fn missing(done: &[i64]) -> Vec<Migration> {
    let missing = MIGRATIONS.iter().filter(|migration| !done.contains(&migration.version));
    missing.map(|m| Migration { version: m.version, description: m.description.to_string() }).collect()
}

/// Which migrations were run, in order.
async fn migrations_done(connection: &mut PgConnection) -> Result<Vec<i64>, StoreError> {
    let made: bool =
        sqlx::query_scalar(include_str!("../queries/has_migrations.sql")).fetch_one(&mut *connection).await?;
    match made {
        true => Ok(sqlx::query_scalar(include_str!("../queries/list_migrations.sql")).fetch_all(connection).await?),
        false => Ok(Vec::new()),
    }
}
