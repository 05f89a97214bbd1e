//! `millrace dead-letters`: what was rejected, why, the records as they came, and what people do with them.

mod handle;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use millrace_domain::reason::Rejection;
use millrace_store::report::{self, DeadLetterFilter, DeadLetterReport, WholeDeadLetter};
use serde::Serialize;

use crate::connection::{Connection, words};
use crate::output::Format;
use crate::record::{Bytes, Decoded, hex, hex_dump};
use crate::show::Side::{Left, Right};
use crate::show::{moment, on_one_line, or_dash, print, print_json, table};

/// Look at the dead letters, rejected records that are kept whole with their reason, and redrive or discard them.
#[derive(Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Subcommand)]
enum DeadLettersCommand {
    /// List dead letters, the latest first.
    #[command(
        after_help = "With -o json: {dead_letters: [{dead_letter_id, reason, detail, event_id, payment_id, partition, \
        offset, rejected_at, handling, ..}]}."
    )]
    List {
        /// Only those rejected for this reason, such as malformed or capture_exceeds_authorized.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        reason: Option<Rejection>,
        /// Only those that were handled like this.
        #[arg(long, value_enum, value_name = "HANDLING", default_value = "open")]
        handling: Handling,
        /// At most this many.
        #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// Show one dead letter with its whole record: decoded if it can be, its headers, its bytes in hex if not.
    ///
    /// Exit codes: 0 shown, 1 there is none with this id.
    #[command(after_help = "With -o json: {dead_letter_id, reason, .., event: {..} or null, problem, key, headers: \
        [{name, value}], value_hex}. Keys and headers are {text} or, where they are not visible text, {hex}.")]
    Show {
        /// Its id, as `millrace dead-letters list` shows it.
        #[arg(value_name = "ID")]
        dead_letter_id: i64,
    },
    /// Publish records again, once what they were rejected for is mended.
    ///
    /// Each goes through Kafka under its own event id, in the order of the topic, with a header that names its dead letter;
    /// a lane judges it as any other record. A number that the rejected record used up is not held against it. What is
    /// rejected again becomes a new dead letter. If this is ended in the middle, run it again: what applied
    /// meanwhile is then a duplicate.
    ///
    /// Exit codes: 0 all are published again, 1 some stay open (each is named), or an error; 130 and 143: a signal ended it
    /// behind what was under way, and the others stay open.
    #[command(after_help = "With -o json: {handling, dead_letter_ids: [..], left: [{dead_letter_id, problem}], \
        not_tried}.")]
    Redrive {
        #[command(flatten)]
        which: handle::Which,
        /// What was mended, for whoever looks at them later.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        note: Option<String>,
    },
    /// Give records up: they are kept, and no longer counted as open.
    #[command(after_help = "With -o json: {handling, dead_letter_ids: [..], left: [], not_tried: 0}.")]
    Discard {
        #[command(flatten)]
        which: handle::Which,
        /// Why, for whoever looks at them later.
        #[arg(long, value_name = "TEXT", value_parser = words)]
        note: String,
    },
}

/// What people did with a dead letter.
#[derive(Clone, Copy, ValueEnum)]
enum Handling {
    /// Nobody has handled it.
    Open,
    /// It was published again.
    Redriven,
    /// It was given up.
    Discarded,
    /// All of them.
    Any,
}

impl Handling {
    fn label(self) -> Option<&'static str> {
        match self {
            Handling::Open => Some("open"),
            Handling::Redriven => Some("redriven"),
            Handling::Discarded => Some("discarded"),
            Handling::Any => None,
        }
    }
}

fn reason(label: &str) -> Result<Rejection, String> {
    Rejection::from_kind(label).ok_or_else(|| {
        let known: Vec<&str> = Rejection::ALL.iter().map(|reason| reason.kind()).collect();
        format!("no such reason; there are {}", known.join(", "))
    })
}

