//! `millrace plan-capacity`: what a load needs in partitions, machines, disk, traffic and money, with the working.
//!
//! Nothing is connected to. What an event costs was measured (`plan_capacity/costs.json`); the computation is `plan`'s.

mod costs;
#[cfg(test)]
mod document;
mod expr;
mod limits;
mod money;
mod parse;
mod plan;
mod text;
mod working;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::costs::{Figures, Override};
use self::money::Prices;
use self::plan::{Load, Plan, Policy};
use crate::output::Format;
use crate::show::{print, print_json};

const DAY_SECONDS: f64 = 86_400.0;

/// Compute what a load needs in partitions, workers, brokers, Postgres shards, disk, traffic and money.
///
/// Shows every formula with its numbers, and what breaks first. Throughput is sized for the peak, what is kept for the
/// mean. What one event costs was measured on one machine: see the figures at the end of the output; --set replaces
/// any of them. docs/scaling.md says what each step up means.
#[derive(Args, Clone)]
#[command(after_help = "\
Examples:
  millrace plan-capacity --users 1M --events-per-user 3
  millrace plan-capacity --events-per-second 2500 --keep 1y --set postgres_cores=32
  millrace plan-capacity --peak-events-per-second 10k,100k,1M --no-working

With -o json: {policy: {..}, plans: [{mean_per_second, peak_per_second, partitions: {count, because}, workers,
postgres_shards, brokers, postgres: {..}, network: {..}, money: {..}, limits: [..], working: [{part, name, formula,
numbers, value, unit}]}], figures: {machine, costs: {NAME: {value, unit, source}}, sizes}}.")]
#[group(skip)]
pub struct PlanCapacityArgs {
    /// How many users there are, such as 250000 or 1M.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse::users, requires = "events_per_user", conflicts_with_all = ["events_per_second", "peak_events_per_second"])]
    users: Option<f64>,
    /// How many events a user causes: 3, 3/day, 0.5/hour, 20/month.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = parse::events_per_day, requires = "users")]
    events_per_user: Option<f64>,
    /// The load as events per second on average; several, separated by commas, are put side by side.
    #[arg(long, value_name = "RATE", value_delimiter = ',', allow_negative_numbers = true, value_parser = parse::per_second, conflicts_with = "peak_events_per_second")]
    events_per_second: Vec<f64>,
    /// The load as events per second at the busiest time; several, separated by commas, are put side by side.
    #[arg(long, value_name = "RATE", value_delimiter = ',', allow_negative_numbers = true, value_parser = parse::per_second)]
    peak_events_per_second: Vec<f64>,
    /// How many times the mean the peak is.
    #[arg(long, value_name = "FACTOR", default_value = "3", allow_negative_numbers = true, value_parser = parse::peak_factor)]
    peak_factor: f64,
    /// How long Kafka keeps a record.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse::duration)]
    retention: Duration,
    /// How long the ledger is kept online.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse::duration)]
    keep: Duration,
    /// The share of every machine, disk and link that stays free.
    #[arg(long, value_name = "SHARE", default_value = "0.3", allow_negative_numbers = true, value_parser = parse::headroom)]
    headroom: f64,
    /// A figure for this run in place of the measured or chosen one. May be given many times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = Override::parse)]
    set: Vec<Override>,
    /// The price of a core for a month. This and the other prices are round figures; yours will differ.
    #[arg(long, value_name = "PRICE", default_value = "25", allow_negative_numbers = true, value_parser = parse::price)]
    price_core: f64,
    /// The price of a GB of memory for a month.
    #[arg(long, value_name = "PRICE", default_value = "3", allow_negative_numbers = true, value_parser = parse::price)]
    price_memory: f64,
    /// The price of a TB of SSD for a month.
    #[arg(long, value_name = "PRICE", default_value = "80", allow_negative_numbers = true, value_parser = parse::price)]
    price_disk: f64,
    /// The price of a TB that is sent from one zone to another.
    #[arg(long, value_name = "PRICE", default_value = "20", allow_negative_numbers = true, value_parser = parse::price)]
    price_traffic: f64,
    /// Leave out the working and the figures.
    #[arg(long)]
    no_working: bool,
}

