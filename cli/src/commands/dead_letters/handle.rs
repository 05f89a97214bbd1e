//! `millrace dead-letters redrive` and `discard`: what people do with rejected records.

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::{ArgGroup, Args};
use millrace_domain::reason::Rejection;
use millrace_producer::{Producer, ProducerConfig, PublishError, Retry};
use millrace_store::connect::Connection as Session;
use millrace_store::dead_letters::{self, Handling};
use millrace_store::report::{self, StoredRecord, WholeDeadLetter};
use millrace_store::scratch;
use millrace_wire::headers::DEAD_LETTER;
use serde::Serialize;
use std::time::Duration;

use crate::commands::publish::stop::{self, Stop, Stopper};
use crate::connection::{Connection, words};
use crate::output::Format;
use crate::show::{grouped, on_one_line, print, print_json};

/// How many are under way before they are marked.
const AT_ONCE: usize = 500;
/// How long a record may take to be accepted.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);

/// Which dead letters, and who handles them.
#[derive(Args)]
#[group(skip)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "reason"]))]
pub struct Which {
    /// Their ids, as `millrace dead-letters list` shows them.
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// All open ones that were rejected for this reason, the first of the topic first.
    #[arg(long, value_name = "REASON", value_parser = super::reason)]
    reason: Option<Rejection>,
    /// With --reason: at most this many at a time.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Who does it: your user name, where the environment has it.
    #[arg(long, value_name = "NAME", env = "USER", value_parser = words)]
    by: String,
}

/// What came of it. Its JSON names are an interface.
#[derive(Serialize)]
struct Handled {
    handling: &'static str,
    dead_letter_ids: Vec<i64>,
    left: Vec<Left>,
    /// How many stay open because a signal ended the command before them.
    not_tried: usize,
}

impl Handled {
    fn nothing(handling: Handling) -> Handled {
        Handled { handling: handling.label(), dead_letter_ids: Vec::new(), left: Vec::new(), not_tried: 0 }
    }
}

/// A dead letter that stays open.
#[derive(Serialize)]
struct Left {
    dead_letter_id: i64,
    problem: String,
}

/// Publishes them again, in the order of the topic, and marks those that were accepted. That they may be marked, and that
/// the topic is the ledger's, is asked before anything is published.
pub async fn redrive(
    which: &Which,
    note: Option<&str>,
    (session, connection): (&mut Session, &Connection),
    output: Format,
) -> anyhow::Result<ExitCode> {
    const HELD: &str = "millrace dead-letters redrive";
    ensure!(scratch::hold(session, HELD).await?, "another redrive is under way: wait until it has ended");
    let letters = selected(session, which).await?;
    let mut handled = Handled::nothing(Handling::Redriven);
    let stopper = Stopper::new();
    if !letters.is_empty() {
        let lanes = report::lanes(session).await?;
        let lanes = lanes.iter().map(|lane| (lane.topic.as_str(), lane.topic_id.as_str()));
        connection.same_topic(lanes, &connection.topic_name()?).await.context("nothing was published")?;
        dead_letters::handle(session, &[], Handling::Redriven, &which.by, note)
            .await
            .context("nothing was published, for what is redriven could not be marked so")?;
        stopper.on_signals()?;
        let mut config = ProducerConfig::new(&*connection.brokers, &*connection.topic);
        config.client_id = "millrace-redrive".into();
        config.delivery_timeout = ACCEPTED_WITHIN;
        let producer = Producer::connect(config).await?;
        for some in letters.chunks(AT_ONCE) {
            if stopper.reason().is_some() {
                handled.not_tried += some.len();
                continue;
            }
            let accepted = publish(&producer, some, &mut handled.left).await;
            let marked = dead_letters::handle(session, &accepted, Handling::Redriven, &which.by, note).await;
            let said = || {
                format!(
                    "{} records were published again just now and could not be marked so: run the same command again; of \
                     those that applied the second is a duplicate",
                    accepted.len()
                )
            };
            handled.dead_letter_ids.extend(marked.with_context(said)?);
        }
        producer.close(ACCEPTED_WITHIN).await?;
    }
    let became = "published again; a lane judges each anew, and one that is rejected again is a new dead letter";
    let code = told(&handled, became, output)?;
    Ok(match stopper.reason() {
        Some(Stop::Signal(number)) => ExitCode::from(stop::exit_code(number)),
        _ => code,
    })
}

/// Marks them as given up.
pub async fn discard(which: &Which, note: &str, session: &mut Session, output: Format) -> anyhow::Result<ExitCode> {
    let letters = selected(session, which).await?;
    let ids: Vec<i64> = letters.iter().map(|whole| whole.letter.dead_letter_id).collect();
    let handling = Handling::Discarded;
    let dead_letter_ids = dead_letters::handle(session, &ids, handling, &which.by, Some(note)).await?;
    told(&Handled { dead_letter_ids, ..Handled::nothing(handling) }, "given up, and kept", output)
}

