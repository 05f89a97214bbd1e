//! `millrace demo`: the whole pipeline in a minute, with a worker killed in the middle, and the proof that nothing
//! was lost or applied twice.
//!
//! It only arranges what the other commands and crates do. Latency and throughput are measured in two phases, for
//! under a backlog the latency is the backlog's.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use millrace_domain::ids::Micros;
use millrace_domain::window::AcceptedWindow;
use millrace_store::totals::Standing;

use crate::commands::publish::OnError;
use crate::commands::publish::stop::{self, Stop, Stopper, stopped};
use crate::connection::Connection;
use crate::output::Format;

use crew::{Crew, Orders};
use expectation::Expectation;
use ground::Ground;
use load::{Load, Producers, Published};
use result::{Result, Run};
use source::{Source, Totals};
use teller::{Teller, count};
use watch::{KillPlan, Watch};

mod crew;
mod expectation;
mod ground;
mod load;
mod result;
mod source;
mod table;
mod teller;
mod watch;

/// The pace at which the latency is measured: busy, and far from the most that one machine can do.
const STEADY_PER_SECOND: u32 = 1_500;
const STEADY_LINES_MAX: u64 = 10 * STEADY_PER_SECOND as u64;
/// What goes before it: brokers and lanes that have just begun are slow for some seconds.
const WARM_UP_LINES_MAX: u64 = 3 * STEADY_PER_SECOND as u64;
/// A small input still has a burst.
const STEADY_SHARE: u64 = 3;
/// The least that brokers accept by default: the demo is a short one. The worker's own default is longer.
const SESSION_TIMEOUT: &str = "6s";
/// The worker is killed once this share of the burst is accounted for, in percent.
const KILL_AT_PERCENT: u64 = 35;
/// How long a demo that was stopped waits for what is under way.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// Watch payment events become a ledger: three workers, one killed in the middle, and the proof that all is well
///
/// It makes a database (millrace_demo) and a topic (payment-events-demo) of its own, anew each time, and leaves them
/// there to look around in. It needs a role that may create databases; `make up` starts a stack with one.
///
/// Exit codes: 0 everything is accounted for and as expected; 1 it is not, or an error; 130 or 143 a signal ended it.
#[derive(Args)]
pub struct DemoArgs {
    /// A file of events, one JSON object a line, in place of generated ones
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed"])]
    events: Option<PathBuf>,
    /// What the file's events must end in: the JSON of `millrace generate --expect` or birmingham_to_events.py --expect
    #[arg(long, value_name = "FILE", requires = "events")]
    expect: Option<PathBuf>,
    /// What to do at a line of the file that is not an event: stop before anything is published, or set it aside in
    /// FILE.skipped.ndjson and go on
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnError::Stop, requires = "events")]
    on_error: OnError,
    /// How many events to generate
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    count: u64,
    /// Seed of the generated events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many workers to begin with
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Kill nobody
    #[arg(long)]
    no_kill: bool,
    /// The file that declares the topic which the demo's own is a copy of
    #[arg(long, value_name = "FILE", default_value = "topics.yaml")]
    topics: PathBuf,
    /// Where the workers' logs are written [default: demo/ in the stack's directory, .stack]
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
}

