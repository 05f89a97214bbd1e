//! Whether a run of Millrace came to the right result: a fast wrong answer counts nothing.
//!
//! The proof is `millrace verify`; the totals are those that the workload kept for itself.

use std::path::Path;
use std::time::Duration;

use millrace_generator::Outcome;
use millrace_store::report::{self, Status};
use millrace_store::totals::{self, Balance, TypeTotal};
use sqlx::postgres::PgConnection;

use crate::process::{Plan, Process};
use crate::stack::Stack;

const VERIFY_WITHIN: Duration = Duration::from_secs(3600);
/// How many differences are worth showing.
const SHOWN: usize = 5;

/// What is wrong with the ledger of a run; empty if nothing is.
pub async fn problems(stack: &Stack, topic: &str, database: &str, expected: &Outcome) -> anyhow::Result<Vec<String>> {
    let mut session = stack.connect(database).await?;
    let found = outcome(&mut session).await?;
    let differences = expected.differences(&found);
    let mut problems: Vec<String> = differences.iter().take(SHOWN).map(ToString::to_string).collect();
    if differences.len() > SHOWN {
        problems.push(format!("and {} more figures", differences.len() - SHOWN));
    }
    if let Err(error) = verify(stack, &stack.millrace, topic, database).await {
        problems.push(format!("{error:#}"));
    }
    Ok(problems)
}

/// The product's own audit: every offset accounted for, and every check holds.
async fn verify(stack: &Stack, program: &Path, topic: &str, database: &str) -> anyhow::Result<()> {
    let plan = Plan {
        name: "millrace verify",
        program,
        arguments: ["verify", "--drained"].map(str::to_owned).into(),
        environment: vec![
            ("DATABASE_URL", stack.url_of(database)?),
            ("MILLRACE_BROKERS", stack.brokers.clone()),
            ("MILLRACE_TOPIC", topic.to_owned()),
        ],
    };
    Process::start(plan, &stack.logs)?.finished(VERIFY_WITHIN).await?;
    Ok(())
}

/// The database's figures in the form in which they are expected.
async fn outcome(session: &mut PgConnection) -> anyhow::Result<Outcome> {
    let status = report::status(session).await?;
    let by_type = totals::by_type(session).await?;
    let balances = totals::balances(session).await?;
    gather(&status, &by_type, &balances)
}

fn gather(status: &Status, by_type: &[TypeTotal], balances: &[Balance]) -> anyhow::Result<Outcome> {
    const MERCHANT_PAYABLE: &str = "merchant_payable:";
    let flow = &status.flow;
    let mut found = Outcome {
        duplicates: u64::try_from(flow.duplicate + flow.drained_duplicate)?,
        drained_applied: u64::try_from(flow.drained_applied)?,
        ..Outcome::default()
    };
    for total in by_type {
        let events = u64::try_from(total.events)?;
        found.applied += events;
        found.transfers += u64::try_from(total.transfers)?;
        *found.by_type.entry(total.event_type.clone()).or_default() += events;
        found.sum_minor.insert(format!("{} {}", total.event_type, total.currency), i64::try_from(total.amount_minor)?);
    }
    for rejected in &status.rejected {
        found.rejected.insert(rejected.reason.clone(), u64::try_from(rejected.count)?);
    }
    for parked in &status.parked {
        found.parked.insert(parked.reason.clone(), u64::try_from(parked.count)?);
    }
    for payments in &status.payments {
        found.payments_by_status.insert(payments.status.clone(), u64::try_from(payments.count)?);
    }
    for Balance { account, currency, amount_minor } in balances {
        let amount_minor = i64::try_from(*amount_minor)?;
        found.balances_minor.insert(format!("{account} {currency}"), amount_minor);
        if account.starts_with(MERCHANT_PAYABLE) {
            *found.merchant_payable_minor.entry(currency.clone()).or_default() += amount_minor;
        }
    }
    Ok(found)
}
