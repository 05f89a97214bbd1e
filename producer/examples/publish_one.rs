//! The program of the crate's first page, with an id of its own for each run: publish one event and see it accepted.
//!
//! `cargo run --release -p millrace-producer --example publish_one`, on the stack of `make up`.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::time::{Duration, SystemTime};

use millrace_producer::{Producer, ProducerConfig, Retry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let brokers = std::env::var("MILLRACE_BROKERS")
        .unwrap_or_else(|_| "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094".to_owned());
    let topic = std::env::var("MILLRACE_TOPIC").unwrap_or_else(|_| "payment-events".to_owned());
    let producer = Producer::connect(ProducerConfig::new(brokers, topic)).await?;

    // Make the id (a UUIDv7) once and keep the event before the first try: with your order, in your outbox.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now_bytes = now.as_nanos().to_be_bytes();
    let event_id = uuid::Builder::from_unix_timestamp_millis(now.as_millis() as u64, now_bytes[6..].try_into()?);
    let event_id = event_id.into_uuid();
    let occurred_at = millrace_wire::json::rfc3339(millrace_domain::ids::Micros(now.as_micros() as i64))
        .ok_or("the clock is beyond the year 9999")?;
    let event = millrace_wire::json::parse(
        format!(
            r#"{{"event_id": "{event_id}",
                 "event_type": "payment.charged",
                 "payment_id": "{event_id}",
                 "user_id": "user-17", "merchant_id": "merchant-4",
                 "amount_minor": 1250, "currency": "GBP",
                 "occurred_at": "{occurred_at}", "source": "checkout"}}"#
        )
        .as_bytes(),
    )?;

    loop {
        match producer.publish(&event).await {
            Ok(accepted) => {
                println!("in partition {} after {:?}", accepted.partition, accepted.latency);
                break;
            }
            // The same event id makes it safe: if the first try did arrive, this one counts as a duplicate.
            Err(error) if error.retry() == Retry::SameEventId => eprintln!("{error}; trying again"),
            Err(error) => return Err(error.into()),
        }
    }

    producer.close(Duration::from_secs(30)).await?;
    Ok(())
}
