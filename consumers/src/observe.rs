//! What a lane counts and times, under the names of `metrics`.

use std::time::Instant;

use metrics::{counter, histogram};
use millrace_store::error::Remedy;
use millrace_store::rows::Batch;

use crate::flow::work::Work;
use crate::lane::now;
use crate::metrics as names;

/// Counts a batch that is tried again.
pub(crate) fn retried(remedy: Remedy) {
    counter!(names::RETRIES, "remedy" => remedy_label(remedy)).increment(1);
}

fn remedy_label(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Retry => "retry",
        Remedy::Reconnect => "reconnect",
        Remedy::LookUp => "look_up",
        Remedy::Bisect => "bisect",
        Remedy::LookForParked => "look_for_parked",
        Remedy::Fenced => "fenced",
        Remedy::Halt => "halt",
    }
}

/// Counts the batches of a transaction that lanes share.
pub(crate) fn transaction(batches: usize) {
    histogram!(names::TRANSACTION_BATCHES).record(batches as f64);
}

/// Counts what a committed batch did.
pub(crate) fn committed(batch: &Batch, work: Work<'_>, began: Instant) {
    let c = &batch.counts;
    for (disposition, count) in [("applied", c.applied), ("duplicate", c.duplicate), ("parked", c.parked)] {
        counter!(names::RECORDS, "disposition" => disposition, "reason" => "")
            .increment(u64::from(count.unsigned_abs()));
    }
    for letter in &batch.dead_letters {
        counter!(names::RECORDS, "disposition" => "rejected", "reason" => letter.reason.kind()).increment(1);
    }
    for (disposition, count) in
        [("applied", c.drained_applied), ("duplicate", c.drained_duplicate), ("rejected", c.drained_rejected)]
    {
        counter!(names::DRAINED, "disposition" => disposition).increment(u64::from(count.unsigned_abs()));
    }
    counter!(names::BATCHES).increment(1);
    histogram!(names::BATCH_SECONDS).record(began.elapsed().as_secs_f64());
    let Work::Records(records) = work else { return };
    histogram!(names::BATCH_RECORDS).record(records.len() as f64);
    let committed_at = now();
    let latency = histogram!(names::PUBLISH_TO_COMMIT_SECONDS);
    for published_at in records.iter().filter_map(|(record, _)| record.raw.published_at) {
        latency.record((committed_at.0 - published_at.0) as f64 / 1e6);
    }
}
