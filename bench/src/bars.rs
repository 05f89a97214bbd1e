//! The bars: what is asked of Millrace, each a ratio of two medians of this run or a bound on one.
//!
//! A bar whose figures this run does not have says so (`measured: false`) and is neither held nor broken.

use crate::results::{Bar, Place, Results, figure};
use crate::suite::{BASE, REPLAY, UNGUARDED};
use crate::workload::Kind;
use crate::{latency, publishing, scaling};

/// Who it is about.
pub const MILLRACE: &str = "millrace";
const LIMIT_MIB: f64 = 256.0;

/// Every bar, by what was measured.
pub fn of(results: &Results) -> Vec<Bar> {
    let mut bars = against_peers(results);
    bars.extend(against_itself(results));
    bars.extend(publishing(results));
    bars.extend(at_scale(results));
    bars
}

fn at_least(name: &str, statement: &str, figure: Option<f64>, target: f64) -> Bar {
    bar(name, statement, figure, target, true)
}

fn at_most(name: &str, statement: &str, figure: Option<f64>, target: f64) -> Bar {
    bar(name, statement, figure, target, false)
}

fn bar(name: &str, statement: &str, figure: Option<f64>, target: f64, at_least: bool) -> Bar {
    Bar {
        name: name.to_owned(),
        statement: statement.to_owned(),
        figure,
        target,
        at_least,
        measured: figure.is_some(),
        held: figure.map(|figure| if at_least { figure >= target } else { figure <= target }),
        source: None,
    }
}

fn ratio(over: Option<f64>, under: Option<f64>) -> Option<f64> {
    let (over, under) = over.zip(under)?;
    (under > 0.0).then(|| over / under)
}

/// Debezium's upsert with the settings that were its best: its name in the results.
pub fn best_debezium(results: &Results) -> Option<String> {
    let upserts = results.of(Kind::Charges.name()).filter(|m| m.contender.starts_with("debezium upsert"));
    let rate = |m: &&crate::results::Measurement| m.figures.get(figure::RATE).map_or(0.0, |spread| spread.median);
    upserts.max_by(|a, b| rate(a).total_cmp(&rate(b))).map(|m| m.contender.clone())
}

fn against_peers(results: &Results) -> Vec<Bar> {
    let charges = Kind::Charges.name();
    let debezium = best_debezium(results);
    let compared = |scenario: &str, name: &str| {
        let theirs = results.median(scenario, debezium.as_deref()?, name);
        ratio(results.median(scenario, MILLRACE, name), theirs)
    };
    let latency = |scenario: &str, name: &str| {
        ratio(results.median(scenario, MILLRACE, name), results.median(scenario, latency::DEBEZIUM, name))
    };
    let floors = results.of(charges).filter(|m| m.contender.starts_with("floor: COPY"));
    let floor = floors.filter_map(|m| Some(m.figures.get(figure::RATE)?.median)).reduce(f64::max);
    vec![
        at_least(
            "rate_against_debezium",
            "single charges, one worker, catching up: events/s against Debezium's best upsert into one table",
            compared(charges, figure::RATE),
            3.0,
        ),
        at_least(
            "rate_against_copy",
            "the same against COPY of the same rows without logic, at its best of 1, 2 and 4 connections",
            ratio(results.median(charges, MILLRACE, figure::RATE), floor),
            0.8,
        ),
        at_most(
            "latency_p50_at_2000",
            "publish to committed at 2,000 events/s, p50 against Debezium's",
            latency(latency::STEADY, figure::P50_MS),
            1.0 / 15.0,
        ),
        at_most(
            "latency_p99_at_2000",
            "publish to committed at 2,000 events/s, p99 against Debezium's",
            latency(latency::STEADY, figure::P99_MS),
            1.0 / 15.0,
        ),
        at_most(
            "latency_p99_at_half",
            "publish to committed at half of Debezium's maximum, p99 against Debezium's",
            latency(latency::HALF, figure::P99_MS),
            1.0 / 5.0,
        ),
        at_most(
            "cpu_against_debezium",
            "the worker's CPU seconds per event against Debezium's",
            compared(charges, figure::CPU_PROCESS),
            1.0 / 6.0,
        ),
        at_most(
            "memory_against_debezium",
            "the worker's peak memory against Debezium's",
            compared(charges, figure::MEMORY_MIB),
            1.0 / 8.0,
        ),
    ]
}

fn against_itself(results: &Results) -> Vec<Bar> {
    let rate = |scenario: &str| results.median(scenario, MILLRACE, figure::RATE);
    let against = |scenario: &str, base: &str| ratio(rate(scenario), rate(base));
    let unguarded = results.median(Kind::Charges.name(), UNGUARDED, figure::RATE);
    let cost = ratio(rate(Kind::Charges.name()), unguarded).map(|kept| 1.0 - kept);
    vec![
        at_least(
            "life_cycles",
            "whole life cycles (`millrace generate`) against single charges, events/s",
            against(Kind::LifeCycles.name(), BASE),
            0.7,
        ),
        at_least(
            "duplicates",
            "2.5 % published twice against the clean rate",
            against(Kind::Duplicates.name(), BASE),
            0.9,
        ),
        at_least(
            "bad_records",
            "one record in 1,000 rejected against the clean rate",
            against(Kind::Bad.name(), BASE),
            0.95,
        ),
        at_least(
            "replay",
            "everything published again: the rate of the second time against the clean rate",
            against(REPLAY, BASE),
            1.5,
        ),
        at_least(
            "out_of_order",
            "life cycles with 5 % out of order and parking against the same in order",
            against(Kind::OutOfOrder.name(), Kind::InOrder.name()),
            0.8,
        ),
        at_most(
            "exactly_once_cost",
            "what fence, proof rows and duplicate checks cost: share of the rate without them",
            cost,
            0.05,
        ),
    ]
}

