//! `millrace status` as people read it: what is wrong first, then from the topic to the money.

use std::collections::BTreeSet;

use millrace_store::report::Flow;
use millrace_topics::TopicName;

use super::{Kafka, Lane, Look};
use crate::commands::accept_gap;
use crate::show::Side::{Left, Right};
use crate::show::{age, grouped, on_one_line, or_dash, table};

/// The whole page.
pub fn of(look: &Look, topic: &TopicName) -> String {
    let mut out = String::new();
    for problem in &look.problems {
        out += &format!("! {}\n", on_one_line(problem));
    }
    if let Some(kafka) = &look.kafka {
        out += &said_of_topic(kafka, topic);
    }
    if look.lanes.iter().any(|lane| lane.owner.is_some() || lane.backlog > Some(0)) {
        out += &said_of_lanes(look);
    }
    if let Some(flow) = look.dispositions.filter(|flow| flow.records > 0) {
        out += &said_of_flow(look, flow);
        out += &said_of_waiting(look);
        out += &said_of_payments(look);
        out += &said_of_money(look);
    }
    for next in &look.next {
        out += &format!("\n-> {next}\n");
    }
    out
}

fn said_of_topic(kafka: &Kafka, name: &TopicName) -> String {
    let brokers = kafka.brokers.len();
    let Some(topic) = &kafka.topic else { return format!("topic {name}: not there ({brokers} brokers are up)\n") };
    let mut out = format!("topic {name}: {} partitions on {brokers} brokers; {}\n", topic.partitions, topic.durability);
    if topic.leaderless_partitions > 0 {
        out += &format!("! {} partitions have no leader: nothing is published to them\n", topic.leaderless_partitions);
    }
    if topic.under_replicated_partitions > 0 {
        out += &format!("! {} partitions have replicas out of sync\n", topic.under_replicated_partitions);
    }
    out
}

fn said_of_lanes(look: &Look) -> String {
    let row = |lane: &Lane| {
        vec![
            lane.partition.to_string(),
            lane.owner.clone().unwrap_or("(never claimed)".into()),
            or_dash(lane.epoch),
            or_dash(lane.next_offset.map(grouped)),
            lane.backlog.map_or("?".into(), grouped),
            or_dash(lane.last_commit_age_seconds.map(|seconds| format!("{} ago", age(seconds)))),
        ]
    };
    let columns =
        [("partition", Right), ("owner", Left), ("epoch", Right), ("next", Right), ("backlog", Right), ("last", Left)];
    let owners: BTreeSet<&str> = look.lanes.iter().filter_map(|lane| lane.owner.as_deref()).collect();
    let backlog = match look.backlog {
        Some(0) => "no backlog: every record is accounted for".to_owned(),
        Some(backlog) => format!("backlog {} records", grouped(backlog)),
        None => "the backlog is not known".to_owned(),
    };
    format!(
        "\nlanes: {}, last claimed by {}; {backlog}\n{}",
        look.lanes.len(),
        match owners.len() {
            1 => "1 worker".to_owned(),
            count => format!("{count} workers"),
        },
        table(columns, look.lanes.iter().map(row))
    )
}

fn said_of_flow(look: &Look, flow: Flow) -> String {
    let pace = look.records_per_second.map_or(String::new(), |pace| {
        format!(
            ": {:.0} a second over the last 10 s, {:.0} over the last 60 s",
            pace.last_10_seconds, pace.last_60_seconds
        )
    });
    let drained = flow.drained_applied + flow.drained_duplicate + flow.drained_rejected;
    let rows = [
        ("applied", flow.applied, String::new()),
        ("duplicate", flow.duplicate, String::new()),
        (
            "parked",
            flow.parked,
            format!(
                "of which later applied {}, duplicate {}, rejected {}; waiting now {}",
                grouped(flow.drained_applied),
                grouped(flow.drained_duplicate),
                grouped(flow.drained_rejected),
                grouped(flow.parked - drained)
            ),
        ),
        ("rejected", flow.rejected, String::new()),
    ];
    let cells = rows.map(|(name, count, note)| vec![name.to_owned(), grouped(count), note]);
    format!(
        "\nrecords: {} in {} batches{pace}\n{}",
        grouped(flow.records),
        grouped(flow.proof_rows),
        table([("became", Left), ("records", Right), ("", Left)], cells)
    )
}

fn said_of_waiting(look: &Look) -> String {
    let mut out = String::new();
    if !look.parked.is_empty() {
        let rows = look.parked.iter().map(|p| vec![p.reason.clone(), grouped(p.count), age(p.oldest_age_seconds)]);
        out += "\nparked now, by what it waits for\n";
        out += &table([("reason", Left), ("records", Right), ("oldest", Right)], rows);
    }
    if !look.rejected.is_empty() {
        let rows = look.rejected.iter().map(|r| vec![r.reason.clone(), grouped(r.count), grouped(r.open)]);
        out += "\ndead letters (see `millrace dead-letters list`)\n";
        out += &table([("reason", Left), ("records", Right), ("open", Right)], rows);
    }
    if !look.accepted_gaps.is_empty() {
        out += "\nlost in Kafka, and stepped over because a person said so\n";
        for gap in &look.accepted_gaps {
            out += &format!("  {}\n", accept_gap::shown(gap));
        }
    }
    out
}

fn said_of_payments(look: &Look) -> String {
    if look.payments.is_empty() {
        return String::new();
    }
    let total = look.payments.iter().map(|p| p.count).sum();
    let rows = look.payments.iter().map(|p| vec![p.status.clone(), grouped(p.count)]);
    format!("\npayments: {}\n{}", grouped(total), table([("status", Left), ("payments", Right)], rows))
}

fn said_of_money(look: &Look) -> String {
    if look.money.is_empty() {
        return String::new();
    }
    let row = |account: &super::Account| {
        let money = &account.money;
        let name = match money.accounts {
            1 => money.account.clone(),
            accounts => format!("{} ({})", money.account, grouped(accounts)),
        };
        vec![money.currency.clone(), name, account.amount.clone(), money.amount_minor.to_string()]
    };
    let columns = [("currency", Left), ("account", Left), ("debits - credits", Right), ("minor units", Right)];
    let verdict = match look.balanced {
        Some(true) => "balanced: the accounts of each currency add up to 0",
        _ => "NOT BALANCED",
    };
    format!("\nmoney: {verdict}\n{}", table(columns, look.money.iter().map(row)))
}
