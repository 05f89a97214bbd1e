//! `millrace accept-gap`: a lane steps over offsets that Kafka lost, because a person says so, on the record.

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;
use millrace_consumers::hole::{self, Held};
use millrace_domain::ids::{Offset, Partition};
use millrace_store::gaps::{self, AcceptedGap, Gap};
use millrace_store::report;

use crate::connection::{Connection, words};
use crate::output::Format;
use crate::show::{grouped, moment, on_one_line, print, print_json};

/// Step over offsets that Kafka does not hold any more, on the record.
///
/// A lane halts where records are missing, and no worker ever steps over them. Get them back first: their publishers can
/// publish the same events again, under the same ids. Then accept the gap: the lane goes on behind it, once the worker that
/// held it is restarted, and `millrace verify` names the gap, who accepted it and why, from then on.
///
/// The offsets are those that the worker named when it halted. They are held against the ledger and against Kafka: a gap
/// that begins elsewhere than where the lane stands, or ends elsewhere than at the next record that Kafka holds, is refused,
/// and nothing is changed.
///
/// Exit codes: 0 accepted, 1 refused or an error.
#[derive(Args)]
#[command(after_help = "\
Example: a worker said \"partition 3: the next offset is 1200, but Kafka holds 1450 to 9000\", so
  millrace accept-gap --partition 3 --from 1200 --to 1450 --reason \"retention; published again by checkout on 5 May\"

With -o json: {partition, from_offset, to_offset, reason, accepted_by, accepted_at}.")]
pub struct AcceptGapArgs {
    /// The partition whose lane halted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// The first offset that is missing: where the lane stands.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: i64,
    /// The next offset that Kafka holds: where the lane goes on.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(1..))]
    to: i64,
    /// Why Kafka lost them and what was done about it, for whoever audits the ledger.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Who accepts it: your user name, where the environment has it.
    #[arg(long, value_name = "NAME", env = "USER", value_parser = words)]
    by: String,
}

/// Runs the command.
pub async fn run(args: AcceptGapArgs, connection: &Connection, output: Format) -> anyhow::Result<ExitCode> {
    let AcceptGapArgs { partition, from, to, reason, by } = args;
    ensure!(from < to, "--from {from} --to {to}: no offset lies between them");
    let database = connection.database("millrace accept-gap")?;
    let topic = connection.topic_name()?;
    let mut session = database.connect().await?;
    ensure!(
        report::has_schema(&mut session).await?,
        "{} holds no ledger yet: there is no lane to move",
        database.shown()
    );
    let partition = Partition(partition);
    let Some(lane) = gaps::position(&mut session, topic.as_str(), partition).await? else {
        bail!(
            "partition {partition} of topic {topic} was never claimed: there is no lane to move. See `millrace status`"
        );
    };
    let topic_id = connection.same_topic([(topic.as_str(), lane.topic_id.as_str())], &topic).await?;
    let found = hole::held(&connection.brokers, topic.as_str(), partition, Offset(lane.next_offset)).await?;
    refuse_other(partition, (from, to), lane.next_offset, &found)?;
    let gap = Gap {
        topic: topic.as_str(),
        topic_id: &topic_id,
        partition,
        from: Offset(from),
        to: Offset(to),
        reason: &reason,
        accepted_by: &by,
    };
    let Some(accepted) = gaps::accept(&mut session, gap).await? else {
        bail!("partition {partition}: the lane moved on meanwhile; nothing was changed. See `millrace status`");
    };
    match output {
        Format::Json => print_json(&accepted)?,
        Format::Text => print(&format!(
            "{}\nrestart the worker that held partition {partition}: it goes on at offset {to}\n",
            shown(&accepted)
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses any gap but the one that is there.
fn refuse_other(partition: Partition, (from, to): (i64, i64), stands: i64, held: &Held) -> anyhow::Result<()> {
    let Held { low, high, next } = held;
    let kafka = format!("Kafka holds {low} to {high}");
    ensure!(
        stands <= high.0,
        "partition {partition}: the lane stands at offset {stands}, beyond what Kafka has ({kafka}): records that were \
         applied are gone there, which is no gap to step over. Run `millrace verify`"
    );
    ensure!(
        stands < next.0,
        "partition {partition}: nothing is missing: the lane stands at offset {stands}, and {kafka}"
    );
    ensure!(
        (from, to) == (stands, next.0),
        "partition {partition}: the gap is --from {stands} --to {next}, not --from {from} --to {to}: the lane stands at \
         {stands}, and the next record that Kafka has is {next} ({kafka}). Nothing was changed"
    );
    Ok(())
}

/// A gap as people read it.
pub fn shown(gap: &AcceptedGap) -> String {
    let AcceptedGap { partition, from_offset, to_offset, reason, accepted_by, accepted_at } = gap;
    let line = format!(
        "partition {partition}: offsets {from_offset} to {} ({} records) are accepted as lost, by {accepted_by} at {}: {reason}",
        to_offset - 1,
        grouped(to_offset - from_offset),
        moment(accepted_at)
    );
    on_one_line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_gap_that_is_there_is_accepted() {
        let held = |low, high, next| Held { low: Offset(low), high: Offset(high), next: Offset(next) };
        let refused = |gap, stands, held: Held| {
            refuse_other(Partition(3), gap, stands, &held).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refused((20, 30), 20, held(30, 40, 30)), "");
        // Everything behind the lane is gone, or was never a record.
        assert_eq!(refused((20, 40), 20, held(40, 40, 40)), "");
        for (gap, stands, held, words) in [
            ((20, 30), 20, held(0, 40, 20), "nothing is missing"),
            ((20, 30), 40, held(0, 40, 40), "nothing is missing"),
            ((20, 35), 20, held(30, 40, 30), "the gap is --from 20 --to 30, not --from 20 --to 35"),
            ((20, 25), 20, held(30, 40, 30), "the gap is --from 20 --to 30"),
            ((10, 30), 20, held(30, 40, 30), "the gap is --from 20 --to 30"),
            ((20, 30), 50, held(30, 40, 40), "beyond what Kafka has"),
        ] {
            assert!(refused(gap, stands, held).contains(words), "{gap:?} {stands} {held:?}");
        }
    }
}
