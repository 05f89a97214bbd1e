//! Instructions per event of the pure path, held against a committed baseline: `make instructions`.
//!
//! A count of instructions hardly depends on what else the machine does, so a few per cent are seen where a clock sees
//! noise. It says nothing about cache misses, system calls or waiting: those are the business of the benchmarks on the
//! real stack. The binary runs itself under callgrind, once for each stage, and counts one function of it.

mod baseline;
mod callgrind;
mod counted;
mod input;
mod judged;
mod stage;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::baseline::{Baseline, Measured};
use crate::stage::Stage;

const USAGE: &str = "usage: millrace-instructions check BASELINE | accept BASELINE | run STAGE";

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: Vec<String>) -> anyhow::Result<ExitCode> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["run", name] => {
            let stage = Stage::from_name(name)
                .ok_or_else(|| anyhow::anyhow!("no stage {name:?}; there are {}", Stage::names().join(", ")))?;
            stage.run()?;
            Ok(ExitCode::SUCCESS)
        }
        ["check", path] => check(Path::new(path)),
        ["accept", path] => accept(Path::new(path)),
        _ => anyhow::bail!(USAGE),
    }
}

/// Measures every stage and compares. Exit code 1: a stage costs more than the baseline and its tolerance allow.
fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let baseline = Baseline::read(path)?;
    let measured = measure()?;
    let comparison = baseline.compare(&measured);
    write!(std::io::stdout(), "{comparison}")?;
    Ok(if comparison.is_slower() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Measures every stage and makes that the baseline of this architecture.
fn accept(path: &Path) -> anyhow::Result<ExitCode> {
    let mut baseline = Baseline::read(path)?;
    let measured = measure()?;
    write!(std::io::stdout(), "{}", baseline.compare(&measured))?;
    baseline.accept(measured);
    baseline.write(path)?;
    writeln!(std::io::stdout(), "accepted: {} holds these counts now; commit it with the reason", path.display())?;
    Ok(ExitCode::SUCCESS)
}

fn measure() -> anyhow::Result<Measured> {
    let mut measured = Measured::of_this_machine(callgrind::version()?, callgrind::rustc());
    for stage in Stage::ALL {
        let instructions = callgrind::count(stage, &profile(stage)?)?;
        measured.record(stage.name(), instructions as f64 / input::EVENTS as f64);
    }
    Ok(measured)
}

/// Where the profile of a stage is left for callgrind_annotate: beside the binary.
fn profile(stage: Stage) -> anyhow::Result<PathBuf> {
    let binary = std::env::current_exe()?;
    let directory = binary.with_file_name("callgrind");
    std::fs::create_dir_all(&directory)?;
    Ok(directory.join(format!("{}.out", stage.name())))
}
