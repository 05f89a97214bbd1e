//! Watching the lanes: who holds which, how far they are, and who took over from the dead.
//!
//! All of it is read from the fences in the database.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::bail;
use millrace_store::connect::Connection;
use millrace_store::totals::{self, OffsetRange, Standing};
use serde::Serialize;

use super::crew::Crew;
use super::teller::{Teller, count};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The group shares the partitions out in a few rounds, each of which takes a second or two.
const SHARED_OUT_WHEN_QUIET_FOR: Duration = Duration::from_secs(2);
const SHARE_OUT_DEADLINE: Duration = Duration::from_secs(90);
/// Without a single record accounted for in this time something is wrong.
const STANDSTILL_MAX: Duration = Duration::from_secs(90);

/// Who was killed, and what followed.
#[derive(Clone, Debug, Serialize)]
pub struct Kill {
    /// The worker.
    pub worker: String,
    /// Its process id.
    pub pid: u32,
    /// The partitions that it held.
    pub partitions: Vec<i32>,
    /// How many records of the burst were accounted for.
    pub records_before: i64,
    /// The database's clock then.
    pub at_seconds: f64,
    /// The worker that was started in its place.
    pub successor: String,
    /// Who claimed its partitions.
    pub taken_over_by: BTreeMap<String, Vec<i32>>,
    /// How long after the kill the last of them was claimed.
    pub taken_over_after_seconds: Option<f64>,
}

/// When to kill whom, and what came of it.
pub struct KillPlan {
    /// Whom, if it holds a partition then; else another one that does.
    pub victim: String,
    /// Once so many records are accounted for.
    pub at_records: u64,
    /// How many were before the burst.
    pub before_burst: u64,
    /// The kill, and when it was.
    pub done: Option<(Kill, Instant)>,
}

impl KillPlan {
    /// Whether something is still to be done or waited for.
    fn is_open(&self) -> bool {
        self.done.as_ref().is_none_or(|(kill, _)| kill.taken_over_after_seconds.is_none())
    }
}

/// Watches.
pub struct Watch<'a> {
    /// A connection of its own.
    pub connection: Connection,
    /// Who works.
    pub crew: &'a mut Crew,
    /// Who is told.
    pub teller: &'a Teller,
    /// How many partitions there are.
    pub partitions: usize,
}

