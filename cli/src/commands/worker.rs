//! `millrace worker`: one process of the consumer group, with its health endpoints and metrics.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use clap::Args;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use millrace_consumers::config::{Bounds, WorkerConfig};
use millrace_consumers::health::Health;
use millrace_consumers::{metrics as names, worker};
use millrace_domain::window::AcceptedWindow;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, words};
use crate::numbers::from_one;
use crate::signals;

/// Where the endpoints listen if nothing is said; taken by another worker, any free port will do.
const LISTEN_DEFAULT: &str = "127.0.0.1:9464";

const YEAR: Duration = Duration::from_secs(31_557_600);
const WINDOW_BACK_MAX: Duration = YEAR.saturating_mul(100);
const WINDOW_AHEAD_MAX: Duration = YEAR.saturating_mul(5);

/// Run a worker of the consumer group: it applies events to the ledger, exactly once.
///
/// Start as many as the topic has partitions, on as many machines as you like: Kafka shares the partitions out, and a
/// worker beyond their number stands by. SIGTERM finishes the batch in flight and leaves the group; kill -9 loses
/// nothing either, its partitions move after the session timeout.
///
/// Where Postgres or Kafka is away, the worker waits, says so once, and goes on. It ends by itself (exit code 1) where
/// only a person can help: the schema or the rights are wrong, or every lane of it halted.
///
/// Endpoints: /livez (restart it if this fails), /readyz (says why it does not do its job), /metrics (Prometheus).
#[derive(Args)]
pub struct WorkerArgs {
    /// The consumer group.
    #[arg(long, env = "MILLRACE_GROUP", value_name = "NAME", default_value = "ledger")]
    group: String,
    /// The worker's name, for people: it stands in logs, lanes and proof rows. Default: host and process id.
    #[arg(long, env = "MILLRACE_WORKER", value_name = "NAME", value_parser = words)]
    name: Option<String>,
    /// Where /livez, /readyz and /metrics listen. Default: 127.0.0.1:9464, or any free port if that is taken.
    #[arg(long, env = "MILLRACE_LISTEN", value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    window: WindowArgs,
    /// How long an event may wait for its predecessor before it is rejected as missing_predecessor.
    #[arg(long, env = "MILLRACE_PARKING_LIMIT", value_name = "DURATION", default_value = "72h")]
    parking_limit: humantime::Duration,
    /// How long the group waits for a silent worker before its partitions move to others.
    #[arg(long, env = "MILLRACE_SESSION_TIMEOUT", value_name = "DURATION", default_value = "10s")]
    session_timeout: humantime::Duration,
    /// End the process when a lane is busy for this long without progress.
    #[arg(long, env = "MILLRACE_WATCHDOG", value_name = "DURATION", default_value = "3m")]
    watchdog: humantime::Duration,
    /// The most records of one transaction.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().batch_records_max)]
    batch_records_max: usize,
    /// What may wait in all lanes' buffers together, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = Bounds::default().buffer_bytes_max >> 20)]
    buffer_mib_max: usize,
    /// How many payments all lanes together remember, so that their next events need no reading.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().remembered_payments_max, value_parser = from_one)]
    remembered_payments_max: NonZeroUsize,
    /// The most connections to Postgres for all lanes together: a lane has one while it works on a batch, and none while it
    /// waits for records. max_connections of Postgres must have room for all workers.
    #[arg(long, env = "MILLRACE_CONNECTIONS_MAX", value_name = "N", value_parser = from_one,
          default_value_t = Bounds::default().connections_max)]
    connections_max: NonZeroUsize,
    /// How many lanes with a backlog work on a batch at the same time: about the cores that Postgres has for this worker,
    /// and one more. Lanes that keep up are not held back.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().busy_lanes_max, value_parser = from_one)]
    busy_lanes_max: NonZeroUsize,
    /// A librdkafka property for this worker's consumer, such as client.rack=rack-1. May be given many times. This build
    /// has no TLS and no SASL.
    #[arg(long = "kafka", value_name = "NAME=VALUE", value_parser = property)]
    kafka_properties: Vec<(String, String)>,
    /// End, as by SIGTERM, when stdin is closed: for a supervisor that its workers must not outlive.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// The accepted window of event ids.
