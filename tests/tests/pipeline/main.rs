//! The pipeline from end to end, on a real cluster and a real Postgres: what goes in, what becomes of it, and what
//! happens to processes, connections and brokers in between.
//!
//! Each test has a topic, a database and workers of its own, and ends with the audit.

mod audit;
mod kafka;
mod lanes;
mod load;
mod novelty;
mod operating;
mod parking;
mod postgres;
mod refusals;
mod together;
mod totals;
mod workers;
