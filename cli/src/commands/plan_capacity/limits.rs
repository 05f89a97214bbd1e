//! What breaks first: up to which rate each part carries, as one starts and as planned, and what one does then.
//!
//! The start is the smallest system that keeps its promises: the partitions of topics.yaml, one worker, one Postgres,
//! three brokers.

use serde::Serialize;

use super::costs::Figures;
use super::plan::Policy;

const DAY_SECONDS: f64 = 86_400.0;
const REPLICATION_FACTOR: f64 = 3.0;

/// How many of each a plan has.
pub struct Planned {
    pub partitions: f64,
    pub workers: f64,
    pub shards: f64,
    pub brokers: f64,
}

/// One limit. Rates are events per second at the peak, with the headroom left free.
#[derive(Serialize, Clone, Debug)]
pub struct Limit {
    /// What is used up.
    pub limit: &'static str,
    /// What one partition, worker, shard or broker carries.
    pub one_carries: f64,
    /// What the smallest system carries.
    pub start_carries: f64,
    /// Whether this load is beyond that.
    pub passed: bool,
    /// What the plan carries.
    pub plan_carries: f64,
    /// What one does.
    pub next_move: &'static str,
}

/// Every limit, the one that the smallest system meets first at the front.
pub fn all(planned: &Planned, peak: f64, policy: &Policy, figures: &Figures) -> Vec<Limit> {
    let scale = Scale { usable: 1.0 - policy.headroom, peak_factor: policy.peak_factor };
    let mut limits = of_workers(&scale, planned, figures).to_vec();
    limits.extend(of_postgres(&scale, planned, policy, figures));
    limits.extend(of_brokers(&scale, planned, policy, figures));
    limits.iter_mut().for_each(|limit| limit.passed = peak > limit.start_carries);
    limits.sort_by(|a, b| a.start_carries.total_cmp(&b.start_carries));
    limits
}

/// From what a machine has to events per second at the peak.
struct Scale {
    usable: f64,
    peak_factor: f64,
}

impl Scale {
    /// Cores, at so many seconds of CPU for a million events.
    fn by_cpu(&self, cores: f64, cpu: f64) -> f64 {
        cores * self.usable * 1e6 / cpu
    }

    /// MB/s, at so many bytes for an event.
    fn by_flow(&self, mega: f64, bytes: f64) -> f64 {
        mega * 1e6 * self.usable / bytes
    }

    /// TB, at so many bytes for an event: what is kept fills with the mean, and the peak is so many times more.
    fn by_disk(&self, tera: f64, bytes: f64, days: f64) -> f64 {
        tera * 1e12 * self.usable / (bytes * days * DAY_SECONDS) * self.peak_factor
    }
}

/// A limit of parts of which the smallest system has `start` and the plan has `plan`.
fn limit(limit: &'static str, one_carries: f64, start: f64, plan: f64, next_move: &'static str) -> Limit {
    let (start_carries, plan_carries) = (one_carries * start, one_carries * plan);
    Limit { limit, one_carries, start_carries, passed: false, plan_carries, next_move }
}

fn of_workers(scale: &Scale, planned: &Planned, figures: &Figures) -> [Limit; 2] {
    let (costs, sizes) = (&figures.costs, &figures.sizes);
    let lane = costs.lane_rate.value * scale.usable / sizes.partition_skew.value;
    let worker = scale.by_cpu(sizes.worker_cores.value, costs.worker_cpu.value);
    [
        limit("lanes", lane, sizes.partitions_start.value, planned.partitions, GROW_PARTITIONS),
        // One of the plan's workers may be dead.
        limit("worker CPU", worker, 1.0, planned.workers - 1.0, ADD_WORKERS),
    ]
}

fn of_postgres(scale: &Scale, planned: &Planned, policy: &Policy, figures: &Figures) -> [Limit; 3] {
    let (costs, sizes) = (&figures.costs, &figures.sizes);
    let cpu = scale.by_cpu(sizes.postgres_cores.value, costs.postgres_cpu.value);
    let wal = scale.by_flow(sizes.postgres_wal.value, costs.wal_bytes.value);
    let disk = scale.by_disk(sizes.postgres_disk.value, costs.disk_bytes.value, policy.keep_days);
    [
        limit("Postgres CPU", cpu, 1.0, planned.shards, SPLIT_SHARDS),
        limit("Postgres WAL", wal, 1.0, planned.shards, SPREAD_WAL),
        limit("Postgres disk", disk, 1.0, planned.shards, KEEP_LESS),
    ]
}

fn of_brokers(scale: &Scale, planned: &Planned, policy: &Policy, figures: &Figures) -> [Limit; 3] {
    let (costs, sizes) = (&figures.costs, &figures.sizes);
    let bytes = costs.kafka_bytes.value * REPLICATION_FACTOR;
    let cpu = scale.by_cpu(sizes.broker_cores.value, costs.broker_cpu.value);
    let network = scale.by_flow(sizes.broker_network.value, bytes);
    let disk = scale.by_disk(sizes.broker_disk.value, bytes, policy.retention_days);
    // One may be away; what it keeps, it still keeps.
    let (start, plan) = (REPLICATION_FACTOR - 1.0, planned.brokers - 1.0);
    [
        limit("broker CPU", cpu, start, plan, ADD_BROKERS),
        limit("broker network", network, start, plan, ADD_BROKERS),
        limit("broker disk", disk, REPLICATION_FACTOR, planned.brokers, RETAIN_LESS),
    ]
}

/// The limit that the plan meets first when the load grows.
pub fn next(limits: &[Limit]) -> Option<&Limit> {
    limits.iter().min_by(|a, b| a.plan_carries.total_cmp(&b.plan_carries))
}

const GROW_PARTITIONS: &str = "double the partitions (topics apply --grow-keyed), so that each splits";
const ADD_WORKERS: &str = "start more workers, up to one for each partition";
const SPLIT_SHARDS: &str = "a larger machine; then another shard, and partitions moved to it";
const SPREAD_WAL: &str = "WAL on a disk of its own; then another shard, and partitions moved to it";
const KEEP_LESS: &str = "keep less online (drop the oldest months); then another shard, and partitions moved to it";
const ADD_BROKERS: &str = "add brokers and move replicas to them";
const RETAIN_LESS: &str = "retain less in Kafka; then add brokers and move replicas to them";
