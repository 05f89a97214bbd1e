//! What the demo's events must end in: by the generator's own bookkeeping, or by a file that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use millrace_generator::{Expected, Outcome};
use serde::Deserialize;

/// What must come out.
pub enum Expectation {
    /// Everything: `millrace generate --expect`, or the generator within.
    Whole(Box<Expected>),
    /// What `birmingham_to_events.py --expect` prints: every event is applied or repeats an applied one.
    Applied(Applied),
}

/// Totals of a stream in which nothing is wrong but that some events are published twice.
#[derive(Debug, Deserialize)]
pub struct Applied {
    published: u64,
    distinct: u64,
    duplicates: u64,
    by_type: BTreeMap<String, u64>,
    sum_minor: BTreeMap<String, i64>,
}

impl Expectation {
    /// From a file.
    pub fn load(path: &Path) -> anyhow::Result<Expectation> {
        let unusable = || {
            let form =
                "the JSON that `millrace generate --expect` or birmingham_to_events.py --expect prints is wanted";
            format!("--expect {}: {form}", path.display())
        };
        let text = std::fs::read_to_string(path).with_context(unusable)?;
        let json: serde_json::Value = serde_json::from_str(&text).with_context(unusable)?;
        // Only the generator knows balances.
        if json.get("balances_minor").is_some() {
            return Ok(Expectation::Whole(serde_json::from_value(json).with_context(unusable)?));
        }
        Ok(Expectation::Applied(serde_json::from_value(json).with_context(unusable)?))
    }

    /// Every figure that is not as it must be.
    pub fn differences(&self, published: u64, found: &Outcome) -> Vec<String> {
        let (expected, mut differences) = match self {
            Expectation::Whole(expected) => {
                let differences = expected.outcome.differences(found).iter().map(ToString::to_string).collect();
                (expected.published, differences)
            }
            Expectation::Applied(expected) => (expected.published, expected.differences(found)),
        };
        if expected != published {
            differences.insert(0, differs("published", expected, published));
        }
        differences
    }
}

impl Applied {
    fn differences(&self, found: &Outcome) -> Vec<String> {
        let single = [("distinct", self.distinct, found.applied), ("duplicates", self.duplicates, found.duplicates)];
        let not_applied =
            [("rejected", &found.rejected), ("parked", &found.parked)].into_iter().flat_map(|(what, map)| {
                map.iter().map(move |(reason, count)| (format!("{what} {reason}"), 0, i128::from(*count)))
            });
        single
            .into_iter()
            .map(|(what, expected, found)| (what.to_owned(), i128::from(expected), i128::from(found)))
            .chain(not_applied)
            .chain(each("by_type", &self.by_type, &found.by_type))
            .chain(each("sum_minor", &self.sum_minor, &found.sum_minor))
            .filter(|(_, expected, found)| expected != found)
            .map(|(what, expected, found)| differs(&what, expected, found))
            .collect()
    }
}

/// Both figures under each name that either has; one that is not there counts as 0.
fn each<T: Copy + Into<i128>>(
    what: &str,
    expected: &BTreeMap<String, T>,
    found: &BTreeMap<String, T>,
) -> Vec<(String, i128, i128)> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let value = |map: &BTreeMap<String, T>, name| map.get(name).map_or(0, |value| (*value).into());
    names.into_iter().map(|name| (format!("{what} {name}"), value(expected, name), value(found, name))).collect()
}

fn differs(what: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> String {
    format!("{what}: expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied() -> Applied {
        Applied {
            published: 10,
            distinct: 8,
            duplicates: 2,
            by_type: [("payment.charged".to_owned(), 8)].into(),
            sum_minor: [("payment.charged GBP".to_owned(), 800)].into(),
        }
    }

    fn outcome() -> Outcome {
        Outcome {
            applied: 8,
            duplicates: 2,
            by_type: [("payment.charged".to_owned(), 8)].into(),
            sum_minor: [("payment.charged GBP".to_owned(), 800)].into(),
            ..Outcome::default()
        }
    }

    #[test]
    fn the_same_totals_have_no_difference() {
        assert!(Expectation::Applied(applied()).differences(10, &outcome()).is_empty());
    }

    #[test]
    fn each_figure_that_is_off_by_one_is_named() {
        let check = |change: fn(&mut Outcome), named: &str| {
            let mut found = outcome();
            change(&mut found);
            let differences = Expectation::Applied(applied()).differences(10, &found);
            assert!(differences.iter().any(|line| line.starts_with(named)), "{named}: {differences:?}");
        };
        check(|found| found.applied += 1, "distinct");
        check(|found| found.duplicates -= 1, "duplicates");
        check(
            |found| {
                found.rejected.insert("malformed".into(), 1);
            },
            "rejected malformed",
        );
        check(
            |found| {
                found.parked.insert("missing_capture".into(), 1);
            },
            "parked missing_capture",
        );
        check(
            |found| {
                found.by_type.insert("refund.failed".into(), 1);
            },
            "by_type refund.failed",
        );
        check(
            |found| {
                found.sum_minor.clear();
            },
            "sum_minor payment.charged GBP: expected 800, found 0",
        );
        assert_eq!(Expectation::Applied(applied()).differences(9, &outcome()), ["published: expected 10, found 9"]);
    }
}
