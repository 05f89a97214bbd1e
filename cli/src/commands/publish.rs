//! `millrace publish`: a file of events, or stdin, into the topic; resumable, and honest about each line.
//!
//! One thread reads and parses (`reader`), one loop puts the records into the producer's queue (`feed`), another
//! awaits their results in order (`settle`). Acceptance itself is the producer library's.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::ValueEnum;
use millrace_consumers::topic_id;
use millrace_producer::{Producer, ProducerConfig};
use tokio::sync::mpsc;

use crate::numbers::within;
use crate::output::{Format, note};
use crate::show;

use acks::Acks;
use checkpoint::Checkpoint;
use feed::{Fed, Feed, Pace, UnknownTypes};
use input::Input;
use lines::Head;
use progress::Progress;
use reader::{Item, Rules};
use settle::{Keeper, Settle, Trouble};
use skipped::SkippedLines;
use stop::{Stop, Stopper, stopped};
use summary::{Latency, Summary, per_second};

pub(super) mod acks;
mod checkpoint;
pub(super) mod feed;
pub(super) mod input;
pub(super) mod lines;
mod outputs;
pub(super) mod progress;
pub(super) mod reader;
pub(super) mod record;
pub(super) mod settle;
pub(super) mod skipped;
pub(super) mod steps;
pub(super) mod stop;
mod summary;

/// Some lines were set aside; all others are accepted.
const EXIT_SKIPPED: u8 = 3;

/// Publish events from a file, one JSON object a line
///
/// An event counts as accepted when min.insync.replicas brokers hold it. The lines keep their order. Blank lines
/// are passed over.
///
/// While it runs, a checkpoint beside the file tells up to which line everything is acknowledged. After a bad line,
/// a Ctrl-C, an outage or a crash, the same command with --resume goes on there. After a crash (kill -9, power) the
/// lines of the last seconds are published again: under the same event ids, so the worker counts them as duplicates
/// and applies nothing twice.
///
/// Exit codes: 0 all lines are accepted; 1 it stopped at an error; 3 all are accepted but the skipped lines
/// (--on-error skip); 130 or 143 it was stopped by SIGINT or SIGTERM, after what was under way was acknowledged.
#[derive(Debug, Clone, clap::Args)]
pub struct PublishArgs {
    /// File of events, - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to do at a line that is not an event: stop there, or set it aside and go on
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnError::Stop)]
    on_error: OnError,
    /// Where skipped lines are kept, each as {"line": N, "reason": "...", "text": "..."} [default:
    /// FILE.skipped.ndjson, stdin.skipped.ndjson for stdin]
    ///
    /// A run without --resume replaces the file. Of a line above --max-line-bytes only the beginning is kept, with
    /// its length as "line_bytes"; a line that is not UTF-8 is kept as "base64" too.
    #[arg(long, value_name = "PATH")]
    skipped: Option<PathBuf>,
    /// Go on behind the last acknowledged line of the checkpoint; start at the first line if there is none
    ///
    /// Refused if the topic or the cluster is not the checkpoint's, or the file does not begin as it did: its first 64 KiB
    /// are compared. It may have grown since; what was changed in it further on, before the mark, is not seen.
    #[arg(long)]
    resume: bool,
    /// Where the checkpoint is kept [default: FILE.checkpoint; none for stdin]
    ///
    /// One that is named is tried before anything is published, and the run ends when it cannot be written. Where the
    /// default one cannot be written a run says so and goes on, without being resumable.
    #[arg(long, value_name = "PATH")]
    checkpoint: Option<PathBuf>,
    /// Events per second, each at its own time [default: as fast as they are accepted]
    ///
    /// With a rate an event waits for others to go with for up to 5 ms, as from a service; without one for up to 50 ms,
    /// which takes a third of the brokers' time for it.
    #[arg(long, value_name = "N", value_parser = within::<u32>(1..=10_000_000))]
    rate: Option<u32>,
    /// How long an event is tried while the brokers do not acknowledge; then the run stops, to be resumed, after up to
    /// 10 s more for what is under way. A broker's first answer is waited for 10 s at most, or this if
    /// it is shorter
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = timeout)]
    timeout: Duration,
    /// Longest line, in bytes; a longer one is an error
    #[arg(long, value_name = "N", default_value_t = 1024 * 1024, value_parser = within::<usize>(1..=64 << 20))]
    max_line_bytes: usize,
    /// Publish also lines of the form {"raw": {"key": BASE64 or null, "value": BASE64 or null, "headers": {}}}, byte
    /// by byte: for tests of what becomes of records that cannot be decoded
    #[arg(long)]
    allow_raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnError {
    /// Stop there: nothing behind it is published
    Stop,
    /// Keep it in a file with its reason, and go on
    Skip,
}

