//! A client whose reports we hear: the client library tells why a connection fails only in its
//! log, which it would otherwise print in the middle of our output.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};

use super::ANSWER_TIMEOUT;

/// The thread of a `ThreadedProducer` takes the reports out of the library's queue; the producer
/// publishes nothing.
pub(super) struct Watched {
    client: Arc<ThreadedProducer<Listener>>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    last: Option<String>,
    all_down_since: Option<Instant>,
}

pub(super) struct Listener {
    heard: Arc<Mutex<Heard>>,
}

impl ClientContext for Listener {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(facility, "FAIL" | "ERROR" | "APIVERSION" | "CONNECT") {
            self.hear(message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.lock().all_down_since.get_or_insert_with(Instant::now);
        } else {
            self.hear(reason);
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, _: ()) {}
}

impl Listener {
    fn hear(&self, message: &str) {
        // The library puts its thread and the broker's internal name in front of a log line.
        let message = message.strip_prefix("[thrd:").and_then(|m| m.split_once("]: ")).map_or(message, |(_, m)| m);
        self.lock().last = Some(message.replace("/bootstrap", ""));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    pub fn new(config: &ClientConfig) -> KafkaResult<Watched> {
        let heard = Arc::<Mutex<Heard>>::default();
        let client = ThreadedProducer::from_config_and_context(config, Listener { heard: heard.clone() })?;
        Ok(Watched { client: Arc::new(client), heard })
    }

    /// Runs `ask` where it may block.
    pub async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ThreadedProducer<Listener>) -> T + Send + 'static,
    ) -> T {
        let client = self.client.clone();
        match tokio::task::spawn_blocking(move || ask(&client)).await {
            Ok(answer) => answer,
            // It cannot be cancelled once it runs, so it panicked, and so do we.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// What `read` makes of the metadata of the whole cluster; else how long we waited and why
    /// there was no answer.
    ///
    /// The whole cluster, because a question for one topic by name creates it where the brokers
    /// have auto-creation on.
    pub async fn metadata<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Metadata) -> T + Send + 'static,
    ) -> Result<T, (u64, String)> {
        let heard = self.heard.clone();
        let begun = Instant::now();
        let answer = self.blocking(move |client| {
            loop {
                let error = match client.client().fetch_metadata(None, METADATA_SLICE) {
                    Ok(metadata) => return Ok(read(&metadata)),
                    Err(error) => error,
                };
                let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let all_down = heard.all_down_since.is_some_and(|since| since.elapsed() >= ALL_DOWN_PATIENCE);
                if all_down || begun.elapsed() >= ANSWER_TIMEOUT {
                    return Err(heard.last.clone().unwrap_or_else(|| error.to_string()));
                }
            }
        });
        answer.await.map_err(|reason| (begun.elapsed().as_secs(), reason))
    }
}

/// Between two slices we look whether waiting still makes sense.
const METADATA_SLICE: std::time::Duration = std::time::Duration::from_secs(1);

/// Once every address refuses, a broker that is just starting gets this long.
const ALL_DOWN_PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);
