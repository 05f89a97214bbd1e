//! What came out: read from the database and from Kafka, compared with what must come out.
//!
//! The JSON names are an interface. How it is shown to people is in `table`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use millrace_generator::Outcome;
use millrace_store::audit::{self, Audit};
use millrace_store::connect::Connection;
use millrace_store::report::{self, Status};
use millrace_store::totals::{self, Balance, Latency, OffsetRange, Pace, TypeTotal};
use millrace_topics::{Cluster, TopicName};
use serde::Serialize;

use super::expectation::Expectation;
use super::load::Published;
use super::watch::Kill;

/// The checks of the audit that say whether every offset is accounted for, once.
const CHECKS_OF_OFFSETS: [&str; 7] =
    ["proof_topic", "proof_tiles", "count_applied", "count_parked", "count_rejected", "batch_rows", "offset_once"];

/// What the run itself knows.
pub struct Run {
    /// What was published, for people.
    pub source: String,
    /// What went before.
    pub warm_up: Published,
    /// The phase for the latency.
    pub steady: Published,
    /// Its pace.
    pub steady_per_second: u32,
    /// Its offsets.
    pub steady_ranges: Vec<OffsetRange>,
    /// The phase for the throughput.
    pub burst: Published,
    /// Its offsets.
    pub burst_ranges: Vec<OffsetRange>,
    /// The kill, if there was one.
    pub kill: Option<Kill>,
}

/// The result.
#[derive(Debug, Serialize)]
pub struct Result {
    /// What was published, for people.
    pub source: String,
    /// Lines that were set aside because they are no events.
    pub skipped: u64,
    /// Records that the brokers acknowledged.
    pub published: u64,
    /// Records that the topic holds, by its offsets.
    pub in_kafka: u64,
    /// Records that the proof rows account for.
    pub accounted: u64,
    /// In how many transactions.
    pub batches: i64,
    /// What the database says.
    #[serde(flatten)]
    pub found: Outcome,
    /// Balances by class of account, then by currency.
    pub balances_by_class_minor: BTreeMap<String, BTreeMap<String, i128>>,
    /// The sum of all balances by currency: 0.
    pub balance_sum_minor: BTreeMap<String, i128>,
    /// The pace of the steady phase.
    pub steady_per_second: u32,
    /// From publish to commit in the steady phase, in milliseconds.
    pub latency: Option<LatencyMs>,
    /// The part of it until the brokers had acknowledged the record: half of them took no longer.
    pub accepted_p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub accepted_p99_ms: Option<f64>,
    /// Records of the burst per second from its first to its last commit, the kill included.
    pub burst_per_second: Option<f64>,
    /// The same up to the kill.
    pub burst_until_kill_per_second: Option<f64>,
    /// Records in the burst.
    pub burst_records: u64,
    /// The kill.
    pub kill: Option<Kill>,
    /// Whether each record of the topic has exactly one disposition, and none another.
    pub every_offset_accounted_for: bool,
    /// How many statements about the ledger were checked.
    pub checks: usize,
    /// Those that do not hold, with examples.
    pub broken_checks: Vec<String>,
    /// Whether everything is as expected; none without an expectation.
    pub as_expected: Option<bool>,
    /// Every figure that is not.
    pub differences: Vec<String>,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "the share of the events that took no longer")]
