//! The worker under test: the release binary, as a process, with the settings that it has by itself.
//!
//! Every run ends with the audit and the totals, or it is reported as wrong.

use std::path::PathBuf;

use millrace_topics::TopicName;
use sqlx::postgres::PgConnection;

use super::{Backlog, with_pace};
use crate::checking;
use crate::commits::{self, Commit};
use crate::process::{Plan, Process};
use crate::progress::Bar;
use crate::results::{Figures, figure};
use crate::stack::Stack;
use crate::window::{Gauge, Watched};

/// How the worker is run.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Further arguments of `millrace worker`; none for what it is judged by.
    pub arguments: Vec<String>,
    /// How many workers; 0 means 1.
    pub workers: usize,
    /// One more worker joins when this share of the backlog is done.
    pub joins_at: Option<f64>,
    /// Another build of the worker, without fence, proof rows and duplicate checks. Its result is not audited.
    pub unguarded: Option<PathBuf>,
    /// A database of which each run gets a copy, and goes on from there; an empty one otherwise.
    pub template: Option<String>,
}

/// Where it writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Into {
    /// A database of its own, which is dropped afterwards.
    Fresh,
    /// A database of its own, which stays.
    Kept,
    /// This one, which holds rows already. It stays, and is audited by the caller.
    Standing(String),
}

/// What a run gives.
pub struct Run {
    /// The figures.
    pub figures: Figures,
    /// What is wrong with the result; empty if nothing is.
    pub problems: Vec<String>,
    /// Where the rows are.
    pub database: String,
}

/// One run over a backlog.
pub async fn run(stack: &Stack, backlog: &Backlog, setup: &Setup, into: &Into, bar: &Bar) -> anyhow::Result<Run> {
    let database = match (into, &setup.template) {
        (Into::Standing(database), _) => database.clone(),
        (Into::Fresh | Into::Kept, Some(template)) => stack.copy_database(template).await?,
        (Into::Fresh | Into::Kept, None) => stack.make_database().await?,
    };
    stack.settle().await?;
    let mut session = stack.connect(&database).await?;
    let has_rows = matches!(into, Into::Standing(_)) || setup.template.is_some();
    let (base, began) = standing(&mut session, has_rows).await?;
    let target = base + i64::try_from(backlog.records)?;
    let mut figures = drive(stack, backlog, setup, &database, &mut session, (base, target), bar).await?;
    let mut commits = match setup.unguarded {
        None => commits::of_batches(&mut session).await?,
        Some(_) => commits::of_rows(&mut session, "millrace.events").await?,
    };
    commits.retain(|commit| commit.at >= began);
    drop(session);
    figures = paced(figures, &commits, setup)?;
    let is_audited = setup.unguarded.is_none() && !matches!(into, Into::Standing(_));
    let problems = match is_audited {
        true => checking::problems(stack, backlog.topic.as_str(), &database, &backlog.outcome).await?,
        false => Vec::new(),
    };
    if *into == Into::Fresh {
        stack.drop_database(&database).await?;
    }
    Ok(Run { figures, problems, database })
}

/// How many records are accounted for already, and the database's time.
async fn standing(session: &mut PgConnection, has_rows: bool) -> anyhow::Result<(i64, f64)> {
    let now =
        sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8").fetch_one(&mut *session).await?;
    let done = match has_rows {
        false => 0,
        true => {
            sqlx::query_scalar("SELECT coalesce(sum(next_offset - start_offset), 0)::bigint FROM millrace.lanes")
                .fetch_one(session)
                .await?
        }
    };
    Ok((done, now))
}

/// Runs the workers until everything is done, and ends them.
async fn drive(
    stack: &Stack,
    backlog: &Backlog,
    setup: &Setup,
    database: &str,
    session: &mut PgConnection,
    (base, target): (i64, i64),
    bar: &Bar,
) -> anyhow::Result<Figures> {
    let group = stack.new_name();
    let count = setup.workers.max(1);
    let begin = |n| start(stack, &backlog.topic, setup, database, &group, n);
    let mut workers = (0..count).map(begin).collect::<anyhow::Result<Vec<_>>>()?;
    let gauge = match setup.unguarded {
        None => Gauge::Lanes,
        Some(_) => Gauge::Events,
    };
    if let Some(share) = setup.joins_at {
        let target = base + (backlog.records as f64 * share) as i64;
        Watched { stack, session, gauge: gauge.clone(), processes: &mut workers, base, target }.until_done(bar).await?;
        workers.push(begin(count)?);
    }
    let figures = Watched { stack, session, gauge, processes: &mut workers, base, target }.until_done(bar).await?;
    for worker in workers {
        worker.end().await?;
    }
    Ok(figures)
}

fn paced(mut figures: Figures, commits: &[Commit], setup: &Setup) -> anyhow::Result<Figures> {
    let pace = match setup.joins_at {
        None => commits::pace(commits)?,
        Some(_) => {
            if let Some(gap) = commits::longest_gap_of_those_that_stay(commits) {
                figures.insert(figure::GAP_S, gap);
            }
            // From there on both workers have what they keep.
            commits::pace_after_the_last_claim(commits)?
        }
    };
    Ok(with_pace(figures, pace))
}

/// Starts worker number `n` of a group.
pub fn start(
    stack: &Stack,
    topic: &TopicName,
    setup: &Setup,
    database: &str,
    group: &str,
    n: usize,
) -> anyhow::Result<Process> {
    let mut arguments = vec!["worker".to_owned()];
    arguments.extend(setup.arguments.iter().cloned());
    let plan = Plan {
        name: &format!("millrace-{group}-{n}"),
        program: setup.unguarded.as_ref().unwrap_or(&stack.millrace),
        arguments,
        environment: vec![
            ("DATABASE_URL", stack.url_of(database)?),
            ("MILLRACE_BROKERS", stack.brokers.clone()),
            ("MILLRACE_TOPIC", topic.to_string()),
            ("MILLRACE_GROUP", group.to_owned()),
            ("MILLRACE_LISTEN", "127.0.0.1:0".to_owned()),
        ],
    };
    Process::start(plan, &stack.logs)
}
