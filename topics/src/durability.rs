//! What a topic survives, from its replication factor and its min.insync.replicas.
//!
//! Kafka clamps `min.insync.replicas` to the replication factor in silence: a topic of factor 1
//! that asks for 2 takes every write with one copy. So nothing here shows the number that was
//! asked for without the *effective* one.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// How many brokers hold a copy of each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ReplicationFactor(u16);

/// How many copies a write needs before it is acknowledged (with `acks=all`), as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MinInsyncReplicas(u16);

impl ReplicationFactor {
    /// Kafka's wire format has 16 bits with a sign.
    pub const MAX: u16 = i16::MAX as u16;

    /// A factor within 1 to [`ReplicationFactor::MAX`].
    pub fn new(factor: u16) -> Option<ReplicationFactor> {
        (1..=Self::MAX).contains(&factor).then_some(ReplicationFactor(factor))
    }

    /// What a broker told us, whatever it is.
    pub(crate) fn observed(replicas: usize) -> ReplicationFactor {
        ReplicationFactor(u16::try_from(replicas).unwrap_or(u16::MAX))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl MinInsyncReplicas {
    /// A number within 1 to [`ReplicationFactor::MAX`].
    pub fn new(replicas: u16) -> Option<MinInsyncReplicas> {
        (1..=ReplicationFactor::MAX).contains(&replicas).then_some(MinInsyncReplicas(replicas))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ReplicationFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MinInsyncReplicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The two numbers together, and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    /// Copies of each partition.
    pub replication_factor: ReplicationFactor,
    /// As it was asked for; see [`Durability::effective`].
    pub min_insync_replicas: MinInsyncReplicas,
}

impl Durability {
    /// The min.insync.replicas that Kafka goes by.
    pub fn effective(self) -> u16 {
        self.min_insync_replicas.get().min(self.replication_factor.get())
    }

    /// How many brokers can be down while writes are still accepted.
    pub fn writes_survive(self) -> u16 {
        self.replication_factor.get() - self.effective()
    }

    /// How many brokers can be lost for good, with their disks, without losing a record that was
    /// acknowledged: one fewer than the copies that the acknowledgement waited for.
    pub fn data_survives(self) -> u16 {
        self.effective().saturating_sub(1)
    }

    /// Whether anything that `other` survives would be too much for this.
    pub fn is_weaker_than(self, other: Durability) -> bool {
        self.writes_survive() < other.writes_survive() || self.data_survives() < other.data_survives()
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brokers = |n: u16| if n == 1 { "broker" } else { "brokers" };
        let (writes, data) = (self.writes_survive(), self.data_survives());
        write!(f, "replication factor {}, effective min ISR {}", self.replication_factor, self.effective())?;
        if self.min_insync_replicas.get() > self.effective() {
            write!(f, " ({} asked for, Kafka clamps it to the factor in silence)", self.min_insync_replicas)?;
        }
        if writes == data {
            return write!(f, ", survives {writes} {} lost", brokers(writes));
        }
        write!(
            f,
            ", survives {writes} {} lost for writes, {data} {} lost for acknowledged data",
            brokers(writes),
            brokers(data)
        )
    }
}

impl Serialize for Durability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Durability", 5)?;
        out.serialize_field("replication_factor", &self.replication_factor)?;
        out.serialize_field("min_insync_replicas", &self.min_insync_replicas)?;
        out.serialize_field("effective_min_insync_replicas", &self.effective())?;
        out.serialize_field("brokers_lost_writes_survive", &self.writes_survive())?;
        out.serialize_field("brokers_lost_data_survives", &self.data_survives())?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durability(factor: u16, min_isr: u16) -> Durability {
        Durability { replication_factor: ReplicationFactor(factor), min_insync_replicas: MinInsyncReplicas(min_isr) }
    }

    #[test]
    fn the_effective_min_isr_is_clamped_to_the_factor_and_decides_what_survives() {
        // (factor, asked for) -> (effective, writes survive, data survives)
        let table = [
            ((3, 2), (2, 1, 1)),
            ((3, 1), (1, 2, 0)),
            ((3, 3), (3, 0, 2)),
            ((1, 1), (1, 0, 0)),
            ((1, 2), (1, 0, 0)),
            ((2, 3), (2, 0, 1)),
            ((5, 3), (3, 2, 2)),
        ];
        for ((factor, min_isr), want) in table {
            let d = durability(factor, min_isr);
            assert_eq!(
                (d.effective(), d.writes_survive(), d.data_survives()),
                want,
                "factor {factor}, min ISR {min_isr}"
            );
        }
    }

    #[test]
    fn the_sentence_says_so_when_kafka_clamps() {
        assert_eq!(durability(3, 2).to_string(), "replication factor 3, effective min ISR 2, survives 1 broker lost");
        assert_eq!(
            durability(1, 2).to_string(),
            "replication factor 1, effective min ISR 1 (2 asked for, Kafka clamps it to the factor in silence), \
             survives 0 brokers lost"
        );
        assert_eq!(
            durability(3, 1).to_string(),
            "replication factor 3, effective min ISR 1, survives 2 brokers lost for writes, \
             0 brokers lost for acknowledged data"
        );
    }
}
