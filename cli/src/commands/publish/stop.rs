//! Why publishing ends before the input does: the first reason is kept, and everyone can wait for it.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The first reason to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A signal, by its number.
    Signal(i32),
    /// A record was not accepted.
    NotAccepted,
}

/// Tells everyone to stop.
#[derive(Clone)]
pub struct Stopper(watch::Sender<Option<Stop>>);

impl Stopper {
    /// Nothing has to stop yet.
    pub fn new() -> Stopper {
        Stopper(watch::Sender::new(None))
    }

    /// Stops, unless there was a reason before.
    pub fn stop(&self, reason: Stop) {
        self.0.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(reason);
            }
            first
        });
    }

    /// The reason, if there is one.
    pub fn reason(&self) -> Option<Stop> {
        *self.0.borrow()
    }

    /// Someone who waits for the reason.
    pub fn watch(&self) -> watch::Receiver<Option<Stop>> {
        self.0.subscribe()
    }

    /// Stops at the first SIGINT or SIGTERM, and ends the process at the second.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopper = self.clone();
        tokio::spawn(async move {
            for count in 1.. {
                let number = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
                    _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                };
                if count > 1 {
                    std::process::exit(exit_code(number).into());
                }
                stopper.stop(Stop::Signal(number));
            }
        });
        Ok(())
    }
}

/// Resolves when there is a reason.
pub async fn stopped(watch: &mut watch::Receiver<Option<Stop>>) {
    if watch.wait_for(Option::is_some).await.is_err() {
        // Nobody can stop it any more.
        std::future::pending::<()>().await;
    }
}

/// What shells show for a process that a signal ended.
pub fn exit_code(signal: i32) -> u8 {
    128 + signal as u8
}

/// What people call a signal of those that stop.
pub fn name(signal: i32) -> &'static str {
    match signal == SignalKind::interrupt().as_raw_value() {
        true => "SIGINT",
        false => "SIGTERM",
    }
}
