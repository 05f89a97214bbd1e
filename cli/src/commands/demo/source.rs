//! Where the demo's events come from: the generator, or a file that is looked through beforehand.
//!
//! Both are read as lines by the same code as `millrace publish`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use millrace_domain::ids::Micros;
use millrace_domain::window::AcceptedWindow;
use millrace_generator::{Expected, Options, Stream, stream, write_ndjson};
use tokio::sync::mpsc;

use crate::commands::publish::OnError;
use crate::commands::publish::input::Input;
use crate::commands::publish::lines::{Head, Lines, Mark};
use crate::commands::publish::reader::{self, Content, Item, Rules};
use crate::commands::publish::record::Record;
use crate::commands::publish::skipped::SkippedLines;

use super::teller::Teller;

const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Undecodable records are part of the show.
const RULES: Rules = Rules { allow_raw: true, line_bytes_max: LINE_BYTES_MAX };
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// The worker's own defaults.
const WINDOW_DEFAULT: AcceptedWindow = AcceptedWindow { back_ms: 2 * 365 * DAY_MS, ahead_ms: 60 * 60 * 1_000 };
/// Months of the event log are made for all of the window: a single id from the year 9000 must not ask for them.
const AHEAD_MS_MAX: i64 = 5 * 365 * DAY_MS;

/// The totals of generated events, once the generator is at its end; of a file nobody knows any.
pub type Totals = Option<Arc<OnceLock<Expected>>>;

/// Events to be published.
pub struct Source {
    /// What it is, for people.
    pub name: String,
    /// How many lines it has, blank ones not counted.
    pub lines: u64,
    /// The accepted window that fits it.
    pub window: AcceptedWindow,
    /// Where lines go that are not events; without it the first such line ends the run.
    pub skipped: Option<SkippedLines>,
    origin: Origin,
}

enum Origin {
    Generator(Box<Generated>, Arc<OnceLock<Expected>>),
    File(PathBuf),
}

impl Source {
    /// Generated events with everything that goes wrong in life.
    pub fn generated(lines: u64, seed: u64) -> anyhow::Result<Source> {
        let stream = stream(Options { seed, lines, invalid: 0.0005, ..Options::default() })?;
        let expected = Arc::new(OnceLock::new());
        let generated = Generated { stream, buffer: Vec::new(), read: 0, expected: expected.clone() };
        Ok(Source {
            name: format!("the generator, seed {seed}"),
            lines,
            window: WINDOW_DEFAULT,
            skipped: None,
            origin: Origin::Generator(Box::new(generated), expected),
        })
    }

    /// A file. It is read once now, for its errors and for the time in its ids, and once to be published.
    pub async fn file(path: &Path, on_error: OnError, now: Micros, teller: &Teller) -> anyhow::Result<Source> {
        let input = Input::open(path)?;
        let name = input.name.clone();
        let Some(bytes) = input.bytes else {
            bail!("--events {name}: the demo reads its events twice, so it wants a regular file");
        };
        teller.begin(bytes, "bytes looked through");
        let scan = scan(input, on_error, teller).await;
        teller.end();
        let Scan { lines, bad, oldest_and_newest_ms } = scan?;
        if lines == 0 {
            bail!("--events {name}: there is no event in it");
        }
        let (window, reach) = window(oldest_and_newest_ms, now);
        let skipped = SkippedLines::default_path(Some(path));
        let bad = match bad {
            0 => String::new(),
            bad => format!(" {bad} of them are no events and go to {} with their reasons.", skipped.display()),
        };
        teller.say("scan", &format!("{} lines in {name}.{bad} {reach}", super::teller::count(lines)));
        Ok(Source {
            name,
            lines,
            window,
            skipped: match on_error {
                OnError::Stop => None,
                OnError::Skip => Some(SkippedLines::start(skipped)?),
            },
            origin: Origin::File(path.to_owned()),
        })
    }

    /// Begins to read and parse. The totals are known when the generator is at its end.
    pub fn start(&mut self) -> anyhow::Result<(mpsc::Receiver<Vec<Item>>, Totals)> {
        let file = Origin::File(PathBuf::new());
        match std::mem::replace(&mut self.origin, file) {
            Origin::File(path) => Ok((open(Input::open(&path)?)?, None)),
            Origin::Generator(generated, expected) => {
                let lines = Lines::new(generated, Mark::default(), LINE_BYTES_MAX, Head::default());
                Ok((reader::start(lines, RULES)?, Some(expected)))
            }
        }
    }
}

fn open(input: Input) -> anyhow::Result<mpsc::Receiver<Vec<Item>>> {
    let lines = input.lines_from(Mark::default(), LINE_BYTES_MAX, &Head::default(), |_| Ok(()))?;
    Ok(reader::start(lines, RULES)?)
}

