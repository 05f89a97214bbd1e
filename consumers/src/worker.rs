//! A worker from start to end: the ledger made ready, the reader's thread, the watch and the watchdog.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use millrace_store::connect::{self, Migration};
use millrace_store::error::{Remedy, StoreError};
use millrace_store::months;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::connections::Connections;
use crate::group::Group;
use crate::health::Health;
use crate::lane::now;
use crate::reader::{Reader, ReaderError};
use crate::session::{self, Stopped};
use crate::watch::Watch;

/// How often the months ahead are made.
const MONTHS_INTERVAL: Duration = Duration::from_secs(3600);
/// How often Postgres is asked whether it is there, and how long it may take to answer.
const POSTGRES_ASKED_EVERY: Duration = Duration::from_secs(5);
const POSTGRES_ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long the brokers may take to let the worker leave its group.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// How often the watchdog looks.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(1);
/// The exit code of a worker that its watchdog ended.
const WATCHDOG_EXIT_CODE: i32 = 70;

/// Why a worker ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The ledger cannot be made ready.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Kafka client cannot be made: a property is wrong. librdkafka's words are in the message, and not a second time
    /// as the source.
    #[error("cannot make a Kafka consumer: {}", described(.0))]
    Consumer(KafkaError),
    /// The reader ended.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The reader's thread panicked: a bug of ours.
    #[error("the reader's thread panicked")]
    Panicked,
}

fn described(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, words, name, value) => format!("{name}={value}: {words}"),
        other => other.to_string(),
    }
}

/// Makes the state that `run` fills and that health endpoints read.
pub fn health() -> Arc<Health> {
    Health::new()
}

/// Runs a worker until `stop` is cancelled: then it finishes the batches in flight and leaves the group.
pub async fn run(config: WorkerConfig, health: Arc<Health>, stop: CancellationToken) -> Result<(), WorkerError> {
    let config = Arc::new(config);
    let connections = Connections::to(config.database.clone(), health.postgres.clone(), config.bounds.connections_max);
    match make_ready(&config, &connections, &health, &stop).await {
        Err(Stopped) => return Ok(()),
        Ok(ready) => ready?,
    }
    let (commands, inbox) = mpsc::channel();
    let group = Group::new(config.clone(), health.clone(), Handle::current(), connections.clone(), commands.clone());
    let consumer = config.consumer().create_with_context(group).map_err(WorkerError::Consumer)?;
    let consumer: Arc<BaseConsumer<Group>> = Arc::new(consumer);

    let background = stop.child_token();
    let watch = Watch {
        consumer: consumer.clone(),
        health: health.clone(),
        topic: config.topic.clone(),
        commands,
        stop: background.clone(),
    };
    let watching = std::thread::spawn(move || watch.run());
    tokio::spawn(keep_months(config.clone(), background.clone()));
    let (watched, until) = (health.clone(), background.clone());
    let stuck_after = config.watchdog;
    // A thread of its own: lanes that compute keep the runtime's from everything else.
    std::thread::spawn(move || watchdog(stuck_after, &watched, &until));
    tokio::spawn(ask_postgres(connections, background.clone()));

    let reader = Reader::new(consumer, inbox, stop);
    let reading = std::thread::spawn(move || reader.run());
    let ended = tokio::task::spawn_blocking(move || reading.join()).await;
    background.cancel();
    leave_group(watching).await;
    match ended {
        Ok(Ok(end)) => Ok(end?),
        _ => Err(WorkerError::Panicked),
    }
}

/// The last holder of the consumer leaves the group. Everything is committed by now: where the group's coordinator is away,
/// the others hear of it when the session times out.
async fn leave_group(holder: std::thread::JoinHandle<()>) {
    let (left, has_left) = oneshot::channel::<()>();
    // Not one of the runtime's threads, for the runtime would wait for it.
    std::thread::spawn(move || {
        drop(holder.join());
        drop(left);
    });
    if tokio::time::timeout(LEAVE_WITHIN, has_left).await.is_err() {
        tracing::warn!(
            seconds = LEAVE_WITHIN.as_secs(),
            "Kafka did not take the leave; ending without. Nothing is lost: the group gives the partitions to others when \
             the session times out"
        );
    }
}

/// Migrates the schema and makes the months of the window, however long Postgres is away.
async fn make_ready(
    config: &WorkerConfig,
    connections: &Connections,
    health: &Health,
    stop: &CancellationToken,
) -> Result<Result<(), StoreError>, Stopped> {
    let mut waits = session::waits();
    loop {
        let mut connection = match session::borrow(connections, stop, || health.reader_came_round()).await? {
            Ok(connection) => connection,
            Err(error) => return Ok(Err(error)),
        };
        let made = match connect::migrate(&mut connection).await {
            Ok(migrations) => {
                for Migration { version, description } in migrations {
                    tracing::info!(version, description, "the schema was migrated");
                }
                months::ensure(&mut connection, &config.window, now()).await
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => {
                connection.give_back();
                return Ok(Ok(()));
            }
            Err(error) if matches!(error.remedy(), Remedy::Halt | Remedy::Bisect) => return Ok(Err(error)),
            Err(error) => health.postgres.failed(&error),
        }
        session::pause(waits.next().unwrap_or(Duration::from_secs(3)), stop).await?;
    }
}

/// Makes months ahead while the worker runs. There are two to spare: a failure is said and tried again.
async fn keep_months(config: Arc<WorkerConfig>, stop: CancellationToken) {
    while session::pause(MONTHS_INTERVAL, &stop).await.is_ok() {
        let made = async {
            let mut connection = config.database.connect().await?;
            months::ensure(&mut connection, &config.window, now()).await
        };
        if let Err(error) = made.await {
            tracing::error!(%error, "cannot make the next months of the event log; trying again in an hour");
        }
    }
}

/// Notices an outage of Postgres in a quiet hour too, when no lane has anything to write.
async fn ask_postgres(connections: Connections, stop: CancellationToken) {
    while session::pause(POSTGRES_ASKED_EVERY, &stop).await.is_ok() {
        // Where all connections are lent, those who have them hear of an outage first.
        let Ok(lent) = tokio::time::timeout(POSTGRES_ANSWERS_WITHIN, connections.lend()).await else { continue };
        let mut connection = match lent {
            Ok(connection) => connection,
            Err(error) => {
                connections.postgres.failed(&error);
                continue;
            }
        };
        match tokio::time::timeout(POSTGRES_ANSWERS_WITHIN, connect::ping(&mut connection)).await {
            Ok(Ok(())) => connection.give_back(),
            Ok(Err(error)) => connections.lost(Some(connection), &error),
            Err(_) => connections.lost(Some(connection), &connections.database.silent_for(POSTGRES_ANSWERS_WITHIN)),
        }
    }
}

/// Ends the process when a lane or the reader makes no progress: half alive hides loss.
fn watchdog(stuck_after: Duration, health: &Health, stop: &CancellationToken) {
    loop {
        std::thread::sleep(WATCHDOG_INTERVAL);
        if stop.is_cancelled() {
            return;
        }
        if let Some((partition, stuck)) = health.stuck_lane(stuck_after) {
            tracing::error!(%partition, seconds = stuck.as_secs(), "watchdog: a lane makes no progress; ending the process");
            std::process::exit(WATCHDOG_EXIT_CODE);
        }
        if let Some(why) = health.not_alive() {
            tracing::error!(why, "watchdog: ending the process");
            std::process::exit(WATCHDOG_EXIT_CODE);
        }
    }
}