#[derive(Args, Clone, Copy)]
pub struct WindowArgs {
    /// How far back the time in an event's id may lie; older ones are rejected as outside_window.
    #[arg(long, env = "MILLRACE_WINDOW_BACK", value_name = "DURATION", default_value = "2y")]
    window_back: humantime::Duration,
    /// How far ahead it may lie: for publishers whose clock runs fast.
    #[arg(long, env = "MILLRACE_WINDOW_AHEAD", value_name = "DURATION", default_value = "1h")]
    window_ahead: humantime::Duration,
}

impl WindowArgs {
    /// The window as the core takes it.
    pub fn accepted(&self) -> anyhow::Result<AcceptedWindow> {
        let ms = |option, duration: humantime::Duration, max: Duration| {
            anyhow::ensure!(
                *duration <= max,
                "{option} is {duration}: at most {}, for the event log has a partition for each month of the window",
                humantime::format_duration(max)
            );
            Ok(i64::try_from(duration.as_millis())?)
        };
        anyhow::ensure!(
            !self.window_back.is_zero(),
            "--window-back is 0s: every event that is not from the future would be rejected as outside_window; the default is 2y"
        );
        Ok(AcceptedWindow {
            back_ms: ms("--window-back", self.window_back, WINDOW_BACK_MAX)?,
            ahead_ms: ms("--window-ahead", self.window_ahead, WINDOW_AHEAD_MAX)?,
        })
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    /// What the worker's promises rest on, and the options that are there for some of it.
    const KEPT: [(&str, &str); 9] = [
        ("bootstrap.servers", "--brokers sets it"),
        ("group.id", "--group sets it"),
        ("client.id", "--name sets it"),
        ("session.timeout.ms", "--session-timeout sets it"),
        ("partition.assignment.strategy", "lanes are handed over one by one"),
        ("enable.auto.commit", "offsets live in Postgres"),
        ("enable.auto.offset.store", "offsets live in Postgres"),
        ("auto.offset.reset", "an offset that Kafka lost is said, never reset"),
        ("check.crcs", "a record that was damaged on its way must not be judged"),
    ];
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as client.rack=rack-1")?;
    let (name, value) = (name.trim(), value.trim());
    match KEPT.iter().find(|(kept, _)| *kept == name) {
        Some((_, why)) => Err(format!("{name} is not to be set here: {why}")),
        None => Ok((name.into(), value.into())),
    }
}

/// Runs the command until a signal ends it.
pub async fn run(args: WorkerArgs, connection: &Connection) -> anyhow::Result<ExitCode> {
    let metrics = install_metrics()?;
    tokio::spawn(keep_histograms_small(metrics.clone()));
    let stop = signals::stop_token()?;
    if args.until_stdin_closes {
        end_with_stdin(stop.clone())?;
    }
    let health = worker::health();
    let listener = listen(args.listen.as_deref()).await?;
    let address = listener.local_addr()?;
    let config = config(args, connection)?;
    tracing::info!(
        worker = config.worker,
        topic = config.topic,
        group = config.group,
        brokers = config.brokers,
        database = config.database.shown(),
        endpoints = %format!("http://{address}"),
        window_back = %humantime::format_duration(Duration::from_millis(config.window.back_ms.unsigned_abs())),
        parking_limit = %humantime::format_duration(config.parking_limit),
        "worker starts"
    );
    if !millrace_store::IS_GUARDED {
        tracing::error!("this build writes without fences and proof rows: it is for `make bench` alone, and no ledger");
    }
    let serving = axum::serve(listener, endpoints(health.clone(), metrics)).into_future();
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the health endpoints ended");
        }
    });
    worker::run(config, health, stop).await?;
    tracing::info!("worker ended");
    Ok(ExitCode::SUCCESS)
}

