//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::contender::consume::ConsumeArgs;
use crate::contender::plain::PlainArgs;
use crate::suite::Asked;

const EVENTS_SHORT: u64 = 150_000;
const EVENTS_LONG: u64 = 3_000_000;
const ROUNDS_MIN: u32 = 3;
/// The peers that the hooks in bench/peers/ know.
const PEERS: [Peer; 2] = [Peer::Debezium, Peer::Flink];

/// Measures Millrace against the floors below it and the peers beside it, in one run and in turn.
///
/// `make bench` builds everything, starts the stack and runs the short form; `make bench-long` adds the scaling curves.
/// Every run of Millrace ends with its audit and with totals that the bench keeps for itself: if one is wrong, the bench
/// says so and exits with 1, for a fast wrong answer counts nothing.
#[derive(Parser)]
#[command(name = "millrace-bench", version, max_term_width = 100)]
#[command(after_help = "\
Examples, with the stack up (compose/stack run sets the addresses):
  millrace-bench run --only catch-up --events 1000000
  millrace-bench run --only workloads --peers none
  millrace-bench run --only partitions --rounds 5 --out /tmp/bench
  millrace-bench compare old.json bench/results.json

Environment: MILLRACE_BROKERS and DATABASE_URL say where the stack is. MILLRACE_BENCH_UNGUARDED names a build of the
worker without fence, proof rows and duplicate checks, to measure what exactly once costs.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it lives as long as the process")]
pub enum Command {
    /// Measure, and write BENCHMARKS.md, results.json and plots
    Run(RunArgs),
    /// Say what became slower between two results.json, beyond the spread of their rounds; exit code 1 if anything did
    Compare {
        /// The older results.
        old: PathBuf,
        /// The newer results.
        new: PathBuf,
        /// The form of the result on stdout.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Consume and discard; the bench starts this itself.
    #[command(hide = true)]
    Consume(ConsumeArgs),
    /// The plain consumer; the bench starts this itself.
    #[command(hide = true)]
    Plain(PlainArgs),
}

/// What to measure.
#[derive(Args, Clone)]
pub struct RunArgs {
    /// The long form: 3,000,000 events a run, more settings of the peers, and the scaling curves; allow hours
    #[arg(long)]
    long: bool,
    /// Only these parts, separated by commas [default: the first four; all of them with --long]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Events of a run [default: 150000, or 3000000 with --long]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    events: Option<u64>,
    /// Rounds: in each, every contender has one turn
    #[arg(long, value_name = "N", default_value_t = ROUNDS_MIN, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The peers to run, separated by commas; each is fetched the first time
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = PEERS, value_name = "PEER")]
    peers: Vec<Peer>,
    /// How long small requests may warm up the brokers beforehand, in seconds; 0: they are taken as they are
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub warm_up_max: u64,
    /// Rows that `full-tables` puts into the tables beforehand
    #[arg(long, value_name = "N", default_value_t = 50_000_000)]
    pub full_rows: u64,
    /// Where to write BENCHMARKS.md, results.json and plots/ [default: bench/; a run of nothing but curves writes one file,
    /// bench/curves/PARTS.json, from which later runs take the bars that they do not measure]
    #[arg(long, value_name = "DIRECTORY")]
    pub out: Option<PathBuf>,
    /// The form of the result on stdout; json is what results.json holds
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// A part of the bench.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Part {
    /// Catching up on single charges: Millrace, the floors, plain Rust and the peers
    CatchUp,
    /// Millrace on other streams: duplicates, bad records, a replay, life cycles in and out of order
    Workloads,
    /// From publish to committed under a steady load, against Debezium
    Latency,
    /// publish() and `millrace publish FILE` against raw librdkafka
    Publish,
    /// Curve: 1 to 64 partitions
    Partitions,
    /// Curve: 1 to 13 workers
    Workers,
    /// Curve: batches of 100 to 30,000 records
    Batches,
    /// Curve: a backlog of 1,000 to 10,000,000 events
    Backlog,
    /// A user who has half of all events, and events of 2 KiB
    Shapes,
    /// A second worker joins under load
    SecondWorker,
    /// Tables that hold 50 million events already, against empty ones
    FullTables,
    /// What an event costs brokers, disk and WAL, for `millrace plan-capacity`
    Costs,
}

impl Part {
    /// Whether it is measured by itself, and kept for the bars of other runs.
    pub fn is_curve(self) -> bool {
        !matches!(self, Part::CatchUp | Part::Workloads | Part::Latency | Part::Publish)
    }

    /// Its name on the command line.
    pub fn shown(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Peer {
    /// The JDBC sink connector of Debezium, in Kafka Connect
    Debezium,
    /// Apache Flink with its Kafka and JDBC connectors
    Flink,
    /// Nobody
    None,
}

/// The form of a result on stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document for programs.
    Json,
}

impl RunArgs {
    /// The parts to measure, in the order in which they are.
    pub fn parts(&self) -> Vec<Part> {
        let short = [Part::CatchUp, Part::Workloads, Part::Latency, Part::Publish];
        match (self.only.as_slice(), self.long) {
            ([], false) => short.into(),
            ([], true) => Part::value_variants().to_vec(),
            (only, _) => Part::value_variants().iter().copied().filter(|part| only.contains(part)).collect(),
        }
    }

    /// The form by name.
    pub fn form(&self) -> String {
        let form = if self.long { "long" } else { "short" };
        let names: Vec<String> = self.only.iter().map(|part| part.shown()).collect();
        if names.is_empty() { form.to_owned() } else { format!("{form}: {}", names.join(", ")) }
    }

    /// What the suite needs to know.
    pub fn asked(&self) -> Asked {
        let events = if self.long { EVENTS_LONG } else { EVENTS_SHORT };
        let named = |peer: &Peer| match peer {
            Peer::Debezium => Some("debezium"),
            Peer::Flink => Some("flink"),
            Peer::None => None,
        };
        Asked {
            events: self.events.unwrap_or(events),
            rounds: self.rounds,
            long: self.long,
            peers: self.peers.iter().filter_map(named).collect(),
        }
    }
}
