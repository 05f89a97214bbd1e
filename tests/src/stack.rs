//! The stack that all tests share: where it is, and how much may run on it at once.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};

/// As many heavy tests run at the same time: the machine that they are meant for has two cores.
static HEAVY: Semaphore = Semaphore::const_new(1);

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Kafka and Postgres, and the binary under test.
#[derive(Clone, Debug)]
pub struct Stack {
    /// `host:port,...`
    pub brokers: String,
    /// A database of the server, to make others from.
    pub database_url: String,
    /// `target/release/millrace`.
    pub program: PathBuf,
}

impl Stack {
    /// The stack that the environment names, or the one that `make up` starts.
    pub async fn from_env() -> Stack {
        let named = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let stack = Stack {
            brokers: named("MILLRACE_BROKERS", "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094"),
            database_url: named("DATABASE_URL", "postgres://millrace@127.0.0.1:15432/millrace"),
            program: target_directory().join("release/millrace"),
        };
        assert!(
            stack.program.exists(),
            "{} is not built: run `cargo build --release -p millrace`, or `make test`, which does it",
            stack.program.display()
        );
        drop(stack.administer().await);
        stack
    }

    /// A connection to the server's own database.
    pub async fn administer(&self) -> PgConnection {
        let options: PgConnectOptions = self.database_url.parse().expect("DATABASE_URL is a URL");
        let options = options.disable_statement_logging();
        let connecting = PgConnection::connect_with(&options);
        match tokio::time::timeout(ANSWER_WITHIN, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => panic!("no Postgres at {}: {error}; run make up", self.database_url),
            Err(_) => panic!("no answer from Postgres at {}; run make up", self.database_url),
        }
    }

    /// The same server, another database.
    pub fn url_of(&self, database: &str) -> String {
        let (server, _) = self.database_url.rsplit_once('/').expect("DATABASE_URL ends with /database");
        format!("{server}/{database}")
    }

    /// Host and port of Postgres.
    pub fn postgres_address(&self) -> (String, u16) {
        let options: PgConnectOptions = self.database_url.parse().expect("DATABASE_URL is a URL");
        (options.get_host().to_owned(), options.get_port())
    }
}

/// Waits for its turn: heavy tests do not measure each other.
pub async fn heavy() -> SemaphorePermit<'static> {
    HEAVY.acquire().await.expect("the semaphore is never closed")
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the crate lies in the repository").to_owned()
}

/// Where cargo builds.
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
