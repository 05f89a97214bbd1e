//! `millrace topics`: shows and applies what `topics.yaml` declares.
//!
//! Only the command line is here: options, output and exit codes. What is checked, planned and
//! done is in `millrace-topics`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use millrace_topics::cluster::ApplyError;
use millrace_topics::{Cluster, Plan, PlanOptions, Problem, Spec, SpecErrors, TopicName};
use serde_json::json;

use crate::output::Format;
use crate::show::{print, print_json};

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing to do, or done
  1  error: the file cannot be read, the cluster does not answer, a change failed
  2  changes are pending (plan, and apply --dry-run)
  3  refused: the file or the plan breaks a rule; nothing was changed";

const EXAMPLES: &str = "\
Examples:
  millrace topics check                  is the file right? (asks no cluster)
  millrace topics plan                   what would change, and why
  millrace topics apply                  do exactly that
  millrace topics plan staging.yaml -o json";

/// Topics as code: check, plan and apply what topics.yaml declares
#[derive(Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct TopicsArgs {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Subcommand)]
enum TopicsCommand {
    /// Check the file alone; no cluster is needed
    #[command(after_help = format!("{FORM}\n\n{EXIT_CODES}"))]
    Check(FileArgs),
    /// Show what apply would change and why; changes nothing
    #[command(after_help = format!("{PLAN_HELP}\n\n{EXIT_CODES}"))]
    Plan(PlanArgs),
    /// Carry out the plan and wait until every broker shows it
    #[command(after_help = format!("{APPLY_HELP}\n\n{EXIT_CODES}"))]
    Apply(ApplyArgs),
}

#[derive(Args)]
struct FileArgs {
    /// The file that declares the topics
    #[arg(value_name = "FILE", default_value = "topics.yaml")]
    file: PathBuf,
}

#[derive(Args)]
struct PlanArgs {
    #[command(flatten)]
    file: FileArgs,

    /// Let this keyed topic get more partitions, to a multiple of what it has (stop the publishers
    /// and drain the topic first: keys move). May be given several times
    #[arg(long, value_name = "TOPIC")]
    grow_keyed: Vec<TopicName>,

    /// Delete this topic, which the file must not declare, with all its records. May be given
    /// several times
    #[arg(long, value_name = "TOPIC")]
    delete: Vec<TopicName>,
}

#[derive(Args)]
struct ApplyArgs {
    #[command(flatten)]
    plan: PlanArgs,

    /// Show the plan and stop there, as `millrace topics plan` does
    #[arg(long)]
    dry_run: bool,
}

const FORM: &str = "\
The form of the file:
  version: 1
  defaults: { replication_factor: 3, min_insync_replicas: 2 }
  topics:
    payment-events:
      partitions: 12
      key: user_id                        the event's field that is the record's key
      schema: schemas/payment_event       a folder with 1.avsc, 2.avsc, ..., beside this file
      dead_letter: payment-events.dlq     made with 1 partition and kept 30 days, unless it has
                                          an entry of its own
      config: { retention.ms: 7d, compression.type: zstd }
      consumers: [{ group: ledger, max_lag: 30s }]
  A topic may also set replication_factor and min_insync_replicas, and
  allow_no_broker_loss: true where the two are equal on purpose: it then refuses
  every publish while any of its brokers is down.
  Under config stand Kafka's own topic settings; times may be written 7d, sizes 10MB.";

const PLAN_HELP: &str = "\
Signs: + create, ~ change, - delete, = nothing to do, ! refused.
Topics of the cluster that the file does not name are listed and left alone. A setting
that a declared topic has and the file does not name goes back to the broker's default.

Examples:
  millrace topics plan
  millrace topics plan --grow-keyed payment-events
  millrace --brokers 10.0.0.1:9092,10.0.0.2:9092 topics plan prod/topics.yaml";

const APPLY_HELP: &str = "\
Nothing is changed if any topic is refused. Where a change fails, the others are done all
the same; run it again to continue. A second run has nothing to do.

Examples:
  millrace topics apply
  millrace topics apply --dry-run
  millrace topics apply --delete old-events";

/// What the process ends with, in words.
#[derive(Clone, Copy)]
enum Verdict {
    NothingToDoOrDone,
    Error,
    ChangesPending,
    Refused,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        ExitCode::from(match verdict {
            Verdict::NothingToDoOrDone => 0,
            Verdict::Error => 1,
            Verdict::ChangesPending => 2,
            Verdict::Refused => 3,
        })
    }
}

