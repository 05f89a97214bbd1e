//! The order of things: which contender has its turn when, and where its figures go.
//!
//! In a round every contender has one turn, and there are at least three rounds: what disturbs the machine for a
//! while disturbs all of them. Every second round goes backwards, so that what one leaves behind (brokers that are warm
//! by now, a disk that still writes) is not always the same one's gain or loss.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::contender::consume::Way;
use crate::contender::millrace::{Into, Setup};
use crate::contender::plain::Mode;
use crate::contender::{Backlog, consume, copy, millrace, peer, plain};
use crate::latency;
use crate::progress::Progress;
use crate::results::{Figures, Place, Results};
use crate::sending;
use crate::stack::Stack;
use crate::warmth::Warmth;
use crate::workload::Kind;

/// The partitions of a topic where nothing else is said, as in topics.yaml.
pub const PARTITIONS: u32 = 12;
/// A row at a time is slow: it is given this many events at most, twenty times as many in the long form.
const ROW_AT_A_TIME_MAX: u64 = 1_000;

/// In the short form other streams are shorter than the charges, by this factor: each run of them is audited. With a third
/// they would be over in a quarter of a second, and their ends would decide.
const STREAMS_SHORTER: u64 = 2;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Events of a run.
    pub events: u64,
    /// How often each contender has its turn.
    pub rounds: u32,
    /// The long form.
    pub long: bool,
    /// Which peers, by name.
    pub peers: Vec<&'static str>,
}

/// Who cannot be measured any more: scenario, place on the curve, name.
type LeftOut = BTreeSet<(String, Option<u64>, String)>;

/// A bench under way.
pub struct Bench {
    /// The stack.
    pub stack: Arc<Stack>,
    /// What was asked for.
    pub asked: Asked,
    /// What is said meanwhile.
    pub progress: Progress,
    /// What was found so far.
    pub results: Results,
    /// Peers that are here.
    pub peers: BTreeSet<&'static str>,
    rows: Option<Arc<copy::Rows>>,
}

/// Who has a turn.
#[derive(Clone, Debug)]
pub enum Contender {
    /// The worker under test, with this name in the results.
    Millrace(&'static str, Setup),
    /// COPY of the same rows, by so many connections.
    Copy(usize),
    /// Consume and discard.
    Consume(Way),
    /// Plain Rust.
    Plain(Mode),
    /// A sink on a JVM.
    Peer(peer::Setup),
}

impl Contender {
    /// The worker as it is.
    pub fn millrace() -> Contender {
        Contender::Millrace("millrace", Setup::default())
    }

    fn name(&self) -> String {
        match self {
            Contender::Millrace(name, _) => (*name).to_owned(),
            Contender::Copy(1) => "floor: COPY, 1 connection".to_owned(),
            Contender::Copy(connections) => format!("floor: COPY, {connections} connections"),
            Contender::Consume(way) => way.name().to_owned(),
            Contender::Plain(mode) => mode.name().to_owned(),
            Contender::Peer(setup) => setup.name(),
        }
    }
}

/// One contender on one backlog, once in each round.
#[derive(Clone)]
pub struct Turn {
    /// Where the figures go.
    pub scenario: String,
    /// The place on a curve.
    pub parameter: Option<u64>,
    /// The backlog.
    pub backlog: Arc<Backlog>,
    /// Who.
    pub contender: Contender,
    /// In how many of the rounds.
    pub rounds: u32,
}

impl Bench {
    /// Everything ready to begin.
    pub fn new(stack: Stack, asked: Asked, progress: Progress) -> Bench {
        let (stack, peers) = (Arc::new(stack), BTreeSet::new());
        Bench { stack, asked, progress, results: Results::default(), peers, rows: None }
    }

    /// Fetches the peers that were asked for. One that cannot be had is noted.
    pub async fn fetch_peers(&mut self) {
        for peer in self.asked.peers.clone() {
            self.progress.say(&format!("fetching {peer}, unless it is here"));
            match peer::fetch(&self.stack, peer).await {
                Ok(()) => drop(self.peers.insert(peer)),
                Err(error) => self.note(format!("{peer} was not run: {error:#}")),
            }
        }
    }

    /// Publishes a backlog.
    pub async fn backlog(&mut self, kind: Kind, partitions: u32, events: u64) -> anyhow::Result<Backlog> {
        self.backlog_until(kind, partitions, events, now_ms()?).await
    }

