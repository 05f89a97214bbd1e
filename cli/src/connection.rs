//! Where Kafka and Postgres are: the options that all commands share.

use anyhow::Context;
use clap::Args;
use millrace_consumers::topic_id::{self, TopicIdError};
use millrace_store::connect::Database;
use millrace_store::error::StoreError;
use millrace_topics::TopicName;

/// The brokers of the stack that `make up` starts.
pub const BROKERS_DEFAULT: &str = "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094";

/// Where Kafka and Postgres are. The defaults are those of the stack that `make up` starts.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// Kafka brokers to ask first, as host:port, separated by commas.
    #[arg(
        long,
        global = true,
        env = "MILLRACE_BROKERS",
        value_name = "HOST:PORT,...",
        default_value = BROKERS_DEFAULT
    )]
    pub brokers: String,
    /// The topic of payment events.
    #[arg(long, global = true, env = "MILLRACE_TOPIC", value_name = "NAME", default_value = "payment-events")]
    pub topic: String,
    /// The ledger's database. Each topic has a database of its own.
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "postgres://millrace@127.0.0.1:15432/millrace"
    )]
    pub database_url: String,
}

impl Connection {
    /// The ledger's database; `application` is what Postgres shows of us.
    pub fn database(&self, application: &str) -> anyhow::Result<Database> {
        Database::at(&self.database_url, application).context("--database-url")
    }

    /// The topic.
    pub fn topic_name(&self) -> anyhow::Result<TopicName> {
        TopicName::new(&*self.topic).map_err(|error| anyhow::anyhow!("--topic {:?} {error}", self.topic))
    }

    /// Kafka's id of the topic, if it is the one that these lanes of a ledger were written from (see [`topics_apart`]).
    pub async fn same_topic<'a>(
        &self,
        lanes: impl IntoIterator<Item = (&'a str, &'a str)>,
        topic: &TopicName,
    ) -> anyhow::Result<String> {
        let id = match topic_id::of(&self.brokers, topic.as_str()).await {
            Err(error @ TopicIdError::Unavailable { .. }) => {
                let hint = format!("Kafka at {} does not answer: is it up, and is --brokers right?", self.brokers);
                return Err(anyhow::Error::new(error).context(hint));
            }
            told => told?,
        };
        match topics_apart(lanes, topic, std::slice::from_ref(&id)) {
            Some(apart) => Err(apart.into()),
            None => Ok(id),
        }
    }
}

/// Text that somebody will read: not only blanks. An argument's parser.
pub fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say something: it is kept for whoever reads it later".into()),
        words => Ok(words.into()),
    }
}

/// Why the offsets of a ledger mean nothing in this topic, if it is not the one that the ledger was written from. `lanes`:
/// the topic of each and Kafka's id of it; `ids`: what Kafka says now.
pub fn topics_apart<'a>(
    lanes: impl IntoIterator<Item = (&'a str, &'a str)>,
    topic: &TopicName,
    ids: &[String],
) -> Option<StoreError> {
    lanes.into_iter().find_map(|(held, stored)| {
        if held != topic.as_str() {
            return Some(StoreError::OtherTopic { held: held.into(), wanted: topic.to_string() });
        }
        let found = ids.iter().find(|found| *found != stored)?;
        Some(StoreError::OtherTopicId { topic: topic.to_string(), stored: stored.into(), found: found.clone() })
    })
}
