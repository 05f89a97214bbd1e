//! SIGTERM and SIGINT: the first asks a command to finish, the second ends it at once.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output::note;

/// The exit code of a command that a second signal ended.
const EXIT_CODE_SECOND_SIGNAL: i32 = 130;

/// A supervisor may signal both the process and its group: within this time that is one request.
const SAME_REQUEST_MAX: Duration = Duration::from_secs(1);

/// A token that the first signal cancels.
pub fn stop_token() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let first = token.clone();
    tokio::spawn(async move {
        let mut asked_at: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if asked_at.get_or_insert_with(Instant::now).elapsed() > SAME_REQUEST_MAX {
                note("ended by a second signal, without finishing");
                std::process::exit(EXIT_CODE_SECOND_SIGNAL);
            }
            first.cancel();
        }
    });
    Ok(token)
}