/// Runs the demo; a signal ends it and its workers.
pub async fn run(args: DemoArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let stopper = Stopper::new();
    stopper.on_signals()?;
    let mut stop = stopper.watch();
    let teller = Teller::new(output);
    let (mut crew, mut producers) = (None, None);
    let ended = tokio::select! {
        // A signal first: nothing new begins after it.
        biased;
        () = stopped_by_signal(&mut stop) => None,
        ended = perform(&args, connection, &teller, &stopper, (&mut crew, &mut producers)) => Some(ended),
    };
    teller.end();
    if let Some(producers) = &producers {
        // What is still under way then was never called accepted.
        let _ = producers.close(GIVEN_UP_WITHIN).await;
    }
    if let Some(crew) = &mut crew {
        crew.stop().await?;
    }
    let Some(ended) = ended else {
        let number = match stopper.reason() {
            Some(Stop::Signal(number)) => number,
            _ => 0,
        };
        teller.say("stopped", &format!("by {}; the workers have ended", stop::name(number)));
        return Ok(ExitCode::from(stop::exit_code(number)));
    };
    let (result, ground) = ended?;
    print(&result, output);
    say_goodbye(&teller, connection, &ground);
    Ok(if result.is_right() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Publishing stops by itself when a record is not accepted, and says why; only a signal ends all.
async fn stopped_by_signal(stop: &mut tokio::sync::watch::Receiver<Option<Stop>>) {
    stopped(stop).await;
    if !matches!(*stop.borrow(), Some(Stop::Signal(_))) {
        std::future::pending::<()>().await;
    }
}

/// All of the demo but its end. The crew and the producers are the caller's, who ends them however this ends.
async fn perform(
    args: &DemoArgs,
    connection: &Connection,
    teller: &Teller,
    stopper: &Stopper,
    (crew, connected): (&mut Option<Crew>, &mut Option<Producers>),
) -> anyhow::Result<(Result, Ground)> {
    let now = now()?;
    let expectation = args.expect.as_deref().map(Expectation::load).transpose()?;
    let mut source = match &args.events {
        Some(path) => Source::file(path, args.on_error, now, teller).await?,
        None => Source::generated(args.count, args.seed)?,
    };
    let mut ground = ground::find(connection, &args.topics).await?;
    teller.say("events", &format!("{} from {}", count(source.lines), source.name));
    ground.make_topic(&connection.brokers).await?;
    teller.say("topic", &format!("{}: {}, {}", ground.topic.name, ground.topic.partitions, ground.topic.durability));
    ground.make_database(&source.window, now).await?;
    teller.say("database", &format!("{}, made anew", ground.database.shown()));

    let crew = crew.insert(Crew::new(orders(args, connection, &ground, &source.window, now))?);
    let producers = Producers::connect(&connection.brokers, ground.topic.name.as_str()).await?;
    let producers = connected.insert(producers);
    let (run, expected) = play(args, &mut source, &ground, producers, crew, teller, stopper).await?;
    producers.close(load::DELIVERY_TIMEOUT).await?;

    let late = crew.stop().await?;
    let how = if late.is_empty() { String::new() } else { format!("; too slow, so killed: {}", late.join(", ")) };
    teller.say("stop", &format!("the workers have left the group{how}; reading the ledger, and auditing it"));
    let generated = expected.and_then(|expected| expected.get().cloned()).map(Box::new).map(Expectation::Whole);
    let expectation = expectation.or(generated);
    let mut reading = ground.database.connect().await?;
    let topic = &ground.topic.name;
    let result = result::read(&mut reading, &connection.brokers, topic, run, expectation.as_ref()).await?;
    Ok((result, ground))
}

/// Workers start, a steady phase, a burst with a kill.
async fn play(
    args: &DemoArgs,
    source: &mut Source,
    ground: &Ground,
    producers: &Producers,
    crew: &mut Crew,
    teller: &Teller,
    stopper: &Stopper,
) -> anyhow::Result<(Run, Totals)> {
    let started = (0..args.workers).map(|_| crew.start()).collect::<anyhow::Result<Vec<_>>>()?;
    let named: Vec<String> = started.iter().map(|(name, pid)| format!("{name} (pid {pid})")).collect();
    teller.say("start", &format!("{}; logs in {}", named.join(", "), crew.logs().display()));
    let partitions = usize::try_from(ground.topic.partitions.get())?;
    let mut watch = Watch { connection: ground.database.connect().await?, crew, teller, partitions };
    let shares = watch.shared_out(args.workers.into()).await?;
    let shares: Vec<String> = shares.iter().map(|(name, own)| format!("{name}: {}", watch::list(own))).collect();
    teller.say("claimed", &format!("partitions by {}", shares.join("; ")));

    let (lines, expected) = source.start()?;
    let mut load = Load::new(producers, source.name.clone(), source.skipped.take(), stopper.clone(), lines);
    let warm_up_lines = WARM_UP_LINES_MAX.min(source.lines / STEADY_SHARE / 4);
    let steady_lines = STEADY_LINES_MAX.min(source.lines / STEADY_SHARE);
    teller.say(
        "steady",
        &format!(
            "{} events at {}/s to warm up, then {}, for the latency",
            count(warm_up_lines),
            count(STEADY_PER_SECOND),
            count(steady_lines)
        ),
    );
    teller.begin(warm_up_lines + steady_lines, "accounted for");
    let (warm_up, at_start) = phase(&mut load, &mut watch, 0, warm_up_lines).await?;
    let (steady, at_burst) = phase(&mut load, &mut watch, warm_up.accepted, steady_lines).await?;
    teller.end();

    let before_burst = watch::accounted(&at_burst);
    let burst_lines = source.lines - warm_up_lines - steady_lines;
    teller.say("burst", &format!("{} events as fast as they are accepted, for the throughput", count(burst_lines)));
    let mut plan = KillPlan {
        victim: format!("worker-{}", args.workers.div_ceil(2)),
        at_records: before_burst + burst_lines * KILL_AT_PERCENT / 100,
        before_burst,
        done: None,
    };
    teller.begin(before_burst + burst_lines, "accounted for");
    let accepted = Cell::new(None);
    let publishing = async {
        let published = load.publish(u64::MAX, None).await?;
        accepted.set(Some(before_burst + published.accepted));
        let rate = published.accepted as f64 / published.took.as_secs_f64().max(0.001);
        let seconds = published.took.as_secs_f64();
        teller.say("published", &format!("the last one is accepted after {seconds:.1} s ({}/s)", count(rate as u64)));
        Ok(published)
    };
    let watching = watch.until_accounted(|| accepted.get(), (!args.no_kill).then_some(&mut plan));
    let (burst, at_end) = tokio::try_join!(publishing, watching)?;
    teller.end();
    let run = Run {
        source: source.name.clone(),
        warm_up,
        steady_ranges: watch::between(&at_start, &at_burst),
        steady,
        steady_per_second: STEADY_PER_SECOND,
        burst_ranges: watch::between(&at_burst, &at_end),
        burst,
        kill: plan.done.map(|(kill, _)| kill),
    };
    Ok((run, expected))
}

/// Publishes so many lines at the steady pace, behind those that were accepted before, until all are accounted for.
async fn phase(
    load: &mut Load<'_>,
    watch: &mut Watch<'_>,
    accepted_before: u64,
    lines: u64,
) -> anyhow::Result<(Published, Vec<Standing>)> {
    let accepted = Cell::new(None);
    let publishing = async {
        let published = load.publish(lines, Some(STEADY_PER_SECOND)).await?;
        accepted.set(Some(accepted_before + published.accepted));
        Ok(published)
    };
    tokio::try_join!(publishing, watch.until_accounted(|| accepted.get(), None))
}

fn orders(args: &DemoArgs, connection: &Connection, ground: &Ground, window: &AcceptedWindow, now: Micros) -> Orders {
    let stack = std::env::var_os("MILLRACE_STACK_DIR").map_or_else(|| PathBuf::from(".stack"), PathBuf::from);
    let logs = args.logs.clone().unwrap_or_else(|| stack.join("demo"));
    // A group for each run: what a run that was killed left behind must not be waited for.
    let group = format!("{}-{}", ground.topic.name, now.0 / 1_000);
    let arguments = [
        ("--group", group),
        ("--listen", "127.0.0.1:0".into()),
        ("--window-back", format!("{}ms", window.back_ms)),
        ("--window-ahead", format!("{}ms", window.ahead_ms)),
        ("--session-timeout", SESSION_TIMEOUT.into()),
        ("--parking-limit", "72h".into()),
    ];
    Orders {
        arguments: arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
        environment: vec![
            ("DATABASE_URL", ground.database_url.clone()),
            ("MILLRACE_BROKERS", connection.brokers.clone()),
            ("MILLRACE_TOPIC", ground.topic.name.to_string()),
        ],
        logs,
    }
}

fn now() -> anyhow::Result<Micros> {
    let since_1970: Duration = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Micros(i64::try_from(since_1970.as_micros())?))
}

fn print(result: &Result, output: Format) {
    let text = match output {
        Format::Text => format!("\n{}", table::render(result)),
        Format::Json => {
            let json = serde_json::to_string_pretty(result).expect("numbers and strings always have a JSON form");
            format!("{json}\n")
        }
    };
    // Who closed stdout does not want it.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn say_goodbye(teller: &Teller, connection: &Connection, ground: &Ground) {
    let binary = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("millrace"));
    let here = std::env::current_dir().unwrap_or_default();
    let binary = binary.strip_prefix(&here).map_or(binary.clone(), Path::to_owned);
    let url = ground::without_password(&ground.database_url);
    let topic = &ground.topic.name;
    let brokers = match connection.brokers == crate::connection::BROKERS_DEFAULT {
        true => String::new(),
        false => format!("MILLRACE_BROKERS={} ", connection.brokers),
    };
    teller.say("look", &format!("{brokers}DATABASE_URL='{url}' MILLRACE_TOPIC={topic} {} status", binary.display()));
    teller.say("stop", "make down");
}