    /// The same with the moment of its last event, in milliseconds since 1970: from that the stream can be made again.
    async fn backlog_until(
        &mut self,
        kind: Kind,
        partitions: u32,
        events: u64,
        end_ms: i64,
    ) -> anyhow::Result<Backlog> {
        let topic = self.stack.make_topic(partitions).await?;
        let bar = self.progress.bar(&format!("publishing {events} events: {}", kind.name()), events);
        let workload = kind.stream(events, end_ms)?;
        let (records, outcome) = sending::backlog(&self.stack.brokers, topic.as_str(), workload, &bar).await?;
        Ok(Backlog { topic, records, outcome })
    }

    /// Charges that a ledger has applied, and the same once more: the second time is the backlog, and the ledger is what
    /// each run begins with.
    async fn replay(&mut self, events: u64) -> anyhow::Result<(Backlog, Setup)> {
        let end_ms = now_ms()?;
        let mut backlog = self.backlog_until(Kind::Charges, PARTITIONS, events, end_ms).await?;
        let bar = self.progress.bar("applying what will be replayed", events);
        let first = millrace::run(&self.stack, &backlog, &Setup::default(), &Into::Kept, &bar).await?;
        drop(bar);
        if !first.problems.is_empty() {
            self.wrong(format!("the first half of {REPLAY}: {}", first.problems.join("; ")));
        }
        let bar = self.progress.bar(&format!("publishing {events} events again"), events);
        let again = Kind::Charges.stream(events, end_ms)?;
        let (records, _) = sending::backlog(&self.stack.brokers, backlog.topic.as_str(), again, &bar).await?;
        backlog.outcome.duplicates += records;
        Ok((Backlog { records, ..backlog }, Setup { template: Some(first.database), ..Setup::default() }))
    }

    /// Gives each its turn, round by round.
    pub async fn rounds(&mut self, turns: Vec<Turn>) -> anyhow::Result<()> {
        let mut left_out = BTreeSet::new();
        for round in 1..=self.asked.rounds {
            self.round(&turns, round, &mut left_out).await?;
        }
        Ok(())
    }

    async fn round(&mut self, turns: &[Turn], round: u32, left_out: &mut LeftOut) -> anyhow::Result<()> {
        let mut order: Vec<&Turn> = turns.iter().filter(|turn| round <= turn.rounds).collect();
        if round.is_multiple_of(2) {
            order.reverse();
        }
        for turn in order {
            let who = turn.contender.name();
            if left_out.contains(&(turn.scenario.clone(), turn.parameter, who.clone())) {
                continue;
            }
            match self.turn(turn, round).await {
                Ok(()) => {}
                // What cannot be measured is left out and said; that Millrace itself fails is a wrong result.
                Err(error) => {
                    let problem = format!("{who} is left out of {} from round {round} on: {error:#}", turn.scenario);
                    match turn.contender {
                        Contender::Millrace(..) => self.wrong(problem),
                        _ => self.note(problem),
                    }
                    left_out.insert((turn.scenario.clone(), turn.parameter, who));
                }
            }
        }
        Ok(())
    }

    async fn turn(&mut self, turn: &Turn, round: u32) -> anyhow::Result<()> {
        let who = turn.contender.name();
        let bar = self.progress.bar(&format!("{who}: {}", turn.scenario), turn.backlog.records);
        let (stack, backlog) = (&self.stack, &*turn.backlog);
        let figures = match &turn.contender {
            Contender::Millrace(_, setup) => {
                let run = millrace::run(stack, backlog, setup, &Into::Fresh, &bar).await?;
                drop(bar);
                self.judged(turn, round, &run);
                return Ok(());
            }
            Contender::Copy(connections) => {
                let rows = self.rows.clone().context("the floor has its rows from the warm-up")?;
                copy::run(stack, &rows, *connections, &bar).await?
            }
            Contender::Consume(way) => consume::run(stack, backlog, *way).await?,
            Contender::Plain(mode) => {
                let most = match (mode, self.asked.long) {
                    (Mode::Batched, _) => backlog.records,
                    (Mode::Row, false) => ROW_AT_A_TIME_MAX,
                    (Mode::Row, true) => ROW_AT_A_TIME_MAX * 20,
                };
                plain::run(stack, backlog, *mode, most.min(backlog.records), &bar).await?
            }
            Contender::Peer(setup) => peer::run(stack, backlog, setup, &bar).await?,
        };
        drop(bar);
        self.record(turn, round, &figures);
        Ok(())
    }

