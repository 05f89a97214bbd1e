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
    let usable = 1.0 - policy.headroom;
    let (costs, sizes) = (&figures.costs, &figures.sizes);
    let by_cpu = |cores: f64, cpu: f64| cores * usable * 1e6 / cpu;
    // What is kept fills with the mean; the rate at the peak is that many times more.
    let by_disk =
        |tera: f64, bytes: f64, days: f64| tera * 1e12 * usable / (bytes * days * DAY_SECONDS) * policy.peak_factor;
    let limit = |limit, one_carries: f64, start: f64, plan: f64, next_move| Limit {
        limit,
        one_carries,
        start_carries: one_carries * start,
        passed: peak > one_carries * start,
        plan_carries: one_carries * plan,
        next_move,
    };
    let in_kafka = costs.kafka_bytes.value * REPLICATION_FACTOR;
    let (brokers_start, brokers_less_one) = (REPLICATION_FACTOR, planned.brokers - 1.0);
    let mut limits = vec![
        limit(
            "lanes",
            costs.lane_rate.value * usable / sizes.partition_skew.value,
            sizes.partitions_start.value,
            planned.partitions,
            GROW_PARTITIONS,
        ),
        limit(
            "worker CPU",
            by_cpu(sizes.worker_cores.value, costs.worker_cpu.value),
            1.0,
            planned.workers - 1.0,
            ADD_WORKERS,
        ),
        limit(
            "Postgres CPU",
            by_cpu(sizes.postgres_cores.value, costs.postgres_cpu.value),
            1.0,
            planned.shards,
            SPLIT_SHARDS,
        ),
        limit(
            "Postgres WAL",
            sizes.postgres_wal.value * 1e6 * usable / costs.wal_bytes.value,
            1.0,
            planned.shards,
            SPREAD_WAL,
        ),
        limit(
            "Postgres disk",
            by_disk(sizes.postgres_disk.value, costs.disk_bytes.value, policy.keep_days),
            1.0,
            planned.shards,
            KEEP_LESS,
        ),
        limit(
            "broker CPU",
            by_cpu(sizes.broker_cores.value, costs.broker_cpu.value),
            brokers_start - 1.0,
            brokers_less_one,
            ADD_BROKERS,
        ),
        limit(
            "broker network",
            sizes.broker_network.value * 1e6 * usable / in_kafka,
            brokers_start - 1.0,
            brokers_less_one,
            ADD_BROKERS,
        ),
        limit(
            "broker disk",
            by_disk(sizes.broker_disk.value, in_kafka, policy.retention_days),
            brokers_start,
            planned.brokers,
            RETAIN_LESS,
        ),
    ];
    limits.sort_by(|a, b| a.start_carries.total_cmp(&b.start_carries));
    limits
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
