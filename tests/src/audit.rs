//! The audit: what must hold in every ledger at any time, asked for as an outsider would.
//!
//! Each statement lists what is wrong; an empty list is a proof. Folding the events is done here, by the model's
//! table, which shares nothing with the worker.

use std::collections::BTreeMap;

use millrace_model::form;
use millrace_model::payment::Payment;
use millrace_model::table::{self, Verdict};
use uuid::Uuid;

use crate::ledger::{Applied, Ledger};

/// What must list nothing, with what it means if it does.
const RULES: &[(&str, &str)] = &[
    (
        "the proof rows of a partition leave a gap or overlap",
        "SELECT format('partition %s: a batch begins at %s, the one before ended at %s', partition, from_offset, before)
         FROM (SELECT b.partition, b.from_offset, lag(b.to_offset, 1, l.start_offset) OVER (
                   PARTITION BY b.topic_id, b.partition ORDER BY b.from_offset, b.to_offset) AS before
               FROM (SELECT topic_id, partition, from_offset, to_offset FROM millrace.batches
                     UNION ALL SELECT topic_id, partition, from_offset, to_offset FROM millrace.accepted_gaps) b
               JOIN millrace.lanes l USING (topic_id, partition)
               WHERE b.to_offset > b.from_offset) AS tiles
         WHERE from_offset <> before",
    ),
    (
        "the fence does not stand at the end of the proof rows",
        "SELECT format('partition %s: the fence stands at %s, the proof rows end at %s', partition, next_offset, at)
         FROM (SELECT l.partition, l.next_offset, coalesce(max(b.to_offset), l.start_offset) AS at
               FROM millrace.lanes l LEFT JOIN millrace.batches b USING (topic_id, partition)
               GROUP BY l.partition, l.next_offset, l.start_offset) AS ends
         WHERE next_offset <> at",
    ),
    (
        "the counts of a proof row are not its offsets",
        "SELECT format('partition %s, %s to %s', partition, from_offset, to_offset) FROM millrace.batches
         WHERE applied + duplicate + parked + rejected <> to_offset - from_offset",
    ),
    (
        "the counts of the proof rows are not the rows",
        "WITH counts AS (
             SELECT partition, sum(applied + drained_applied) AS applied, sum(rejected + drained_rejected) AS rejected,
                    sum(parked - drained_applied - drained_duplicate - drained_rejected) AS parked
             FROM millrace.batches GROUP BY partition),
         found AS (
             SELECT partition, sum(a) AS applied, sum(r) AS rejected, sum(p) AS parked FROM (
                 SELECT partition, 1 AS a, 0 AS r, 0 AS p FROM millrace.events
                 UNION ALL SELECT partition, 0, 1, 0 FROM millrace.dead_letters
                 UNION ALL SELECT partition, 0, 0, 1 FROM millrace.parked) AS rows
             GROUP BY partition)
         SELECT format('partition %s: applied %s, rows %s; rejected %s, rows %s; parked %s, rows %s', partition,
                       c.applied, f.applied, c.rejected, f.rejected, c.parked, f.parked)
         FROM counts c FULL JOIN found f USING (partition)
         WHERE (coalesce(c.applied, 0), coalesce(c.rejected, 0), coalesce(c.parked, 0))
            <> (coalesce(f.applied, 0), coalesce(f.rejected, 0), coalesce(f.parked, 0))",
    ),
    (
        "an offset has two dispositions, or lies outside of what its lane consumed",
        "SELECT format('partition %s, offset %s: %s rows', partition, at, count(*)) FROM (
             SELECT partition, \"offset\" AS at FROM millrace.events
             UNION ALL SELECT partition, \"offset\" FROM millrace.dead_letters
             UNION ALL SELECT partition, \"offset\" FROM millrace.parked) AS kept
         LEFT JOIN millrace.lanes l USING (partition)
         GROUP BY partition, at
         HAVING count(*) > 1 OR bool_or(at >= l.next_offset OR at < l.start_offset OR l.partition IS NULL)",
    ),
    (
        "an event id stands twice",
        "SELECT event_id::text FROM (
             SELECT event_id FROM millrace.events UNION ALL SELECT event_id FROM millrace.parked) AS ids
         GROUP BY event_id HAVING count(*) > 1",
    ),
    (
        "a balance is not the sum of its transfers",
        "WITH moved AS (
             SELECT account, currency, partition, sum(amount) AS amount FROM (
                 SELECT debit_account AS account, currency, partition, amount_minor::numeric AS amount FROM millrace.transfers
                 UNION ALL
                 SELECT credit_account, currency, partition, -amount_minor::numeric FROM millrace.transfers) AS entries
             GROUP BY account, currency, partition)
         SELECT format('%s %s of partition %s: stored %s, its transfers say %s', account, currency, partition,
                       s.amount_minor, m.amount)
         FROM millrace.balances_by_partition s FULL JOIN moved m USING (account, currency, partition)
         WHERE s.amount_minor IS DISTINCT FROM m.amount",
    ),
    (
        "the balances of a currency do not sum up to 0",
        "SELECT format('%s: %s', currency, sum(amount_minor)) FROM millrace.balances
         GROUP BY currency HAVING sum(amount_minor) <> 0",
    ),
    (
        "a transfer has not two accounts and a positive amount",
        "SELECT event_id::text FROM millrace.transfers
         WHERE debit_account IS NULL OR credit_account IS NULL OR debit_account = credit_account OR amount_minor <= 0",
    ),
    (
        "the epochs of a lane's proof rows go backwards",
        "SELECT format('partition %s at %s: epoch %s after %s', partition, from_offset, epoch, before) FROM (
             SELECT partition, from_offset, epoch,
                    lag(epoch, 1, 0::bigint) OVER (PARTITION BY topic_id, partition ORDER BY to_offset, batch_id) AS before
             FROM millrace.batches) AS epochs
         WHERE epoch < before",
    ),
];