    /// A run that is audited and does not count, before each round: who comes first behind a load of small requests, or on
    /// brokers that were just started, does a fifth less. The floor writes the rows of the first.
    async fn warm_up(&mut self, backlog: &Backlog) -> anyhow::Result<()> {
        let bar = self.progress.bar("warming up", backlog.records);
        let run = millrace::run(&self.stack, backlog, &Setup::default(), &Into::Kept, &bar).await.context("warm-up")?;
        drop(bar);
        if !run.problems.is_empty() {
            self.wrong(format!("warm-up: {}", run.problems.join("; ")));
        }
        if self.rows.is_none() {
            let mut session = self.stack.connect(&run.database).await?;
            self.rows = Some(Arc::new(copy::Rows::read(&mut session).await?));
        }
        self.stack.drop_database(&run.database).await
    }

    fn judged(&mut self, turn: &Turn, round: u32, run: &millrace::Run) {
        self.record(turn, round, &run.figures);
        if !run.problems.is_empty() {
            self.wrong(format!("{}, round {round}: {}", turn.scenario, run.problems.join("; ")));
        }
    }

    fn record(&mut self, turn: &Turn, round: u32, figures: &Figures) {
        let who = turn.contender.name();
        let place = Place { scenario: &turn.scenario, contender: &who, parameter: turn.parameter };
        self.found(place, turn.backlog.records, round, figures);
    }

    /// Keeps the figures of a run and says them.
    pub fn found(&mut self, place: Place<'_>, events: u64, round: u32, figures: &Figures) {
        self.results.add(&place, events, figures);
        let at = place.parameter.map_or(String::new(), |parameter| format!(" at {parameter}"));
        let rounds = self.asked.rounds;
        let shown = crate::show::line(figures);
        self.progress.say(&format!("[{round}/{rounds}] {}{at}: {}: {shown}", place.scenario, place.contender));
    }

    /// A run whose result is wrong.
    pub fn wrong(&mut self, what: String) {
        self.progress.warn(&format!("WRONG: {what}"));
        self.results.wrong.push(what);
    }

    /// Something that a reader of the results must know.
    pub fn note(&mut self, what: String) {
        self.progress.warn(&format!("note: {what}"));
        self.results.notes.push(what);
    }

    /// Deletes the topics of some backlogs.
    pub async fn forget(&mut self, turns: &[Turn]) -> anyhow::Result<()> {
        let topics: BTreeSet<_> = turns.iter().map(|turn| turn.backlog.topic.clone()).collect();
        for topic in &topics {
            self.stack.delete_topic(topic).await?;
        }
        Ok(())
    }
}

/// What of the short form's parts is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Single charges, for everyone.
    pub charges: bool,
    /// Other streams, for Millrace.
    pub streams: bool,
    /// Latency under a steady load.
    pub latency: bool,
}

impl Wanted {
    /// Whether Debezium catches up and is put under load by one process: its start takes as long as the short form's
    /// backlog. The long form chooses Debezium's best settings first.
    fn is_folded(self, long: bool) -> bool {
        self.charges && self.latency && !long
    }
}

/// Catching up on a backlog, and latency: in each round everyone has one turn at each. It begins with warm brokers.
pub async fn compare(bench: &mut Bench, wanted: Wanted, warmth: Warmth) -> anyhow::Result<()> {
    let folded = wanted.is_folded(bench.asked.long);
    let mut turns = Vec::new();
    if wanted.charges {
        turns.extend(charges(bench, folded).await?);
    }
    if wanted.streams {
        turns.extend(streams(bench).await?);
    }
    warmth.end(&bench.progress).await.context("warming up the brokers")?;
    let mut left_out = BTreeSet::new();
    for round in 1..=bench.asked.rounds {
        if let Some(first) = turns.first().filter(|_| wanted.charges) {
            bench.warm_up(&first.backlog.clone()).await?;
        }
        bench.round(&turns, round, &mut left_out).await?;
        if folded {
            latency::round(bench, round, true).await?;
        }
    }
    bench.forget(&turns).await?;
    if wanted.latency && !folded {
        for round in 1..=bench.asked.rounds {
            latency::round(bench, round, false).await?;
        }
    }
    Ok(())
}

