//! The consumer in plain Rust that people write first: rdkafka's `StreamConsumer` and sqlx.
//!
//! A row at a time: insert, ignore what is there, then commit the offset. Batched: the same by the thousand, with one
//! INSERT of arrays. It runs as a process of its own (`millrace-bench plain`), to be measured like the others.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use millrace_domain::event::Event;
use millrace_store::connect::{Connection, Database};
use millrace_wire::avro;
use millrace_wire::schemas::SchemaTable;
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message};
use uuid::Uuid;

use super::Backlog;
use super::peer::{self, TABLE};
use crate::process::{Plan, Process};
use crate::progress::Bar;
use crate::results::Figures;
use crate::stack::Stack;

/// How many records a batch has at most.
const BATCH: usize = 5_000;
/// How long it waits for a batch to fill.
const BATCH_WAIT: Duration = Duration::from_millis(50);

/// How it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// One INSERT and one offset commit for each event.
    Row,
    /// One INSERT of arrays for up to 5,000 events.
    Batched,
}

impl Mode {
    /// What it is called in the results.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Row => "plain Rust, a row at a time",
            Mode::Batched => "plain Rust, batched",
        }
    }
}

/// Run as a plain consumer; started by the bench itself.
#[derive(Args)]
pub struct PlainArgs {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    database_url: String,
    #[arg(long, value_enum)]
    mode: Mode,
}

/// One run over a backlog; a row at a time stops after `records`.
pub async fn run(stack: &Stack, backlog: &Backlog, mode: Mode, records: u64, bar: &Bar) -> anyhow::Result<Figures> {
    let database = peer::make_database(stack).await?;
    stack.settle().await?;
    let value = |name: &str| format!("--{name}");
    let mode_name = mode.to_possible_value().context("every mode has a name")?.get_name().to_owned();
    let arguments = [
        ("brokers", stack.brokers.clone()),
        ("topic", backlog.topic.to_string()),
        ("group", stack.new_name()),
        ("database-url", stack.url_of(&database)?),
        ("mode", mode_name),
    ];
    let plan = Plan {
        name: &format!("plain-{database}"),
        program: &std::env::current_exe()?,
        arguments: std::iter::once("plain".to_owned())
            .chain(arguments.into_iter().flat_map(|(name, text)| [value(name), text]))
            .collect(),
        environment: Vec::new(),
    };
    let process = Process::start(plan, &stack.logs)?;
    peer::finish(stack, &database, process, (0, i64::try_from(records)?), bar).await
}

/// The consumer itself. It runs until it is ended.
pub async fn consume(args: PlainArgs) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("group.id", &args.group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // The throughput settings that a second look finds; with the defaults it would starve.
        .set("fetch.queue.backoff.ms", "2")
        .set("queued.min.messages", "1000000")
        .create()?;
    consumer.subscribe(&[&args.topic])?;
    let mut session = Database::at(&args.database_url, "plain consumer")?.connect().await?;
    match args.mode {
        Mode::Row => row_at_a_time(&consumer, &mut session).await,
        Mode::Batched => batched(&consumer, &mut session).await,
    }
}

fn event(message: &BorrowedMessage<'_>) -> anyhow::Result<Event> {
    let value = message.payload().context("a record without a value")?;
    Ok(avro::decode(value, SchemaTable::built_in())?)
}

async fn row_at_a_time(consumer: &StreamConsumer, session: &mut Connection) -> anyhow::Result<()> {
    let statement = format!(
        "INSERT INTO {TABLE} (event_id, event_type, payment_id, user_id, merchant_id, amount_minor, currency, occurred_at,
             source, correlation_id, causation_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
    );
    loop {
        let message = consumer.recv().await?;
        let event = event(&message)?;
        sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .bind(event.event_id.0)
            .bind(event.event_type.as_str())
            .bind(event.payment_id.0)
            .bind(event.user_id.as_str())
            .bind(event.merchant_id.as_ref().map(|m| m.as_str()))
            .bind(event.amount_minor)
            .bind(event.currency.code())
            .bind(event.occurred_at.0)
            .bind(&*event.source)
            .bind(event.correlation_id.as_deref())
            .bind(event.causation_id.as_deref())
            .execute(&mut *session)
            .await?;
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}

async fn batched(consumer: &StreamConsumer, session: &mut Connection) -> anyhow::Result<()> {
    let mut messages = consumer.stream();
    let mut events: Vec<Event> = Vec::with_capacity(BATCH);
    loop {
        let mut last = None;
        while events.len() < BATCH {
            match tokio::time::timeout(BATCH_WAIT, messages.next()).await {
                Ok(Some(message)) => {
                    let message = message?;
                    events.push(event(&message)?);
                    last = Some(message);
                }
                Ok(None) => anyhow::bail!("the stream of messages ended"),
                Err(_) => break,
            }
        }
        if last.take().is_some() {
            insert(session, &events).await?;
            events.clear();
            // Everything that was handed out so far, in all partitions.
            consumer.commit_consumer_state(CommitMode::Async)?;
        }
    }
}

async fn insert(session: &mut Connection, events: &[Event]) -> anyhow::Result<()> {
    let statement = format!(
        "INSERT INTO {TABLE} (event_id, event_type, payment_id, user_id, merchant_id, amount_minor, currency, occurred_at,
             source, correlation_id, causation_id)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::text[],
             $8::bigint[], $9::text[], $10::text[], $11::text[]) ON CONFLICT DO NOTHING"
    );
    let column = |of: fn(&Event) -> &str| events.iter().map(of).collect::<Vec<&str>>();
    let numbers = |of: fn(&Event) -> i64| events.iter().map(of).collect::<Vec<i64>>();
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(events.iter().map(|e| e.event_id.0).collect::<Vec<Uuid>>())
        .bind(column(|e| e.event_type.as_str()))
        .bind(events.iter().map(|e| e.payment_id.0).collect::<Vec<Uuid>>())
        .bind(column(|e| e.user_id.as_str()))
        .bind(events.iter().map(|e| e.merchant_id.as_ref().map(|m| m.as_str())).collect::<Vec<_>>())
        .bind(numbers(|e| e.amount_minor))
        .bind(column(|e| e.currency.code()))
        .bind(numbers(|e| e.occurred_at.0))
        .bind(column(|e| &e.source))
        .bind(events.iter().map(|e| e.correlation_id.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.causation_id.as_deref()).collect::<Vec<_>>())
        .execute(session)
        .await?;
    Ok(())
}