/// Everything that is wrong with the ledger; none when it holds.
pub async fn problems(ledger: &Ledger) -> Vec<String> {
    let mut problems = Vec::new();
    for (meaning, statement) in RULES {
        let listed = ledger.texts(statement).await.unwrap_or_else(|error| panic!("{meaning}: {error}"));
        problems.extend(listed.iter().take(5).map(|what| format!("{meaning}: {what}")));
    }
    problems.extend(folded(ledger).await);
    problems
}

/// Folds each payment's events by version and compares with its row, its operations and the transfers.
async fn folded(ledger: &Ledger) -> Vec<String> {
    let mut problems = Vec::new();
    let mut states: BTreeMap<Uuid, Payment> = BTreeMap::new();
    let mut transfers = BTreeMap::new();
    for Applied { event, version, place } in ledger.applied().await {
        let of = |problem: &str| format!("event {} at {place:?}: {problem}", event["event_id"]);
        let Some(form::Event { content, id }) = form::parse(&event) else {
            problems.push(of("it breaks a rule of form and was applied"));
            continue;
        };
        let state = states.entry(content.payment_id).or_default();
        if version != state.version + 1 {
            problems.push(of(&format!("version {version} follows {}", state.version)));
        }
        match table::decide(state, &content) {
            Verdict::Apply(next, entry) => {
                transfers
                    .extend(entry.map(|e| (id, (e.debit, e.credit, content.amount_minor, content.currency.clone()))));
                *state = *next;
            }
            other => problems.push(of(&format!("it was applied where the table says {other:?}"))),
        }
    }
    let rows = ledger.payments().await;
    for (id, state) in &states {
        let status = format!("status {}", state.status().unwrap_or("none"));
        let counters: Vec<String> = state.counters().iter().map(|(name, sum)| format!("{name} {sum}")).collect();
        let wanted = format!("{status}, {}", counters.join(", "));
        let row = rows.get(id).map_or("nothing", String::as_str);
        if !row.starts_with(&wanted) || !row.contains(&format!(", version {},", state.version)) {
            problems
                .push(format!("payment {id} is {row}; the fold of its events is {wanted}, version {}", state.version));
        }
    }
    problems.extend(rows.keys().filter(|id| !states.contains_key(id)).map(|id| format!("payment {id} has no events")));
    problems.extend(of_operations(&states, ledger).await);
    problems.extend(of_transfers(transfers, ledger).await);
    problems
}

async fn of_operations(states: &BTreeMap<Uuid, Payment>, ledger: &Ledger) -> Vec<String> {
    let mut wanted = BTreeMap::new();
    for (payment, state) in states {
        for (id, operation) in &state.operations {
            let line = format!("{} {} {}", operation.kind.name(), operation.status.name(), operation.amount_minor);
            wanted.insert(format!("{payment} {id}"), line);
        }
    }
    differing("operation", &wanted, &ledger.operations().await)
}

async fn of_transfers(wanted: BTreeMap<Uuid, (String, String, i64, String)>, ledger: &Ledger) -> Vec<String> {
    let line = |(debit, credit, amount, currency): (String, String, i64, String)| {
        format!("{debit} {credit} {amount} {currency}")
    };
    let wanted = wanted.into_iter().map(|(id, transfer)| (id.to_string(), line(transfer))).collect();
    differing("transfer", &wanted, &ledger.transfers().await)
}

fn differing(what: &str, wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = wanted.keys().chain(found.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != found.get(*name))
        .map(|name| format!("{what} {name}: the events say {:?}, the ledger {:?}", wanted.get(name), found.get(name)))
        .collect()
}
