//! The plan for one load: from events per second to machines, disk, traffic and money.
//!
//! Pure: a load, a policy and figures in, a plan out. Throughput is sized for the peak, what is kept for the mean.
//! Which limit is met first is `limits`'s, the sums of money are `money`'s.

use serde::Serialize;

use super::costs::{Figures, cost};
use super::expr::{Expr, ceil, doubled, max, number, term};
use super::limits::{self, Limit};
use super::money::{self, Money, Prices};
use super::working::{Step, Working};

const DAY_SECONDS: f64 = 86_400.0;
/// The unit of a number of machines or partitions.
const COUNT: &str = "";
const MEGA: f64 = 1e6;
const TERA: f64 = 1e12;
/// Each record is on this many brokers (topics.yaml).
const REPLICATION_FACTOR: f64 = 3.0;
/// One replica more than min.insync.replicas of 2, so that one broker may be away.
const BROKERS_MIN: f64 = 3.0;

/// How many events there are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Load {
    /// So many users, each with so many events a day.
    Users {
        /// Users.
        users: f64,
        /// Events of one user in a day.
        per_day: f64,
    },
    /// Events per second, on average.
    Mean(f64),
    /// Events per second at the busiest time.
    Peak(f64),
}

/// What is decided besides the load.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Policy {
    /// The peak against the mean.
    pub peak_factor: f64,
    /// How long Kafka keeps a record.
    pub retention_days: f64,
    /// How long the ledger is kept online.
    pub keep_days: f64,
    /// The share of everything that stays free.
    pub headroom: f64,
    /// What things cost.
    pub prices: Prices,
}

/// A number of machines or partitions, and what demands it.
#[derive(Serialize, Clone, Debug)]
pub struct Count {
    /// How many.
    pub count: f64,
    /// The largest of the demands.
    pub because: String,
}

impl Count {
    /// The largest of these demands, the first among equals. A demand for no more than the least is none.
    fn of(count: &Expr, least: &str, demands: &[(&str, &Expr, f64)]) -> Count {
        let mut because = (least, f64::NEG_INFINITY);
        for (why, demand, at_least) in demands {
            if demand.value() > *at_least && demand.value() > because.1 {
                because = (why, demand.value());
            }
        }
        Count { count: count.value(), because: because.0.to_owned() }
    }
}

/// What a load needs.
#[derive(Serialize, Clone, Debug)]
pub struct Plan {
    /// Events per second on average.
    pub mean_per_second: f64,
    /// Events per second at the busiest time.
    pub peak_per_second: f64,
    /// Events in a day.
    pub events_a_day: f64,
    pub partitions: Count,
    pub workers: Count,
    pub postgres_shards: Count,
    pub brokers: Count,
    pub postgres: Postgres,
    pub kafka_disk_tb: f64,
    pub network: Network,
    /// How long an outage of an hour at the peak is caught up in, at the peak; none without headroom.
    pub catch_up_hours: Option<f64>,
    pub money: Money,
    /// Every limit, the one that is met first at the front.
    pub limits: Vec<Limit>,
    pub working: Vec<Step>,
}

/// What all shards hold together, without standbys.
#[derive(Serialize, Clone, Debug)]
pub struct Postgres {
    pub by_cpu: f64,
    pub by_wal: f64,
    pub by_disk: f64,
    pub disk_tb: f64,
    pub disk_a_day_tb: f64,
    pub wal_mb_per_second: f64,
    pub wal_a_day_tb: f64,
}

/// Traffic at the peak, in MB/s.
#[derive(Serialize, Clone, Debug)]
pub struct Network {
    pub publishers_to_brokers: f64,
    pub between_brokers: f64,
    pub brokers_to_workers: f64,
    pub workers_to_postgres: f64,
    pub postgres_to_standbys: f64,
}

/// What later parts take from earlier ones.
pub(super) struct Base {
    pub(super) mean: Expr,
    pub(super) peak: Expr,
    pub(super) a_day: Expr,
    /// The share of a machine that may be used.
    pub(super) usable: Expr,
}

/// Plans one load.
pub fn plan(load: Load, policy: &Policy, figures: &Figures) -> Plan {
    let mut working = Working::default();
    let base = load_part(&mut working, load, policy);
    let (workers, workers_count) = workers_part(&mut working, &base, figures);
    let (shards, shards_count, postgres) = postgres_part(&mut working, &base, policy, figures);
    let partitions = partitions_part(&mut working, &base, figures, &workers, &shards);
    let (brokers, brokers_count, kafka_disk) = brokers_part(&mut working, &base, policy, figures);
    let (network, all_bytes) = network_part(&mut working, &base, figures);
    let catch_up_hours = catch_up(&mut working, &base, policy);
    let machines = money::Machines {
        workers: workers.clone(),
        shards: shards.clone(),
        brokers: brokers.clone(),
        ledger: term("ledger", postgres.disk_tb, "TB"),
        kafka_disk: term("kafka disk", kafka_disk, "TB"),
        bytes_per_event: all_bytes,
    };
    let money = money::part(&mut working, &base, &machines, &policy.prices, figures);
    let planned = limits::Planned {
        partitions: partitions.count,
        workers: workers.value(),
        shards: shards.value(),
        brokers: brokers.value(),
    };
    Plan {
        mean_per_second: base.mean.value(),
        peak_per_second: base.peak.value(),
        events_a_day: base.a_day.value(),
        partitions,
        workers: workers_count,
        postgres_shards: shards_count,
        brokers: brokers_count,
        postgres,
        kafka_disk_tb: kafka_disk,
        network,
        catch_up_hours,
        money,
        limits: limits::all(&planned, base.peak.value(), policy, figures),
        working: working.done(),
    }
}

