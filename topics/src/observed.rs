//! What the cluster has, as values: brokers and topics as they were at one moment.
//!
//! Filled by [`crate::cluster`]; nothing here talks to Kafka.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::durability::Durability;
use crate::name::{Partitions, TopicName};

/// A broker's `node.id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BrokerId(pub i32);

/// A broker that is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broker {
    /// Its id.
    pub id: BrokerId,
    /// `host:port` as it advertises itself.
    pub address: String,
    /// Its `broker.rack`, if it has one.
    pub rack: Option<String>,
}

/// The cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Those that are up; one that is down is not listed by Kafka.
    pub brokers: Vec<Broker>,
    /// All topics but Kafka's own.
    pub topics: BTreeMap<TopicName, ObservedTopic>,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTopic {
    /// How many partitions it has.
    pub partitions: Partitions,
    /// The factor of its partition with the fewest replicas, and the min ISR in effect, wherever
    /// it is set.
    pub durability: Durability,
    /// What is set on the topic itself, in Kafka's spelling; defaults of the broker are not in it.
    pub settings: BTreeMap<String, String>,
    /// Partitions without a leader: they take and give nothing.
    pub leaderless: usize,
    /// Partitions whose replicas are not all in sync.
    pub under_replicated: usize,
    /// How many records it holds (the distance of its offsets), where that was asked for.
    pub records: Option<u64>,
}

/// Where a partition begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Watermarks {
    /// The partition.
    pub partition: i32,
    /// The first offset that Kafka still has.
    pub low: i64,
    /// The offset that the next record will get.
    pub high: i64,
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.id, self.address)?;
        match &self.rack {
            Some(rack) => write!(f, " in rack {rack}"),
            None => Ok(()),
        }
    }
}
