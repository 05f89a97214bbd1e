//! `millrace status`: the topic, the lanes and their backlog, what became of the records, and whether the books balance.
//!
//! What the ledger says is `store::report`'s, what the cluster says is `topics`'; a half that is away is said in one
//! line and the other is shown. How it reads is in `status/text.rs`.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use millrace_consumers::topic_id;
use millrace_store::connect::Database;
use millrace_store::gaps::AcceptedGap;
use millrace_store::report::{self, Flow, LaneReport, Money, ParkedCount, PaymentCount, RejectedCount};
use millrace_topics::{Cluster, Durability, ObservedTopic, TopicName, Watermarks};
use serde::Serialize;

use crate::connection::{Connection, topics_apart};
use crate::output::Format;
use crate::show::{grouped, major, print, print_json, print_or_end};
use crate::signals;

/// Show the topic, the lanes and their backlog, what became of the events, and whether the books balance.
///
/// Figures come from proof rows and balances; the event log is not read. One look costs a scan of batches (a row for
/// each transaction), of dead letters and of payments: about a second for every few million of them.
///
/// Exit codes: 0 shown and in balance, 1 Kafka or Postgres is away, the two do not agree, a lane stands still before
/// records that wait, or the books do not balance.
#[derive(Args)]
#[command(after_help = "\
With -o json, one document (with --watch one a line):
  kafka             {brokers: [{id, address, rack}], topic: {name, partitions, durability, leaderless_partitions,
                    under_replicated_partitions}} or null
  lanes             [{partition, owner, epoch, start_offset, next_offset, claimed_at,
                    last_commit_at, last_commit_age_seconds, quiet_seconds, low_watermark,
                    high_watermark, backlog}]; quiet: without a commit or a claim;
                    backlog null: unknown
  backlog           records that no batch accounts for yet, in all partitions
  records_per_second  {last_10_seconds, last_60_seconds}
  dispositions      {records, applied, duplicate, parked, rejected, drained_applied, drained_duplicate,
                    drained_rejected, ..}: the first four add up to records
  parked, rejected  [{reason, count, ..}]: what waits now; dead letters, and how many of them are open
  accepted_gaps     [{partition, from_offset, to_offset, reason, accepted_by, accepted_at}]: `millrace accept-gap`
  payments          [{status, count}]
  money             [{account, currency, accounts, amount_minor, amount}]; debits minus credits, amount in major units
  currency_sums     [{currency, amount_minor}], each 0 where the books balance
  balanced          true, false, or null where the ledger was not read
  problems, next    what is away, and what to do next")]
