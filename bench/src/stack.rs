//! The stack that the bench runs on: where it is, which processes it consists of, and what was made on it.
//!
//! Whatever the bench makes has a name of its own and is removed at the end, also after Ctrl-C.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use millrace_store::connect::Database;
use millrace_store::scratch;
use millrace_topics::spec::parse_text;
use millrace_topics::{Cluster, TopicName, Watermarks};
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::procfs;

/// Kafka, Postgres and the programs.
pub struct Stack {
    /// `host:port,...`
    pub brokers: String,
    /// The release binary under test.
    pub millrace: PathBuf,
    /// Where contenders' logs are.
    pub logs: PathBuf,
    database_url: String,
    postmaster: u32,
    broker_pids: Vec<u32>,
    made: Mutex<Made>,
    count: AtomicU32,
}

#[derive(Default)]
struct Made {
    topics: Vec<TopicName>,
    databases: Vec<String>,
}

/// CPU seconds that the servers have used since they started.
#[derive(Clone, Copy, Debug)]
pub struct ServerCpu {
    /// Postgres with all its processes.
    pub postgres: f64,
    /// All brokers that run on this machine.
    pub brokers: f64,
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, PathBuf::from)
}

impl Stack {
    /// The stack that the environment names, or the one that `make up` starts.
    pub async fn find() -> anyhow::Result<Stack> {
        let named = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let brokers = named("MILLRACE_BROKERS", "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094");
        let database_url = named("DATABASE_URL", "postgres://millrace@127.0.0.1:15432/millrace");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
        let millrace = target.join("release/millrace");
        ensure!(millrace.exists(), "{} is not built: run `make bench`, which builds it", millrace.display());
        let mut session = Database::at(&database_url, "millrace bench")?.connect().await.with_context(|| {
            format!("no Postgres at {database_url}: start the stack with `compose/stack up`, or use `make bench`")
        })?;
        let tracked: String = sqlx::query_scalar("SHOW track_commit_timestamp").fetch_one(&mut session).await?;
        ensure!(
            tracked == "on",
            "this Postgres runs without track_commit_timestamp, by which the bench tells time: it was started by an \
             older compose/stack. Restart it: compose/stack stop-postgres; compose/stack start-postgres"
        );
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut session).await?;
        let postmaster = procfs::parent_of(u32::try_from(backend)?)
            .context("Postgres does not run on this machine, so its CPU time cannot be measured")?;
        let logs = std::env::temp_dir().join(format!("millrace-bench-{}", std::process::id()));
        std::fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
        Ok(Stack {
            broker_pids: broker_pids(&brokers),
            brokers,
            millrace,
            logs,
            database_url,
            postmaster,
            made: Mutex::default(),
            count: AtomicU32::new(0),
        })
    }

    /// A name that nothing else has, for a topic, a database or a group.
    pub fn new_name(&self) -> String {
        format!("millrace_bench_{}_{}", std::process::id(), self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Makes a topic of replication factor 3 and min.insync.replicas 2, as topics.yaml does.
    pub async fn make_topic(&self, partitions: u32) -> anyhow::Result<TopicName> {
        let name = TopicName::new(self.new_name())?;
        let text = format!(
            "version: 1\ndefaults: {{ replication_factor: 3, min_insync_replicas: 2 }}\ntopics:\n  {name}: {{ partitions: \
             {partitions}, key: user_id, config: {{ cleanup.policy: delete }} }}\n"
        );
        let mut spec = parse_text("the bench's topic".as_ref(), &text)?;
        self.made().topics.push(name.clone());
        millrace_topics::create_topic(&self.brokers, &spec.topics.remove(0)).await?;
        Ok(name)
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, name: &TopicName) -> anyhow::Result<()> {
        millrace_topics::delete_topic(&self.brokers, name).await?;
        self.made().topics.retain(|made| made != name);
        Ok(())
    }

    /// Where each partition begins and ends.
    pub async fn watermarks(&self, name: &TopicName) -> anyhow::Result<Vec<Watermarks>> {
        let ends = Cluster::connect(&self.brokers)?.watermarks(name).await?;
        ends.with_context(|| format!("topic {name} is gone"))
    }

    /// Makes an empty database.
    pub async fn make_database(&self) -> anyhow::Result<String> {
        let name = self.new_name();
        self.made().databases.push(name.clone());
        scratch::make_anew(&mut self.administer().await?, &name).await?;
        Ok(name)
    }

    /// Makes a database as another one stands, to which nobody is connected.
    pub async fn copy_database(&self, template: &str) -> anyhow::Result<String> {
        let name = self.new_name();
        self.made().databases.push(name.clone());
        let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.administer().await?.execute(sqlx::AssertSqlSafe(statement)).await?;
        Ok(name)
    }

    /// Drops a database.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        scratch::drop_database(&mut self.administer().await?, name).await?;
        self.made().databases.retain(|made| made != name);
        Ok(())
    }

    /// Removes all that was made and is still there.
    pub async fn clean(&self) -> anyhow::Result<()> {
        let Made { topics, databases } = std::mem::take(&mut *self.made());
        for topic in &topics {
            millrace_topics::delete_topic(&self.brokers, topic).await?;
        }
        let mut session = self.administer().await?;
        for database in &databases {
            scratch::drop_database(&mut session, database).await?;
        }
        Ok(())
    }

    /// Writes what is dirty to disk, so that no run pays for the one before it.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.administer().await?.execute("CHECKPOINT").await?;
        Ok(())
    }

    /// A connection to the server's own database.
    pub async fn administer(&self) -> anyhow::Result<PgConnection> {
        Ok(Database::at(&self.database_url, "millrace bench")?.connect().await?)
    }

    /// A connection to one database.
    pub async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        Ok(Database::at(&self.database_url, "millrace bench")?.named(database).connect().await?)
    }

    /// The URL of a database on the same server.
    pub fn url_of(&self, database: &str) -> anyhow::Result<String> {
        let (server, _) = self.database_url.rsplit_once('/').context("DATABASE_URL ends with /database")?;
        Ok(format!("{server}/{database}"))
    }

    /// Host, port and user of Postgres.
    pub fn postgres(&self) -> anyhow::Result<(String, u16, String)> {
        let options: sqlx::postgres::PgConnectOptions = self.database_url.parse()?;
        Ok((options.get_host().to_owned(), options.get_port(), options.get_username().to_owned()))
    }

    /// What Postgres and the brokers have used so far.
    pub fn server_cpu(&self) -> anyhow::Result<ServerCpu> {
        let brokers = self.broker_pids.iter().map(|pid| procfs::cpu_seconds(*pid)).sum::<anyhow::Result<f64>>()?;
        Ok(ServerCpu { postgres: procfs::family_cpu_seconds(self.postmaster)?, brokers })
    }

    /// CPU seconds that the brokers' compilers have used so far.
    pub fn broker_compilers(&self) -> anyhow::Result<f64> {
        let compilers = ["C1 Compiler", "C2 Compiler"];
        let each = self.broker_pids.iter().flat_map(|pid| compilers.map(|name| procfs::thread_seconds(*pid, name)));
        each.sum()
    }

    /// Where the brokers keep their logs.
    pub fn broker_directories(&self) -> anyhow::Result<Vec<String>> {
        let directory = |pid: &u32| {
            let config = configuration(*pid).context("a broker without a file of settings")?;
            let line = config.lines().find_map(|line| line.strip_prefix("log.dirs="));
            line.map(str::to_owned).context("a broker that does not say log.dirs")
        };
        self.broker_pids.iter().map(directory).collect()
    }

    /// Whether the brokers run here, so that their CPU time is known.
    pub fn knows_brokers(&self) -> bool {
        !self.broker_pids.is_empty()
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The brokers among this machine's processes: those whose configuration listens on one of our addresses.
fn broker_pids(brokers: &str) -> Vec<u32> {
    let listens = |config: &str| {
        brokers.split(',').any(|address| {
            config.contains(&format!("://{}\n", address.trim())) || config.contains(&format!("://{},", address.trim()))
        })
    };
    let is_ours = |pid: &u32| configuration(*pid).is_some_and(|config| listens(&config));
    procfs::pids().into_iter().filter(is_ours).collect()
}

/// The settings of a broker; none for any other process.
fn configuration(pid: u32) -> Option<String> {
    let arguments = procfs::command_line(pid);
    let path = arguments.iter().rfind(|argument| argument.ends_with(".properties"))?;
    let is_broker = arguments.iter().any(|argument| argument == "kafka.Kafka");
    is_broker.then(|| std::fs::read_to_string(path).ok())?
}
