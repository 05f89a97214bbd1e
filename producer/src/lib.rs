//! Publishes payment events so that 'accepted' can be trusted: [`Producer::publish`] answers when
//! `min.insync.replicas` brokers hold the event, and not before.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use millrace_producer::{Producer, ProducerConfig, Retry};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let brokers = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094";
//!     let producer = Producer::connect(ProducerConfig::new(brokers, "payment-events")).await?;
//!
//!     // Make the id (a UUIDv7) once and keep the event before the first try: with your order, in your outbox.
//!     let event = millrace_wire::json::parse(
//!         br#"{"event_id": "019ab0e1-7c00-7a3b-9f00-5d1c9e2b4a01",
//!              "event_type": "payment.charged",
//!              "payment_id": "0d2f6c1e-3b7a-4e53-9c40-8d8b1f6a7c21",
//!              "user_id": "user-17", "merchant_id": "merchant-4",
//!              "amount_minor": 1250, "currency": "GBP",
//!              "occurred_at": "2025-11-23T09:30:00Z", "source": "checkout"}"#,
//!     )?;
//!
//!     loop {
//!         match producer.publish(&event).await {
//!             Ok(accepted) => {
//!                 println!("in partition {} after {:?}", accepted.partition, accepted.latency);
//!                 break;
//!             }
//!             // The same event id makes it safe: if the first try did arrive, this one counts as a duplicate.
//!             Err(error) if error.retry() == Retry::SameEventId => eprintln!("{error}; trying again"),
//!             Err(error) => return Err(error.into()),
//!         }
//!     }
//!
//!     producer.close(Duration::from_secs(30)).await?;
//!     Ok(())
//! }
//! ```
//!
//! - **One producer for a process**, shared behind an `Arc`: all of its methods take `&self`.
//! - **Order**: events that one task enqueues one after the other and that share a user keep that order. A full
//!   queue makes [`Producer::enqueue`] wait; it never sleeps and overtakes itself. Of an event that times out this does
//!   not hold: those behind it may have been accepted when it is published again. Who needs order through an outage too
//!   awaits each result before the same user's next event, or sets a delivery time-out that outlasts it.
//! - **Throughput**: [`Producer::enqueue`] returns a [`Delivery`] as soon as the queue has the event. Enqueue many,
//!   then await their deliveries: the network's round trip is paid once and not for each.
//! - **Every enqueued event gets exactly one result.** Where it says that it is unknown whether the event arrived,
//!   publish it again under the same event id.
//! - **Shutdown**: call [`Producer::close`]. Dropping the producer without it waits for a moment and then gives up
//!   what is still under way, saying so in the log.
//!
//! What the event means is left to the worker; where events are kept until they were accepted, to the caller.

pub use config::{Compression, ProducerConfig};
pub use connect::{ConnectError, Durability};
pub use delivery::{Accepted, Delivery};
pub use error::{Cause, PublishError, Retry, Unflushed};
pub use producer::{Outgoing, Producer};

mod config;
mod connect;
mod delivery;
mod error;
mod librdkafka;
pub mod metrics;
mod producer;
mod room;
