//! The harness of the end-to-end tests: a topic, a database and workers of its own for each test, on the real stack.
//!
//! It looks at the pipeline as an outsider does: it starts the release binary as processes, writes records to Kafka,
//! and reads Kafka and Postgres with its own code. It shares no codec and no query with the product, on purpose: what
//! it finds must not come from what it checks. The rules come from `millrace_model`, which knows neither.
//!
//! A stack that is away fails every test with the line that starts it; nothing is skipped, and nothing waits by the
//! clock: see [`wait::until`].

pub mod audit;
pub mod avro;
pub mod compare;
pub mod events;
pub mod kafka;
pub mod ledger;
pub mod pipeline;
pub mod proxy;
pub mod stack;
pub mod wait;
pub mod worker;

pub use pipeline::Pipeline;
pub use proxy::Proxy;
pub use stack::Stack;
pub use wait::until;
pub use worker::Worker;
