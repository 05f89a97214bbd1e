//! `millrace migrate`: the schema brought up to date by a role that may, so that workers need no such right.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use millrace_domain::ids::Micros;
use millrace_store::connect::{self, Migration};
use millrace_store::months;
use serde::Serialize;

use crate::commands::worker::WindowArgs;
use crate::connection::Connection;
use crate::output::Format;
use crate::show;

/// Bring the schema millrace of the database up to date, and make the event log's months for the accepted window.
///
/// Workers do so themselves when they start, if their role may. Run it once as the owner of the database where their
/// role may not. Running it again changes nothing.
#[derive(Args)]
#[command(after_help = "\
With -o json: {database, up_to_date: true, migrations: [{version, description}]}, which are those that this run found missing.")]
pub struct MigrateArgs {
    #[command(flatten)]
    window: WindowArgs,
}

/// What there is now. Its JSON names are an interface.
#[derive(Serialize)]
struct Migrated {
    /// The database, without a password.
    database: String,
    /// Always: what cannot be brought up to date is an error.
    up_to_date: bool,
    /// What was missing.
    migrations: Vec<Migration>,
}

/// Runs the command.
pub async fn run(args: MigrateArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let database = connection.database("millrace migrate")?;
    let mut session = database.connect().await?;
    let migrations = connect::migrate(&mut session).await?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Micros(i64::try_from(since_1970.as_micros())?);
    months::ensure(&mut session, &args.window.accepted()?, now).await?;
    let migrated = Migrated { database: database.shown().to_owned(), up_to_date: true, migrations };
    match output {
        Format::Text => show::print(&text(&migrated))?,
        Format::Json => show::print_json(&migrated)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(Migrated { database, migrations, .. }: &Migrated) -> String {
    if migrations.is_empty() {
        return format!("schema millrace of {database} was up to date\n");
    }
    let steps =
        migrations.iter().map(|Migration { version, description }| format!("migration  {version} ({description})\n"));
    steps.collect::<String>() + &format!("schema millrace of {database} is up to date now\n")
}
