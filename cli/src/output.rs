//! How commands speak: results on stdout, as text or JSON; logs on stderr, for people or as JSON lines.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The form of a command's result on stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// Text and tables for people.
    #[default]
    Text,
    /// One JSON document for programs.
    Json,
}

/// The level of logs where MILLRACE_LOG says nothing. The client's own lines are said by us, once, as events.
const LOG_DEFAULT: &str = "info,librdkafka=error,rdkafka=error,sqlx=warn";

/// Starts logging to stderr: lines for people, or one JSON object a line with `-o json`.
pub fn start_logging(format: Format) {
    let filter = EnvFilter::try_from_env("MILLRACE_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // It would say on stderr that it cannot write to stderr, and panic: a full log disk must not end a worker.
    let lines = lines.log_internal_errors(false);
    match format {
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
}

/// One line on stderr. Nobody can be told that stderr is full or gone, and it is no reason to end.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
