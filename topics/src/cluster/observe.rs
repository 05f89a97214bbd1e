//! Reading what the cluster has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use backon::{BlockingRetryable, ConstantBuilder};
use rdkafka::admin::{ConfigResource, ConfigSource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::{Metadata, MetadataTopic};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;

use super::{ANSWER_TIMEOUT, Cluster, ClusterError, admin_options};
use crate::durability::{Durability, MinInsyncReplicas, ReplicationFactor};
use crate::name::{Partitions, TopicName};
use crate::observed::{Broker, BrokerId, Observed, ObservedTopic, Watermarks};
use crate::settings::MIN_INSYNC_REPLICAS;

/// How long the news of a topic may take from one broker to the next, and between two looks.
const SPREAD_TIMEOUT: Duration = Duration::from_secs(5);
const SPREAD_INTERVAL: Duration = Duration::from_millis(100);
/// How long a look waits for a broker that is listed and may be dead.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Brokers and topics, before anything was asked about their settings.
pub(super) struct Layout {
    pub brokers: Vec<Broker>,
    pub topics: BTreeMap<TopicName, Placement>,
}

#[derive(Clone, Copy)]
pub(super) struct Placement {
    partitions: usize,
    replicas_min: usize,
    leaderless: usize,
    under_replicated: usize,
}

/// A topic's settings as one broker tells them.
pub(super) struct TopicSettings {
    /// Set on the topic itself.
    own: BTreeMap<String, String>,
    /// In effect, wherever it is set.
    min_isr: MinInsyncReplicas,
}

impl Cluster {
    /// What the cluster has now. The records of the topics in `count` are counted.
    pub async fn observe(&self, count: &BTreeSet<TopicName>) -> Result<Observed, ClusterError> {
        let Layout { brokers, topics } = self.layout().await?;
        let brokers = self.with_racks(brokers).await?;
        self.observed(brokers, topics, count).await
    }

    /// The same for a person who looks: the rack of a broker that does not answer is left out. One that has just died is
    /// listed for some seconds, and must not hide what the others tell.
    pub async fn look(&self) -> Result<Observed, ClusterError> {
        let Layout { mut brokers, topics } = self.layout().await?;
        for broker in &mut brokers {
            broker.rack = self.rack(broker, LOOK_TIMEOUT).await.unwrap_or(None);
        }
        self.observed(brokers, topics, &BTreeSet::new()).await
    }

    async fn observed(
        &self,
        brokers: Vec<Broker>,
        topics: BTreeMap<TopicName, Placement>,
        count: &BTreeSet<TopicName>,
    ) -> Result<Observed, ClusterError> {
        let names: Vec<&TopicName> = topics.keys().collect();
        let mut settings = self.topic_settings(&names, None).await?;
        let mut observed = Observed { brokers, topics: BTreeMap::new() };
        for (name, placement) in &topics {
            let settings = match settings.remove(name) {
                Some(settings) => settings,
                None => match self.settings_or_gone(name).await? {
                    Some(settings) => settings,
                    None => continue,
                },
            };
            let records = if count.contains(name) { Some(self.records(name, placement).await?) } else { None };
            observed.topics.insert(name.clone(), observed_topic(*placement, settings, records));
        }
        Ok(observed)
    }

    /// Whether `topic` is, in the eyes of every broker, as `is_done` wants it: brokers learn of a
    /// change one after the other, and a client may ask any of them.
    pub(super) async fn everywhere(
        &self,
        topic: &TopicName,
        is_done: impl Fn(Option<&ObservedTopic>) -> bool,
    ) -> Result<bool, ClusterError> {
        let Layout { brokers, topics } = self.layout().await?;
        let placement = topics.get(topic).copied();
        for broker in brokers {
            let mut settings = self.topic_settings(&[topic], Some(broker.id)).await?;
            let seen = match (placement, settings.remove(topic)) {
                (Some(placement), Some(settings)) => Some(observed_topic(placement, settings, None)),
                (None, None) => None,
                _ => return Ok(false),
            };
            if !is_done(seen.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A topic that was listed and then had no settings went away in between; or another broker
    /// was asked, which has not heard of it yet; or we may not read them, and must not take it for
    /// absent.
    async fn settings_or_gone(&self, topic: &TopicName) -> Result<Option<TopicSettings>, ClusterError> {
        let deadline = Instant::now() + SPREAD_TIMEOUT;
        while self.layout().await?.topics.contains_key(topic) {
            if let Some(settings) = self.topic_settings(&[topic], None).await?.remove(topic) {
                return Ok(Some(settings));
            }
            if Instant::now() >= deadline {
                let reason = "it lists the topic and hides its settings: the right DescribeConfigs is probably missing";
                return Err(self.request_error(format!("describe the settings of {topic}"), reason));
            }
            tokio::time::sleep(SPREAD_INTERVAL).await;
        }
        Ok(None)
    }

    async fn layout(&self) -> Result<Layout, ClusterError> {
        self.watched.metadata(layout).await.map_err(|(waited_s, reason)| ClusterError::NoAnswer {
            brokers: self.brokers.clone(),
            waited_s,
            reason,
        })
    }

    /// Kafka tells a broker's rack in the broker's own settings only, and each broker only its own.
    async fn with_racks(&self, brokers: Vec<Broker>) -> Result<Vec<Broker>, ClusterError> {
        let mut with_racks = Vec::with_capacity(brokers.len());
        for broker in brokers {
            let rack = self.rack(&broker, ANSWER_TIMEOUT).await?;
            with_racks.push(Broker { rack, ..broker });
        }
        Ok(with_racks)
    }

    async fn rack(&self, broker: &Broker, within: Duration) -> Result<Option<String>, ClusterError> {
        let resource = ResourceSpecifier::Broker(broker.id.0);
        let what = || format!("describe broker {broker}");
        let options = admin_options(None).request_timeout(Some(within)).operation_timeout(Some(within));
        let answer = self.admin.describe_configs([&resource], &options).await;
        let answer = answer.map_err(|error| self.request_error(what(), error))?;
        let described = answer.into_iter().next().transpose().map_err(|error| self.request_error(what(), error))?;
        let rack = described.and_then(|resource| resource.get("broker.rack")?.value.clone());
        Ok(rack.filter(|rack| !rack.is_empty()))
    }

    /// The settings of those of `topics` that exist, as `broker` or any broker tells them.
    pub(super) async fn topic_settings(
        &self,
        topics: &[&TopicName],
        broker: Option<BrokerId>,
    ) -> Result<BTreeMap<TopicName, TopicSettings>, ClusterError> {
        let mut settings = BTreeMap::new();
        if topics.is_empty() {
            return Ok(settings);
        }
        let what = "describe the settings of its topics";
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|t| ResourceSpecifier::Topic(t.as_str())).collect();
        let answer = self.admin.describe_configs(&resources, &admin_options(broker)).await;
        for described in answer.map_err(|error| self.request_error(what, error))? {
            let resource = described.map_err(|error| self.request_error(what, error))?;
            // The library drops a topic's own error and gives it without settings instead; every
            // topic that exists has some.
            if let (OwnedResourceSpecifier::Topic(name), false) = (&resource.specifier, resource.entries.is_empty()) {
                let read = topic_settings(&resource)
                    .ok_or_else(|| self.request_error(what, format!("{name} has no {MIN_INSYNC_REPLICAS}")))?;
                settings.insert(TopicName::observed(name), read);
            }
        }
        Ok(settings)
    }

    async fn records(&self, topic: &TopicName, placement: &Placement) -> Result<u64, ClusterError> {
        let ends = self.ends(topic, placement).await?;
        Ok(ends.iter().fold(0, |sum, end| sum.saturating_add(u64::try_from(end.high - end.low).unwrap_or(0))))
    }

    /// Where each partition of the topic begins and ends now; none if there is no such topic.
    pub async fn watermarks(&self, topic: &TopicName) -> Result<Option<Vec<Watermarks>>, ClusterError> {
        match self.layout().await?.topics.get(topic) {
            Some(placement) => Ok(Some(self.ends(topic, placement).await?)),
            None => Ok(None),
        }
    }

    /// The same for a person who looks: those that answer within some seconds, and the partitions that do not. None if
    /// there is no such topic.
    pub async fn watermarks_that_answer(
        &self,
        topic: &TopicName,
    ) -> Result<Option<(Vec<Watermarks>, Vec<i32>)>, ClusterError> {
        /// What a partition gets when others have used the time up: one whose leader lives takes milliseconds.
        const LEAST: Duration = Duration::from_millis(200);
        let Some(placement) = self.layout().await?.topics.get(topic).copied() else { return Ok(None) };
        let name = topic.as_str().to_owned();
        let asked = self.watched.blocking(move |client| {
            let until = Instant::now() + LOOK_TIMEOUT;
            let (mut ends, mut silent) = (Vec::new(), Vec::new());
            for partition in 0..i32::try_from(placement.partitions).unwrap_or(i32::MAX) {
                let within = until.saturating_duration_since(Instant::now()).max(LEAST);
                match partition_watermarks(client.client(), &name, partition, within) {
                    Ok(end) => ends.push(end),
                    Err(_) => silent.push(partition),
                }
            }
            (ends, silent)
        });
        Ok(Some(asked.await))
    }

    async fn ends(&self, topic: &TopicName, placement: &Placement) -> Result<Vec<Watermarks>, ClusterError> {
        let (name, partitions) = (topic.as_str().to_owned(), placement.partitions);
        let answer = self.watched.blocking(move |client| {
            (0..i32::try_from(partitions).unwrap_or(i32::MAX))
                .map(|partition| partition_watermarks(client.client(), &name, partition, ANSWER_TIMEOUT))
                .collect()
        });
        let answer: KafkaResult<Vec<Watermarks>> = answer.await;
        answer.map_err(|error| self.request_error(format!("tell the offsets of {topic}"), error))
    }
}

/// Where a partition begins and ends now. May block for twice `within`.
///
/// librdkafka hands the refusal of a broker that leads the partition no more to its caller, and only
/// then looks for the new leader: for as long as `within` the question is put again.
pub fn partition_watermarks<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
    within: Duration,
) -> KafkaResult<Watermarks> {
    let ask = || client.fetch_watermarks(topic, partition, within);
    let again = ConstantBuilder::new().with_delay(SPREAD_INTERVAL).with_max_times(usize::MAX);
    let begun = Instant::now();
    let answer = ask.retry(again).when(|error| is_leader_moving(error) && begun.elapsed() < within).call();
    answer.map(|(low, high)| Watermarks { partition, low, high })
}

fn is_leader_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        FencedLeaderEpoch, LeaderNotAvailable, NotLeaderForPartition, OffsetNotAvailable, ReplicaNotAvailable,
        UnknownLeaderEpoch,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            NotLeaderForPartition
                | LeaderNotAvailable
                | ReplicaNotAvailable
                | OffsetNotAvailable
                | FencedLeaderEpoch
                | UnknownLeaderEpoch
        )
    )
}

