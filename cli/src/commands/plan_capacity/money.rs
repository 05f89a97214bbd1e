//! What a plan costs a month, roughly: round prices of a large cloud, which the command's options replace.
//!
//! People, support, backups and discounts are left out: they differ more than everything here.

use serde::Serialize;

use super::costs::{Figures, cost};
use super::expr::{Expr, number, term};
use super::plan::Base;
use super::working::Working;

const DAYS_OF_A_MONTH: f64 = 30.0;
const TERA: f64 = 1e12;
const MEGA: f64 = 1e6;

/// Unit prices, all in one currency.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Prices {
    /// One core for a month.
    pub core: f64,
    /// One GB of memory for a month.
    pub memory: f64,
    /// One TB of SSD for a month.
    pub disk: f64,
    /// One TB sent between zones.
    pub traffic: f64,
}

/// What is paid for.
pub struct Machines {
    pub workers: Expr,
    pub shards: Expr,
    pub brokers: Expr,
    /// TB of the ledger, without standbys.
    pub ledger: Expr,
    /// TB of all replicas.
    pub kafka_disk: Expr,
    pub bytes_per_event: Expr,
}

/// Money for a month.
#[derive(Serialize, Clone, Debug)]
pub struct Money {
    pub compute: f64,
    pub disk: f64,
    pub traffic: f64,
    pub a_month: f64,
    pub per_million_events: f64,
}

/// The sums.
pub(super) fn part(
    working: &mut Working,
    base: &Base,
    machines: &Machines,
    prices: &Prices,
    figures: &Figures,
) -> Money {
    working.part("money, a month");
    let (costs, sizes) = (&figures.costs, &figures.sizes);
    let servers = || machines.shards.clone() * (number(1.0) + cost!(sizes, standbys));
    let servers = working.step("postgres servers", "", servers());
    let cores = machines.workers.clone() * cost!(sizes, worker_cores)
        + servers.clone() * cost!(sizes, postgres_cores)
        + machines.brokers.clone() * cost!(sizes, broker_cores);
    let cores = working.step("cores", "cores", cores);
    let memory = machines.workers.clone() * cost!(costs, worker_memory)
        + servers * cost!(sizes, postgres_memory)
        + machines.brokers.clone() * cost!(sizes, broker_memory);
    let memory = working.step("memory", "GB", memory);
    let of_compute =
        cores * term("price of a core", prices.core, "") + memory * term("price of a GB", prices.memory, "");
    let compute = working.step("compute", "", of_compute);
    let kept = machines.ledger.clone() * (number(1.0) + cost!(sizes, standbys)) + machines.kafka_disk.clone();
    let bought = working.step("disk bought", "TB", kept / base.usable.clone());
    let disk = working.step("disk", "", bought * term("price of a TB", prices.disk, ""));
    // As if every hop crossed a zone: about two thirds do where three zones are used evenly.
    let sent = base.a_day.clone() * number(DAYS_OF_A_MONTH) * machines.bytes_per_event.clone() / number(TERA);
    let sent = working.step("sent", "TB", sent);
    let traffic = working.step("traffic", "", sent * term("price of a TB sent", prices.traffic, ""));
    let a_month = working.step("a month", "", compute.clone() + disk.clone() + traffic.clone());
    let millions = base.a_day.clone() * number(DAYS_OF_A_MONTH) / number(MEGA);
    let per_million = working.step("per million events", "", a_month.clone() / millions);
    Money {
        compute: compute.value(),
        disk: disk.value(),
        traffic: traffic.value(),
        a_month: a_month.value(),
        per_million_events: per_million.value(),
    }
}
