//! What one event costs, as measured, and how large the machines are: `costs.json`, each figure with its source.
//!
//! The file is built in, so that the command needs nothing beside it. `--set` overrides a figure for one run.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expr::{Expr, term};

const BUILT_IN: &str = include_str!("costs.json");
/// Figures outside this say nothing, and would leave what a number can hold.
const VALUES: std::ops::RangeInclusive<f64> = 1e-6..=1e12;

/// A value that somebody measured or chose.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Its unit; empty for a ratio.
    pub unit: String,
    /// The command that measured it, or why it was chosen.
    pub source: String,
}

/// `costs.json`.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Where the costs were measured.
    pub machine: String,
    /// What one event costs.
    pub costs: Costs,
    /// How large the machines are, and other choices.
    pub sizes: Sizes,
}

/// What one event costs, or a million of them.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each figure says in costs.json what it is")]
pub struct Costs {
    pub worker_cpu: Figure,
    pub postgres_cpu: Figure,
    pub broker_cpu: Figure,
    pub lane_rate: Figure,
    pub worker_memory: Figure,
    pub wal_bytes: Figure,
    pub disk_bytes: Figure,
    pub copy_bytes: Figure,
    pub kafka_bytes: Figure,
}

/// What was chosen.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "each figure says in costs.json what it is")]
pub struct Sizes {
    pub partition_skew: Figure,
    pub partitions_start: Figure,
    pub partitions_per_shard: Figure,
    pub worker_cores: Figure,
    pub postgres_cores: Figure,
    pub postgres_memory: Figure,
    pub postgres_disk: Figure,
    pub postgres_wal: Figure,
    pub standbys: Figure,
    pub broker_cores: Figure,
    pub broker_memory: Figure,
    pub broker_disk: Figure,
    pub broker_network: Figure,
}

/// A figure that `--set` gives for this run.
#[derive(Clone, PartialEq, Debug)]
pub struct Override {
    name: String,
    value: f64,
}

impl Override {
    /// Reads NAME=VALUE and holds it against the figures that there are.
    pub fn parse(text: &str) -> Result<Override, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as postgres_cores=32")?;
        let document = built_in_document().map_err(|error| error.to_string())?;
        if !named(&document).any(|(known, _)| known == name) {
            let known: Vec<&str> = named(&document).map(|(known, _)| known).collect();
            return Err(format!("there is no figure {name:?}; there are {}", known.join(", ")));
        }
        let value: f64 = value.trim().parse().map_err(|_| format!("{value:?} is not a number"))?;
        // No standby is a choice; no cores, or bytes that are free, are none.
        let may_be_zero = name == "standbys" && value == 0.0;
        if !may_be_zero && !VALUES.contains(&value) {
            return Err(format!("{value} is outside {:e} to {:e}", VALUES.start(), VALUES.end()));
        }
        const COUNTS: [&str; 3] = ["partitions_start", "partitions_per_shard", "standbys"];
        if COUNTS.contains(&name) && value.fract() != 0.0 {
            return Err(format!("{value} is not a whole number"));
        }
        if name == "partition_skew" && value < 1.0 {
            return Err(format!("{value} is below 1: the busiest partition has no less than the mean of all"));
        }
        Ok(Override { name: name.into(), value })
    }
}

fn built_in_document() -> anyhow::Result<Value> {
    serde_json::from_str(BUILT_IN).context("costs.json, which this program was built with, is no JSON: a bug")
}

const GROUPS: [&str; 2] = ["costs", "sizes"];

fn named(document: &Value) -> impl Iterator<Item = (&str, &Value)> {
    GROUPS.iter().filter_map(|group| document[*group].as_object()).flatten().map(|(name, figure)| (&**name, figure))
}

impl Figures {
    /// The committed figures, with some set for this run.
    pub fn with(overrides: &[Override]) -> anyhow::Result<Figures> {
        let mut document = built_in_document()?;
        for Override { name, value } in overrides {
            for group in GROUPS {
                if let Some(figure) = document[group].get_mut(name) {
                    figure["value"] = (*value).into();
                    figure["source"] = "--set".into();
                }
            }
        }
        serde_json::from_value(document).context("costs.json, which this program was built with, is not whole: a bug")
    }

    /// The names of the figures that nobody measured yet.
    pub fn placeholders(&self) -> anyhow::Result<Vec<String>> {
        let all = self.all()?.into_iter();
        Ok(all.filter(|(_, figure)| figure.source.starts_with("placeholder")).map(|(name, _)| name).collect())
    }

    /// Every figure by its name, costs first.
    pub fn all(&self) -> anyhow::Result<Vec<(String, Figure)>> {
        let document = serde_json::to_value(self)?;
        named(&document).map(|(name, figure)| Ok((name.to_owned(), serde_json::from_value(figure.clone())?))).collect()
    }
}

/// A figure in a formula, under the name that `--set` knows.
macro_rules! cost {
    ($group:expr, $name:ident) => {
        $crate::commands::plan_capacity::costs::in_formula(stringify!($name), &$group.$name)
    };
}
pub(super) use cost;

/// The figure as a term.
pub fn in_formula(name: &str, figure: &Figure) -> Expr {
    term(name, figure.value, figure.unit.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_figures_are_whole_and_each_could_be_given_by_set() {
        let figures = Figures::with(&[]).expect("costs.json is whole");
        for (name, figure) in figures.all().expect("figures are JSON") {
            assert!(!figure.source.is_empty(), "{name} has no source");
            let given = format!("{name}={}", figure.value);
            assert!(Override::parse(&given).is_ok(), "{given}: {:?}", Override::parse(&given));
        }
    }

    #[test]
    fn a_figure_that_is_set_is_used_and_says_so() {
        let set = Override::parse("postgres_cores=32").expect("a figure");
        let figures = Figures::with(&[set]).expect("costs.json is whole");
        assert_eq!(figures.sizes.postgres_cores.value, 32.0);
        assert_eq!(figures.sizes.postgres_cores.source, "--set");
    }

    #[test]
    fn a_figure_that_cannot_be_is_refused_with_what_could_be() {
        for (given, says) in [
            ("postgres_cores", "write NAME=VALUE"),
            ("cores=3", "there is no figure \"cores\"; there are"),
            ("worker_cpu=fast", "not a number"),
            ("worker_cpu=0", "outside"),
            ("worker_cpu=-1", "outside"),
            ("worker_cpu=inf", "outside"),
            ("worker_cpu=nan", "outside"),
            ("partitions_start=1.5", "whole number"),
            ("partition_skew=0.5", "below 1"),
        ] {
            let said = Override::parse(given).expect_err(given);
            assert!(said.contains(says), "{given}: {said}");
        }
    }
}