fn layout(metadata: &Metadata) -> Layout {
    let mut brokers: Vec<Broker> = metadata
        .brokers()
        .iter()
        .map(|broker| Broker {
            id: BrokerId(broker.id()),
            address: format!("{}:{}", broker.host(), broker.port()),
            rack: None,
        })
        .collect();
    brokers.sort_by_key(|broker| broker.id);
    let topics = metadata
        .topics()
        .iter()
        .map(|topic| (TopicName::observed(topic.name()), topic))
        .filter(|(name, topic)| !name.is_internal() && !topic.partitions().is_empty())
        .map(|(name, topic)| (name, placement(topic)))
        .collect();
    Layout { brokers, topics }
}

fn placement(topic: &MetadataTopic) -> Placement {
    let partitions = topic.partitions();
    Placement {
        partitions: partitions.len(),
        replicas_min: partitions.iter().map(|p| p.replicas().len()).min().unwrap_or(0),
        leaderless: partitions.iter().filter(|p| p.leader() < 0).count(),
        under_replicated: partitions.iter().filter(|p| p.isr().len() < p.replicas().len()).count(),
    }
}

fn topic_settings(resource: &ConfigResource) -> Option<TopicSettings> {
    let own = resource
        .entries
        .iter()
        .filter(|entry| entry.source == ConfigSource::DynamicTopic)
        .filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?)))
        .collect();
    let min_isr = resource.get(MIN_INSYNC_REPLICAS)?.value.as_ref()?.parse::<u16>().ok()?;
    Some(TopicSettings { own, min_isr: MinInsyncReplicas::new(min_isr)? })
}

fn observed_topic(placement: Placement, settings: TopicSettings, records: Option<u64>) -> ObservedTopic {
    ObservedTopic {
        partitions: Partitions::observed(placement.partitions),
        durability: Durability {
            replication_factor: ReplicationFactor::observed(placement.replicas_min),
            min_insync_replicas: settings.min_isr,
        },
        settings: settings.own,
        leaderless: placement.leaderless,
        under_replicated: placement.under_replicated,
        records,
    }
}
