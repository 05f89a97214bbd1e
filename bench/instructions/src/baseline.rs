//! The committed counts, and how measured ones compare with them.
//!
//! Counts of another architecture say nothing here, so each has its own. A compiler or a valgrind of another version may
//! move them too: both are named, so that a reader knows whom to suspect.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// `baseline.json`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// How much more than the baseline a stage may cost, in per cent. It must stay above the jitter of the counts.
    tolerance_percent: f64,
    architectures: BTreeMap<String, Counts>,
}

/// The counts of one architecture.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
struct Counts {
    rustc: String,
    valgrind: String,
    instructions_per_event: BTreeMap<String, f64>,
}

/// What this run counted.
pub struct Measured {
    architecture: &'static str,
    counts: Counts,
}

impl Measured {
    /// Nothing yet, by these tools.
    pub fn of_this_machine(valgrind: String, rustc: String) -> Measured {
        let counts = Counts { rustc, valgrind, instructions_per_event: BTreeMap::new() };
        Measured { architecture: std::env::consts::ARCH, counts }
    }

    /// Takes a stage's count, to a tenth of an instruction.
    pub fn record(&mut self, stage: &str, per_event: f64) {
        self.counts.instructions_per_event.insert(stage.into(), (per_event * 10.0).round() / 10.0);
    }
}

impl Baseline {
    /// Reads the file.
    pub fn read(path: &Path) -> anyhow::Result<Baseline> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let baseline: Baseline =
            serde_json::from_str(&text).with_context(|| format!("{}: not a baseline", path.display()))?;
        anyhow::ensure!(
            baseline.tolerance_percent.is_finite() && baseline.tolerance_percent > 0.0,
            "{}: tolerance_percent is {}, it must be above 0",
            path.display(),
            baseline.tolerance_percent
        );
        Ok(baseline)
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(self)?);
        std::fs::write(path, text).with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Makes what was measured the baseline of its architecture.
    pub fn accept(&mut self, measured: Measured) {
        self.architectures.insert(measured.architecture.into(), measured.counts);
    }

    /// Holds what was measured against the baseline.
    pub fn compare(&self, measured: &Measured) -> Comparison {
        let stood = self.architectures.get(measured.architecture);
        let rows = measured.counts.instructions_per_event.iter().map(|(stage, now)| {
            let before = stood.and_then(|counts| counts.instructions_per_event.get(stage)).copied();
            Row { stage: stage.clone(), before, now: *now, verdict: self.verdict(before, *now) }
        });
        Comparison {
            rows: rows.collect(),
            tolerance_percent: self.tolerance_percent,
            no_baseline_for: stood.is_none().then(|| measured.architecture.to_owned()),
            other_tools: stood.and_then(|counts| other_tools(counts, &measured.counts)),
        }
    }

    fn verdict(&self, before: Option<f64>, now: f64) -> Verdict {
        let Some(before) = before else { return Verdict::New };
        let change = change_percent(before, now);
        match () {
            () if change > self.tolerance_percent => Verdict::Slower,
            () if change < -self.tolerance_percent => Verdict::Faster,
            () => Verdict::Same,
        }
    }
}

fn change_percent(before: f64, now: f64) -> f64 {
    (now / before - 1.0) * 100.0
}

