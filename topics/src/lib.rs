//! Topics as code: what `topics.yaml` declares, what the cluster has, and the plan that leads
//! from one to the other.
//!
//! ```text
//! topics.yaml --parse--> Spec ----+
//!                                 +--plan--> Plan --apply--> the cluster
//! the cluster --observe--> Observed +
//! ```
//!
//! [`spec`], [`observed`] and [`plan`] are pure: values in, values out. [`cluster`] alone talks to
//! Kafka. `apply` carries out the [`Plan`] that it is given and never computes one of its own, so
//! what a person was shown is what happens.
//!
//! Absent on purpose: moving replicas between brokers (Kafka has its own tool for it), deleting a
//! topic that nobody named, and the meaning of events.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use millrace_topics::{Cluster, PlanOptions, parse, plan};
//!
//! let spec = parse("topics.yaml".as_ref())?;
//! let cluster = Cluster::connect("127.0.0.1:19092")?;
//! let options = PlanOptions::default();
//! let observed = cluster.observe(&options.delete).await?;
//! let plan = plan(&spec, &observed, &options);
//! println!("{plan}");
//! let applied = cluster.apply(&plan).await?;
//! println!("{applied}");
//! # Ok(())
//! # }
//! ```

pub mod durability;
pub mod name;
pub mod settings;

pub mod spec;

pub mod observed;

pub mod plan;

pub mod cluster;

pub use cluster::{
    Applied, ApplyError, Cluster, ClusterError, apply, create_topic, delete_topic, partition_watermarks,
};
pub use durability::{Durability, MinInsyncReplicas, ReplicationFactor};
pub use name::{Partitions, TopicName};
pub use observed::{Broker, BrokerId, Observed, ObservedTopic, Watermarks};
pub use plan::{Plan, PlanOptions, plan};
pub use spec::{Problem, Spec, SpecErrors, TopicSpec, parse};