fn timeout(text: &str) -> Result<Duration, String> {
    const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
    match humantime::parse_duration(text) {
        Ok(timeout) if (Duration::from_secs(1)..=TIMEOUT_MAX).contains(&timeout) => Ok(timeout),
        Ok(_) => Err("wanted 1s to 24h".into()),
        Err(error) => Err(format!("{error}; such as 30s or 5m")),
    }
}

/// What a run found when it began.
struct Start {
    checkpoint_path: Option<PathBuf>,
    resumed: Option<Checkpoint>,
}

/// How a run ended.
pub(super) struct End {
    pub(super) fed: Fed,
    pub(super) acks: Acks,
    pub(super) keeper: Option<Keeper>,
    pub(super) trouble: Option<Trouble>,
    pub(super) unknown: usize,
    pub(super) unknown_types: Option<UnknownTypes>,
}

/// Publishes the input, prints the summary, and tells by the exit code how it went.
pub async fn run(args: PublishArgs, brokers: &str, topic: &str, output: Format) -> anyhow::Result<ExitCode> {
    let stopper = Stopper::new();
    stopper.on_signals()?;
    let input = Input::open(&args.file)?;
    let checkpoint_path = args.checkpoint.clone().or_else(|| input.file.as_deref().map(Checkpoint::default_path));
    let skipped_path = skipped_path(&args, input.file.as_deref());
    outputs::check(&args.file, checkpoint_path.as_deref(), skipped_path.as_deref())?;
    let start = start(&args, &input, topic, checkpoint_path)?;
    let mark = start.resumed.as_ref().map(Checkpoint::mark).unwrap_or_default();
    let (name, bytes) = (input.name.clone(), input.bytes);
    let head = Head::default();
    let lines =
        input.lines_from(mark, args.max_line_bytes, &head, |first| match (&start.resumed, &start.checkpoint_path) {
            (Some(checkpoint), Some(path)) => checkpoint.check_input(path, &name, first),
            _ => Ok(()),
        })?;

    let mut stop = stopper.watch();
    let producer = tokio::select! {
        biased;
        () = stopped(&mut stop) => {
            note("stopped before anything was published");
            return Ok(exit_code(None, stopper.reason()));
        }
        producer = connect(brokers, topic, &args) => producer?,
    };
    // Who may not describe the topic, may publish to it all the same.
    let topic_id = topic_id::of(brokers, topic).await.ok();
    if let (Some(checkpoint), Some(path)) = (&start.resumed, &start.checkpoint_path) {
        checkpoint.check_cluster(path, producer.cluster_id())?;
        checkpoint.check_topic_id(path, topic_id.as_deref())?;
    }
    let cluster = producer.cluster_id().map(str::to_owned);
    let keeper = start.checkpoint_path.clone().map(|path| Keeper {
        path,
        template: Checkpoint::new(name.clone(), topic.into(), topic_id.clone(), cluster),
        head,
        required: args.resume || args.checkpoint.is_some(),
        written: start.resumed.as_ref().map(Checkpoint::mark),
    });
    if let Some(keeper) = keeper.as_ref().filter(|keeper| keeper.required) {
        keeper.rehearse(mark)?;
    }
    let mut skipped = skipped_path.map(|path| skipped_lines(path, start.resumed.as_ref())).transpose()?;

    let began = Instant::now();
    let batches = reader::start(lines, Rules { allow_raw: args.allow_raw, line_bytes_max: args.max_line_bytes })?;
    let progress = Progress::new(bytes);
    let acks = Acks::new(mark, start.resumed.as_ref().map_or(0, |checkpoint| checkpoint.skipped_bytes));
    let end = publish(&args, &producer, &stopper, batches, skipped.as_mut(), (acks, keeper, progress)).await?;
    let took = began.elapsed();

    let error = match error(&name, &end, stopper.reason()) {
        None => made_again(brokers, topic, topic_id).await,
        error => error,
    };
    let summary = summary(name, topic, mark.line, &end, skipped.as_ref(), took, error.as_ref());
    let printed = print(&summary, output);
    match (error, stopper.reason()) {
        (Some(error), Some(Stop::Signal(_))) => note(&error.to_string()),
        (Some(error), _) => return Err(error),
        (None, _) => return printed.map(|()| exit_code(Some(&end), None)),
    }
    Ok(exit_code(Some(&end), stopper.reason()))
}