fn load_part(working: &mut Working, load: Load, policy: &Policy) -> Base {
    working.part("load");
    let factor = term("peak factor", policy.peak_factor, "");
    let (mean, peak) = match load {
        Load::Users { users, per_day } => {
            let all = term("users", users, COUNT) * term("events of a user a day", per_day, "events");
            let mean = working.step("mean", "events/s", all / number(DAY_SECONDS));
            let peak = working.step("peak", "events/s", mean.clone() * factor);
            (mean, peak)
        }
        Load::Mean(mean) => {
            let mean = working.step("mean", "events/s", term("events per second", mean, "events/s"));
            let peak = working.step("peak", "events/s", mean.clone() * factor);
            (mean, peak)
        }
        Load::Peak(peak) => {
            let peak = working.step("peak", "events/s", term("peak events per second", peak, "events/s"));
            let mean = working.step("mean", "events/s", peak.clone() / factor);
            (mean, peak)
        }
    };
    let a_day = working.step("events a day", "events", mean.clone() * number(DAY_SECONDS));
    let usable = working.step("usable", "", number(1.0) - term("headroom", policy.headroom, ""));
    Base { mean, peak, a_day, usable }
}

/// Cores that the peak keeps busy, from seconds of CPU for a million events.
fn cores(base: &Base, cpu: Expr) -> Expr {
    base.peak.clone() * cpu / number(MEGA)
}

fn workers_part(working: &mut Working, base: &Base, figures: &Figures) -> (Expr, Count) {
    working.part("workers");
    let busy = working.step("worker cores", "cores", cores(base, cost!(figures.costs, worker_cpu)));
    let by_cpu = ceil(busy / (cost!(figures.sizes, worker_cores) * base.usable.clone()));
    let by_cpu = working.step("workers by CPU", COUNT, by_cpu);
    let workers = working.step("workers", COUNT, by_cpu.clone() + number(1.0));
    working.step("worker memory", "GB", workers.clone() * cost!(figures.costs, worker_memory));
    let count = Count::of(&workers, "one, and one that may die", &[("CPU, and one that may die", &by_cpu, 1.0)]);
    (workers, count)
}

fn postgres_part(working: &mut Working, base: &Base, policy: &Policy, figures: &Figures) -> (Expr, Count, Postgres) {
    working.part("postgres");
    let (costs, sizes, usable) = (&figures.costs, &figures.sizes, || base.usable.clone());
    let busy = working.step("postgres cores", "cores", cores(base, cost!(costs, postgres_cpu)));
    let by_cpu = ceil(busy / (cost!(sizes, postgres_cores) * usable()));
    let by_cpu = working.step("shards by CPU", COUNT, by_cpu);
    let wal = working.step("WAL", "MB/s", base.peak.clone() * cost!(costs, wal_bytes) / number(MEGA));
    let by_wal = ceil(wal.clone() / (cost!(sizes, postgres_wal) * usable()));
    let by_wal = working.step("shards by WAL", COUNT, by_wal);
    let grows = working.step("ledger a day", "TB", base.a_day.clone() * cost!(costs, disk_bytes) / number(TERA));
    let ledger = working.step("ledger", "TB", grows.clone() * term("keep", policy.keep_days, "days"));
    let by_disk = ceil(ledger.clone() / (cost!(sizes, postgres_disk) * usable()));
    let by_disk = working.step("shards by disk", COUNT, by_disk);
    let shards = max([by_cpu.clone(), by_wal.clone(), by_disk.clone()]);
    let shards = working.step("shards", COUNT, shards);
    let wal_a_day = working.step("WAL a day", "TB", base.a_day.clone() * cost!(costs, wal_bytes) / number(TERA));
    let demands = [("disk", &by_disk, 1.0), ("WAL", &by_wal, 1.0), ("CPU", &by_cpu, 1.0)];
    let count = Count::of(&shards, "one carries it", &demands);
    let postgres = Postgres {
        by_cpu: by_cpu.value(),
        by_wal: by_wal.value(),
        by_disk: by_disk.value(),
        disk_tb: ledger.value(),
        disk_a_day_tb: grows.value(),
        wal_mb_per_second: wal.value(),
        wal_a_day_tb: wal_a_day.value(),
    };
    (shards, count, postgres)
}

