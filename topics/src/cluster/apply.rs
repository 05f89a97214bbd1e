//! Carrying out a plan: that very value, nothing computed anew.
//!
//! Before the first change the brokers are asked whether they would take all of them; a plan that
//! they refuse changes nothing. Topics fail one by one: what was done stays done, and planning
//! again continues from there. The end is not the brokers' promise but what every broker shows.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use serde::Serialize;
use thiserror::Error;

use super::{Cluster, ClusterError, admin_options};
use crate::name::TopicName;
use crate::plan::{Action, Plan, PlanOptions, Refusal, SettingsChange, TopicPlan, is_done, plan};
use crate::spec::{Spec, TopicSpec};

/// How long all brokers may take to show a change.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Between two looks.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);

/// Whether a request is for the brokers' opinion alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Trial,
    Change,
}

/// What became of a plan, topic by topic, in the plan's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// One for each topic of the plan.
    pub topics: Vec<TopicOutcome>,
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicOutcome {
    /// The topic.
    pub topic: TopicName,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a topic's part of a plan ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing to do.
    Same,
    /// Made, and every broker shows it.
    Created,
    /// Changed, and every broker shows it.
    Changed,
    /// Deleted, and no broker shows it any more.
    Deleted,
    /// Left as it was, because the brokers refused another part of the plan before anything was
    /// done.
    NotTried,
    /// Not done, or not seen to be done.
    Failed {
        /// What the cluster says.
        reason: String,
    },
}

/// Why nothing at all was applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The plan holds refusals.
    #[error("{}\nnothing was changed", .0.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n"))]
    Refused(Vec<Refusal>),
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A plan made for a single topic failed.
    #[error("topic {topic}: {reason}")]
    Topic {
        /// The topic.
        topic: TopicName,
        /// What the cluster says.
        reason: String,
    },
}

/// [`Cluster::apply`] on a new connection.
pub async fn apply(brokers: &str, plan: &Plan) -> Result<Applied, ApplyError> {
    Cluster::connect(brokers)?.apply(plan).await
}

/// Makes one topic as it is declared, or leaves it alone if it is there like that.
pub async fn create_topic(brokers: &str, topic: &TopicSpec) -> Result<(), ApplyError> {
    let cluster = Cluster::connect(brokers)?;
    let options = PlanOptions::default();
    cluster.plan_and_apply(&Spec::only(topic.clone()), &options).await
}

/// Deletes one topic with all that it holds; one that is not there is fine.
pub async fn delete_topic(brokers: &str, topic: &TopicName) -> Result<(), ApplyError> {
    let cluster = Cluster::connect(brokers)?;
    let options = PlanOptions { delete: BTreeSet::from([topic.clone()]), ..PlanOptions::default() };
    cluster.plan_and_apply(&Spec { file: "(no file)".into(), topics: Vec::new() }, &options).await
}

impl Cluster {
    /// Carries out the plan and waits until every broker shows it. An error means that nothing
    /// was changed; a change that failed is in [`Applied`].
    pub async fn apply(&self, plan: &Plan) -> Result<Applied, ApplyError> {
        if plan.is_refused() {
            return Err(ApplyError::Refused(plan.refusals().cloned().collect()));
        }
        let trial = self.trial(plan).await;
        if trial.failed().next().is_some() {
            return Ok(trial);
        }
        let mut applied = Applied { topics: Vec::with_capacity(plan.topics.len()) };
        for topic in &plan.topics {
            let outcome = match self.request(topic, Mode::Change).await {
                Ok(()) => done(&topic.action),
                Err(reason) => Outcome::Failed { reason },
            };
            applied.topics.push(TopicOutcome { topic: topic.topic.clone(), outcome });
        }
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        for (topic, applied) in plan.topics.iter().zip(&mut applied.topics) {
            if !matches!(applied.outcome, Outcome::Same | Outcome::Failed { .. })
                && let Err(reason) = self.settle(topic, deadline).await
            {
                applied.outcome = Outcome::Failed { reason };
            }
        }
        Ok(applied)
    }

    /// What the brokers would say: they check limits and policies that only they know. A deletion
    /// cannot be tried.
    async fn trial(&self, plan: &Plan) -> Applied {
        let mut topics = Vec::with_capacity(plan.topics.len());
        for topic in &plan.topics {
            let outcome = match (self.request(topic, Mode::Trial).await, &topic.action) {
                (Err(reason), _) => Outcome::Failed { reason },
                (Ok(()), Action::Same) => Outcome::Same,
                (Ok(()), _) => Outcome::NotTried,
            };
            topics.push(TopicOutcome { topic: topic.topic.clone(), outcome });
        }
        Applied { topics }
    }

