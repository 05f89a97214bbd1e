//! `millrace payment show`: one payment with all that the ledger knows of it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use millrace_store::report::{
    self, DeadLetterReport, EventReport, OperationReport, ParkedReport, PaymentReport, PaymentStateReport,
};
use serde::Serialize;
use uuid::Uuid;

use crate::connection::Connection;
use crate::output::Format;
use crate::record::Decoded;
use crate::show::Side::{Left, Right};
use crate::show::{age, major, moment, on_one_line, or_dash, print, print_json, table};

/// Look at one payment.
#[derive(Args)]
pub struct PaymentArgs {
    #[command(subcommand)]
    command: PaymentCommand,
}

#[derive(Subcommand)]
enum PaymentCommand {
    /// Show a payment's state, its events in the order in which they were applied, and what is parked or was rejected.
    ///
    /// Exit codes: 0 shown, 1 nothing in the ledger names it.
    #[command(after_help = "\
With -o json: {payment_id, state: {status, user_id, .., version} or null, events: [{version, event_id, event_type,
amount_minor, .., metadata}], transfers: [{event_id, debit_account, credit_account, amount_minor, currency}],
operations: [..], parked: [{event_id, reason, since, .., event: {..} or null}], dead_letters: [..]}. Amounts in minor
units.")]
    Show {
        /// The payment's id, a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057.
        #[arg(value_name = "ID", value_parser = uuid)]
        payment_id: Uuid,
    },
}

fn uuid(text: &str) -> Result<Uuid, String> {
    let wanted = "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057 is wanted";
    Uuid::try_parse(text.trim()).map_err(|error| format!("{wanted} ({error})"))
}

/// The document of `-o json`.
#[derive(Serialize)]
struct Document<'a> {
    payment_id: Uuid,
    state: &'a Option<PaymentStateReport>,
    events: Vec<EventWithMetadata<'a>>,
    transfers: Vec<Transfer<'a>>,
    operations: &'a [OperationReport],
    parked: Vec<ParkedWithEvent<'a>>,
    dead_letters: &'a [DeadLetterReport],
}

#[derive(Serialize)]
struct EventWithMetadata<'a> {
    #[serde(flatten)]
    event: &'a EventReport,
    metadata: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct Transfer<'a> {
    event_id: Uuid,
    debit_account: &'a str,
    credit_account: &'a str,
    amount_minor: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct ParkedWithEvent<'a> {
    #[serde(flatten)]
    parked: &'a ParkedReport,
    #[serde(flatten)]
    decoded: Decoded,
}

/// Runs the command.
pub async fn run(args: PaymentArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let PaymentCommand::Show { payment_id } = args.command;
    let database = connection.database("millrace payment")?;
    let mut session = database.connect_reader().await?;
    anyhow::ensure!(
        report::has_schema(&mut session).await?,
        "{} has no ledger yet: run `millrace worker`",
        database.shown()
    );
    let Some(found) = report::payment(&mut session, payment_id).await? else {
        match report::payment_of_event(&mut session, payment_id).await? {
            Some(owner) => anyhow::bail!(
                "{payment_id} is not a payment but an event ({}); show its payment: millrace payment show {}",
                owner.stands,
                owner.payment_id
            ),
            None => anyhow::bail!(
                "nothing in the ledger of {} names payment {payment_id}: is it published, and is the backlog worked \
                 off (`millrace status`)?",
                database.shown()
            ),
        }
    };
    match output {
        Format::Json => print_json(&document(payment_id, &found))?,
        Format::Text => print(&text(payment_id, &found))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn document(payment_id: Uuid, found: &PaymentReport) -> Document<'_> {
    Document {
        payment_id,
        state: &found.state,
        events: found
            .events
            .iter()
            .map(|event| EventWithMetadata {
                event,
                metadata: event.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            })
            .collect(),
        transfers: transfers(&found.events).collect(),
        operations: &found.operations,
        parked: found
            .parked
            .iter()
            .map(|parked| ParkedWithEvent { parked, decoded: Decoded::of(&parked.record) })
            .collect(),
        dead_letters: &found.dead_letters,
    }
}

fn transfers(events: &[EventReport]) -> impl Iterator<Item = Transfer<'_>> {
    events.iter().filter_map(|event| {
        Some(Transfer {
            event_id: event.event_id,
            debit_account: event.debit_account.as_deref()?,
            credit_account: event.credit_account.as_deref()?,
            amount_minor: event.amount_minor,
            currency: &event.currency,
        })
    })
}

fn text(payment_id: Uuid, found: &PaymentReport) -> String {
    let currency = found.state.as_ref().and_then(|state| state.currency.as_deref()).unwrap_or_default();
    let mut out = match &found.state {
        Some(state) if state.version > 0 => state_text(payment_id, state, currency),
        Some(state) => format!(
            "payment {payment_id}: nothing was applied; sequence numbers are used up to {} (partition {})\n",
            state.last_sequence, state.partition
        ),
        None => format!("payment {payment_id}: nothing was applied\n"),
    };
    out += &events_text(&found.events);
    out += &transfers_text(&found.events);
    out += &operations_text(&found.operations, currency);
    out += &parked_text(&found.parked);
    out + &dead_letters_text(&found.dead_letters)
}