pub struct StatusArgs {
    /// Look again every so many seconds, until a signal ends it.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

/// One look at everything.
#[derive(Default, Serialize)]
struct Look {
    kafka: Option<Kafka>,
    lanes: Vec<Lane>,
    backlog: Option<i64>,
    records_per_second: Option<Pace>,
    dispositions: Option<Flow>,
    parked: Vec<ParkedCount>,
    rejected: Vec<RejectedCount>,
    accepted_gaps: Vec<AcceptedGap>,
    payments: Vec<PaymentCount>,
    money: Vec<Account>,
    currency_sums: Vec<CurrencySum>,
    balanced: Option<bool>,
    problems: Vec<String>,
    next: Vec<String>,
}

#[derive(Serialize)]
struct Kafka {
    brokers: Vec<millrace_topics::Broker>,
    topic: Option<Topic>,
    #[serde(skip)]
    ends: Vec<Watermarks>,
    /// Partitions of which nobody tells where they end.
    #[serde(skip)]
    silent: Vec<i32>,
}

#[derive(Serialize)]
struct Topic {
    name: TopicName,
    partitions: u32,
    durability: Durability,
    leaderless_partitions: usize,
    under_replicated_partitions: usize,
}

/// A partition: its lane, if it was ever claimed, and its end, if Kafka told it.
#[derive(Serialize)]
struct Lane {
    partition: i32,
    owner: Option<String>,
    epoch: Option<i64>,
    start_offset: Option<i64>,
    next_offset: Option<i64>,
    claimed_at: Option<String>,
    last_commit_at: Option<String>,
    last_commit_age_seconds: Option<f64>,
    quiet_seconds: Option<f64>,
    low_watermark: Option<i64>,
    high_watermark: Option<i64>,
    backlog: Option<i64>,
}

#[derive(Clone, Copy, Serialize)]
struct Pace {
    last_10_seconds: f64,
    last_60_seconds: f64,
}

#[derive(Serialize)]
struct Account {
    #[serde(flatten)]
    money: Money,
    amount: String,
}

#[derive(Serialize)]
struct CurrencySum {
    currency: String,
    amount_minor: i128,
}

/// Runs the command.
pub async fn run(args: StatusArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let database = connection.database("millrace status")?;
    let topic = connection.topic_name()?;
    let cluster = Cluster::connect(&connection.brokers)?;
    let Some(seconds) = args.watch else {
        let look = look(&database, &cluster, connection, &topic).await;
        show(&look, &topic, output)?;
        return Ok(if look.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let stop = signals::stop_token()?;
    while !stop.is_cancelled() {
        let look = tokio::select! {
            look = look(&database, &cluster, connection, &topic) => look,
            () = stop.cancelled() => break,
        };
        if !show_again(&look, &topic, output)? {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the whole page once.
fn show(look: &Look, topic: &TopicName, output: Format) -> anyhow::Result<()> {
    match output {
        Format::Json => print_json(look),
        Format::Text => print(&text::of(look, topic)),
    }
}

/// Shows it as one of many pages; false if nobody reads them any more.
fn show_again(look: &Look, topic: &TopicName, output: Format) -> anyhow::Result<bool> {
    const CLEAR_SCREEN: &str = "\x1b[2J\x1b[H";
    let page = match output {
        Format::Json => format!("{}\n", serde_json::to_string(look)?),
        Format::Text if std::io::stdout().is_terminal() => format!("{CLEAR_SCREEN}{}", text::of(look, topic)),
        Format::Text => format!("{}\n", text::of(look, topic)),
    };
    print_or_end(&page)
}

async fn look(database: &Database, cluster: &Cluster, connection: &Connection, topic: &TopicName) -> Look {
    let (kafka, id, ledger) = tokio::join!(
        look_at_kafka(cluster, topic),
        topic_id::of(&connection.brokers, topic.as_str()),
        look_at_ledger(database)
    );
    let mut look = Look::default();
    let kafka = kafka.unwrap_or_else(|problem| {
        look.problems.push(problem);
        None
    });
    if let Some(silent) = kafka.as_ref().map(|kafka| &kafka.silent).filter(|silent| !silent.is_empty()) {
        let partitions: Vec<String> = silent.iter().map(i32::to_string).collect();
        look.problems.push(format!(
            "partitions {}: no leader answers, so their backlog is not known. When a broker has died, others take over within \
             some seconds",
            partitions.join(", ")
        ));
    }
    if kafka.as_ref().is_some_and(|kafka| kafka.topic.is_none()) {
        look.next.push(format!("topic {topic} does not exist: run `millrace topics apply`"));
    }
    let mut stored = Vec::new();
    match ledger {
        Ok(Some(status)) => {
            let report::Status { lanes, flow, parked, rejected, payments, money, accepted_gaps } = status;
            stored = lanes;
            look.take(flow, money);
            look.parked = parked;
            look.rejected = rejected;
            look.accepted_gaps = accepted_gaps;
            look.payments = payments;
        }
        Ok(None) => look.next.push(format!(
            "{} has no ledger yet: `millrace worker` makes it and applies what is published",
            database.shown()
        )),
        Err(problem) => look.problems.push(problem),
    }
    // Whether the topic is there, and Kafka with it, was asked and said already.
    let lanes_of = stored.iter().map(|lane| (lane.topic.as_str(), lane.topic_id.as_str()));
    let another = topics_apart(lanes_of, topic, id.ok().as_slice());
    // Without the ledger's lanes there is no backlog to be told, and none in the offsets of another topic.
    let ends = match &kafka {
        Some(kafka) if look.dispositions.is_some() && another.is_none() => kafka.ends.as_slice(),
        _ => &[],
    };
    look.lanes = lanes(stored, ends);
    let disagreements: Vec<String> = look.lanes.iter().filter_map(disagreement).collect();
    let all_answer = kafka.as_ref().is_some_and(|kafka| kafka.silent.is_empty());
    let is_known = !ends.is_empty() && all_answer && disagreements.is_empty();
    look.backlog = look.lanes.iter().map(|lane| lane.backlog).sum::<Option<i64>>().filter(|_| is_known);
    look.kafka = kafka;
    if is_known {
        look.problems.extend(standing_still(database, &look.lanes).await);
    }
    look.problems.extend(another.iter().map(ToString::to_string).chain(disagreements));
    look.advise();
    look
}

impl Look {
    fn take(&mut self, flow: Flow, money: Vec<Money>) {
        let mut sums = BTreeMap::<String, i128>::new();
        for Money { currency, amount_minor, .. } in &money {
            *sums.entry(currency.clone()).or_default() += amount_minor;
        }
        for (currency, sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
            self.problems.push(format!(
                "THE BOOKS DO NOT BALANCE: the accounts in {currency} add up to {} and not to 0. Run `millrace verify`",
                major(*sum, currency)
            ));
        }
        self.balanced = Some(sums.values().all(|sum| *sum == 0));
        self.currency_sums =
            sums.into_iter().map(|(currency, amount_minor)| CurrencySum { currency, amount_minor }).collect();
        self.money = money
            .into_iter()
            .map(|money| Account { amount: major(money.amount_minor, &money.currency), money })
            .collect();
        self.records_per_second = Some(Pace {
            last_10_seconds: flow.records_last_10_seconds as f64 / 10.0,
            last_60_seconds: flow.records_last_60_seconds as f64 / 60.0,
        });
        self.dispositions = Some(flow);
    }

    /// What a person would do next, where there is little to see.
    fn advise(&mut self) {
        let Some(flow) = self.dispositions else { return };
        // A topic that is not there was said, and a cluster that is away tells nothing of what was published.
        let topic_is_there = self.kafka.as_ref().is_some_and(|kafka| kafka.topic.is_some());
        if flow.records > 0 || !topic_is_there {
            return;
        }
        match self.backlog {
            Some(backlog) if backlog > 0 => {
                self.next.push("events wait and none was applied yet: run `millrace worker`".to_owned());
            }
            _ => self.next.push(
                "nothing was published yet: try `millrace generate -n 10000 | millrace publish -`, with a `millrace worker`"
                    .to_owned(),
            ),
        }
    }
}

async fn look_at_kafka(cluster: &Cluster, topic: &TopicName) -> Result<Option<Kafka>, String> {
    let said = |error: millrace_topics::ClusterError| error.to_string();
    let observed = cluster.look().await.map_err(said)?;
    let (ends, silent) = match observed.topics.contains_key(topic) {
        true => cluster.watermarks_that_answer(topic).await.map_err(said)?.unwrap_or_default(),
        false => Default::default(),
    };
    let described = observed.topics.get(topic).map(|seen| described(topic, seen));
    Ok(Some(Kafka { brokers: observed.brokers, topic: described, ends, silent }))
}

fn described(name: &TopicName, seen: &ObservedTopic) -> Topic {
    Topic {
        name: name.clone(),
        partitions: seen.partitions.get(),
        durability: seen.durability,
        leaderless_partitions: seen.leaderless,
        under_replicated_partitions: seen.under_replicated,
    }
}

/// The ledger; none where the schema was never made.
async fn look_at_ledger(database: &Database) -> Result<Option<report::Status>, String> {
    let read = async {
        let mut session = database.connect_reader().await?;
        match report::has_schema(&mut session).await? {
            true => report::status(&mut session).await.map(Some),
            false => Ok(None),
        }
    };
    read.await.map_err(|error| format!("database {}: {error}", database.shown()))
}

/// A lane that stands where Kafka has nothing: records were lost on one side, or it is another topic.
fn disagreement(lane: &Lane) -> Option<String> {
    let (partition, next) = (lane.partition, lane.next_offset?);
    let (low, high) = (lane.low_watermark?, lane.high_watermark?);
    let what = match next {
        _ if next < low => "records were lost before a worker read them, and the lane halts there",
        _ if next > high => "what was applied is gone there",
        _ => return None,
    };
    Some(format!(
        "partition {partition}: the ledger stands at offset {next}, Kafka has {low} to {high}: {what}. Run `millrace verify`, \
         which says what to do"
    ))
}

/// Lanes that have records to write and do not: their worker halted them, or there is none. Nobody but the worker itself
/// knows of a halt, so this waits to see whether they move.
async fn standing_still(database: &Database, lanes: &[Lane]) -> Option<String> {
    const SEEN_AGAIN_AFTER: Duration = Duration::from_secs(3);
    if !lanes.iter().any(may_stand) {
        return None;
    }
    tokio::time::sleep(SEEN_AGAIN_AFTER).await;
    let read = async { report::lanes(&mut database.connect_reader().await?).await };
    let again: BTreeMap<i32, i64> = read.await.ok()?.iter().map(|lane| (lane.partition, lane.next_offset)).collect();
    let stands = |lane: &&Lane| may_stand(lane) && lane.next_offset == again.get(&lane.partition).copied();
    said_of_standing(&lanes.iter().filter(stands).collect::<Vec<_>>())
}

/// Whether a lane may have had records before it for a while.
fn may_stand(lane: &Lane) -> bool {
    const QUIET_SECONDS: f64 = 30.0;
    lane.backlog.is_some_and(|backlog| backlog > 0) && lane.quiet_seconds.is_some_and(|seconds| seconds > QUIET_SECONDS)
}

fn said_of_standing(lanes: &[&Lane]) -> Option<String> {
    let quiet_seconds = lanes.iter().filter_map(|lane| lane.quiet_seconds).min_by(f64::total_cmp)?;
    let partitions: Vec<String> = lanes.iter().map(|lane| lane.partition.to_string()).collect();
    let owners: BTreeSet<&str> = lanes.iter().filter_map(|lane| lane.owner.as_deref()).collect();
    let backlog = lanes.iter().filter_map(|lane| lane.backlog).sum();
    Some(format!(
        "{} {}: {} records wait, and nothing was heard of {} for {}: no worker runs, or it halted there, or it stands still. The \
         last owner was {}: see its log, and docs/runbooks.md",
        if lanes.len() == 1 { "partition" } else { "partitions" },
        partitions.join(", "),
        grouped(backlog),
        if lanes.len() == 1 { "its lane" } else { "their lanes" },
        humantime::format_duration(Duration::from_secs(quiet_seconds as u64)),
        owners.into_iter().collect::<Vec<_>>().join(", ")
    ))
}

/// Each partition that the ledger or Kafka knows.
fn lanes(stored: Vec<LaneReport>, ends: &[Watermarks]) -> Vec<Lane> {
    let mut stored: BTreeMap<i32, LaneReport> = stored.into_iter().map(|lane| (lane.partition, lane)).collect();
    let ends: BTreeMap<i32, &Watermarks> = ends.iter().map(|end| (end.partition, end)).collect();
    let partitions: BTreeSet<i32> = stored.keys().chain(ends.keys()).copied().collect();
    partitions.into_iter().map(|partition| joined(partition, stored.remove(&partition), ends.get(&partition))).collect()
}

fn joined(partition: i32, stored: Option<LaneReport>, end: Option<&&Watermarks>) -> Lane {
    // A lane that was never opened would begin at the first offset that Kafka still has.
    let next = stored.as_ref().map(|lane| lane.next_offset).or(end.map(|end| end.low));
    let backlog = end.zip(next).map(|(end, next)| (end.high - next).max(0));
    let (low_watermark, high_watermark) = (end.map(|end| end.low), end.map(|end| end.high));
    match stored {
        Some(lane) => Lane {
            partition,
            owner: lane.owner,
            epoch: Some(lane.epoch),
            start_offset: Some(lane.start_offset),
            next_offset: Some(lane.next_offset),
            claimed_at: lane.claimed_at,
            last_commit_at: lane.last_commit_at,
            last_commit_age_seconds: lane.last_commit_age_seconds,
            quiet_seconds: lane.quiet_seconds,
            low_watermark,
            high_watermark,
            backlog,
        },
        None => Lane {
            partition,
            owner: None,
            epoch: None,
            start_offset: None,
            next_offset: None,
            claimed_at: None,
            last_commit_at: None,
            last_commit_age_seconds: None,
            quiet_seconds: None,
            low_watermark,
            high_watermark,
            backlog,
        },
    }
}
