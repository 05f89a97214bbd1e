//! `millrace verify`: the proof that nothing was lost and nothing was applied twice.
//!
//! The statements about the ledger are `store::audit`'s. This file adds what only Kafka knows, where each partition
//! begins and ends, and shows the result.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use millrace_consumers::topic_id;
use millrace_store::audit::{self, Audit, CHECKS, LaneExtent};
use millrace_store::report;
use millrace_topics::{Cluster, TopicName, Watermarks};
use serde::Serialize;

use crate::commands::accept_gap;
use crate::connection::{Connection, topics_apart};
use crate::numbers::from_one;
use crate::output::Format;
use crate::show::{grouped, on_one_line, print, print_json};

/// Prove that nothing was lost and nothing was applied twice.
///
/// Recomputes the whole ledger from its event log by queries of their own (store/queries/audit_*.sql), in one snapshot
/// and without keeping a worker waiting: that the proof rows tile every offset, that every payment is what its events
/// make it, that every balance is the sum of its transfers and that the books balance. Then compares with Kafka
/// whether every offset is accounted for. It reads and sorts everything: allow 15 seconds for each million events on a
/// machine of 2 cores.
///
/// Exit code 0: everything holds. 1: something does not; each line says what, how often, and where. Records that no
/// worker has reached yet are no violation, and Kafka may be away, unless --drained is given.
#[derive(Args)]
#[command(after_help = "\
With -o json: {holds, offsets: {accounted, waiting: [..], lost: [..], unknown, partitions: [{partition, low, high}]},
lanes: [{topic, partition, start_offset, next_offset, records, proof_rows}], accepted_gaps: [{partition, from_offset,
to_offset, reason, accepted_by, accepted_at}], findings: [{name, statement, violations,
examples: [..], took_seconds}]}. A statement holds where violations is 0. offsets.accounted is null, and offsets.unknown
says why, where Kafka did not answer.")]
pub struct VerifyArgs {
    /// Also fail if Kafka holds records that no batch accounts for yet, or does not answer.
    #[arg(long)]
    drained: bool,
    /// How many checks are made at the same time, each on a connection and a core of Postgres' of its own. All see the
    /// same snapshot. More than there are checks are of no use, and are not opened.
    #[arg(long, short, value_name = "N", default_value = "2", value_parser = from_one)]
    jobs: NonZeroUsize,
}

/// The check that no offset is missing between two proof rows.
const PROOF_TILES: &str = "proof_tiles";

/// Everything that was found.
#[derive(Serialize)]
struct Verdict {
    /// The ledger by itself, and that no offset is lost to it.
    holds: bool,
    offsets: Offsets,
    #[serde(flatten)]
    audit: Audit,
}

/// Whether the ledger accounts for what Kafka holds.
#[derive(Default, Debug, Serialize)]
struct Offsets {
    /// None: Kafka did not answer.
    accounted: Option<bool>,
    /// What no batch accounts for yet.
    waiting: Vec<String>,
    /// What no worker can account for any more, or cannot have been in this topic.
    lost: Vec<String>,
    /// Why Kafka was of no help.
    unknown: Option<String>,
    partitions: Vec<Watermarks>,
}