/// Single charges, for everyone.
async fn charges(bench: &mut Bench, debezium_elsewhere: bool) -> anyhow::Result<Vec<Turn>> {
    let backlog = Arc::new(bench.backlog(Kind::Charges, PARTITIONS, bench.asked.events).await?);
    let mut field = vec![Contender::millrace()];
    if let Some(binary) = std::env::var_os("MILLRACE_BENCH_UNGUARDED") {
        let setup = Setup { unguarded: Some(PathBuf::from(binary)), ..Setup::default() };
        field.push(Contender::Millrace(UNGUARDED, setup));
    }
    field.extend(others(bench, debezium_elsewhere));
    let asked = &bench.asked;
    let turn = |contender: Contender| Turn {
        scenario: Kind::Charges.name().to_owned(),
        parameter: None,
        backlog: backlog.clone(),
        rounds: if !asked.long && is_once(&contender) { 1 } else { asked.rounds },
        contender,
    };
    Ok(field.into_iter().map(turn).collect())
}

/// Other streams, and charges of the same number to hold them against.
async fn streams(bench: &mut Bench) -> anyhow::Result<Vec<Turn>> {
    let (long, rounds) = (bench.asked.long, bench.asked.rounds);
    let events = if long { bench.asked.events } else { bench.asked.events / STREAMS_SHORTER };
    let mut streams = vec![(BASE, bench.backlog(Kind::Charges, PARTITIONS, events).await?, Setup::default())];
    for kind in [Kind::Duplicates, Kind::Bad, Kind::LifeCycles, Kind::InOrder, Kind::OutOfOrder] {
        streams.push((kind.name(), bench.backlog(kind, PARTITIONS, events).await?, Setup::default()));
    }
    let (again, setup) = bench.replay(events).await?;
    streams.push((REPLAY, again, setup));
    let turn = |(scenario, backlog, setup): (&str, Backlog, Setup)| Turn {
        scenario: scenario.to_owned(),
        parameter: None,
        backlog: Arc::new(backlog),
        contender: Contender::Millrace("millrace", setup),
        rounds,
    };
    Ok(streams.into_iter().map(turn).collect())
}

/// Charges, as what the other streams are held against.
pub const BASE: &str = "charges, as the base of other streams";
/// The scenario of a stream that is published twice: only the second time is measured.
pub const REPLAY: &str = "charges, replayed whole";
/// The build that shows what exactly once costs.
pub const UNGUARDED: &str = "millrace, without fence, proof rows and duplicate checks";

/// Debezium's settings that are compared; its best counts.
pub fn debezium(long: bool) -> Vec<peer::Setup> {
    let of = |mode, tasks, batch| peer::Setup { peer: "debezium", mode, tasks, batch };
    let mut setups = vec![of("upsert", 2, 5_000)];
    if long {
        setups.push(of("insert", 2, 5_000));
        for (tasks, batch) in [(1, 5_000), (4, 5_000), (1, 20_000), (2, 20_000), (4, 20_000)] {
            setups.push(of("upsert", tasks, batch));
        }
    }
    setups
}

/// Everyone but Millrace.
fn others(bench: &Bench, debezium_elsewhere: bool) -> Vec<Contender> {
    let mut field: Vec<Contender> = [1, 2, 4].map(Contender::Copy).into();
    field.extend([Way::Decoded, Way::Raw, Way::Defaults].map(Contender::Consume));
    field.extend([Mode::Row, Mode::Batched].map(Contender::Plain));
    if bench.peers.contains("debezium") && !debezium_elsewhere {
        field.extend(debezium(bench.asked.long).into_iter().map(Contender::Peer));
    }
    if bench.peers.contains("flink") {
        let flink = peer::Setup { peer: "flink", mode: "upsert", tasks: 2, batch: 5_000 };
        field.push(Contender::Peer(flink));
    }
    field
}

/// What the short form runs in the first round only: it is there to be seen, and no bar depends on it.
fn is_once(contender: &Contender) -> bool {
    match contender {
        Contender::Copy(connections) => *connections == 1,
        Contender::Consume(way) => *way != Way::Decoded,
        Contender::Plain(mode) => *mode == Mode::Row,
        Contender::Millrace(..) | Contender::Peer(_) => false,
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> anyhow::Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}
