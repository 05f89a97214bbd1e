//! What people see while the demo runs: one line for each thing done, and a bar while they wait.
//!
//! With `-o json` stdout belongs to the result, and the lines go to stderr.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Format, note};

/// Where there is no terminal, a line says this often how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);
const TITLE_WIDTH: usize = 10;

/// Tells.
pub struct Teller {
    format: Format,
    bar: RefCell<Option<ProgressBar>>,
    said_at: Cell<Instant>,
}

impl Teller {
    /// Tells on stdout, or on stderr where stdout is for programs.
    pub fn new(format: Format) -> Teller {
        Teller { format, bar: RefCell::new(None), said_at: Cell::new(Instant::now()) }
    }

    /// One thing that was done, or begins.
    pub fn say(&self, title: &str, text: &str) {
        let line = format!("{title:<TITLE_WIDTH$} {text}");
        let print = || match self.format {
            Format::Text => drop(writeln!(io::stdout(), "{line}")),
            Format::Json => note(&line),
        };
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// From here on a bar of `total` records shows how far it is.
    pub fn begin(&self, total: u64, what: &'static str) {
        self.said_at.set(Instant::now());
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template("           {bar:30} {human_pos} of {human_len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(what);
        *self.bar.borrow_mut() = Some(bar);
    }

    /// So far.
    pub fn reach(&self, done: u64) {
        let Some(bar) = self.bar.borrow().clone() else { return };
        bar.set_position(done);
        let total = bar.length().unwrap_or(done);
        if bar.is_hidden() && done < total && self.said_at.get().elapsed() >= SAY_EVERY {
            self.said_at.set(Instant::now());
            self.say("", &format!("{} of {} {}", HumanCount(done), HumanCount(total), bar.message()));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// A number as people read it: `300,000`.
pub fn count(number: impl TryInto<u64>) -> String {
    number.try_into().map_or_else(|_| "?".into(), |number: u64| HumanCount(number).to_string())
}