    async fn plan_and_apply(&self, spec: &Spec, options: &PlanOptions) -> Result<(), ApplyError> {
        let observed = self.observe(&BTreeSet::new()).await?;
        let applied = self.apply(&plan(spec, &observed, options)).await?;
        let failed = applied
            .failed()
            .next()
            .map(|(topic, reason)| ApplyError::Topic { topic: topic.clone(), reason: reason.to_owned() });
        failed.map_or(Ok(()), Err)
    }

    /// Sends what a topic's action says.
    async fn request(&self, topic: &TopicPlan, mode: Mode) -> Result<(), String> {
        let options = &admin_options(None).validate_only(mode == Mode::Trial);
        let name = topic.topic.as_str();
        match &topic.action {
            Action::Same | Action::Refused { .. } => Ok(()),
            Action::Create { partitions, settings, .. } => {
                let factor = topic.durability.map_or(0, |durability| i32::from(durability.replication_factor.get()));
                let partitions = i32::try_from(partitions.get()).unwrap_or(i32::MAX);
                let new = NewTopic::new(name, partitions, TopicReplication::Fixed(factor));
                let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
                only(self.admin.create_topics([&new], options).await)
            }
            Action::Change { grow, settings } => {
                if let Some(grow) = grow {
                    let count = usize::try_from(grow.to.get()).unwrap_or(usize::MAX);
                    only(self.admin.create_partitions([&NewPartitions::new(name, count)], options).await)?;
                }
                match settings {
                    Some(settings) => self.set(name, settings, options).await,
                    None => Ok(()),
                }
            }
            // This request has no trial: it would delete.
            Action::Delete { .. } if mode == Mode::Trial => Ok(()),
            Action::Delete { .. } => only(self.admin.delete_topics(&[name], options).await),
        }
    }

    /// Replaces the topic's whole set of settings, which is why the plan holds the whole set.
    async fn set(&self, name: &str, settings: &SettingsChange, options: &AdminOptions) -> Result<(), String> {
        let alter = AlterConfig::new(ResourceSpecifier::Topic(name));
        let alter = settings.all.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        match self.admin.alter_configs([&alter], options).await {
            Ok(results) => match results.into_iter().find_map(Result::err) {
                Some((_, code)) => Err(refused_by_broker(code)),
                None => Ok(()),
            },
            Err(error) => Err(error.to_string()),
        }
    }

    async fn settle(&self, topic: &TopicPlan, deadline: Instant) -> Result<(), String> {
        loop {
            let last = match self.everywhere(&topic.topic, |observed| is_done(topic, observed)).await {
                Ok(true) => return Ok(()),
                Ok(false) => "not every broker shows it".to_owned(),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                let waited_s = SETTLE_TIMEOUT.as_secs();
                return Err(format!(
                    "the cluster took the change, but after {waited_s} s {last}. Plan again in a while"
                ));
            }
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
    }
}

impl Applied {
    /// The topics that failed, with the reason.
    pub fn failed(&self) -> impl Iterator<Item = (&TopicName, &str)> {
        self.topics.iter().filter_map(|topic| match &topic.outcome {
            Outcome::Failed { reason } => Some((&topic.topic, reason.as_str())),
            _ => None,
        })
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TopicOutcome { topic, outcome } in &self.topics {
            match outcome {
                Outcome::Same => writeln!(f, "= {topic}: nothing to do")?,
                Outcome::Created => writeln!(f, "+ {topic}: created")?,
                Outcome::Changed => writeln!(f, "~ {topic}: changed")?,
                Outcome::Deleted => writeln!(f, "- {topic}: deleted")?,
                Outcome::NotTried => writeln!(f, "  {topic}: left as it was")?,
                Outcome::Failed { reason } => writeln!(f, "! {topic}: failed: {reason}")?,
            }
        }
        Ok(())
    }
}

fn done(action: &Action) -> Outcome {
    match action {
        Action::Create { .. } => Outcome::Created,
        Action::Change { .. } => Outcome::Changed,
        Action::Delete { .. } => Outcome::Deleted,
        Action::Same | Action::Refused { .. } => Outcome::Same,
    }
}

/// The result for the one topic that a request was about.
fn only(result: KafkaResult<Vec<TopicResult>>) -> Result<(), String> {
    match result {
        Ok(results) => match results.into_iter().find_map(Result::err) {
            Some((_, code)) => Err(refused_by_broker(code)),
            None => Ok(()),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn refused_by_broker(code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::TopicAlreadyExists => {
            "it already exists: someone made it since this was planned, another `millrace topics apply` perhaps. Plan again".to_owned()
        }
        RDKafkaErrorCode::InvalidPartitions => {
            "its partitions are not as many as when this was planned: someone else grew it meanwhile. Plan again".to_owned()
        }
        code => format!("{code}; the brokers' logs say more"),
    }
}