/// Runs the command.
pub fn run(args: &PlanCapacityArgs, output: Format) -> anyhow::Result<ExitCode> {
    match output {
        Format::Text => print(&shown(args)?)?,
        Format::Json => print_json(&document(args)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The plans as people read them.
fn shown(args: &PlanCapacityArgs) -> anyhow::Result<String> {
    let figures = Figures::with(&args.set)?;
    let policy = policy(args);
    let plans = plans(args, &policy, &figures)?;
    let mut out = text::plans(&plans, &policy, &figures);
    out += &text::placeholders(&figures.placeholders()?);
    if !args.no_working {
        out += &plans.iter().map(|plan| text::working(plan, plans.len())).collect::<String>();
        out += &text::figures(&figures)?;
    }
    Ok(out)
}

fn document(args: &PlanCapacityArgs) -> anyhow::Result<serde_json::Value> {
    let figures = Figures::with(&args.set)?;
    let policy = policy(args);
    Ok(json!({ "policy": policy, "plans": plans(args, &policy, &figures)?, "figures": figures }))
}

fn plans(args: &PlanCapacityArgs, policy: &Policy, figures: &Figures) -> anyhow::Result<Vec<Plan>> {
    Ok(loads(args)?.into_iter().map(|load| plan::plan(load, policy, figures)).collect())
}

/// The loads that were asked for, at least one.
fn loads(args: &PlanCapacityArgs) -> anyhow::Result<Vec<Load>> {
    if let (Some(users), Some(per_day)) = (args.users, args.events_per_user) {
        let mean = users * per_day / DAY_SECONDS;
        anyhow::ensure!(
            mean <= parse::PER_SECOND_MAX,
            "--users {users} with --events-per-user: {mean:.0} events/s, more than the {:.0} that this model says \
             anything about; is the unit right? Without one a rate is for a day",
            parse::PER_SECOND_MAX
        );
        return Ok(vec![Load::Users { users, per_day }]);
    }
    let means = args.events_per_second.iter().map(|rate| Load::Mean(*rate));
    let peaks = args.peak_events_per_second.iter().map(|rate| Load::Peak(*rate));
    let loads: Vec<Load> = means.chain(peaks).collect();
    anyhow::ensure!(
        !loads.is_empty(),
        "no load is given: give --users and --events-per-user, or --events-per-second, or --peak-events-per-second"
    );
    Ok(loads)
}

fn policy(args: &PlanCapacityArgs) -> Policy {
    Policy {
        peak_factor: args.peak_factor,
        retention_days: args.retention.as_secs_f64() / DAY_SECONDS,
        keep_days: args.keep.as_secs_f64() / DAY_SECONDS,
        headroom: args.headroom,
        prices: Prices {
            core: args.price_core,
            memory: args.price_memory,
            disk: args.price_disk,
            traffic: args.price_traffic,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::document::TestCli;
    use super::*;

    fn plan_of(words: &[&str]) -> Plan {
        let TestCli { args } = TestCli::try_parse_from(words).expect("options that are right");
        let figures = Figures::with(&args.set).expect("figures");
        plans(&args, &policy(&args), &figures).expect("a plan").remove(0)
    }

    fn refusal(words: &[&str]) -> String {
        match TestCli::try_parse_from(words) {
            Err(error) => error.to_string(),
            Ok(TestCli { args }) => shown(&args).expect_err("options that make no sense").to_string(),
        }
    }

    #[test]
    fn users_and_their_rate_give_the_mean_and_the_peak() {
        let plan = plan_of(&["--users", "86400", "--events-per-user", "10/day", "--peak-factor", "4"]);
        assert_eq!([plan.mean_per_second, plan.peak_per_second], [10.0, 40.0]);
        assert_eq!([plan.partitions.count, plan.workers.count], [12.0, 2.0]);
        assert_eq!([plan.postgres_shards.count, plan.brokers.count], [1.0, 3.0]);
    }

    #[test]
    fn the_same_load_said_in_three_ways_is_one_plan() {
        let ways: [&[&str]; 3] = [
            &["--users", "864k", "--events-per-user", "100"],
            &["--events-per-second", "1000"],
            &["--peak-events-per-second", "3k"],
        ];
        let plans = ways.map(plan_of);
        for plan in &plans {
            assert!((plan.mean_per_second - 1_000.0).abs() < 1e-6 && (plan.peak_per_second - 3_000.0).abs() < 1e-6);
            assert_eq!(plan.postgres_shards.count, plans[0].postgres_shards.count);
        }
    }

    #[test]
    fn more_load_never_needs_less() {
        let plans: Vec<Plan> =
            ["100", "1k", "10k", "100k", "1M", "10M"].map(|rate| plan_of(&["--events-per-second", rate])).into();
        for pair in plans.windows(2) {
            let counts =
                |plan: &Plan| [&plan.partitions, &plan.workers, &plan.postgres_shards, &plan.brokers].map(|c| c.count);
            let (less, more) = (counts(&pair[0]), counts(&pair[1]));
            assert!(less.iter().zip(more).all(|(less, more)| *less <= more), "{less:?} {more:?}");
            assert!(pair[0].money.a_month < pair[1].money.a_month);
        }
    }

    #[test]
    fn what_is_planned_carries_the_load() {
        for rate in ["1", "5k", "50k", "500k", "5M"] {
            let plan = plan_of(&["--peak-events-per-second", rate]);
            for limit in &plan.limits {
                let carries = limit.plan_carries * (1.0 + 1e-6);
                assert!(carries >= plan.peak_per_second, "{rate}: {} carries {carries}", limit.limit);
            }
        }
    }

    #[test]
    fn partitions_are_a_doubling_of_the_start() {
        for rate in ["1k", "1M", "10M"] {
            let partitions = plan_of(&["--events-per-second", rate]).partitions.count;
            assert_eq!((partitions / 12.0).log2().fract(), 0.0, "{partitions}");
        }
    }

    #[test]
    fn a_figure_that_is_set_changes_the_plan() {
        let load = ["--events-per-second", "100k", "--set", "wal_bytes=10000"];
        assert!(plan_of(&load).postgres.by_wal > plan_of(&load[..2]).postgres.by_wal);
    }

    #[test]
    fn no_headroom_is_a_plan_that_never_catches_up() {
        let plan = plan_of(&["--events-per-second", "1k", "--headroom", "0"]);
        assert_eq!(plan.catch_up_hours, None);
        assert_eq!(plan_of(&["--events-per-second", "1k", "--headroom", "0.5"]).catch_up_hours, Some(1.0));
    }

    #[test]
    fn the_document_holds_the_working_and_the_source_of_every_figure() {
        let TestCli { args } = TestCli::try_parse_from(["--events-per-second", "1k"]).expect("options");
        let document = document(&args).expect("a document");
        assert!(document["plans"][0]["working"].as_array().is_some_and(|steps| steps.len() > 20));
        assert!(document["figures"]["costs"]["wal_bytes"]["source"].is_string());
        assert_eq!(document["policy"]["keep_days"], 90.0);
    }

    #[test]
    fn options_that_make_no_sense_are_refused_by_name() {
        let cases: [(&[&str], &str); 14] = [
            (&[], "no load is given"),
            (&["--users", "10"], "--events-per-user"),
            (&["--events-per-user", "10"], "--users"),
            (&["--users", "0", "--events-per-user", "3"], "--users <N>': there is no load to plan for"),
            (&["--users", "1.5", "--events-per-user", "3"], "whole number"),
            (&["--users", "-5", "--events-per-user", "3"], "--users <N>': there is no load to plan for"),
            (&["--users", "1G", "--events-per-user", "1000/s"], "more than the"),
            (&["--users", "5", "--events-per-user", "3/fortnight"], "fortnight"),
            (&["--events-per-second", "0"], "there is no load to plan for"),
            (&["--events-per-second", "nan"], "not a number"),
            (&["--events-per-second", "10", "--peak-events-per-second", "10"], "cannot be used with"),
            (&["--events-per-second", "10", "--headroom", "1"], "--headroom"),
            (&["--events-per-second", "10", "--keep", "0s"], "--keep"),
            (&["--events-per-second", "10", "--peak-factor", "0.5"], "--peak-factor"),
        ];
        for (words, says) in cases {
            let said = refusal(words);
            assert!(said.contains(says), "{words:?}: {said}");
        }
    }
}
