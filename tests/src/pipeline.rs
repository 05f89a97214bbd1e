//! A pipeline of its own for one test: a topic, a database, a consumer group and workers, all under one name.
//!
//! `finish` audits and removes them. A test that fails leaves them to be looked at, and says where they are.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace_model::Config;
use sqlx::{AssertSqlSafe, Executor};

use crate::audit;
use crate::compare::{self, Judged};
use crate::kafka::{Place, Raw, Topic};
use crate::ledger::{Ledger, by_reason};
use crate::stack::{Stack, target_directory};
use crate::wait::until;
use crate::worker::{self, Worker};

/// One test's own pipeline.
pub struct Pipeline {
    /// The stack that it runs on.
    pub stack: Stack,
    /// Topic, database and group have this name.
    pub name: String,
    /// The topic.
    pub topic: Topic,
    /// The database.
    pub ledger: Ledger,
    logs: PathBuf,
    started: AtomicUsize,
    is_finished: bool,
}

/// A worker to be started.
pub struct WorkerPlan<'p> {
    pipeline: &'p Pipeline,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Pipeline {
    /// A pipeline of four partitions.
    pub async fn new(purpose: &str) -> Pipeline {
        Pipeline::of(purpose, 4, "").await
    }

    /// A pipeline of so many partitions; `config` is what else stands in the topic's `config` of topics.yaml, after
    /// a comma.
    pub async fn of(purpose: &str, partitions: i32, config: &str) -> Pipeline {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let stack = Stack::from_env().await;
        let name = format!("e2e-{purpose}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let logs = target_directory().join("e2e").join(&name);
        std::fs::create_dir_all(&logs).unwrap_or_else(|error| panic!("{}: {error}", logs.display()));
        let topic = Topic::create(&stack.brokers, &name, partitions, config).await;
        let make = format!("CREATE DATABASE \"{name}\"");
        stack.administer().await.execute(sqlx::raw_sql(AssertSqlSafe(make))).await.expect("the database is made");
        let ledger = Ledger::open(&stack.url_of(&name)).await;
        Pipeline { stack, name, topic, ledger, logs, started: AtomicUsize::new(0), is_finished: false }
    }

    /// Publishes in this order.
    pub async fn publish(&self, records: impl IntoIterator<Item = Raw>) -> Vec<Place> {
        self.topic.publish(records).await
    }

    /// A worker of this pipeline, to be started.
    pub fn worker(&self) -> WorkerPlan<'_> {
        let environment = [
            ("DATABASE_URL", self.stack.url_of(&self.name)),
            ("MILLRACE_BROKERS", self.stack.brokers.clone()),
            ("MILLRACE_TOPIC", self.name.clone()),
            ("MILLRACE_GROUP", self.name.clone()),
            ("MILLRACE_LISTEN", "127.0.0.1:0".to_owned()),
            // The shortest that brokers take: what a killed worker held moves after it.
            ("MILLRACE_SESSION_TIMEOUT", "6s".to_owned()),
        ];
        let arguments = ["worker"];
        WorkerPlan {
            pipeline: self,
            arguments: arguments.map(str::to_owned).into(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Starts the program with other arguments, on this pipeline's topic and database.
    pub fn run(&self, arguments: &[&str]) -> Worker {
        self.command(arguments).start()
    }

    /// The program with other arguments, to be started.
    pub fn command(&self, arguments: &[&str]) -> WorkerPlan<'_> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        WorkerPlan { arguments, ..self.worker() }
    }

    /// Offsets that no batch accounts for, by partition; an error where Kafka or Postgres cannot say.
    pub async fn behind(&self) -> Result<Vec<(i32, i64)>, String> {
        let marks = self.topic.watermarks().map_err(|error| error.to_string())?;
        let positions = self.ledger.positions().await.map_err(|error| error.to_string())?;
        let behind = |(partition, (low, high)): (i32, (i64, i64))| {
            let (fence, proven) = positions.get(&partition).copied().unwrap_or((low, low));
            (partition, high - fence.min(proven))
        };
        Ok(marks.into_iter().map(behind).filter(|(_, left)| *left != 0).collect())
    }

    /// Waits until the proof rows reach the end of every partition.
    pub async fn drained(&self, deadline: Duration) {
        until(&format!("{} is drained; logs: {}", self.name, self.logs.display()), deadline, async || {
            match self.behind().await {
                Ok(behind) if behind.is_empty() => Ok(()),
                Ok(behind) => {
                    Err(format!("records that no batch accounts for, by partition: {behind:?}\n{}", self.tails()))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Waits until the proof rows account for so many records.
    pub async fn consumed(&self, records: i64, deadline: Duration) {
        until(&format!("{records} records of {} are consumed", self.name), deadline, async || {
            let positions = self.ledger.positions().await.map_err(|error| error.to_string())?;
            let sum: i64 = positions.values().map(|(_, proven)| proven).sum();
            if sum >= records { Ok(()) } else { Err(format!("{sum} are; {}", self.tails())) }
        })
        .await
    }

    /// Waits until nothing is parked.
    pub async fn nothing_parked(&self, deadline: Duration) {
        until("nothing is parked any more", deadline, async || {
            let parked = self.ledger.parked().await;
            if parked.is_empty() { Ok(()) } else { Err(format!("{:?}\n{}", by_reason(&parked), self.tails())) }
        })
        .await
    }

    /// Runs the program with these arguments until it ends with this code and says these words: a broker that another test
    /// has killed comes back.
    pub async fn says(&self, arguments: &[&str], code: i32, words: &str, deadline: Duration) {
        until(&format!("{arguments:?} ends with {code} and says {words:?}"), deadline, async || {
            let mut command = self.run(arguments);
            let status = command.ended(deadline).await;
            let is_said = status.code() == Some(code) && command.said().contains(words);
            if is_said { Ok(()) } else { Err(format!("{status}: {}", command.said())) }
        })
        .await
    }

    /// Fails the test if anything is wrong in the ledger.
    pub async fn audit(&self) {
        let problems = audit::problems(&self.ledger).await;
        assert!(problems.is_empty(), "the audit of {} found:\n  {}", self.name, problems.join("\n  "));
    }

    /// What the ledger and the model do not agree on.
    pub async fn differences(&self, config: Config) -> Vec<String> {
        let mut judged = Judged::new(config);
        judged.feed(&self.topic.read(), &self.ledger.proofs().await);
        judged.differences(&self.ledger).await
    }

    /// Fails the test if the ledger and the model differ in anything.
    pub async fn agrees_with_the_model(&self) {
        compare::assert_none(&self.differences(Config::default()).await, &self.name);
    }

    /// Audits, then removes what the test made.
    pub async fn finish(self) {
        self.audit().await;
        self.remove().await;
    }

    /// Removes what the test made, without an audit: for tests that leave no ledger.
    pub async fn remove(mut self) {
        self.ledger.close().await;
        let drop = format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name);
        self.stack.administer().await.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.expect("the database is ours");
        self.topic.delete().await;
        // Logs of a test that passed tell nobody anything.
        let _ = std::fs::remove_dir_all(&self.logs);
        self.is_finished = true;
    }

    /// The last line of each log.
    fn tails(&self) -> String {
        let logs = std::fs::read_dir(&self.logs).into_iter().flatten().flatten();
        let last = logs.map(|log| {
            let said = std::fs::read_to_string(log.path()).unwrap_or_default();
            format!("{}: {}", log.file_name().display(), said.lines().last().unwrap_or("(nothing)"))
        });
        last.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if !self.is_finished {
            eprintln!(
                "left to be looked at: topic and database {}, logs in {}\n{}",
                self.name,
                self.logs.display(),
                self.tails()
            );
        }
    }
}

impl WorkerPlan<'_> {
    /// One more argument or two.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// A setting by environment; the last one of a name holds.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it.
    pub fn start(self) -> Worker {
        let number = self.pipeline.started.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.pipeline.logs.join(format!("worker-{number}.log"));
        self.start_saying_to(log)
    }

    /// Starts it with a log to which nothing can be written, and from which nothing can be read.
    pub fn start_unheard(self) -> Worker {
        self.start_saying_to("/dev/full".into())
    }

    fn start_saying_to(self, log: PathBuf) -> Worker {
        worker::start(&self.pipeline.stack.program, &self.arguments, &self.environment, log)
    }
}