impl Watch<'_> {
    /// Waits until each worker has its share of the partitions, and gives the shares.
    pub async fn shared_out(&mut self, workers: usize) -> anyhow::Result<BTreeMap<String, Vec<i32>>> {
        let began = Instant::now();
        let mut seen: Vec<(i32, i64)> = Vec::new();
        let mut quiet_since = Instant::now();
        loop {
            self.crew.check()?;
            let lanes = totals::standing(&mut self.connection).await?;
            let claims: Vec<_> = lanes.iter().map(|lane| (lane.partition, lane.epoch)).collect();
            if claims != seen {
                (seen, quiet_since) = (claims, Instant::now());
            }
            let shares = shares(&lanes);
            let all = lanes.len() == self.partitions && shares.len() == workers.min(self.partitions);
            if all && quiet_since.elapsed() >= SHARED_OUT_WHEN_QUIET_FOR {
                return Ok(shares);
            }
            if began.elapsed() > SHARE_OUT_DEADLINE {
                bail!(
                    "after {} s {} of {} partitions are claimed, by {} of {workers} workers; their logs in {} say why",
                    SHARE_OUT_DEADLINE.as_secs(),
                    lanes.len(),
                    self.partitions,
                    shares.len(),
                    self.crew.logs().display()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until as many records are accounted for as `records` says, once it knows, and meanwhile carries out the
    /// plan to kill.
    pub async fn until_accounted(
        &mut self,
        records: impl Fn() -> Option<u64>,
        mut kill: Option<&mut KillPlan>,
    ) -> anyhow::Result<Vec<Standing>> {
        let mut most = 0;
        let mut moved = Instant::now();
        loop {
            self.crew.check()?;
            let lanes = totals::standing(&mut self.connection).await?;
            let done = accounted(&lanes);
            self.teller.reach(done);
            if done > most {
                (most, moved) = (done, Instant::now());
            }
            if let Some(plan) = &mut kill {
                self.follow(plan, &lanes, done).await?;
            }
            let is_killing = kill.as_ref().is_some_and(|plan| plan.is_open());
            if records().is_some_and(|records| done >= records) && !is_killing {
                return Ok(lanes);
            }
            if moved.elapsed() > STANDSTILL_MAX {
                bail!(
                    "for {} s no record was accounted for; {} are, {} were acknowledged; the workers' logs in {} say why",
                    STANDSTILL_MAX.as_secs(),
                    count(done),
                    records().map_or("not all".into(), count),
                    self.crew.logs().display()
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn follow(&mut self, plan: &mut KillPlan, lanes: &[Standing], done: u64) -> anyhow::Result<()> {
        let Some((kill, killed_at)) = &mut plan.done else {
            if done >= plan.at_records {
                plan.done = self.kill(plan, lanes, done).await?;
            }
            return Ok(());
        };
        let taken = |lane: &&Standing| lane.owner.as_ref() != Some(&kill.worker);
        let own = |lane: &&Standing| kill.partitions.contains(&lane.partition);
        if kill.taken_over_after_seconds.is_none() && lanes.iter().filter(own).all(|lane| taken(&lane)) {
            let after = killed_at.elapsed().as_secs_f64();
            let own: Vec<Standing> = lanes.iter().filter(own).cloned().collect();
            kill.taken_over_by = shares(&own);
            kill.taken_over_after_seconds = Some(after);
            let takers: Vec<String> = kill
                .taken_over_by
                .iter()
                .map(|(worker, partitions)| format!("{worker} ({})", list(partitions)))
                .collect();
            self.teller.say(
                "takeover",
                &format!("{after:.1} s after the kill its partitions are claimed by {}", takers.join(" and ")),
            );
        }
        Ok(())
    }

    async fn kill(
        &mut self,
        plan: &KillPlan,
        lanes: &[Standing],
        done: u64,
    ) -> anyhow::Result<Option<(Kill, Instant)>> {
        let shares = shares(lanes);
        let victim = shares.get_key_value(&plan.victim).or_else(|| shares.first_key_value());
        let Some((worker, partitions)) = victim else { return Ok(None) };
        let pid = self.crew.kill(worker).await?;
        let killed_at = Instant::now();
        let records_before = i64::try_from(done.saturating_sub(plan.before_burst))?;
        self.teller.say(
            "kill -9",
            &format!(
                "{worker} (pid {pid}), which held partitions {}; {} records of the burst were accounted for",
                list(partitions),
                count(records_before)
            ),
        );
        let (successor, successor_pid) = self.crew.start()?;
        self.teller.say("start", &format!("{successor} (pid {successor_pid}) in its place"));
        let kill = Kill {
            worker: worker.clone(),
            pid,
            partitions: partitions.clone(),
            records_before,
            at_seconds: lanes.first().map_or(0.0, |lane| lane.seconds),
            successor,
            taken_over_by: BTreeMap::new(),
            taken_over_after_seconds: None,
        };
        Ok(Some((kill, killed_at)))
    }
}

/// How many records the lanes account for.
pub fn accounted(lanes: &[Standing]) -> u64 {
    lanes.iter().map(|lane| lane.next_offset.saturating_sub(lane.start_offset).unsigned_abs()).sum()
}

/// The offsets between two looks.
pub fn between(earlier: &[Standing], later: &[Standing]) -> Vec<OffsetRange> {
    let firsts: BTreeMap<i32, i64> = earlier.iter().map(|lane| (lane.partition, lane.next_offset)).collect();
    later
        .iter()
        .map(|lane| OffsetRange {
            partition: lane.partition,
            first: firsts.get(&lane.partition).copied().unwrap_or(lane.start_offset),
            behind: lane.next_offset,
        })
        .collect()
}

/// Partitions by the worker that holds them.
fn shares(lanes: &[Standing]) -> BTreeMap<String, Vec<i32>> {
    let mut shares: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for lane in lanes {
        if let Some(owner) = &lane.owner {
            shares.entry(owner.clone()).or_default().insert(lane.partition);
        }
    }
    shares.into_iter().map(|(owner, partitions)| (owner, partitions.into_iter().collect())).collect()
}

/// `4, 5, 6`.
pub fn list(partitions: &[i32]) -> String {
    partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}
