//! Brokers that have compiled what they run, before anything counts.
//!
//! A broker that was just started interprets its code, and compiles it for minutes on the cores of whoever has his turn.
//! In production nobody meets such a broker. So small requests, in which compiling shows most, go through all of them and
//! out again to a consumer group, while the bench fetches and publishes what it needs, and until the compilers have little
//! left to do. No worker reads them: it would take the cores on which they compile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_topics::TopicName;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::progress::Progress;
use crate::publishing;
use crate::stack::Stack;
use crate::suite::PARTITIONS;
use crate::workload::Record;

/// How many records are under way at the same time.
const CALLERS: usize = 24;
/// How long one topic and one group are under load: making them, joining and leaving are compiled too.
const SPELL: Duration = Duration::from_secs(5);
/// How long the consumer waits for records before it looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Little left to do: all compilers of all brokers together, in cores.
const CALM: f64 = 0.15;
/// How long, where the brokers' processes cannot be seen.
const UNSEEN: Duration = Duration::from_secs(30);

/// A load that goes on until the brokers are warm; it ends with its handle.
pub struct Warmth {
    load: JoinHandle<anyhow::Result<Found>>,
    most: Duration,
}

/// How it ended.
#[derive(Default)]
struct Found {
    sent: u64,
    took: Duration,
    /// What the compilers took in the last spell, in cores, if it can be seen.
    compilers: Option<f64>,
}

impl Warmth {
    /// Begins to load the brokers, for `most` at most.
    pub fn begin(stack: Arc<Stack>, most: Duration) -> Warmth {
        Warmth { load: tokio::spawn(load(stack, most)), most }
    }

    /// Waits until they are warm, and says how far they came.
    pub async fn end(mut self, progress: &Progress) -> anyhow::Result<()> {
        const TELL_EVERY: Duration = Duration::from_millis(250);
        let bar = progress.bar("warming up the brokers, s", self.most.as_secs());
        let began = Instant::now();
        let found = loop {
            match timeout(TELL_EVERY, &mut self.load).await {
                Ok(found) => break found??,
                Err(_) => bar.at(i64::try_from(began.elapsed().as_secs())?),
            }
        };
        drop(bar);
        let Found { sent, took, compilers } = found;
        if sent == 0 {
            return Ok(());
        }
        let calm = match compilers {
            Some(cores) if cores < CALM => format!("their compilers are calm ({cores:.2} of a core)"),
            Some(cores) => {
                format!("their compilers still take {cores:.2} of a core; --warm-up-max allows them more time")
            }
            None => "whether they are calm cannot be seen from here".to_owned(),
        };
        progress.say(&format!("brokers warmed up with {sent} records in {:.0} s: {calm}", took.as_secs_f64()));
        Ok(())
    }
}

impl Drop for Warmth {
    fn drop(&mut self) {
        self.load.abort();
    }
}

async fn load(stack: Arc<Stack>, most: Duration) -> anyhow::Result<Found> {
    let (began, sees) = (Instant::now(), stack.knows_brokers());
    let most = if sees { most } else { most.min(UNSEEN) };
    let (_, records) = publishing::pool(publishing::POOL)?;
    let records = Arc::new(records);
    let mut found = Found::default();
    while found.took < most && !found.compilers.is_some_and(|cores| cores < CALM) {
        let (before, from) = (stack.broker_compilers()?, Instant::now());
        found.sent += spell(&stack, &records).await?;
        let cores = (stack.broker_compilers()? - before) / from.elapsed().as_secs_f64();
        // A compiler thread that ended took its seconds along: the sum falls, and tells nothing of this spell.
        found.compilers = (sees && cores >= 0.0).then_some(cores);
        found.took = began.elapsed();
    }
    Ok(found)
}

/// A topic under load, with a consumer behind it; gives how many records were sent.
async fn spell(stack: &Arc<Stack>, records: &Arc<Vec<Record>>) -> anyhow::Result<u64> {
    let topic = stack.make_topic(PARTITIONS).await?;
    let (consumer, reading) = (consumer(stack, &topic)?, Arc::new(AtomicBool::new(false)));
    let read = tokio::task::spawn_blocking({
        let until = reading.clone();
        move || {
            while !until.load(Ordering::Relaxed) {
                // What it finds, and whether it finds anything, is nothing to the load.
                drop(consumer.poll(LOOK_EVERY));
            }
        }
    });
    // However this ends, the reading does too.
    let reading = Ends(reading);
    let sent = publishing::raw(stack, &topic, records, CALLERS, SPELL).await?;
    drop(reading);
    read.await?;
    stack.delete_topic(&topic).await?;
    Ok(sent)
}

/// Sets its flag when it is dropped.
struct Ends(Arc<AtomicBool>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The only member of a group of its own.
fn consumer(stack: &Stack, topic: &TopicName) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &stack.brokers).set("group.id", stack.new_name());
    config.set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.set_log_level(RDKafkaLogLevel::Emerg).create()?;
    consumer.subscribe(&[topic.as_str()])?;
    Ok(consumer)
}
