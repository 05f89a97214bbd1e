//! What a correct pipeline must end with, as a value that others can compare with what they find in a database.
//!
//! All of it follows from each user's events in the order of their lines; how users interleave, how many workers
//! there are and when they die changes nothing. Reading the database is left to the caller.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The stream and its outcome. As JSON it is one flat object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Expected {
    /// The seed, to repeat the run.
    pub seed: u64,
    /// RFC 3339, UTC: the time of the first event. With this as `start` the same seed gives the same bytes.
    pub start: String,
    /// Lines of any kind: as many records are consumed.
    pub published: u64,
    /// Different event ids in them.
    pub distinct: u64,
    /// Events published after one that happened later to the same payment.
    pub late: u64,
    /// What the database must say.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What the database must say in the end, while nothing has waited for longer than the parking limit and nothing
/// was redriven. `applied + duplicates + sum of rejected + sum of parked = published`. Missing keys mean 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Outcome {
    /// Events in `events`.
    pub applied: u64,
    /// Records that repeat an event or an operation, drained ones included.
    pub duplicates: u64,
    /// Dead letters by reason.
    pub rejected: BTreeMap<String, u64>,
    /// What still waits, by reason.
    pub parked: BTreeMap<String, u64>,
    /// Events that were parked first and applied when what they waited for had come: the sum of `drained_applied`.
    pub drained_applied: u64,
    /// Applied events by type: `"payment.charged": 12`.
    pub by_type: BTreeMap<String, u64>,
    /// Sum of the applied events' amounts by type and currency, in minor units: `"payment.charged GBP": 12345`.
    pub sum_minor: BTreeMap<String, i64>,
    /// Payments to which something was applied (version above 0), by status.
    pub payments_by_status: BTreeMap<String, u64>,
    /// Ledger rows.
    pub transfers: u64,
    /// Debits minus credits by account and currency, in minor units: `"psp_receivable GBP": 12345`,
    /// `"merchant_payable:merchant-00001 GBP": -12000`. For each currency they sum up to 0.
    pub balances_minor: BTreeMap<String, i64>,
    /// The sum over all merchants, by currency: already in `balances_minor`, here for reading.
    pub merchant_payable_minor: BTreeMap<String, i64>,
}

/// One figure that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Such as `rejected id_conflict` or `balances_minor psp_receivable GBP`.
    pub figure: String,
    /// What it must be.
    pub expected: i128,
    /// What it is.
    pub found: i128,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, found {}", self.figure, self.expected, self.found)
    }
}

impl Outcome {
    /// Every figure that differs, a missing one counting as 0; empty when `found` is right to the last unit.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let (expected, found) = (self.figures(), found.figures());
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        let value = |figures: &BTreeMap<String, i128>, name| figures.get(name).copied().unwrap_or(0);
        names
            .into_iter()
            .map(|name| Difference {
                figure: name.clone(),
                expected: value(&expected, name),
                found: value(&found, name),
            })
            .filter(|difference| difference.expected != difference.found)
            .collect()
    }

    fn figures(&self) -> BTreeMap<String, i128> {
        // Destructured, so that a new figure cannot be forgotten here.
        let Self {
            applied,
            duplicates,
            rejected,
            parked,
            drained_applied,
            by_type,
            sum_minor,
            payments_by_status,
            transfers,
            balances_minor,
            merchant_payable_minor,
        } = self;
        let mut figures = BTreeMap::new();
        let single = [
            ("applied", applied),
            ("duplicates", duplicates),
            ("drained_applied", drained_applied),
            ("transfers", transfers),
        ];
        figures.extend(single.map(|(name, &value)| (name.to_owned(), i128::from(value))));
        let counts = [
            ("rejected", rejected),
            ("parked", parked),
            ("by_type", by_type),
            ("payments_by_status", payments_by_status),
        ];
        for (name, map) in counts {
            figures.extend(map.iter().map(|(key, &value)| (format!("{name} {key}"), i128::from(value))));
        }
        let sums = [
            ("sum_minor", sum_minor),
            ("balances_minor", balances_minor),
            ("merchant_payable_minor", merchant_payable_minor),
        ];
        for (name, map) in sums {
            figures.extend(map.iter().map(|(key, &value)| (format!("{name} {key}"), i128::from(value))));
        }
        figures
    }
}
