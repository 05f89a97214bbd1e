//! `millrace-bench`: Millrace, the floors below it and the peers beside it, in one run and in turn.
//!
//! This file parses, dispatches and turns what was found into files and an exit code. What is measured is in `suite`,
//! `latency`, `publishing` and `scaling`; how, in `window` and `commits`.

mod bars;
mod checking;
mod commits;
mod compare;
mod contender;
mod costs;
mod curves;
mod latency;
mod machine;
mod options;
mod plots;
mod process;
mod procfs;
mod progress;
mod publishing;
mod report;
mod results;
mod scaling;
mod sending;
mod show;
mod stack;
mod suite;
mod warmth;
mod window;
mod workload;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Cli, Command, Format, Part, RunArgs};
use crate::progress::Progress;
use crate::results::Results;
use crate::stack::{Stack, repository};
use crate::suite::Bench;
use crate::warmth::Warmth;

/// The figures of the last committed run.
const COMMITTED: &str = "bench/results.json";
/// What a shell says of a command that SIGINT ended.
const EXIT_INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(args).await,
        Command::Compare { old, new, output } => compare_files(&old, &new, output),
        Command::Consume(args) => contender::consume::consume(&args).and_then(|found| print(&found)).map(|()| 0),
        Command::Plain(args) => contender::plain::consume(args).await.map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for, and removes what it made however it ends.
async fn run(args: RunArgs) -> anyhow::Result<u8> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stack = Stack::find().await?;
    let progress = Progress::new(args.output == Format::Json);
    let mut bench = Bench::new(stack, args.asked(), progress);
    // Of what runs now, whatever is committed meanwhile.
    bench.results.commit = machine::commit();
    let ended = tokio::select! {
        ended = measure(&mut bench, &args) => Some(ended),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    // The contenders have ended with their handles; what they wrote to is removed.
    let cleaned = bench.stack.clean().await;
    let logs = bench.stack.logs.clone();
    let Some(ended) = ended else {
        drop(std::fs::remove_dir_all(&logs));
        bench.progress.warn("interrupted: what the bench made was removed, no results were written");
        return Ok(EXIT_INTERRUPTED);
    };
    ended.with_context(|| format!("the bench stopped; logs are in {}", logs.display()))?;
    cleaned.context("removing what the bench made")?;
    let code = finish(&mut bench, &args).await?;
    if code == 0 {
        // Logs of a good run tell nobody anything; that they cannot be removed neither.
        let _ = std::fs::remove_dir_all(&logs);
    }
    Ok(code)
}

async fn measure(bench: &mut Bench, args: &RunArgs) -> anyhow::Result<()> {
    let parts = args.parts();
    let has = |part| parts.contains(&part);
    let warmth = Warmth::begin(bench.stack.clone(), Duration::from_secs(args.warm_up_max));
    if has(Part::CatchUp) || has(Part::Latency) {
        bench.fetch_peers().await;
    }
    let wanted =
        suite::Wanted { charges: has(Part::CatchUp), streams: has(Part::Workloads), latency: has(Part::Latency) };
    suite::compare(bench, wanted, warmth).await?;
    for part in parts {
        match part {
            Part::CatchUp | Part::Workloads | Part::Latency => {}
            Part::Publish => publishing::run(bench).await?,
            Part::Partitions => scaling::partitions(bench).await?,
            Part::Workers => scaling::workers(bench).await?,
            Part::Batches => scaling::batches(bench).await?,
            Part::Backlog => scaling::backlogs(bench).await?,
            Part::Shapes => scaling::shapes(bench).await?,
            Part::SecondWorker => scaling::second_worker(bench).await?,
            Part::FullTables => scaling::full_tables(bench, args.full_rows).await?,
            Part::Costs => costs::run(bench).await?,
        }
    }
    Ok(())
}

/// Writes the results, shows them, and tells by the exit code whether every result was right.
async fn finish(bench: &mut Bench, args: &RunArgs) -> anyhow::Result<u8> {
    let machine = machine::describe(&bench.stack).await?;
    let results = &mut bench.results;
    results.form = args.form();
    results.command =
        std::env::var("MILLRACE_BENCH_COMMAND").unwrap_or_else(|_| std::env::args().collect::<Vec<_>>().join(" "));
    results.date = machine::date()?;
    results.took_seconds = bench.progress.elapsed().as_secs_f64();
    results.machine = machine;
    results.bars = bars::of(results);
    // Before it is written over: HEAD may be this very file.
    let committed = machine::committed(COMMITTED).and_then(|text| serde_json::from_str::<Results>(&text).ok());
    let curve = curves::file_of(&args.parts()).filter(|_| args.out.is_none());
    let written = match curve {
        Some(file) => write_curve(results, &repository().join(file))?,
        None => {
            curves::fill_in(&mut results.bars, &curves::kept(&repository())?);
            write(results, &args.out.clone().unwrap_or_else(|| repository().join("bench")))?
        }
    };
    match args.output {
        Format::Json => print(&serde_json::to_string_pretty(results)?)?,
        Format::Text => {
            print(&show::bars(&results.bars))?;
            print(&format!("written: {}", written.display()))?;
            if let Some(old) = committed {
                print(&compare::text(&old, &compare::compare(&old, results)))?;
            }
        }
    }
    for wrong in &results.wrong {
        bench.progress.warn(&format!("WRONG RESULT: {wrong}"));
    }
    Ok(u8::from(!results.wrong.is_empty()))
}

/// Writes all that is kept of a run; gives the page.
fn write(results: &Results, directory: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let plots = plots::draw(results, &directory.join("plots"))?;
    write_json(results, &directory.join("results.json"))?;
    let page = directory.join("BENCHMARKS.md");
    std::fs::write(&page, report::page(results, &plots)).with_context(|| page.display().to_string())?;
    Ok(page)
}

fn write_curve(results: &Results, file: &Path) -> anyhow::Result<PathBuf> {
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    write_json(results, file)?;
    Ok(file.to_owned())
}

fn write_json(results: &Results, file: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(file, json).with_context(|| file.display().to_string())
}

fn compare_files(old: &Path, new: &Path, output: Format) -> anyhow::Result<u8> {
    let read = |path: &Path| -> anyhow::Result<Results> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a results.json of a bench", path.display()))
    };
    let (old, new) = (read(old)?, read(new)?);
    let found = compare::compare(&old, &new);
    match output {
        Format::Json => print(&serde_json::to_string_pretty(&found)?)?,
        Format::Text => print(compare::text(&old, &found).trim_end())?,
    }
    Ok(u8::from(!found.worse.is_empty()))
}

fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("stdout")
}
