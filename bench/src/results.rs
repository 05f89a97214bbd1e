//! What was measured, as it stands in `results.json`.
//!
//! Its names are an interface: `compare` reads what an older bench wrote. Judging is left to `bars` and `compare`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The figures of one run by their names in [`figure`].
pub type Figures = BTreeMap<&'static str, f64>;

/// The names of the figures; the unit stands last.
#[allow(missing_docs, reason = "the values say it, and DEFINITIONS explains them")]
pub mod figure {
    pub const RATE: &str = "events_per_second";
    pub const SECONDS: &str = "seconds";
    pub const CPU_PROCESS: &str = "cpu_process_s_per_million";
    pub const CPU_POSTGRES: &str = "cpu_postgres_s_per_million";
    pub const CPU_BROKERS: &str = "cpu_brokers_s_per_million";
    pub const MEMORY_MIB: &str = "memory_peak_mib";
    pub const WAL_BYTES: &str = "wal_bytes_per_event";
    pub const P50_MS: &str = "latency_p50_ms";
    pub const P90_MS: &str = "latency_p90_ms";
    pub const P99_MS: &str = "latency_p99_ms";
    pub const MAX_MS: &str = "latency_max_ms";
    pub const GAP_S: &str = "gap_s";
    pub const CPU_BROKERS_PUBLISHING: &str = "cpu_brokers_publishing_s_per_million";
    pub const KAFKA_BYTES: &str = "kafka_bytes_per_event";
    pub const DISK_BYTES: &str = "disk_bytes_per_event";

    /// Each with what it means.
    pub const DEFINITIONS: &[(&str, &str)] = &[
        (RATE, "events per second, from the first commit to the last by Postgres' own commit timestamps"),
        (SECONDS, "the time of that rate"),
        (CPU_PROCESS, "CPU seconds of the process under test for a million events, once its first result is visible"),
        (CPU_POSTGRES, "the same of Postgres, all its processes together"),
        (CPU_BROKERS, "the same of the three brokers together"),
        (MEMORY_MIB, "the most resident memory that the process ever had (VmHWM)"),
        (WAL_BYTES, "bytes of write-ahead log for each event"),
        (P50_MS, "from the scheduled time of an event to its commit: half of the events took no longer"),
        (P90_MS, "the same, 90 of 100"),
        (P99_MS, "the same, 99 of 100"),
        (MAX_MS, "the same, all of them"),
        (GAP_S, "the longest time without a commit on a partition that stays with its worker"),
        (
            CPU_BROKERS_PUBLISHING,
            "CPU seconds of the three brokers for a million events that are published in large batches",
        ),
        (KAFKA_BYTES, "bytes of one replica's log for each event: key, value and headers, compressed in large batches"),
        (DISK_BYTES, "bytes of the ledger's tables and indexes for each event"),
    ];

    /// Whether a larger value is the better one.
    pub fn more_is_better(name: &str) -> bool {
        name == RATE
    }
}

/// Everything that one bench found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// `short` or `long`, or what was asked for.
    pub form: String,
    /// What was typed.
    pub command: String,
    /// The commit, with `-dirty` if files differed from it.
    pub commit: String,
    /// RFC 3339, UTC.
    pub date: String,
    /// How long the whole bench took.
    pub took_seconds: f64,
    /// What it ran on.
    pub machine: Machine,
    /// One for each contender of each scenario.
    pub measurements: Vec<Measurement>,
    /// What is asked of Millrace, and whether it is so.
    pub bars: Vec<Bar>,
    /// What was not as it should be: a contender that could not be run, and why.
    pub notes: Vec<String>,
    /// Runs whose result was wrong. Their figures count for nothing.
    pub wrong: Vec<String>,
}

/// The machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "said by the names")]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub postgres: BTreeMap<String, String>,
}

/// One contender in one scenario.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// What was to be done.
    pub scenario: String,
    /// Who did it.
    pub contender: String,
    /// The place on the curve, where the scenario is one: partitions, workers, records.
    pub parameter: Option<u64>,
    /// How many events a run has.
    pub events: u64,
    /// By the names in [`figure`].
    pub figures: BTreeMap<String, Spread>,
}

/// The values of all rounds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "said by the names")]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub runs: Vec<f64>,
}

impl Spread {
    fn add(&mut self, value: f64) {
        self.runs.push(value);
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        self.median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
        };
        self.min = sorted[0];
        self.max = sorted[sorted.len() - 1];
    }
}

/// One bar of the issue.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bar {
    /// Its stable name.
    pub name: String,
    /// What it says.
    pub statement: String,
    /// What was found, if it was measured.
    pub figure: Option<f64>,
    /// What is wanted.
    pub target: f64,
    /// Whether the figure must be at least the target; else at most.
    pub at_least: bool,
    /// Whether this run measured it.
    pub measured: bool,
    /// Whether it is as wanted; null where it was not measured.
    pub held: Option<bool>,
    /// The earlier run that the figure is of, where this one did not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// An earlier run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its results, as a path within the repository.
    pub file: String,
    /// Its commit.
    pub commit: String,
    /// RFC 3339, UTC.
    pub date: String,
}

impl Results {
    /// One more run.
    pub fn add(&mut self, place: &Place<'_>, events: u64, figures: &Figures) {
        let stands = self.measurements.iter_mut().find(|m| place.is_of(m));
        let measurement = match stands {
            Some(measurement) => measurement,
            None => {
                self.measurements.push(Measurement {
                    scenario: place.scenario.to_owned(),
                    contender: place.contender.to_owned(),
                    parameter: place.parameter,
                    events,
                    figures: BTreeMap::new(),
                });
                self.measurements.last_mut().expect("it was pushed a line above")
            }
        };
        for (name, value) in figures {
            measurement.figures.entry((*name).to_owned()).or_default().add(*value);
        }
    }

    /// The median of one figure.
    pub fn median(&self, scenario: &str, contender: &str, name: &str) -> Option<f64> {
        self.median_at(&Place { scenario, contender, parameter: None }, name)
    }

    /// The same at a place of a curve.
    pub fn median_at(&self, place: &Place<'_>, name: &str) -> Option<f64> {
        let measurement = self.measurements.iter().find(|m| place.is_of(m))?;
        Some(measurement.figures.get(name)?.median)
    }

    /// The contenders of a scenario, in the order in which they ran.
    pub fn of<'a>(&'a self, scenario: &'a str) -> impl Iterator<Item = &'a Measurement> {
        self.measurements.iter().filter(move |m| m.scenario == scenario)
    }

    /// The scenarios, in the order in which they ran.
    pub fn scenarios(&self) -> Vec<&str> {
        let mut scenarios: Vec<&str> = Vec::new();
        for measurement in &self.measurements {
            if !scenarios.contains(&measurement.scenario.as_str()) {
                scenarios.push(&measurement.scenario);
            }
        }
        scenarios
    }
}

/// Which measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are those of Measurement")]
pub struct Place<'a> {
    pub scenario: &'a str,
    pub contender: &'a str,
    pub parameter: Option<u64>,
}

impl Place<'_> {
    fn is_of(&self, m: &Measurement) -> bool {
        m.scenario == self.scenario && m.contender == self.contender && m.parameter == self.parameter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_median_of_all_runs() {
        let mut spread = Spread::default();
        [3.0, 1.0].iter().for_each(|value| spread.add(*value));
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 3.0));
        spread.add(10.0);
        assert_eq!((spread.median, spread.min, spread.max), (3.0, 1.0, 10.0));
    }
}