/// The generator's stream as bytes.
struct Generated {
    stream: Stream,
    buffer: Vec<u8>,
    read: usize,
    expected: Arc<OnceLock<Expected>>,
}

impl Read for Generated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        const LINES_AT_ONCE: usize = 256;
        if self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
            write_ndjson(self.stream.by_ref().take(LINES_AT_ONCE), &mut self.buffer)?;
            if self.buffer.is_empty() {
                self.expected.get_or_init(|| self.stream.expected());
            }
        }
        let copied = (&self.buffer[self.read..]).read(out)?;
        self.read += copied;
        Ok(copied)
    }
}

/// What a file holds.
#[derive(Default)]
struct Scan {
    lines: u64,
    bad: u64,
    oldest_and_newest_ms: Option<(i64, i64)>,
}

async fn scan(input: Input, on_error: OnError, teller: &Teller) -> anyhow::Result<Scan> {
    let name = input.name.clone();
    let mut items = open(input)?;
    let mut scan = Scan::default();
    loop {
        let batch = items.recv().await.context("the reading thread ended without a word")?;
        for Item { mark, content } in batch {
            teller.reach(mark.offset);
            match content {
                Content::End => return Ok(scan),
                Content::Unreadable(error) => {
                    return Err(error).with_context(|| format!("{name}: cannot be read behind line {}", mark.line));
                }
                Content::Bad(bad) if on_error == OnError::Stop => bail!(
                    "{name}:{}: {}\nNothing was published. Correct the line; `--on-error skip` sets such lines aside \
                     instead",
                    mark.line,
                    bad.reason
                ),
                Content::Bad(_) => scan.bad += 1,
                Content::Record(Record::Event(event)) => {
                    let ms = event.event_id.unix_ms();
                    let (oldest, newest) = scan.oldest_and_newest_ms.unwrap_or((ms, ms));
                    scan.oldest_and_newest_ms = Some((oldest.min(ms), newest.max(ms)));
                }
                Content::Record(Record::Raw(_)) => {}
            }
            scan.lines += 1;
        }
    }
}

/// The window that takes every id, and what to say of it.
fn window(oldest_and_newest_ms: Option<(i64, i64)>, now: Micros) -> (AcceptedWindow, String) {
    let Some((oldest, newest)) = oldest_and_newest_ms else { return (WINDOW_DEFAULT, String::new()) };
    let now_ms = now.0.div_euclid(1_000);
    let ahead_ms = (newest - now_ms).saturating_add(WINDOW_DEFAULT.ahead_ms).max(WINDOW_DEFAULT.ahead_ms);
    let window = AcceptedWindow {
        back_ms: (now_ms - oldest).saturating_add(DAY_MS).max(WINDOW_DEFAULT.back_ms),
        ahead_ms: ahead_ms.min(AHEAD_MS_MAX),
    };
    // An id's 48 bits reach beyond the years that a date can tell.
    let day = |ms: i64| match millrace_wire::json::rfc3339(Micros(ms.saturating_mul(1_000))) {
        Some(moment) => moment.split('T').next().unwrap_or_default().to_owned(),
        None => "a year beyond 9999".to_owned(),
    };
    let mut said = format!("Their ids are of {} to {}: ", day(oldest), day(newest));
    said += match (window == WINDOW_DEFAULT, ahead_ms > AHEAD_MS_MAX) {
        (_, true) => "later ones than 5 years ahead will be rejected as outside_window",
        (true, _) => "within the usual window of 2 years",
        (false, _) => "the workers' accepted window is widened to fit them",
    };
    (window, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_fits_every_id_and_is_never_smaller_than_the_usual_one() {
        let now = Micros(1_700_000_000_000_000);
        let now_ms = 1_700_000_000_000;
        let inside = |window: AcceptedWindow, ms| {
            let (earliest, latest) = window.bounds_ms(now);
            (earliest..=latest).contains(&ms)
        };
        let (recent, _) = window(Some((now_ms - 5, now_ms)), now);
        assert_eq!(recent, WINDOW_DEFAULT);
        let (old, said) = window(Some((now_ms - 4_000 * DAY_MS, now_ms - 3_000 * DAY_MS)), now);
        assert!(inside(old, now_ms - 4_000 * DAY_MS), "{old:?}");
        assert!(said.contains("widened"), "{said}");
        let (future, _) = window(Some((now_ms, now_ms + 10 * DAY_MS)), now);
        assert!(inside(future, now_ms + 10 * DAY_MS), "{future:?}");
        let (absurd, said) = window(Some((now_ms, (1 << 48) - 1)), now);
        assert_eq!(absurd.ahead_ms, AHEAD_MS_MAX);
        assert!(said.contains("outside_window"), "{said}");
    }
}