/// Says so if the topic was deleted and made again meanwhile: what was acknowledged before that is gone.
async fn made_again(brokers: &str, topic: &str, began_with: Option<String>) -> Option<anyhow::Error> {
    let (then, now) = (began_with?, topic_id::of(brokers, topic).await.ok()?);
    (then != now).then(|| {
        anyhow!(
            "topic {topic} was deleted and made again while this ran (its id was {then} and is {now}): what was acknowledged \
             before is gone with it. Publish all of it again, without --resume; the event ids are the same, so nothing is applied twice"
        )
    })
}

fn exit_code(end: Option<&End>, stop: Option<Stop>) -> ExitCode {
    match stop {
        Some(Stop::Signal(number)) => ExitCode::from(stop::exit_code(number)),
        _ if end.is_some_and(|end| end.acks.skipped > 0) => ExitCode::from(EXIT_SKIPPED),
        _ => ExitCode::SUCCESS,
    }
}

/// Feeds the producer and settles the results, side by side, until both are done.
async fn publish(
    args: &PublishArgs,
    producer: &Producer,
    stopper: &Stopper,
    batches: mpsc::Receiver<Vec<Item>>,
    skipped: Option<&mut SkippedLines>,
    (acks, keeper, progress): (Acks, Option<Keeper>, Progress),
) -> anyhow::Result<End> {
    let (steps, settled) = steps::channel();
    let pace = args.rate.map(Pace::new);
    let mut unknown_types = None;
    let feed = Feed { producer, steps, skipped, pace, unknown_types: &mut unknown_types, stop: stopper.watch() };
    let settle = Settle {
        producer,
        steps: settled,
        acks,
        keeper,
        progress,
        stopper: stopper.clone(),
        timeout: args.timeout,
        waiting: None,
        trouble: None,
    };
    let (fed, (acks, keeper, trouble)) = tokio::join!(feed.run(batches), settle.run());
    // What has no result by now has waited long enough: the producer's end need not wait for it again.
    let unknown = producer.close(Duration::ZERO).await.err().map_or(0, |unflushed| unflushed.count);
    Ok(End { fed: fed?, acks, keeper, trouble, unknown, unknown_types })
}

/// Finds the checkpoint, and says what people should know.
fn start(args: &PublishArgs, input: &Input, topic: &str, checkpoint_path: Option<PathBuf>) -> anyhow::Result<Start> {
    let found = match &checkpoint_path {
        // A run from the beginning replaces whatever is there.
        Some(path) if !args.resume => Checkpoint::load(path).unwrap_or(None),
        Some(path) => Checkpoint::load(path)?,
        None if args.resume => {
            bail!("--resume of {} needs --checkpoint PATH: the name of a checkpoint follows a file's only", input.name)
        }
        None => None,
    };
    let mut resumed = None;
    match (found, &checkpoint_path) {
        (Some(checkpoint), Some(path)) if args.resume => {
            checkpoint.check_topic(path, topic)?;
            note(&format!("going on after line {} by {}", checkpoint.line, path.display()));
            resumed = Some(checkpoint);
        }
        (None, Some(path)) if args.resume => {
            note(&format!("no checkpoint {}: starting at the first line", path.display()));
        }
        (Some(checkpoint), Some(_)) if input.bytes.is_some_and(|bytes| checkpoint.offset < bytes) => note(&format!(
            "starting at the first line, though an earlier run came to line {}: --resume would go on there",
            checkpoint.line
        )),
        _ => {}
    }
    if input.bytes == Some(0) {
        note(&format!("{} is empty: there is nothing to publish", input.name));
    }
    if input.name == "stdin" && io::stdin().is_terminal() {
        note("reading events from the terminal, one JSON object a line; Ctrl-D ends them");
    }
    Ok(Start { checkpoint_path, resumed })
}

/// Where skipped lines are kept, if lines are skipped.
fn skipped_path(args: &PublishArgs, input: Option<&Path>) -> Option<PathBuf> {
    let path = || args.skipped.clone().unwrap_or_else(|| SkippedLines::default_path(input));
    (args.on_error == OnError::Skip).then(path)
}

/// The file of skipped lines. Opened last: a run that cannot begin replaces no file.
fn skipped_lines(path: PathBuf, resumed: Option<&Checkpoint>) -> anyhow::Result<SkippedLines> {
    match resumed {
        None => SkippedLines::start(path),
        Some(checkpoint) => SkippedLines::resume(path, checkpoint.skipped_bytes),
    }
}

