//! What is said on stderr while the bench runs: one line for each run, and a bar with rate and time left within it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The voice of the bench.
pub struct Progress {
    began: Instant,
    quiet: bool,
}

/// One run.
pub struct Bar(ProgressBar);

impl Progress {
    /// `quiet`: nothing but what went wrong.
    pub fn new(quiet: bool) -> Progress {
        Progress { began: Instant::now(), quiet }
    }

    /// Since the bench began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("{:>6.1} s  {line}", self.began.elapsed().as_secs_f64());
        }
    }

    /// What goes wrong is said even by a quiet bench.
    pub fn warn(&self, line: &str) {
        eprintln!("{:>6.1} s  {line}", self.began.elapsed().as_secs_f64());
    }

    /// A run of so many events begins.
    pub fn bar(&self, what: &str, events: u64) -> Bar {
        let seen = !self.quiet && std::io::stderr().is_terminal();
        let target = if seen { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("  {msg} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} left");
        let bar = ProgressBar::with_draw_target(Some(events), target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_message(what.to_owned());
        bar.tick();
        Bar(bar)
    }
}

impl Bar {
    /// So many are done.
    pub fn at(&self, done: i64) {
        self.0.set_position(u64::try_from(done).unwrap_or(0));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
