//! The pure core of Millrace: what a payment event is, and what it does to a payment and to the ledger.
//!
//! Read in the order of the modules below, which is the order in which an event meets them. Nothing here reads
//! a clock, a database or Kafka: time comes in as a value and decisions go out as values, so that any schedule
//! of events can be replayed and tested.

pub mod book;
pub mod content;
pub mod event;
pub mod ids;
pub mod money;
pub mod payment;
pub mod posting;
pub mod reason;
pub mod table;
pub mod window;