async fn connect(brokers: &str, topic: &str, args: &PublishArgs) -> anyhow::Result<Producer> {
    let mut config = ProducerConfig::new(brokers, topic);
    config.client_id = "millrace-publish".into();
    config.connect_timeout = config.connect_timeout.min(args.timeout);
    if args.rate.is_none() {
        config.linger = ProducerConfig::BULK_LINGER;
    }
    // Nothing expires within the producer: see `Settle::timeout`.
    config.delivery_timeout = ProducerConfig::DELIVERY_TIMEOUT_MAX;
    Ok(Producer::connect(config).await?)
}

/// Why the input is not whole in the topic, and what to do, if so.
pub(super) fn error(name: &str, end: &End, stop: Option<Stop>) -> Option<anyhow::Error> {
    let to = end.acks.mark.line;
    let acked = match to {
        0 => "No line is acknowledged".to_owned(),
        to => format!("The lines up to {to} are acknowledged"),
    };
    let resume = match end.keeper.as_ref().filter(|keeper| keeper.written.is_some()) {
        Some(keeper) => format!("`--resume` goes on there, by {}", keeper.path.display()),
        None if to == 0 => "publish it again".into(),
        None => "publish all of it again, with the same event ids: no checkpoint was kept".into(),
    };
    match (&end.trouble, &end.fed) {
        (Some(Trouble::NotAccepted { line, error }), _) | (None, Fed::NotTaken { line, error }) => Some(anyhow!(
            "{name}:{line}: {error}\n{} {acked}; {resume}",
            if end.unknown > 0 { "Some lines behind it may have arrived." } else { "Publishing stopped there." }
        )),
        (Some(Trouble::Checkpoint(error)), _) => {
            Some(anyhow!("{name}: {error:#}\n{acked}; name another by --checkpoint"))
        }
        (None, Fed::BadLine { line, reason }) => Some(anyhow!(
            "{name}:{line}: {reason}\n{acked}, nothing from line {line} on was published. Correct it, then {resume}; \
             `--on-error skip` sets such lines aside instead"
        )),
        (None, Fed::OtherFormat { reason }) => Some(anyhow!("{name}: {reason}\nNothing was published.")),
        (None, Fed::NotKept { error }) => {
            Some(anyhow!("{name}: {error:#}\n{acked}; make room, or name another file by --skipped, and then {resume}"))
        }
        (None, Fed::Unreadable { line, error }) => {
            Some(anyhow!("{name}: cannot be read behind line {line}: {error}\n{acked}; {resume}"))
        }
        (None, Fed::Stopped) => {
            let by = match stop {
                Some(Stop::Signal(2)) => "SIGINT",
                _ => "SIGTERM",
            };
            Some(anyhow!("{name}: stopped by {by}. {acked}; {resume}"))
        }
        // A signal after the last line, whose results did not come in time.
        (None, Fed::Whole) if end.unknown > 0 => {
            Some(anyhow!("{name}: {} events were not acknowledged in time. {acked}; {resume}", end.unknown))
        }
        (None, Fed::Whole) => None,
    }
}

fn summary(
    input: String,
    topic: &str,
    resumed_after_line: u64,
    end: &End,
    skipped: Option<&SkippedLines>,
    took: Duration,
    error: Option<&anyhow::Error>,
) -> Summary {
    let acks = &end.acks;
    Summary {
        input,
        topic: topic.to_owned(),
        complete: error.is_none(),
        resumed_after_line,
        acknowledged_to_line: acks.mark.line,
        lines: acks.mark.line - resumed_after_line,
        accepted: acks.accepted,
        skipped: acks.skipped,
        failed: acks.failed,
        unknown: end.unknown as u64,
        unknown_types: end.unknown_types.clone(),
        seconds: took.as_secs_f64(),
        events_per_second: per_second(acks.accepted, took),
        latency_ms: Latency::of(acks),
        skipped_file: skipped.filter(|_| acks.skipped > 0).map(|skipped| skipped.path().display().to_string()),
        checkpoint: end.keeper.as_ref().filter(|k| k.written.is_some()).map(|k| k.path.display().to_string()),
        error: error.map(|error| format!("{error:#}")),
    }
}

fn print(summary: &Summary, output: Format) -> anyhow::Result<()> {
    let text = match output {
        Format::Text => summary.to_string(),
        Format::Json => serde_json::to_string(summary).expect("numbers and strings always have a JSON form"),
    };
    show::print(&format!("{text}\n"))
}
