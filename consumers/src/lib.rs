//! The worker: lanes that carry records from their partition into Postgres, exactly once.
//!
//! `flow` is pure: values in, values out. The shell around it owns Kafka (one OS thread) and Postgres (a connection
//! for each lane at work), and leaves judging to `flow` and `domain`.

mod availability;
mod buffer;
mod claims;
pub mod config;
mod connections;
mod fetchers;
pub mod flow;
mod group;
pub mod health;
pub mod hole;
mod lane;
pub mod metrics;
mod observe;
mod reader;
mod reading;
mod record;
mod session;
mod shares;
mod together;
pub mod topic_id;
mod watch;
pub mod worker;