/// The open ones that were asked for. An id that is none of them is an error, before anything is done.
async fn selected(session: &mut Session, which: &Which) -> anyhow::Result<Vec<WholeDeadLetter>> {
    let limit = if which.reason.is_some() { which.limit } else { i64::MAX };
    let letters = dead_letters::open(session, &which.ids, which.reason.map(Rejection::kind), limit).await?;
    for id in &which.ids {
        if letters.iter().any(|whole| whole.letter.dead_letter_id == *id) {
            continue;
        }
        match report::dead_letter(session, *id).await? {
            Some(WholeDeadLetter { letter, .. }) => bail!(
                "dead letter {id} is {} already, by {}: nothing was done",
                letter.handling,
                letter.handled_by.as_deref().unwrap_or("nobody that is known")
            ),
            None => {
                bail!("there is no dead letter {id}: nothing was done. See `millrace dead-letters list --handling any`")
            }
        }
    }
    Ok(letters)
}

/// Publishes them in their order; gives those that were accepted.
async fn publish(producer: &Producer, letters: &[WholeDeadLetter], left: &mut Vec<Left>) -> Vec<i64> {
    let mut under_way = Vec::with_capacity(letters.len());
    for WholeDeadLetter { letter, record } in letters {
        let id = letter.dead_letter_id;
        let sent = match headers(record, &id.to_string()) {
            Ok(headers) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, *value)).collect();
                producer.enqueue_raw(record.key.as_deref(), record.value.as_deref(), &headers).await
            }
            Err(problem) => {
                left.push(Left { dead_letter_id: id, problem });
                continue;
            }
        };
        under_way.push((id, sent));
    }
    let mut accepted = Vec::with_capacity(under_way.len());
    for (id, sent) in under_way {
        let result = match sent {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => accepted.push(id),
            Err(error) => left.push(Left { dead_letter_id: id, problem: problem_of(&error) }),
        }
    }
    accepted
}

/// The library's error is for whoever holds the event; here the dead letter does.
fn problem_of(error: &PublishError) -> String {
    match error.retry() {
        Retry::SameEventId | Retry::NewProducer => format!("{}; run the same command again", error.cause),
        Retry::Never => error.cause.to_string(),
    }
}

type Headers<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

/// The record's headers, with the one that names its dead letter in place of any such.
fn headers<'a>(record: &'a StoredRecord, id: &'a str) -> Result<Headers<'a>, String> {
    let mut headers = Headers::new();
    for (name, value) in record.headers() {
        match std::str::from_utf8(name) {
            Ok(DEAD_LETTER) => {}
            Ok(name) if !name.contains('\0') => headers.push((name, value)),
            _ => return Err("it has a header whose name is no text, which cannot be sent: its publisher must".into()),
        }
    }
    headers.push((DEAD_LETTER, Some(id.as_bytes())));
    Ok(headers)
}

fn told(handled: &Handled, became: &str, output: Format) -> anyhow::Result<ExitCode> {
    match output {
        Format::Json => print_json(handled)?,
        Format::Text => {
            let count = i64::try_from(handled.dead_letter_ids.len()).unwrap_or(i64::MAX);
            let mut out = match (count, handled.left.is_empty() && handled.not_tried == 0) {
                (0, true) => "no open dead letter of that reason\n".to_owned(),
                (1, _) => format!("1 dead letter is {became}\n"),
                _ => format!("{} dead letters are {became}\n", grouped(count)),
            };
            if handled.not_tried > 0 {
                let count = i64::try_from(handled.not_tried).unwrap_or(i64::MAX);
                out += &format!(
                    "a signal ended this before {} others, which stay open: run the same command again\n",
                    grouped(count)
                );
            }
            for Left { dead_letter_id, problem } in &handled.left {
                out += &format!("dead letter {dead_letter_id} stays open: {}\n", on_one_line(problem));
            }
            print(&out)?;
        }
    }
    Ok(if handled.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redriven_record_keeps_its_headers_and_names_one_dead_letter() {
        let record = |names: &[&[u8]]| StoredRecord {
            key: None,
            value: None,
            header_names: names.iter().map(|name| name.to_vec()).collect(),
            header_values: names.iter().map(|_| Some(b"old".to_vec())).collect(),
        };
        let stored = record(&[b"ce_id", b"millrace_dead_letter"]);
        let wanted: Headers<'_> = vec![("ce_id", Some(b"old")), (DEAD_LETTER, Some(b"7"))];
        assert_eq!(headers(&stored, "7"), Ok(wanted));
        for name in [b"\xff".as_slice(), b"a\0"] {
            assert!(headers(&record(&[name]), "7").is_err());
        }
    }
}
