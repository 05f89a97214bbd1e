//! Whether Postgres and Kafka answer: said once when it changes, not once for each lane.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use metrics::gauge;

/// One service that may be away.
pub(crate) struct Availability {
    name: &'static str,
    metric: &'static str,
    up: AtomicBool,
    recoveries: AtomicU64,
}

impl Availability {
    /// A service that is thought to answer until it does not.
    pub(crate) fn of(name: &'static str, metric: &'static str) -> Availability {
        gauge!(metric).set(1.0);
        Availability { name, metric, up: AtomicBool::new(true), recoveries: AtomicU64::new(0) }
    }

    /// Whether it answered last.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            self.recoveries.fetch_add(1, Ordering::Relaxed);
            gauge!(self.metric).set(1.0);
            tracing::info!("{} is back; going on where the lanes stood", self.name);
        }
    }

    /// How often it came back.
    pub(crate) fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Relaxed)
    }

    /// It did not answer, or said that it cannot.
    pub(crate) fn failed(&self, problem: &dyn std::fmt::Display) {
        if self.up.swap(false, Ordering::Relaxed) {
            gauge!(self.metric).set(0.0);
            tracing::warn!(%problem, "{} is away; waiting for it, nothing is lost", self.name);
        } else {
            tracing::debug!(%problem, "{} is still away", self.name);
        }
    }
}
