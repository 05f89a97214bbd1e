//! `millrace generate`: a seeded stream of events as NDJSON on stdout, and the totals that it must end in.
//!
//! What is generated and how the totals are known is the business of `millrace-generator`; here are only its
//! options, the writing and the progress.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use millrace_generator::{Expected, Options, Profile, Stream, stream, write_ndjson};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Print a seeded, realistic stream of payment events, one JSON object a line
///
/// The same seed and options give the same payments and the same totals; with --start also the same bytes. Publish
/// the lines in their order: `millrace generate | millrace publish -`.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateArgs {
    /// Number of lines, exactly, of whatever kind
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10_000)]
    events: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which payments there are
    #[arg(long, value_enum, default_value_t = ProfileArg::Lifecycle)]
    profile: ProfileArg,
    /// Number of users; their popularity is skewed
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    users: u32,
    /// Number of merchants; their popularity is skewed
    #[arg(long, value_name = "N", default_value_t = 200)]
    merchants: u32,
    /// Share of the payments that go to the first user on top of its own: makes one partition hot
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    hot_user_share: f64,
    /// Share of the payments whose events carry sequence numbers
    #[arg(long, value_name = "SHARE", default_value_t = 0.15)]
    numbered: f64,
    /// Share of the lines that publish an earlier event again: duplicates
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    duplicates: f64,
    /// Share of the events that come after later ones of their payment: parked and drained, or harmless
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    reorder: f64,
    /// Share of the lines that carry an earlier event's id with other content: rejected
    #[arg(long, value_name = "SHARE", default_value_t = 0.001)]
    conflicts: f64,
    /// Share of the events that break a rule of their payment's state: rejected, or parked for good
    #[arg(long, value_name = "SHARE", default_value_t = 0.002)]
    mistakes: f64,
    /// Share of the lines that nothing can decode, as {"raw": ...} for `millrace publish --allow-raw`: rejected
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    invalid: f64,
    /// None of these: every event is applied as it comes
    #[arg(long, conflicts_with_all = ["duplicates", "reorder", "conflicts", "mistakes", "invalid"])]
    clean: bool,
    /// Time of the first event, RFC 3339 [default: --span before the current minute]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    start: Option<OffsetDateTime>,
    /// The events are spread evenly over this time
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = humantime::parse_duration)]
    span: Duration,
    /// Print no events but what a correct pipeline must end with, as one JSON object
    #[arg(long, conflicts_with = "expect_file")]
    expect: bool,
    /// Write that object to a file when the last event is printed
    #[arg(long, value_name = "PATH")]
    expect_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProfileArg {
    /// Whole life cycles: authorizations, captures, refunds, disputes, fees
    Lifecycle,
    /// One payment.charged for each payment, for benchmarks
    Charges,
}

/// Runs `millrace generate`. A reader that goes away ends it quietly.
pub fn run(args: GenerateArgs) -> anyhow::Result<ExitCode> {
    let mut lines = stream(options(&args)?)?;
    if args.expect {
        lines.by_ref().for_each(drop);
        print_expected(&lines.expected())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Opened first: a path that cannot be written is known before the events are on their way.
    let expect_file = args.expect_file.as_deref().map(create).transpose()?;
    match print_lines(&mut lines, args.events) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written.context("stdout: cannot write the events; is the disk full?")?,
    }
    if let (Some(file), Some(path)) = (expect_file, args.expect_file) {
        write_expected(file, &lines.expected()).with_context(|| cannot_write(&path))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &GenerateArgs) -> anyhow::Result<Options> {
    let options = Options {
        seed: args.seed,
        lines: args.events,
        users: args.users,
        merchants: args.merchants,
        hot_user_share: args.hot_user_share,
        duplicates: args.duplicates,
        reorder: args.reorder,
        conflicts: args.conflicts,
        invalid: args.invalid,
        mistakes: args.mistakes,
        numbered: args.numbered,
        profile: match args.profile {
            ProfileArg::Lifecycle => Profile::Lifecycle,
            ProfileArg::Charges => Profile::Charges,
        },
        start: args.start,
        span: args.span.try_into().context("span: too long; at most 3650d")?,
    };
    if !args.clean {
        return Ok(options);
    }
    let Options { duplicates, reorder, conflicts, invalid, mistakes, .. } = Options::clean();
    Ok(Options { duplicates, reorder, conflicts, invalid, mistakes, ..options })
}

fn print_lines(lines: &mut Stream, count: u64) -> io::Result<()> {
    let progress = progress(count);
    let mut out = BufWriter::with_capacity(OUT_BYTES, io::stdout().lock());
    write_ndjson(progress.wrap_iter(lines), &mut out)?;
    out.flush()
}

const OUT_BYTES: usize = 256 * 1024;

/// A bar on stderr where somebody can see it and it does not run through the events.
fn progress(count: u64) -> ProgressBar {
    let is_seen = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let target = if is_seen { ProgressDrawTarget::stderr_with_hz(4) } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events {per_sec} {eta}");
    ProgressBar::with_draw_target(Some(count), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_finish(ProgressFinish::AndClear)
}

fn print_expected(expected: &Expected) -> anyhow::Result<()> {
    match write_expected(io::stdout().lock(), expected) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout: cannot write the totals; is the disk full?"),
    }
}

fn write_expected(mut out: impl Write, expected: &Expected) -> io::Result<()> {
    let json = serde_json::to_string_pretty(expected)?;
    writeln!(out, "{json}")?;
    out.flush()
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("--expect-file {}: cannot write it; give a file in a directory that exists and is yours", path.display())
}

fn parse_time(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|error| format!("{error}; give a time such as 2026-01-31T12:00:00Z"))
}
