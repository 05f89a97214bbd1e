//! What people see on a terminal while it runs; elsewhere only what `say` says.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::acks::Acks;
use crate::output::note;

/// A progress bar on stderr, or nothing.
pub struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// A bar over the bytes of a file, or a count of what comes from elsewhere.
    pub fn new(input_bytes: Option<u64>) -> Progress {
        let began = Instant::now();
        if !io::stderr().is_terminal() {
            return Progress { bar: None, began };
        }
        let template = match input_bytes {
            Some(_) => "{bar:30} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {elapsed}  {msg}",
        };
        let bar = ProgressBar::with_draw_target(input_bytes, ProgressDrawTarget::stderr())
            .with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar: Some(bar), began }
    }

    /// No bar: the caller shows one of its own.
    pub fn hidden() -> Progress {
        Progress { bar: None, began: Instant::now() }
    }

    /// Shows the books.
    pub fn show(&self, acks: &Acks) {
        let Some(bar) = &self.bar else { return };
        let seconds = self.began.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        let per_second = acks.accepted as f64 / seconds;
        let skipped = if acks.skipped > 0 { format!(", {} skipped", acks.skipped) } else { String::new() };
        bar.set_message(format!("{} accepted{skipped}, {per_second:.0}/s", acks.accepted));
        bar.set_position(acks.mark.offset);
        bar.tick();
    }

    /// One line for people.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
