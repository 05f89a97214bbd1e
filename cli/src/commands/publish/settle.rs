//! Awaits the results in the order of the lines and enters them into the books; keeps the checkpoint and the
//! progress bar up to date, and says once when the brokers stop acknowledging.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use millrace_producer::{Accepted, Cause, Delivery, Producer, PublishError};
use tokio::time::MissedTickBehavior;

use super::acks::Acks;
use super::checkpoint::Checkpoint;
use super::lines::{Head, Mark};
use super::progress::Progress;
use super::steps::{self, Step};
use super::stop::{Stop, Stopper, stopped};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// After a stop, results are awaited for so long.
const RESULTS_AFTER_STOP: Duration = Duration::from_secs(10);
/// A result that takes this long is worth a word.
const SLOW: Duration = Duration::from_secs(5);
/// So many results are entered before anything else is looked at.
const AT_ONCE_MAX: usize = 256;

/// The checkpoint as it grows.
pub struct Keeper {
    /// Where it is kept.
    pub path: PathBuf,
    /// What stays the same in it.
    pub template: Checkpoint,
    /// The beginning of the input.
    pub head: Head,
    /// Whether the run ends when it cannot be written: the caller asked for it by name.
    pub required: bool,
    /// The mark that was written last.
    pub written: Option<Mark>,
}

impl Keeper {
    /// Whether the checkpoint could be written, before anything is published.
    pub fn rehearse(&self, mark: Mark) -> anyhow::Result<()> {
        self.head.with(|head| self.template.at(mark, 0, head)).rehearse(&self.path)
    }

    /// Writes the checkpoint if the mark has moved: a run that came nowhere leaves no file behind.
    pub fn keep(&mut self, acks: &Acks) -> anyhow::Result<()> {
        if acks.mark == self.written.unwrap_or_default() {
            return Ok(());
        }
        let checkpoint = self.head.with(|head| self.template.at(acks.mark, acks.skipped_bytes, head));
        checkpoint.save(&self.path)?;
        self.written = Some(acks.mark);
        Ok(())
    }
}

/// The first record whose result was an error, or the checkpoint's.
#[derive(Debug)]
pub enum Trouble {
    /// A record was not accepted.
    NotAccepted {
        /// The number of its line.
        line: u64,
        /// Why.
        error: PublishError,
    },
    /// The checkpoint cannot be written.
    Checkpoint(anyhow::Error),
}

/// Everything that settling needs, and the books that it returns.
pub struct Settle<'a> {
    /// Whose results they are.
    pub producer: &'a Producer,
    /// What was sent and skipped.
    pub steps: steps::Receiver,
    /// The books.
    pub acks: Acks,
    /// The checkpoint, if there is one.
    pub keeper: Option<Keeper>,
    /// What people see.
    pub progress: Progress,
    /// Told when a record is not accepted.
    pub stopper: Stopper,
    /// How long the oldest record may wait for its result. The time-out is here and not in the producer, where a record that
    /// expires would be overtaken by those behind it: so what arrived of each user is the beginning of what was sent.
    pub timeout: Duration,
    /// The record whose result is awaited.
    pub waiting: Option<Waiting>,
    /// The first trouble.
    pub trouble: Option<Trouble>,
}

/// A record in the queue.
pub struct Waiting {
    mark: Mark,
    delivery: Delivery,
    behind: Duration,
    /// When it was first seen waiting, by the ticks that look.
    seen_at: Option<Instant>,
    told: bool,
}

impl Settle<'_> {
    /// Settles until all is sent and has its result, or until a stop has lasted too long.
    pub async fn run(mut self) -> (Acks, Option<Keeper>, Option<Trouble>) {
        let mut stop = self.stopper.watch();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept_at = Instant::now();
        let mut until = None;
        loop {
            // The rare arms first: results come without a pause.
            tokio::select! {
                biased;
                () = stopped(&mut stop), if until.is_none() => until = Some(Instant::now() + RESULTS_AFTER_STOP),
                () = sleep_until(until) => break,
                _ = ticks.tick() => {
                    self.look();
                    if kept_at.elapsed() >= CHECKPOINT_EVERY {
                        kept_at = Instant::now();
                        self.keep();
                    }
                }
                more = self.next() => if !more { break },
            }
        }
        self.keep();
        self.progress.finish();
        (self.acks, self.keeper, self.trouble)
    }

    /// Enters the next results, each once it is known; false when there are no more. May be dropped at any time: what is
    /// awaited stays in `waiting`.
    async fn next(&mut self) -> bool {
        for _ in 0..AT_ONCE_MAX {
            if let Some(waiting) = &mut self.waiting {
                let result = (&mut waiting.delivery).await;
                self.settled(result);
            }
            match self.steps.next().await {
                Some(step) => self.begin(step),
                None => return false,
            }
        }
        true
    }

    fn begin(&mut self, step: Step) {
        match step {
            Step::Skipped { mark, skipped_bytes } => self.acks.skip(mark, skipped_bytes),
            Step::Passed { mark } => self.acks.pass(mark),
            Step::Sent { mark, delivery, behind } => {
                self.waiting = Some(Waiting { mark, delivery, behind, seen_at: None, told: false });
            }
        }
    }

    fn settled(&mut self, result: Result<Accepted, PublishError>) {
        let Some(Waiting { mark, behind, told, .. }) = self.waiting.take() else { return };
        match result {
            Ok(accepted) => {
                if told {
                    self.progress.say("the brokers acknowledge again");
                }
                self.acks.accept(mark, behind + accepted.latency);
            }
            Err(error) => {
                self.acks.fail();
                self.not_accepted(mark.line, error);
            }
        }
    }

    fn not_accepted(&mut self, line: u64, error: PublishError) {
        self.trouble.get_or_insert(Trouble::NotAccepted { line, error });
        self.stopper.stop(Stop::NotAccepted);
    }

    fn look(&mut self) {
        self.progress.show(&self.acks);
        let Some(waiting) = &mut self.waiting else { return };
        let waited = waiting.seen_at.get_or_insert_with(Instant::now).elapsed();
        if waited >= self.timeout && self.trouble.is_none() {
            // Still under way, and still acknowledged if that comes before the end.
            let (event_id, topic) = (waiting.delivery.event_id(), self.producer.topic().into());
            let error = PublishError { event_id, topic, cause: Cause::TimedOut { after: self.timeout } };
            let line = waiting.mark.line;
            return self.not_accepted(line, error);
        }
        if waited < SLOW || waiting.told {
            return;
        }
        waiting.told = true;
        let problem = self.producer.last_problem().map_or(String::new(), |problem| format!(" ({problem})"));
        self.progress.say(&format!(
            "no acknowledgement from the brokers for {} s{problem}: trying for up to {}; Ctrl-C stops, and --resume \
             goes on later",
            SLOW.as_secs(),
            humantime::format_duration(self.timeout),
        ));
    }

    fn keep(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        let Err(error) = keeper.keep(&self.acks) else { return };
        if keeper.required {
            self.trouble.get_or_insert(Trouble::Checkpoint(error));
            self.stopper.stop(Stop::NotAccepted);
        } else {
            self.progress.say(&format!("{error:#}; going on without one, so --resume will not work"));
            self.keeper = None;
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