fn partitions_part(working: &mut Working, base: &Base, figures: &Figures, workers: &Expr, shards: &Expr) -> Count {
    working.part("partitions");
    let sizes = &figures.sizes;
    let busiest = base.peak.clone() * cost!(sizes, partition_skew);
    let by_lane = ceil(busiest / (cost!(figures.costs, lane_rate) * base.usable.clone()));
    let by_lane = working.step("partitions by lane", COUNT, by_lane);
    let by_shard = shards.clone() * cost!(sizes, partitions_per_shard);
    let by_shard = working.step("partitions by shard", COUNT, by_shard);
    let need = max([by_lane.clone(), by_shard.clone(), workers.clone()]);
    let start = cost!(sizes, partitions_start);
    let least = start.value();
    let partitions = working.step("partitions", COUNT, doubled(start, need));
    let demands = [("shards", &by_shard, least), ("lanes", &by_lane, least), ("workers", workers, least)];
    Count::of(&partitions, "the start carries it", &demands)
}

fn brokers_part(working: &mut Working, base: &Base, policy: &Policy, figures: &Figures) -> (Expr, Count, f64) {
    working.part("brokers");
    let (costs, sizes, usable) = (&figures.costs, &figures.sizes, || base.usable.clone());
    let copies = || term("replication factor", REPLICATION_FACTOR, "");
    let busy = working.step("broker cores", "cores", cores(base, cost!(costs, broker_cpu)));
    let by_cpu = ceil(busy / (cost!(sizes, broker_cores) * usable()));
    let by_cpu = working.step("brokers by CPU", COUNT, by_cpu);
    // In: from publishers and for the other replicas. Out: for the other replicas and to the workers. The same.
    let traffic = base.peak.clone() * cost!(costs, kafka_bytes) * copies() / number(MEGA);
    let traffic = working.step("broker traffic, each way", "MB/s", traffic);
    let by_network = ceil(traffic / (cost!(sizes, broker_network) * usable()));
    let by_network = working.step("brokers by network", COUNT, by_network);
    let kept = base.a_day.clone() * term("retention", policy.retention_days, "days");
    let disk = working.step("kafka disk", "TB", kept * cost!(costs, kafka_bytes) * copies() / number(TERA));
    let by_disk = ceil(disk.clone() / (cost!(sizes, broker_disk) * usable()));
    let by_disk = working.step("brokers by disk", COUNT, by_disk);
    let one_away = || number(1.0);
    let need = [number(BROKERS_MIN), by_cpu.clone() + one_away(), by_network.clone() + one_away(), by_disk.clone()];
    let brokers = working.step("brokers", COUNT, max(need));
    let count = Count::of(
        &brokers,
        "three replicas",
        &[
            ("disk", &by_disk, BROKERS_MIN),
            ("network, and one that may be away", &by_network, BROKERS_MIN - 1.0),
            ("CPU, and one that may be away", &by_cpu, BROKERS_MIN - 1.0),
        ],
    );
    (brokers, count, disk.value())
}

/// The traffic, and the bytes that one event sends over the network in all.
fn network_part(working: &mut Working, base: &Base, figures: &Figures) -> (Network, Expr) {
    working.part("network at the peak");
    let costs = &figures.costs;
    let mut traffic = |name, bytes: Expr| working.step(name, "MB/s", base.peak.clone() * bytes / number(MEGA)).value();
    let others = || number(REPLICATION_FACTOR - 1.0);
    let network = Network {
        publishers_to_brokers: traffic("publishers to brokers", cost!(costs, kafka_bytes)),
        between_brokers: traffic("between brokers", cost!(costs, kafka_bytes) * others()),
        brokers_to_workers: traffic("brokers to workers", cost!(costs, kafka_bytes)),
        workers_to_postgres: traffic("workers to postgres", cost!(costs, copy_bytes)),
        postgres_to_standbys: traffic("postgres to standbys", cost!(costs, wal_bytes) * cost!(figures.sizes, standbys)),
    };
    let in_kafka = cost!(costs, kafka_bytes) * number(REPLICATION_FACTOR + 1.0);
    let in_all = in_kafka + cost!(costs, copy_bytes) + cost!(costs, wal_bytes) * cost!(figures.sizes, standbys);
    let bytes = working.step("bytes sent for an event", "B", in_all);
    (network, bytes)
}

/// What was not read for an hour at the peak is caught up by what is free at the peak.
fn catch_up(working: &mut Working, base: &Base, policy: &Policy) -> Option<f64> {
    working.part("after an outage of an hour, at the peak");
    let hours = || base.usable.clone() / term("headroom", policy.headroom, "");
    (policy.headroom > 0.0).then(|| working.step("caught up in", "h", term("outage", 1.0, "h") * hours()).value())
}