fn config(args: WorkerArgs, connection: &Connection) -> anyhow::Result<WorkerConfig> {
    let worker = args.name.unwrap_or_else(default_name);
    anyhow::ensure!(args.batch_records_max > 0, "--batch-records-max is 0: a batch needs at least 1 record");
    anyhow::ensure!(args.buffer_mib_max > 0, "--buffer-mib-max is 0: the lanes need a buffer of at least 1 MiB");
    anyhow::ensure!(
        !args.group.is_empty(),
        "--group is empty: workers that share the work have a name for their group"
    );
    anyhow::ensure!(
        args.watchdog.as_millis() >= 1_000,
        "--watchdog is {}: a lane that waits for Postgres' disk would end the worker; give it 1s or more",
        args.watchdog
    );
    anyhow::ensure!(
        !args.parking_limit.is_zero(),
        "--parking-limit is 0s: whatever comes a moment before the event that it needs would be rejected for good; the \
         default is 72h"
    );
    let session_ms = args.session_timeout.as_millis();
    anyhow::ensure!(
        (6_000..=1_800_000).contains(&session_ms),
        "--session-timeout is {}: Kafka's brokers accept 6s to 30m",
        args.session_timeout
    );
    Ok(WorkerConfig {
        brokers: connection.brokers.clone(),
        topic: connection.topic.clone(),
        group: args.group,
        database: connection.database(&format!("millrace worker {worker}"))?,
        worker,
        window: args.window.accepted()?,
        parking_limit: args.parking_limit.into(),
        session_timeout: args.session_timeout.into(),
        watchdog: args.watchdog.into(),
        bounds: Bounds {
            batch_records_max: args.batch_records_max,
            buffer_bytes_max: args.buffer_mib_max << 20,
            remembered_payments_max: args.remembered_payments_max,
            connections_max: args.connections_max,
            busy_lanes_max: args.busy_lanes_max,
            ..Bounds::default()
        },
        kafka_properties: args.kafka_properties,
    })
}

/// However the other end of the pipe went away, kill -9 included, the kernel closes it.
fn end_with_stdin(stop: CancellationToken) -> anyhow::Result<()> {
    let wait = move || {
        // An error ends the wait as the end does: there is nobody left who could tell us to stop.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::info!("stdin was closed: ending");
        stop.cancel();
    };
    std::thread::Builder::new().name("stdin".into()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}

fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "worker" } else { host }, std::process::id())
}

async fn listen(wanted: Option<&str>) -> anyhow::Result<TcpListener> {
    if let Some(address) = wanted {
        return TcpListener::bind(address).await.with_context(|| format!("--listen {address}: cannot listen there"));
    }
    match TcpListener::bind(LISTEN_DEFAULT).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind("127.0.0.1:0").await.context("cannot listen on any port of 127.0.0.1"),
    }
}

fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
    const RECORDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
    const BATCHES: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_records".into()), RECORDS)?
        .set_buckets_for_metric(Matcher::Suffix("_transaction_batches".into()), BATCHES)?
        .install_recorder()?;
    names::describe();
    Ok(handle)
}

/// The recorder keeps each value of a histogram until the next scrape counts it into its bucket. Where nobody scrapes,
/// a worker would grow by 9 bytes with every record.
async fn keep_histograms_small(metrics: PrometheusHandle) {
    const INTERVAL: Duration = Duration::from_secs(1);
    loop {
        tokio::time::sleep(INTERVAL).await;
        metrics.run_upkeep();
    }
}

fn endpoints(health: Arc<Health>, metrics: PrometheusHandle) -> Router {
    let live = health.clone();
    let said = |problems: Vec<String>| match problems.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n"))),
    };
    Router::new()
        .route("/livez", get(move || async move { said(live.not_alive().into_iter().collect()) }))
        .route("/readyz", get(move || async move { said(health.not_ready()) }))
        .route("/metrics", get(move || async move { metrics.render() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_a_promise_rests_on_is_refused_with_the_reason() {
        for (text, why) in
            [("group.id=x", "--group"), (" enable.auto.commit = true", "Postgres"), ("nothing", "NAME=VALUE")]
        {
            assert!(property(text).is_err_and(|said| said.contains(why)), "{text}");
        }
        assert_eq!(property("client.rack = r-1"), Ok(("client.rack".into(), "r-1".into())));
    }
}
