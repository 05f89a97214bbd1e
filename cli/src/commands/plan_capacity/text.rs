//! Plans as people read them: what is needed, what breaks first, the working, and where each figure comes from.

use super::costs::Figures;
use super::expr::{plain, with_unit};
use super::limits::{self, Limit};
use super::plan::{Plan, Policy};
use super::working;
use crate::show::Side::{Left, Right};
use crate::show::{Side, table};

/// A line of the table of needs: what, and how much in each plan.
type Need = (&'static str, fn(&Plan) -> String);

const NEEDS: [Need; 19] = [
    ("events/s, mean", |plan| plain(plan.mean_per_second)),
    ("events/s, peak", |plan| plain(plan.peak_per_second)),
    ("partitions", |plan| plain(plan.partitions.count)),
    ("workers", |plan| plain(plan.workers.count)),
    ("brokers", |plan| plain(plan.brokers.count)),
    ("Postgres shards", |plan| plain(plan.postgres_shards.count)),
    ("  by CPU, WAL, disk", |plan| {
        let by = &plan.postgres;
        format!("{}, {}, {}", plain(by.by_cpu), plain(by.by_wal), plain(by.by_disk))
    }),
    ("ledger on disk, TB", |plan| plain(plan.postgres.disk_tb)),
    ("  grows a day, TB", |plan| plain(plan.postgres.disk_a_day_tb)),
    ("WAL at the peak, MB/s", |plan| plain(plan.postgres.wal_mb_per_second)),
    ("WAL a day, TB", |plan| plain(plan.postgres.wal_a_day_tb)),
    ("Kafka on disk, TB", |plan| plain(plan.kafka_disk_tb)),
    ("network at the peak, MB/s", |plan| plain(network(plan))),
    ("  publishers to brokers", |plan| plain(plan.network.publishers_to_brokers)),
    ("  between brokers", |plan| plain(plan.network.between_brokers)),
    ("  brokers to workers", |plan| plain(plan.network.brokers_to_workers)),
    ("  workers to Postgres", |plan| plain(plan.network.workers_to_postgres)),
    ("money a month", |plan| plain(plan.money.a_month)),
    ("  for a million events", |plan| plain(plan.money.per_million_events)),
];

fn network(plan: &Plan) -> f64 {
    let network = &plan.network;
    network.publishers_to_brokers
        + network.between_brokers
        + network.brokers_to_workers
        + network.workers_to_postgres
        + network.postgres_to_standbys
}

/// One plan with its reasons, or several side by side.
pub fn plans(plans: &[Plan], policy: &Policy, figures: &Figures) -> String {
    match plans {
        [plan] => format!("{}\n{}", needs_with_reasons(plan, policy), breaks_first(plan, figures)),
        several => side_by_side(several),
    }
}

fn side_by_side(plans: &[Plan]) -> String {
    let mut columns: Vec<(&str, Side)> = vec![("", Left)];
    columns.extend(plans.iter().map(|_| ("", Right)));
    let mut rows: Vec<Vec<String>> = NEEDS
        .iter()
        .map(|(what, of)| std::iter::once((*what).to_owned()).chain(plans.iter().map(of)).collect())
        .collect();
    let first =
        |plan: &Plan| plan.limits.first().filter(|limit| limit.passed).map_or("-", |limit| limit.limit).to_owned();
    let next = |plan: &Plan| limits::next(&plan.limits).map_or_else(String::new, |limit| limit.limit.to_owned());
    rows.push(std::iter::once("broke first".to_owned()).chain(plans.iter().map(first)).collect());
    rows.push(std::iter::once("breaks next".to_owned()).chain(plans.iter().map(next)).collect());
    // Without titles the table would begin with an empty line.
    table(columns, rows).trim_start_matches('\n').to_owned()
}

fn needs_with_reasons(plan: &Plan, policy: &Policy) -> String {
    let because = |what: &str| match what {
        "partitions" => plan.partitions.because.clone(),
        "workers" => plan.workers.because.clone(),
        "brokers" => plan.brokers.because.clone(),
        "Postgres shards" => plan.postgres_shards.because.clone(),
        "events/s, mean" => format!("the peak is {} times as much", plain(policy.peak_factor)),
        "ledger on disk, TB" => format!("{} days, without standbys", plain(policy.keep_days)),
        "Kafka on disk, TB" => format!("{} days, three replicas", plain(policy.retention_days)),
        "network at the peak, MB/s" => {
            format!("{} of them to standbys", plain(plan.network.postgres_to_standbys))
        }
        "money a month" => format!(
            "compute {}, disk {}, traffic {}; at the prices given, yours will differ",
            plain(plan.money.compute),
            plain(plan.money.disk),
            plain(plan.money.traffic)
        ),
        _ => String::new(),
    };
    let rows = NEEDS.iter().map(|(what, of)| vec![(*what).to_owned(), of(plan), because(what)]);
    table([("what", Left), ("needed", Right), ("because", Left)], rows)
}

fn breaks_first(plan: &Plan, figures: &Figures) -> String {
    let row = |limit: &Limit| {
        vec![
            limit.limit.to_owned(),
            plain(limit.one_carries),
            plain(limit.start_carries),
            if limit.passed { "broken" } else { "holds" }.to_owned(),
            plain(limit.plan_carries),
        ]
    };
    let columns = [("limit", Left), ("one", Right), ("smallest", Right), ("here", Left), ("planned", Right)];
    let mut out = format!(
        "What breaks first: events/s at the peak that one partition, worker, broker or Postgres carries; the smallest\n\
         system of {} partitions, 1 worker, 3 brokers and 1 Postgres; and this plan. The headroom stays free.\n\n",
        plain(figures.sizes.partitions_start.value)
    );
    out += &table(columns, plan.limits.iter().map(row));
    out += "\n";
    for limit in plan.limits.iter().filter(|limit| limit.passed) {
        out += &format!("  {} broke at {}/s: {}\n", limit.limit, plain(limit.start_carries), limit.next_move);
    }
    if let Some(limit) = limits::next(&plan.limits) {
        let next_move = if limit.passed { "the same again" } else { limit.next_move };
        out += &format!("  {} breaks next, at {}/s: {next_move}\n", limit.limit, plain(limit.plan_carries));
    }
    out += &match plan.catch_up_hours {
        Some(hours) => {
            format!("  an outage of an hour at the peak is caught up in {} at the peak\n", with_unit(hours, "h"))
        }
        None => "  without headroom, an outage at the peak is not caught up before the peak is over\n".to_owned(),
    };
    out
}

/// A plan is worth no more than its figures: says which of them nobody measured.
pub fn placeholders(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("\nNot measured yet, but estimated: {}\n", names.join(", ")),
    }
}

/// The working of one plan; which, where there are several.
pub fn working(plan: &Plan, of: usize) -> String {
    let which = if of > 1 { format!(" for a peak of {} events/s", plain(plan.peak_per_second)) } else { String::new() };
    format!("\nThe working{which}\n{}", working::text(&plan.working))
}

/// Every figure with its source.
pub fn figures(figures: &Figures) -> anyhow::Result<String> {
    let rows =
        figures.all()?.into_iter().map(|(name, figure)| vec![name, plain(figure.value), figure.unit, figure.source]);
    let columns = [("figure", Left), ("value", Right), ("unit", Left), ("source", Left)];
    Ok(format!("\nThe figures, of {}; --set NAME=VALUE replaces one\n\n{}", figures.machine, table(columns, rows)))
}
