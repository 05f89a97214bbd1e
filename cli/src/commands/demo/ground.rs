//! The demo's own ground: a database and a topic that are made anew each time, so that every run ends the same.
//!
//! The ledger and the topic that the other commands use are not touched.

use std::path::Path;

use anyhow::{Context, bail};
use millrace_domain::ids::Micros;
use millrace_domain::window::AcceptedWindow;
use millrace_store::connect::{self, Database};
use millrace_store::error::StoreError;
use millrace_store::{months, scratch};
use millrace_topics::{TopicName, TopicSpec, create_topic, delete_topic};

use crate::connection::Connection;

/// The demo's database, on the server of `DATABASE_URL`.
pub const DATABASE: &str = "millrace_demo";
/// What the demo's topic is called after the one that it copies.
const TOPIC_SUFFIX: &str = "-demo";
/// The database to be connected to while another one is made; every server has it.
const MAINTENANCE_DATABASE: &str = "postgres";

/// Where the demo plays.
pub struct Ground {
    /// Its database.
    pub database: Database,
    /// The same as a URL, for its workers.
    pub database_url: String,
    /// Its topic, as topics.yaml declares the real one.
    pub topic: TopicSpec,
    /// While it is held, no other demo runs on this server.
    _held: connect::Connection,
}

/// Finds the ground, without touching anything yet.
pub async fn find(connection: &Connection, topics_file: &Path) -> anyhow::Result<Ground> {
    let original = connection.topic.strip_suffix(TOPIC_SUFFIX).unwrap_or(&connection.topic);
    let spec = millrace_topics::parse(topics_file)?;
    let Some(topic) = spec.topic(original) else {
        bail!("{}: declares no topic {original}: name one that it declares by --topic", topics_file.display());
    };
    let topic = topic.renamed(TopicName::new(format!("{original}{TOPIC_SUFFIX}")).context("--topic")?);
    let server = connection.database("millrace demo")?;
    let mut held = server.named(MAINTENANCE_DATABASE).connect().await.map_err(|error| match error.remedy() {
        millrace_store::error::Remedy::Reconnect => {
            anyhow::Error::new(error).context("Postgres does not answer; `make up` starts the stack on this machine")
        }
        _ => anyhow::Error::new(error).context(format!("database {MAINTENANCE_DATABASE}")),
    })?;
    if !scratch::hold(&mut held, DATABASE).await? {
        bail!("another demo runs on this database server: wait for its end, or end it");
    }
    Ok(Ground {
        database: server.named(DATABASE),
        database_url: with_database(&connection.database_url, DATABASE),
        topic,
        _held: held,
    })
}

impl Ground {
    /// Makes the database anew, with its schema and the months of the window.
    pub async fn make_database(&mut self, window: &AcceptedWindow, now: Micros) -> anyhow::Result<()> {
        scratch::make_anew(&mut self._held, DATABASE).await.map_err(may_not_create)?;
        let mut connection = self.database.connect().await?;
        connect::migrate(&mut connection).await?;
        months::ensure(&mut connection, window, now).await?;
        Ok(())
    }

    /// Makes the topic anew.
    pub async fn make_topic(&self, brokers: &str) -> anyhow::Result<()> {
        delete_topic(brokers, &self.topic.name).await?;
        create_topic(brokers, &self.topic).await?;
        Ok(())
    }
}

fn may_not_create(error: StoreError) -> anyhow::Error {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let refused = error.sqlstate().as_deref() == Some(INSUFFICIENT_PRIVILEGE);
    let error = anyhow::Error::new(error);
    match refused {
        true => error.context("the demo needs a role that may create databases (ALTER ROLE ... CREATEDB)"),
        false => error.context(format!("cannot make the database {DATABASE} anew")),
    }
}

/// The same URL with another database in it.
fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (place, parameters) = match rest.split_once('?') {
        Some((place, parameters)) => (place, format!("?{parameters}")),
        None => (rest, String::new()),
    };
    let authority = place.split_once('/').map_or(place, |(authority, _)| authority);
    format!("{scheme}://{authority}/{database}{parameters}")
}

/// The URL as it may be shown: a password becomes `***`.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:***@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced_and_nothing_else() {
        for (url, wanted) in [
            ("postgres://m@127.0.0.1:15432/millrace", "postgres://m@127.0.0.1:15432/millrace_demo"),
            ("postgresql://m:p%2F@db/x?sslmode=require", "postgresql://m:p%2F@db/millrace_demo?sslmode=require"),
            ("postgres://db", "postgres://db/millrace_demo"),
            ("postgres://db?user=m", "postgres://db/millrace_demo?user=m"),
        ] {
            assert_eq!(with_database(url, DATABASE), wanted);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(without_password("postgres://m:secret@db/x"), "postgres://m:***@db/x");
        assert_eq!(without_password("postgres://m@db:5432/x"), "postgres://m@db:5432/x");
    }
}
