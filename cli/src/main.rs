//! The `millrace` binary: one executable, a thin subcommand for each job.
//!
//! Commands live in `commands/`; what they do lives in the crates. This file parses, dispatches, and turns errors
//! into one message and an exit code.

mod allocator;
mod commands;
mod connection;
mod numbers;
mod output;
mod record;
mod show;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::connection::Connection;
use crate::output::Format;

/// A Kafka-based payment event pipeline: published events become a double-entry ledger in Postgres, exactly once.
///
/// Without settings every command talks to the stack that `make up` starts on this machine.
#[derive(Parser)]
#[command(name = "millrace", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    /// How the result is printed on stdout: text for people, json for programs.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Getting started:
  make up                                  start Kafka and Postgres on this machine
  millrace topics apply                    make the topics of ./topics.yaml
  millrace worker                          run a worker; run more in other terminals
  millrace generate -n 10000 | millrace publish -
  millrace status                          what became of the events, and whether the books balance

Exit codes: 0 done, 1 error or not all is well (status, verify), 2 changes pending (topics plan),
3 refused (topics) or lines were skipped (publish), 70 the watchdog ended a worker.";

/// Each is described where its arguments are: a description here would hide the long one.
#[derive(Subcommand)]
enum Command {
    Topics(commands::topics::TopicsArgs),
    Publish(commands::publish::PublishArgs),
    Generate(commands::generate::GenerateArgs),
    Worker(commands::worker::WorkerArgs),
    Demo(commands::demo::DemoArgs),
    Status(commands::status::StatusArgs),
    Payment(commands::payment::PaymentArgs),
    DeadLetters(commands::dead_letters::DeadLettersArgs),
    Verify(commands::verify::VerifyArgs),
    AcceptGap(commands::accept_gap::AcceptGapArgs),
    PlanCapacity(commands::plan_capacity::PlanCapacityArgs),
    Migrate(commands::migrate::MigrateArgs),
}

/// A part that dies ends the process: half alive hides loss.
///
/// A hook and not `panic = "abort"` in the profile, which tests cannot have: all dependencies would be built a second
/// time for them.
fn abort_on_panic() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::abort();
    }));
}

fn main() -> ExitCode {
    abort_on_panic();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap ends usage errors with 2, which here means "changes pending".
            let failed = error.use_stderr();
            drop(error.print());
            return if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    output::start_logging(cli.output);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failure(&error),
    }
}

fn parse() -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&Cli::command().try_get_matches()?)
}

/// One message, without a backtrace: it is for the operator.
fn failure(error: &anyhow::Error) -> ExitCode {
    output::note(&format!("error: {error:#}"));
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { connection, output, command } = cli;
    match command {
        Command::Topics(args) => commands::topics::run(args, &connection.brokers, output).await,
        Command::Publish(args) => commands::publish::run(args, &connection.brokers, &connection.topic, output).await,
        Command::Generate(args) => commands::generate::run(args),
        Command::Worker(args) => commands::worker::run(args, &connection).await,
        Command::Demo(args) => commands::demo::run(args, &connection, output).await,
        Command::Status(args) => commands::status::run(args, &connection, output).await,
        Command::Payment(args) => commands::payment::run(args, &connection, output).await,
        Command::DeadLetters(args) => commands::dead_letters::run(args, &connection, output).await,
        Command::Verify(args) => commands::verify::run(args, &connection, output).await,
        Command::AcceptGap(args) => commands::accept_gap::run(args, &connection, output).await,
        Command::PlanCapacity(args) => commands::plan_capacity::run(&args, output),
        Command::Migrate(args) => commands::migrate::run(args, &connection, output).await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::{env, thread};

    use super::*;

    #[test]
    fn a_thread_that_panics_ends_the_process() {
        const IN_A_PROCESS_OF_ITS_OWN: &str = "MILLRACE_TEST_PANICS";
        const SIGABRT: i32 = 6;
        if env::var_os(IN_A_PROCESS_OF_ITS_OWN).is_some() {
            abort_on_panic();
            drop(thread::spawn(|| panic!("a bug of ours")).join());
            return;
        }
        let this = env::current_exe().expect("the path of this test");
        let mut again = Command::new(this);
        again.args(["--exact", "--nocapture", "tests::a_thread_that_panics_ends_the_process"]);
        let ended = again.env(IN_A_PROCESS_OF_ITS_OWN, "1").output().expect("this test, once more");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.signal(), Some(SIGABRT), "{said}");
        assert!(said.contains("a bug of ours"), "{said}");
    }
}