fn state_text(payment_id: Uuid, state: &PaymentStateReport, currency: &str) -> String {
    let s = state;
    let named = |name: &str, value: &Option<String>| match value {
        Some(value) => format!("{name} {}", on_one_line(value)),
        None => format!("no {name}"),
    };
    let counters = [
        ("authorized", Some(s.authorized)),
        ("captured", Some(s.captured)),
        ("voided", Some(s.voided)),
        ("refund pending", Some(s.refund_pending)),
        ("refunded", Some(s.refunded)),
        ("disputed", Some(s.disputed)),
        ("lost", Some(s.lost)),
        ("fees", Some(s.fees)),
        ("intended", s.intended),
    ];
    let counters = counters.into_iter().filter_map(|(name, amount)| {
        let amount = amount.filter(|amount| *amount != 0)?;
        Some(format!("{name} {}", major(amount.into(), currency)))
    });
    let declined = s.declined.then(|| "declined before".to_owned());
    let counters: Vec<String> = counters.chain(declined).collect();
    format!(
        "payment {payment_id}: {}\n  {}, {}, {}\n  {currency}: {}\n  version {}, last sequence {}, partition {}\n",
        or_dash(s.status.as_ref()),
        named("user", &s.user_id),
        named("merchant", &s.merchant_id),
        named("currency", &s.currency),
        if counters.is_empty() { "nothing moved".to_owned() } else { counters.join(", ") },
        s.version,
        s.last_sequence,
        s.partition
    )
}

fn events_text(events: &[EventReport]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let rows = events.iter().map(|e| {
        vec![
            e.version.to_string(),
            e.event_type.clone(),
            format!("{} {}", major(e.amount_minor.into(), &e.currency), e.currency),
            or_dash(e.sequence),
            or_dash(e.operation_id),
            moment(&e.occurred_at),
            e.published_at.as_deref().map_or("-".into(), moment),
            format!("{}/{}", e.partition, e.offset),
            e.event_id.to_string(),
        ]
    });
    let columns = [
        ("version", Right),
        ("event", Left),
        ("amount", Right),
        ("sequence", Right),
        ("operation", Left),
        ("occurred", Left),
        ("published", Left),
        ("partition/offset", Left),
        ("event id", Left),
    ];
    format!("\nevents, in the order in which they were applied\n{}", table(columns, rows))
}

fn transfers_text(events: &[EventReport]) -> String {
    let rows: Vec<Vec<String>> = events
        .iter()
        .filter_map(|e| {
            Some(vec![
                e.version.to_string(),
                e.debit_account.clone()?,
                e.credit_account.clone()?,
                format!("{} {}", major(e.amount_minor.into(), &e.currency), e.currency),
            ])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [("version", Right), ("debit", Left), ("credit", Left), ("amount", Right)];
    format!("\ntransfers\n{}", table(columns, rows))
}

fn operations_text(operations: &[OperationReport], currency: &str) -> String {
    if operations.is_empty() {
        return String::new();
    }
    let rows = operations.iter().map(|o| {
        let amount = format!("{} {currency}", major(o.amount_minor.into(), currency));
        vec![o.operation_id.to_string(), o.kind.clone(), o.status.clone(), amount]
    });
    let columns = [("operation", Left), ("kind", Left), ("status", Left), ("amount", Right)];
    format!("\noperations\n{}", table(columns, rows))
}

fn parked_text(parked: &[ParkedReport]) -> String {
    if parked.is_empty() {
        return String::new();
    }
    let rows = parked.iter().map(|p| {
        vec![
            p.reason.clone(),
            format!("{} ({})", moment(&p.since), age(p.age_seconds)),
            Decoded::of(&p.record).in_short(),
            format!("{}/{}", p.partition, p.offset),
            p.event_id.to_string(),
        ]
    });
    let columns =
        [("waits for", Left), ("since", Left), ("event", Left), ("partition/offset", Left), ("event id", Left)];
    format!("\nparked\n{}", table(columns, rows))
}

fn dead_letters_text(letters: &[DeadLetterReport]) -> String {
    if letters.is_empty() {
        return String::new();
    }
    let rows = letters.iter().map(|d| {
        vec![
            d.dead_letter_id.to_string(),
            d.reason.clone(),
            moment(&d.rejected_at),
            d.handling.clone(),
            or_dash(d.event_id),
            or_dash(d.detail.as_ref()),
        ]
    });
    let columns =
        [("id", Right), ("rejected for", Left), ("at", Left), ("handling", Left), ("event id", Left), ("detail", Left)];
    format!("\ndead letters (see `millrace dead-letters show ID`)\n{}", table(columns, rows))
}