fn publishing(results: &Results) -> Vec<Bar> {
    let against_raw = |scenario: &str| {
        let rate = |who| results.median(scenario, who, figure::RATE);
        ratio(rate(MILLRACE), rate(publishing::RAW))
    };
    let mut bars: Vec<Bar> = publishing::CALLERS
        .iter()
        .map(|callers| {
            at_least(
                &format!("publish_{callers}"),
                &format!("publish() from {callers} concurrent callers against raw librdkafka with the same settings"),
                against_raw(&publishing::scenario(*callers)),
                0.95,
            )
        })
        .collect();
    bars.push(at_least(
        "publish_file",
        "`millrace publish FILE`, JSON parsing included, against raw librdkafka with prebuilt records",
        against_raw(publishing::FILE),
        0.8,
    ));
    bars
}

fn at_scale(results: &Results) -> Vec<Bar> {
    let at = |scenario, contender, parameter, name| {
        results.median_at(&Place { scenario, contender, parameter: Some(parameter) }, name)
    };
    let memory = |scenario, parameter| at(scenario, MILLRACE, parameter, figure::MEMORY_MIB);
    let wide = results.median(Kind::Wide.name(), MILLRACE, figure::MEMORY_MIB);
    let full = |who| results.median(scaling::FULL_TABLES, who, figure::RATE);
    let second = |who, name| results.median(scaling::SECOND_WORKER, who, name);
    vec![
        at_most(
            "memory_10m_backlog",
            "peak memory of a worker with a backlog of 10 M events, MiB",
            memory(scaling::BY_BACKLOG, scaling::BACKLOG_MAX),
            LIMIT_MIB,
        ),
        at_most(
            "memory_64_partitions",
            "peak memory of a worker with 64 partitions, MiB",
            memory(scaling::BY_PARTITIONS, 64),
            LIMIT_MIB,
        ),
        at_most(
            "memory_2k_metadata",
            "peak memory of a worker with 2 KiB of metadata in each event, MiB",
            wide,
            LIMIT_MIB,
        ),
        at_least(
            "full_tables",
            "the rate with 50 M events in the tables against that with empty ones",
            ratio(full(scaling::FULL), full(scaling::EMPTY)),
            0.85,
        ),
        at_least(
            "second_worker_rate",
            "two workers against one, events/s in total",
            ratio(second(scaling::TWO, figure::RATE), second(scaling::ONE, figure::RATE)),
            1.0,
        ),
        at_most(
            "second_worker_gap",
            "seconds without a commit on partitions that stay, while a second worker joins",
            second(scaling::TWO, figure::GAP_S),
            1.0,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Figures;

    fn measured(results: &mut Results, scenario: &str, contender: &str, name: &'static str, value: f64) {
        let place = Place { scenario, contender, parameter: None };
        results.add(&place, 1, &Figures::from([(name, value)]));
    }

    fn find<'a>(bars: &'a [Bar], name: &str) -> &'a Bar {
        bars.iter().find(|bar| bar.name == name).unwrap_or_else(|| panic!("no bar {name}"))
    }

    #[test]
    fn what_was_not_measured_is_neither_held_nor_broken() {
        for bar in of(&Results::default()) {
            assert!(!bar.measured && bar.held.is_none() && bar.figure.is_none(), "{bar:?}");
        }
    }

    #[test]
    fn debezium_counts_at_its_best_upsert_and_the_floor_at_its_best_connections() {
        let mut results = Results::default();
        let charges = Kind::Charges.name();
        measured(&mut results, charges, MILLRACE, figure::RATE, 150.0);
        measured(&mut results, charges, "debezium upsert, 2 tasks, batch 5000", figure::RATE, 50.0);
        measured(&mut results, charges, "debezium upsert, 4 tasks, batch 5000", figure::RATE, 40.0);
        measured(&mut results, charges, "debezium insert, 2 tasks, batch 5000", figure::RATE, 90.0);
        measured(&mut results, charges, "floor: COPY, 1 connection", figure::RATE, 100.0);
        measured(&mut results, charges, "floor: COPY, 2 connections", figure::RATE, 200.0);
        let bars = of(&results);
        let rate = find(&bars, "rate_against_debezium");
        assert_eq!((rate.figure, rate.held), (Some(3.0), Some(true)));
        let copy = find(&bars, "rate_against_copy");
        assert_eq!((copy.figure, copy.held), (Some(0.75), Some(false)));
    }

    #[test]
    fn the_names_of_bars_are_unique() {
        let bars = of(&Results::default());
        let mut names: Vec<&str> = bars.iter().map(|bar| bar.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), bars.len());
    }
}
