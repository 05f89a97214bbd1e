//! Postgres: the schema, and one named transaction for each write path.
//!
//! Every statement stands whole in a file under `queries/`. What an event does is `domain`'s; this crate carries
//! decisions out and never makes one.

pub mod audit;
pub mod connect;
mod copy;
pub mod dead_letters;
pub mod error;
pub mod gaps;
pub mod lanes;
pub mod load;
pub mod months;
mod nodelay;
pub mod record;
pub mod report;
mod report_payment;
pub mod rows;
pub mod scratch;
pub mod totals;
pub mod write;

/// Whether batches are fenced and proved and duplicates looked up. Only the build that `make bench` compares with is not.
pub const IS_GUARDED: bool = cfg!(not(feature = "unguarded"));
