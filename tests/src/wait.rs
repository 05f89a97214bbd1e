//! Waiting: ask again until it is so, or until a deadline, and then say what was seen last.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often the question is asked.
const INTERVAL: Duration = Duration::from_millis(25);

/// Asks until `Ok`, and panics with what was seen last when the deadline is over.
pub async fn until<T, E: Display>(what: &str, deadline: Duration, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if began.elapsed() > deadline => {
                panic!("waited {} s for this: {what}. Seen last: {seen}", deadline.as_secs())
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