fn other_tools(before: &Counts, now: &Counts) -> Option<String> {
    let pairs = [(&before.rustc, &now.rustc), (&before.valgrind, &now.valgrind)];
    let moved = pairs.into_iter().filter(|(before, now)| before != now);
    let told: Vec<String> = moved.map(|(before, now)| format!("{now} instead of {before}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Same,
    Slower,
    Faster,
    New,
}

struct Row {
    stage: String,
    before: Option<f64>,
    now: f64,
    verdict: Verdict,
}

/// Every stage beside its baseline; shown as a table.
pub struct Comparison {
    rows: Vec<Row>,
    tolerance_percent: f64,
    no_baseline_for: Option<String>,
    other_tools: Option<String>,
}

impl Comparison {
    /// Whether a stage costs more than the tolerance allows.
    pub fn is_slower(&self) -> bool {
        self.has(Verdict::Slower)
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.rows.iter().any(|row| row.verdict == verdict)
    }

    fn advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ACCEPT: &str = "`make instructions-accept` makes these counts the baseline";
        if let Some(architecture) = &self.no_baseline_for {
            return writeln!(f, "no baseline for {architecture}: nothing was compared; {ACCEPT} of {architecture}");
        }
        if let Some(tools) = &self.other_tools {
            writeln!(f, "the baseline was counted by other tools: {tools}; they too can move a count")?;
        }
        if self.has(Verdict::Slower) {
            writeln!(
                f,
                "SLOWER than {} % allow: `callgrind_annotate callgrind/STAGE.out`, beside the binary, shows where. If the \
                 price is right, {ACCEPT}: commit it with the reason",
                self.tolerance_percent
            )?;
        }
        if !self.is_slower() && (self.has(Verdict::Faster) || self.has(Verdict::New)) {
            writeln!(f, "{ACCEPT}, so that what was gained is kept")?;
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "instructions per event (tolerance {} %)", self.tolerance_percent)?;
        writeln!(f, "  {:<10} {:>12} {:>12} {:>9}", "stage", "baseline", "now", "change")?;
        for Row { stage, before, now, verdict } in &self.rows {
            let stood = before.map_or("-".into(), |before| format!("{before:.1}"));
            let change = before.map_or("-".into(), |before| format!("{:+.2} %", change_percent(before, *now)));
            let word = match verdict {
                Verdict::Same => "",
                Verdict::Slower => "  SLOWER",
                Verdict::Faster => "  faster",
                Verdict::New => "  new",
            };
            writeln!(f, "  {stage:<10} {stood:>12} {now:>12.1} {change:>9}{word}")?;
        }
        self.advice(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(decode: f64) -> Counts {
        let instructions_per_event = BTreeMap::from([("decode".to_owned(), decode)]);
        Counts { rustc: "rustc 1".into(), valgrind: "valgrind-3".into(), instructions_per_event }
    }

    fn compare(before: f64, now: f64) -> Comparison {
        let architectures = BTreeMap::from([("x86_64".to_owned(), counts(before))]);
        let baseline = Baseline { tolerance_percent: 3.0, architectures };
        baseline.compare(&Measured { architecture: "x86_64", counts: counts(now) })
    }

    #[test]
    fn a_stage_is_slower_only_beyond_the_tolerance() {
        for (now, verdict) in
            [(1000.0, Verdict::Same), (1029.0, Verdict::Same), (1031.0, Verdict::Slower), (969.0, Verdict::Faster)]
        {
            let comparison = compare(1000.0, now);
            assert_eq!(comparison.rows[0].verdict, verdict, "{now}");
            assert_eq!(comparison.is_slower(), verdict == Verdict::Slower);
        }
    }

    #[test]
    fn a_slower_stage_says_how_a_new_baseline_is_accepted() {
        let said = compare(1000.0, 1100.0).to_string();
        assert!(said.contains("+10.00 %  SLOWER") && said.contains("make instructions-accept"), "{said}");
    }

    #[test]
    fn counts_of_another_architecture_are_not_compared() {
        let baseline = Baseline { tolerance_percent: 3.0, architectures: BTreeMap::new() };
        let comparison = baseline.compare(&Measured { architecture: "riscv64", counts: counts(1.0) });
        assert!(!comparison.is_slower());
        assert!(comparison.to_string().contains("no baseline for riscv64: nothing was compared"));
    }

    #[test]
    fn another_compiler_is_named_for_it_may_be_the_cause() {
        let mut now = counts(1100.0);
        now.rustc = "rustc 2".into();
        let architectures = BTreeMap::from([("x86_64".to_owned(), counts(1000.0))]);
        let baseline = Baseline { tolerance_percent: 3.0, architectures };
        let said = baseline.compare(&Measured { architecture: "x86_64", counts: now }).to_string();
        assert!(said.contains("rustc 2 instead of rustc 1"), "{said}");
    }
}
