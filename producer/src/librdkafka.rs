//! librdkafka's own voice: its log lines and errors go to `tracing`, and an outage is told once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// A client that only has a voice.
pub(crate) struct Voice;

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
    }
}

/// One log line of librdkafka.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel as Level;
    // A broker that is away makes a line for each try. `Outage` says it once.
    const TOLD_BY_OUTAGE: &str = "FAIL";
    match level {
        _ if facility == TOLD_BY_OUTAGE => tracing::debug!(target: "librdkafka", facility, "{message}"),
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Level::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// Whether the brokers are away, and what was last heard of it.
#[derive(Default)]
pub(crate) struct Outage {
    connected: AtomicBool,
    told: AtomicBool,
    last_problem: Mutex<Option<String>>,
}

impl Outage {
    /// From now on an outage is worth a word; before, `connect` answers for it.
    pub(crate) fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    /// librdkafka reported a problem that it works on by itself.
    pub(crate) fn heard(&self, all_brokers_down: bool, reason: &str) {
        tracing::debug!(reason, "librdkafka reports an error");
        if all_brokers_down {
            if self.connected.load(Ordering::Relaxed) && !self.told.swap(true, Ordering::Relaxed) {
                let last = self.last_problem().unwrap_or_default();
                tracing::warn!(reason, last, "no broker can be reached; trying again until the delivery time-out");
            }
            return;
        }
        *self.last_problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// A broker acknowledged a record.
    pub(crate) fn over(&self) {
        if self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("the brokers can be reached again");
            *self.last_problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        }
    }

    pub(crate) fn last_problem(&self) -> Option<String> {
        self.last_problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