/// Runs the command.
pub async fn run(args: DeadLettersArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let database = connection.database("millrace dead-letters")?;
    let changes = matches!(args.command, DeadLettersCommand::Redrive { .. } | DeadLettersCommand::Discard { .. });
    let mut session = if changes { database.connect().await? } else { database.connect_reader().await? };
    anyhow::ensure!(
        report::has_schema(&mut session).await?,
        "{} has no ledger yet: run `millrace worker`",
        database.shown()
    );
    match args.command {
        DeadLettersCommand::List { reason, handling, limit } => {
            let filter = DeadLetterFilter { reason: reason.map(Rejection::kind), handling: handling.label(), limit };
            list(&report::dead_letters(&mut session, filter).await?, filter, output)?;
        }
        DeadLettersCommand::Show { dead_letter_id } => {
            let found = report::dead_letter(&mut session, dead_letter_id).await?;
            let Some(found) = found else {
                anyhow::bail!(
                    "there is no dead letter {dead_letter_id}; see `millrace dead-letters list --handling any`"
                );
            };
            show(&found, output)?;
        }
        DeadLettersCommand::Redrive { which, note } => {
            return handle::redrive(&which, note.as_deref(), (&mut session, connection), output).await;
        }
        DeadLettersCommand::Discard { which, note } => {
            return handle::discard(&which, &note, &mut session, output).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(letters: &[DeadLetterReport], filter: DeadLetterFilter<'_>, output: Format) -> anyhow::Result<()> {
    if output == Format::Json {
        return print_json(&serde_json::json!({ "dead_letters": letters }));
    }
    if letters.is_empty() {
        return print("no such dead letters\n");
    }
    let rows = letters.iter().map(|d| {
        vec![
            d.dead_letter_id.to_string(),
            d.reason.clone(),
            moment(&d.rejected_at),
            format!("{}/{}", d.partition, d.offset),
            d.handling.clone(),
            or_dash(d.payment_id),
            or_dash(d.detail.as_ref()),
        ]
    });
    let columns = [
        ("id", Right),
        ("reason", Left),
        ("rejected", Left),
        ("partition/offset", Left),
        ("handling", Left),
        ("payment", Left),
        ("detail", Left),
    ];
    print(&table(columns, rows))?;
    if i64::try_from(letters.len()).is_ok_and(|count| count == filter.limit) {
        print(&format!("the latest {}; --limit shows more\n", filter.limit))?;
    }
    Ok(())
}

/// The document of `-o json`.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    letter: &'a DeadLetterReport,
    #[serde(flatten)]
    decoded: &'a Decoded,
    key: Option<Bytes>,
    headers: Vec<Header>,
    value_hex: Option<String>,
}

#[derive(Serialize)]
struct Header {
    name: Bytes,
    value: Option<Bytes>,
}

fn show(found: &WholeDeadLetter, output: Format) -> anyhow::Result<()> {
    let WholeDeadLetter { letter, record } = found;
    let decoded = Decoded::of(record);
    let headers: Vec<Header> =
        record.headers().map(|(name, value)| Header { name: Bytes::of(name), value: value.map(Bytes::of) }).collect();
    let key = record.key.as_deref().map(Bytes::of);
    if output == Format::Json {
        let value_hex = record.value.as_deref().map(hex);
        return print_json(&Document { letter, decoded: &decoded, key, headers, value_hex });
    }
    let mut out = letter_text(letter);
    out += &format!("key: {}\n", key.map_or("(none)".into(), |key| key.to_string()));
    for Header { name, value } in headers {
        out += &format!("header {name}: {}\n", value.map_or("(null)".into(), |value| value.to_string()));
    }
    if let Some(problem) = decoded.problem() {
        out += &format!("by its form: {}\n", on_one_line(problem));
    }
    out += &match (decoded.event_text(), &record.value) {
        (Some(event), _) => format!("event:\n{event}\n"),
        (None, Some(value)) => format!("value: {} bytes, cannot be decoded\n{}", value.len(), hex_dump(value)),
        (None, None) => "value: (none)\n".to_owned(),
    };
    print(&out)
}

fn letter_text(letter: &DeadLetterReport) -> String {
    let mut out = format!(
        "dead letter {}: {}\n{}partition {}, offset {}; published {}, rejected {}{}\n",
        letter.dead_letter_id,
        letter.reason,
        letter.detail.as_ref().map_or(String::new(), |detail| format!("{}\n", on_one_line(detail))),
        letter.partition,
        letter.offset,
        letter.published_at.as_deref().map_or("-".into(), moment),
        moment(&letter.rejected_at),
        if letter.was_parked { ", after it was parked" } else { "" }
    );
    out += &format!("payment {}, event {}", or_dash(letter.payment_id), or_dash(letter.event_id));
    out += if letter.number_used { "; its sequence number is used up\n" } else { "\n" };
    out += &format!("handling: {}", letter.handling);
    for (name, value) in [("at", &letter.handled_at), ("by", &letter.handled_by), ("note:", &letter.note)] {
        if let Some(value) = value {
            out += &format!(" {name} {}", on_one_line(value));
        }
    }
    out + "\n"
}