/// Runs the command.
pub async fn run(args: VerifyArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let database = connection.database("millrace verify")?;
    let topic = connection.topic_name()?;
    let cluster = Cluster::connect(&connection.brokers)?;
    let mut session = database.connect_reader().await?;
    anyhow::ensure!(
        report::has_schema(&mut session).await?,
        "{} holds no ledger yet: run `millrace worker` or `millrace migrate` first",
        database.shown()
    );
    // Before and after the snapshot: records come in and are applied while it is read.
    let before = ask(&cluster, connection, &topic).await;
    let bar = progress(output);
    let mut others = Vec::new();
    for _ in 1..args.jobs.get().min(CHECKS.len()) {
        others.push(database.connect_reader().await?);
    }
    let audit = audit::run(&mut session, &mut others, |check| {
        bar.set_message(check.name);
        bar.inc(1);
    })
    .await?;
    bar.finish_and_clear();
    let mut offsets = match before {
        Ok(before) => match ask(&cluster, connection, &topic).await {
            Ok(after) => account(&audit.lanes, &before, after),
            Err(problem) => unknown(problem),
        },
        Err(problem) => unknown(problem),
    };
    // Where the proof rows have a gap, a lane that stands behind it proves nothing.
    if audit.broken().any(|finding| finding.check.name == PROOF_TILES) && offsets.accounted == Some(true) {
        offsets.accounted = Some(false);
        offsets.lost.push(format!("no proof row accounts for some offsets, or two do: see {PROOF_TILES}"));
    }
    let verdict = Verdict { holds: audit.holds() && offsets.lost.is_empty(), offsets, audit };
    match output {
        Format::Json => print_json(&verdict)?,
        Format::Text => print(&text(&verdict, database.shown()))?,
    }
    let drained = verdict.offsets.accounted == Some(true);
    Ok(if verdict.holds && (drained || !args.drained) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The topic, as Kafka has it.
struct Seen {
    name: TopicName,
    id: String,
    ends: Vec<Watermarks>,
}

async fn ask(cluster: &Cluster, connection: &Connection, topic: &TopicName) -> Result<Seen, String> {
    match cluster.watermarks(topic).await {
        Ok(Some(ends)) => {
            let id = topic_id::of(&connection.brokers, topic.as_str()).await.map_err(|error| error.to_string())?;
            Ok(Seen { name: topic.clone(), id, ends })
        }
        Ok(None) => Err(format!("topic {topic} does not exist: is --topic right? `millrace topics apply` makes it")),
        Err(error) => Err(error.to_string()),
    }
}

fn unknown(problem: String) -> Offsets {
    Offsets { unknown: Some(problem), ..Offsets::default() }
}

/// Compares the lanes with Kafka: `before` their snapshot for what they must account for, `after` it for what they
/// cannot have seen.
fn account(lanes: &[LaneExtent], before: &Seen, after: Seen) -> Offsets {
    let lanes_of = lanes.iter().map(|lane| (lane.topic.as_str(), lane.topic_id.as_str()));
    if let Some(lost) = topics_apart(lanes_of, &before.name, &[before.id.clone(), after.id]) {
        return Offsets {
            accounted: Some(false),
            lost: vec![lost.to_string()],
            partitions: after.ends,
            ..Offsets::default()
        };
    }
    let (before, after) = (&before.ends, after.ends);
    let (mut waiting, mut lost) = (Vec::new(), Vec::new());
    for Watermarks { partition, low, high } in before {
        let lane = lanes.iter().find(|lane| lane.partition == *partition);
        // A lane that was never opened will begin at the first offset that Kafka still has.
        let next = lane.map_or(*low, |lane| lane.next_offset);
        if *low > next {
            lost.push(format!(
                "partition {partition}: Kafka deleted offsets {next} to {} before a worker read them, {} records. Raise \
                 retention.ms of the topic, ask the publishers for these again, and then `millrace accept-gap --partition \
                 {partition} --from {next} --to {low}` (docs/runbooks.md, 'A lane halted at a hole')",
                low - 1,
                grouped(low - next)
            ));
        } else if *high > next {
            waiting.push(format!(
                "partition {partition} has {} records that no batch accounts for yet (offsets {next} to {})",
                grouped(high - next),
                high - 1
            ));
        }
    }
    for LaneExtent { partition, next_offset, .. } in lanes {
        match after.iter().find(|end| end.partition == *partition) {
            None => lost.push(format!(
                "partition {partition} has a lane up to offset {next_offset}, and the topic has no such partition: is \
                 --topic right?"
            )),
            Some(end) if *next_offset > end.high => lost.push(format!(
                "partition {partition}: the ledger accounts for offsets up to {}, Kafka ends at {}: Kafka lost records \
                 that were applied, or this is another cluster or topic",
                next_offset - 1,
                end.high
            )),
            Some(_) => {}
        }
    }
    let accounted = Some(waiting.is_empty() && lost.is_empty());
    Offsets { accounted, waiting, lost, unknown: None, partitions: after }
}

fn text(verdict: &Verdict, database: &str) -> String {
    let Verdict { audit, offsets, holds } = verdict;
    let mut out = String::new();
    for finding in &audit.findings {
        let mark = if finding.violations == 0 { "ok  " } else { "FAIL" };
        let took = finding.took.as_secs_f64();
        out += &format!("{mark}  {:<17}  {} ({took:.1} s)\n", finding.check.name, finding.check.holds);
        for example in &finding.examples {
            out += &format!("      {}\n", on_one_line(example));
        }
        let shown = i64::try_from(finding.examples.len()).unwrap_or(i64::MAX);
        if finding.violations > shown {
            out += &format!("      and {} more\n", grouped(finding.violations - shown));
        }
    }
    let records: i64 = audit.lanes.iter().map(|lane| lane.records).sum();
    let extent = format!("{} records of {} partitions in {database}", grouped(records), audit.lanes.len());
    for gap in &audit.accepted_gaps {
        out += &format!("gap   {}\n", accept_gap::shown(gap));
    }
    for LaneExtent { partition, start_offset, .. } in audit.lanes.iter().filter(|lane| lane.start_offset > 0) {
        out += &format!(
            "begin partition {partition}: the ledger begins at offset {start_offset}; Kafka held no record from before when \
             its first worker came\n"
        );
    }
    out += &said_of_offsets(offsets);
    let checks = audit.findings.len();
    out + &match (audit.broken().count(), holds) {
        (0, true) => format!("the ledger holds: {checks} of {checks} checks, over {extent}{}\n", but_for(audit)),
        (0, false) => format!("THE LEDGER AND KAFKA DO NOT AGREE, though all {checks} checks hold over {extent}\n"),
        (broken, _) => format!(
            "THE LEDGER DOES NOT HOLD: {broken} of {checks} checks fail, over {extent}. Stop the workers, keep the database \
             as it is, and begin with the first check that fails\n"
        ),
    }
}

/// What the ledger holds without.
fn but_for(audit: &Audit) -> String {
    match audit.accepted_gaps.iter().map(|gap| gap.to_offset - gap.from_offset).sum::<i64>() {
        0 => String::new(),
        lost => format!(", without the {} that people accepted as lost", grouped(lost)),
    }
}

fn said_of_offsets(offsets: &Offsets) -> String {
    if let Some(problem) = &offsets.unknown {
        return format!("every offset accounted for: unknown, {}\n", on_one_line(problem));
    }
    let problems: Vec<&str> = offsets.lost.iter().chain(&offsets.waiting).map(String::as_str).collect();
    match problems.as_slice() {
        [] => "every offset accounted for: yes\n".to_owned(),
        [problem] => format!("every offset accounted for: no: {problem}\n"),
        problems => format!("every offset accounted for: no\n      {}\n", problems.join("\n      ")),
    }
}

fn progress(output: Format) -> ProgressBar {
    const TICK: Duration = Duration::from_millis(100);
    if output == Format::Json {
        return ProgressBar::hidden();
    }
    // Drawn on a terminal alone.
    let bar = ProgressBar::new(CHECKS.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} checking {pos} of {len}: {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(partition: i32, next_offset: i64) -> LaneExtent {
        let (topic, topic_id) = ("t".into(), "id".into());
        LaneExtent { topic, topic_id, partition, start_offset: 0, next_offset, records: next_offset, proof_rows: 1 }
    }

    fn end(partition: i32, low: i64, high: i64) -> Watermarks {
        Watermarks { partition, low, high }
    }

    fn seen(name: &str, id: &str, end: Watermarks) -> Seen {
        Seen { name: TopicName::new(name).expect("a name"), id: id.into(), ends: vec![end] }
    }

    /// What waits and what is lost, by words that must be said.
    fn check(lanes: &[LaneExtent], before: Watermarks, after: Watermarks, waiting: &[&str], lost: &[&str]) {
        let offsets = account(lanes, &seen("t", "id", before), seen("t", "id", after));
        assert_eq!(offsets.accounted, Some(waiting.is_empty() && lost.is_empty()));
        for (found, wanted) in [(&offsets.waiting, waiting), (&offsets.lost, lost)] {
            assert_eq!(found.len(), wanted.len(), "{found:?}");
            assert!(found.iter().zip(wanted).all(|(found, words)| found.contains(words)), "{found:?}");
        }
    }

    #[test]
    fn what_kafka_held_before_the_snapshot_must_be_accounted_for_and_what_came_later_need_not() {
        check(&[lane(0, 10)], end(0, 0, 10), end(0, 0, 15), &[], &[]);
        check(&[lane(0, 12)], end(0, 0, 10), end(0, 0, 15), &[], &[]);
        check(&[lane(0, 9)], end(0, 0, 10), end(0, 0, 10), &["partition 0 has 1 records"], &[]);
    }

    #[test]
    fn a_partition_without_a_lane_counts_once_it_holds_records() {
        check(&[], end(0, 4, 4), end(0, 4, 4), &[], &[]);
        check(
            &[],
            end(3, 4, 124),
            end(3, 4, 124),
            &["partition 3 has 120 records that no batch accounts for yet"],
            &[],
        );
    }

    #[test]
    fn offsets_of_another_topic_or_of_one_made_again_account_for_nothing() {
        let ends = || end(0, 0, 10);
        for (name, id, words) in
            [("u", "id", "the ledger of topic \"t\", not of \"u\""), ("t", "new", "deleted and made again")]
        {
            let offsets = account(&[lane(0, 10)], &seen(name, id, ends()), seen(name, id, ends()));
            assert_eq!(offsets.accounted, Some(false));
            assert!(offsets.lost.iter().any(|lost| lost.contains(words)), "{offsets:?}");
        }
    }

    #[test]
    fn records_that_retention_deleted_unread_are_lost() {
        check(&[lane(0, 10)], end(0, 50, 60), end(0, 50, 60), &[], &["Kafka deleted offsets 10 to 49"]);
    }

    #[test]
    fn a_ledger_ahead_of_kafka_or_of_another_topic_does_not_agree_with_it() {
        check(&[lane(0, 10)], end(0, 0, 5), end(0, 0, 5), &[], &["Kafka ends at 5"]);
        check(&[lane(1, 10)], end(0, 0, 0), end(0, 0, 0), &[], &["no such partition"]);
    }
}
