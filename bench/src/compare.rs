//! What became slower since an older bench, beyond what the rounds themselves spread.
//!
//! Only figures that both have are compared. Two machines are not two versions: that they differ is said first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::results::{Machine, Measurement, Results, Spread, figure};
use crate::show;

/// A change beyond the spread.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// Where: scenario, contender and figure.
    pub place: String,
    /// The medians.
    pub old: f64,
    /// See `old`.
    pub new: f64,
}

/// What differs.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Comparison {
    /// Why the two may not be comparable.
    pub caveats: Vec<String>,
    /// What became worse.
    pub worse: Vec<Change>,
    /// What became better.
    pub better: Vec<Change>,
    /// Bars that were held and are not any more.
    pub lost_bars: Vec<String>,
    /// How many figures both have.
    pub compared: usize,
}

/// Compares two benches.
pub fn compare(old: &Results, new: &Results) -> Comparison {
    let mut found = Comparison { caveats: caveats(old, new), ..Comparison::default() };
    for measurement in &new.measurements {
        let Some(before) = old.measurements.iter().find(|other| is_same(other, measurement)) else { continue };
        for (name, spread) in &measurement.figures {
            if name == figure::SECONDS {
                continue;
            }
            if let Some(earlier) = before.figures.get(name) {
                found.compared += 1;
                judge(&mut found, measurement, name, earlier, spread);
            }
        }
    }
    let held =
        |results: &Results, name: &str| results.bars.iter().find(|bar| bar.name == name).and_then(|bar| bar.held);
    let lost = new.bars.iter().filter(|bar| bar.held == Some(false) && held(old, &bar.name) == Some(true));
    found.lost_bars = lost.map(|bar| bar.name.clone()).collect();
    found
}

fn is_same(a: &Measurement, b: &Measurement) -> bool {
    (&a.scenario, &a.contender, a.parameter, a.events) == (&b.scenario, &b.contender, b.parameter, b.events)
}

fn judge(found: &mut Comparison, of: &Measurement, name: &str, old: &Spread, new: &Spread) {
    let at = of.parameter.map_or(String::new(), |parameter| format!(" at {parameter}"));
    let change = Change {
        place: format!("{}{at}: {}: {}", of.scenario, of.contender, show::head(name)),
        old: old.median,
        new: new.median,
    };
    let (fell, rose) = (new.max < old.min, new.min > old.max);
    match (fell, rose, figure::more_is_better(name)) {
        (true, _, true) | (_, true, false) => found.worse.push(change),
        (true, _, false) | (_, true, true) => found.better.push(change),
        _ => {}
    }
}

fn caveats(old: &Results, new: &Results) -> Vec<String> {
    let mut caveats = Vec::new();
    if old.machine != new.machine {
        let differ = differences(&facts(&old.machine), &facts(&new.machine));
        caveats.push(format!("the machines or Postgres' settings differ: {}", differ.join("; ")));
    }
    if old.form != new.form {
        caveats.push(format!("the forms differ: {}, now {}", old.form, new.form));
    }
    caveats
}

/// What is known of a machine and its Postgres, by name.
fn facts(machine: &Machine) -> BTreeMap<String, String> {
    let Machine { cpu, cores, memory_gib, kernel, postgres } = machine;
    let mut facts = postgres.clone();
    let of_machine = [
        ("cpu", cpu.clone()),
        ("cores", cores.to_string()),
        ("memory GiB", memory_gib.to_string()),
        ("kernel", kernel.clone()),
    ];
    facts.extend(of_machine.map(|(name, fact)| (name.to_owned(), fact)));
    facts
}

fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let of = |facts: &BTreeMap<String, String>, name: &String| facts.get(name).map_or("unknown", |f| f).to_owned();
    let differ = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    differ.map(|name| format!("{name} {}, now {}", of(old, name), of(new, name))).collect()
}

/// The comparison as text.
pub fn text(old: &Results, found: &Comparison) -> String {
    let mut out = format!("compared with {} of {}: {} figures\n", old.commit, old.date, found.compared);
    for caveat in &found.caveats {
        out += &format!("  mind: {caveat}\n");
    }
    let mut list = |title: &str, changes: &[Change]| {
        out += &format!("  {title} beyond the spread:{}\n", if changes.is_empty() { " nothing" } else { "" });
        for Change { place, old, new } in changes {
            let percent = if *old == 0.0 { 0.0 } else { (new / old - 1.0) * 100.0 };
            out += &format!("    {place}: {} -> {} ({percent:+.0} %)\n", show::short(*old), show::short(*new));
        }
    };
    list("worse", &found.worse);
    list("better", &found.better);
    for bar in &found.lost_bars {
        out += &format!("  the bar {bar} was held and is not any more\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Figures, Place};

    fn results(name: &'static str, values: [f64; 3]) -> Results {
        let mut results = Results::default();
        let place = Place { scenario: "charges", contender: "millrace", parameter: None };
        values.iter().for_each(|value| results.add(&place, 1, &Figures::from([(name, *value)])));
        results
    }

    fn check(name: &'static str, old: [f64; 3], new: [f64; 3], worse: usize, better: usize) {
        let found = compare(&results(name, old), &results(name, new));
        assert_eq!((found.worse.len(), found.better.len()), (worse, better), "{found:?}");
    }

    #[test]
    fn only_a_change_beyond_the_spread_of_both_is_a_change() {
        check(figure::RATE, [100.0, 110.0, 120.0], [90.0, 95.0, 101.0], 0, 0);
        check(figure::RATE, [100.0, 110.0, 120.0], [80.0, 90.0, 99.0], 1, 0);
        check(figure::RATE, [100.0, 110.0, 120.0], [121.0, 130.0, 140.0], 0, 1);
    }

    #[test]
    fn more_of_everything_but_the_rate_is_worse() {
        check(figure::P99_MS, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0], 1, 0);
        check(figure::MEMORY_MIB, [4.0, 5.0, 6.0], [1.0, 2.0, 3.0], 0, 1);
    }

    #[test]
    fn what_of_two_machines_differs_is_named() {
        let mut old = Results {
            machine: Machine { cores: 2, kernel: "6.1".into(), ..Machine::default() },
            ..results("x", [1.0; 3])
        };
        let mut new = old.clone();
        new.machine.kernel = "6.2".into();
        old.machine.postgres.insert("fsync".into(), "on".into());
        let said = "the machines or Postgres' settings differ: fsync on, now unknown; kernel 6.1, now 6.2";
        assert_eq!(compare(&old, &new).caveats, [said]);
    }
}