pub struct LatencyMs {
    pub events: i64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl From<Latency> for LatencyMs {
    fn from(latency: Latency) -> LatencyMs {
        let Latency { events, p50_ms, p95_ms, p99_ms, max_ms } = latency;
        LatencyMs { events, p50: p50_ms, p95: p95_ms, p99: p99_ms, max: max_ms }
    }
}

impl Result {
    /// Whether nothing is wrong.
    pub fn is_right(&self) -> bool {
        self.every_offset_accounted_for && self.broken_checks.is_empty() && self.as_expected != Some(false)
    }
}

/// Reads the result.
pub async fn read(
    connection: &mut Connection,
    brokers: &str,
    topic: &TopicName,
    run: Run,
    expectation: Option<&Expectation>,
) -> anyhow::Result<Result> {
    let status = report::status(connection).await?;
    let by_type = totals::by_type(connection).await?;
    let balances = totals::balances(connection).await?;
    let latency = totals::latency(connection, &run.steady_ranges).await?;
    let burst = totals::pace(connection, &run.burst_ranges, None).await?;
    let until_kill = match &run.kill {
        Some(kill) => Some(totals::pace(connection, &run.burst_ranges, Some(kill.at_seconds)).await?),
        None => None,
    };
    let audit = audit::run(connection, &mut [], |_| ()).await?;
    let observed = Cluster::connect(brokers)?.observe(&BTreeSet::from([topic.clone()])).await?;
    let in_kafka = observed.topics.get(topic).and_then(|topic| topic.records);
    let in_kafka = in_kafka.with_context(|| format!("topic {topic} is gone"))?;

    let found = outcome(&status, &by_type, &balances)?;
    let published = run.warm_up.accepted + run.steady.accepted + run.burst.accepted;
    let accounted = u64::try_from(status.flow.records)?;
    let differences = expectation.map(|expectation| expectation.differences(published, &found));
    let (by_class, sums) = by_class(&balances);
    Ok(Result {
        source: run.source,
        skipped: run.warm_up.skipped + run.steady.skipped + run.burst.skipped,
        published,
        in_kafka,
        accounted,
        batches: status.flow.proof_rows,
        found,
        balances_by_class_minor: by_class,
        balance_sum_minor: sums,
        steady_per_second: run.steady_per_second,
        latency: latency.map(LatencyMs::from),
        accepted_p50_ms: run.steady.accepted_p50_ms,
        accepted_p99_ms: run.steady.accepted_p99_ms,
        burst_per_second: burst.per_second(),
        burst_until_kill_per_second: until_kill.as_ref().and_then(Pace::per_second),
        burst_records: run.burst.accepted,
        kill: run.kill,
        every_offset_accounted_for: offsets_hold(&audit) && accounted == in_kafka && published == in_kafka,
        checks: audit.findings.len(),
        broken_checks: broken(&audit),
        as_expected: differences.as_ref().map(Vec::is_empty),
        differences: differences.unwrap_or_default(),
    })
}

fn offsets_hold(audit: &Audit) -> bool {
    CHECKS_OF_OFFSETS.iter().all(|name| audit.findings.iter().any(|f| f.check.name == *name && f.violations == 0))
}

fn broken(audit: &Audit) -> Vec<String> {
    let shown = |finding: &audit::Finding| {
        format!(
            "{}: {} violations of '{}': {}",
            finding.check.name,
            finding.violations,
            finding.check.holds,
            finding.examples.join("; ")
        )
    };
    audit.broken().map(shown).collect()
}

/// The database's figures in the form in which they are expected.
fn outcome(status: &Status, by_type: &[TypeTotal], balances: &[Balance]) -> anyhow::Result<Outcome> {
    let flow = &status.flow;
    let mut found = Outcome {
        duplicates: u64::try_from(flow.duplicate + flow.drained_duplicate)?,
        drained_applied: u64::try_from(flow.drained_applied)?,
        ..Outcome::default()
    };
    for total in by_type {
        let events = u64::try_from(total.events)?;
        found.applied += events;
        found.transfers += u64::try_from(total.transfers)?;
        *found.by_type.entry(total.event_type.clone()).or_default() += events;
        found.sum_minor.insert(format!("{} {}", total.event_type, total.currency), i64::try_from(total.amount_minor)?);
    }
    for rejected in &status.rejected {
        found.rejected.insert(rejected.reason.clone(), u64::try_from(rejected.count)?);
    }
    for parked in &status.parked {
        found.parked.insert(parked.reason.clone(), u64::try_from(parked.count)?);
    }
    for payments in &status.payments {
        found.payments_by_status.insert(payments.status.clone(), u64::try_from(payments.count)?);
    }
    for Balance { account, currency, amount_minor } in balances {
        let amount_minor = i64::try_from(*amount_minor)?;
        found.balances_minor.insert(format!("{account} {currency}"), amount_minor);
        if class(account) == MERCHANT_PAYABLE {
            *found.merchant_payable_minor.entry(currency.clone()).or_default() += amount_minor;
        }
    }
    Ok(found)
}

const MERCHANT_PAYABLE: &str = "merchant_payable";

/// The account without its merchant.
fn class(account: &str) -> &str {
    account.split_once(':').map_or(account, |(class, _)| class)
}

type ByClass = BTreeMap<String, BTreeMap<String, i128>>;

fn by_class(balances: &[Balance]) -> (ByClass, BTreeMap<String, i128>) {
    let mut classes = ByClass::new();
    let mut sums = BTreeMap::new();
    for Balance { account, currency, amount_minor } in balances {
        let class = classes.entry(class(account).to_owned()).or_default();
        *class.entry(currency.clone()).or_default() += amount_minor;
        *sums.entry(currency.clone()).or_default() += amount_minor;
    }
    (classes, sums)
}