/// Runs `millrace topics`. `brokers` is `host:port,host:port,...`.
pub async fn run(args: TopicsArgs, brokers: &str, output: Format) -> anyhow::Result<ExitCode> {
    let verdict = match args.command {
        TopicsCommand::Check(file) => check(&file, output)?,
        TopicsCommand::Plan(args) => plan_or_apply(args, brokers, output, Then::Stop).await?,
        TopicsCommand::Apply(ApplyArgs { plan, dry_run }) => {
            let then = if dry_run { Then::Stop } else { Then::Apply };
            plan_or_apply(plan, brokers, output, then).await?
        }
    };
    Ok(verdict.into())
}

/// What follows on showing the plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Stop,
    Apply,
}

fn check(args: &FileArgs, output: Format) -> anyhow::Result<Verdict> {
    let spec = match read(args, output)? {
        Ok(spec) => spec,
        Err(refused) => return Ok(refused),
    };
    match output {
        Format::Json => print_json(&json!({ "spec": spec, "problems": Vec::<Problem>::new() }))?,
        Format::Text => {
            let mut text = format!("{}: in order; it declares\n", spec.file.display());
            for topic in &spec.topics {
                text += &format!("  {}: {}, {}\n", topic.name, topic.partitions, topic.durability);
            }
            print(&text)?;
        }
    }
    Ok(Verdict::NothingToDoOrDone)
}

async fn plan_or_apply(args: PlanArgs, brokers: &str, output: Format, then: Then) -> anyhow::Result<Verdict> {
    let spec = match read(&args.file, output)? {
        Ok(spec) => spec,
        Err(refused) => return Ok(refused),
    };
    let options =
        PlanOptions { grow_keyed: args.grow_keyed.into_iter().collect(), delete: args.delete.into_iter().collect() };
    let cluster = Cluster::connect(brokers)?;
    let observed = cluster.observe(&options.delete).await?;
    let plan = millrace_topics::plan(&spec, &observed, &options);
    if output == Format::Text {
        print(&format!("{plan}\n"))?;
    }
    let nothing_to_apply = then == Then::Stop || plan.is_refused() || !plan.has_changes();
    if nothing_to_apply {
        if output == Format::Json {
            print_json(&json!({ "plan": plan, "summary": plan.summary() }))?;
        }
        return shown(&plan);
    }
    apply(&cluster, &plan, output).await
}

/// The verdict on a plan that goes no further.
fn shown(plan: &Plan) -> anyhow::Result<Verdict> {
    if plan.is_refused() {
        complain("refused: nothing was changed. Resolve what is marked with ! and plan again")?;
        return Ok(Verdict::Refused);
    }
    Ok(if plan.has_changes() { Verdict::ChangesPending } else { Verdict::NothingToDoOrDone })
}

async fn apply(cluster: &Cluster, plan: &Plan, output: Format) -> anyhow::Result<Verdict> {
    let applied = match cluster.apply(plan).await {
        Err(ApplyError::Refused(_)) => return shown(plan),
        applied => applied?,
    };
    match output {
        Format::Text => print(&format!("\n{applied}"))?,
        Format::Json => {
            print_json(&json!({ "plan": plan, "summary": plan.summary(), "applied": applied.topics }))?;
        }
    }
    if applied.failed().next().is_none() {
        return Ok(Verdict::NothingToDoOrDone);
    }
    complain("not everything was applied. Resolve the reasons above and run it again: it continues from here")?;
    Ok(Verdict::Error)
}

/// The file's spec, or the verdict after its problems were printed.
fn read(args: &FileArgs, output: Format) -> anyhow::Result<Result<Spec, Verdict>> {
    let error = match millrace_topics::parse(&args.file) {
        Ok(spec) => return Ok(Ok(spec)),
        Err(error @ SpecErrors::Unreadable { .. }) => return Err(error.into()),
        Err(error @ SpecErrors::Refused(_)) => error,
    };
    match output {
        Format::Text => complain(&error.to_string())?,
        Format::Json => print_json(&json!({ "problems": error.problems() }))?,
    }
    Ok(Err(Verdict::Refused))
}

fn complain(text: &str) -> anyhow::Result<()> {
    writeln!(io::stderr(), "{text}").context("stderr: cannot be written")
}
