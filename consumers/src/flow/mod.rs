//! The pure part of a lane: which records come next, what becomes of them, how much may wait.

pub mod backpressure;
pub mod balances;
pub mod books;
pub mod contiguity;
pub mod decode;
pub mod detail;
pub mod judge;
pub mod novelty;
pub mod quiet;
pub mod refused;
pub mod streak;
pub mod work;
