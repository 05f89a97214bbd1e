//! The subcommands, one file each.

pub mod accept_gap;
pub mod dead_letters;
pub mod demo;
pub mod generate;
pub mod migrate;
pub mod payment;
pub mod plan_capacity;
pub mod publish;
pub mod status;
pub mod topics;
pub mod verify;
pub mod worker;
