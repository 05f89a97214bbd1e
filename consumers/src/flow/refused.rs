//! Rows that the database refuses for a reason of their own, and how the first of them is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace_domain::book::{Refusals, Row};
use millrace_domain::ids::Position;

/// Rows that the database refused, by the place of their records, each with its words. By place and not by event id: the
/// next record under the same id is another.
#[derive(Clone, Default, Debug)]
pub struct Refused {
    words: BTreeMap<(Position, Row), String>,
    /// How often it was tried to find one, and something else came between.
    pub trials_in_vain: u32,
    all_but: Option<BTreeSet<(Position, Row)>>,
}

impl Refused {
    /// Whether the database refused none as yet.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Takes note of a row; false if it was refused before.
    pub fn insert(&mut self, position: Position, row: Row, words: String) -> bool {
        self.words.insert((position, row), words).is_none()
    }

    /// What the database said of a record's row.
    pub fn words_of(&self, position: Position) -> Option<&str> {
        [Row::Applied, Row::Parked].iter().find_map(|row| self.words.get(&(position, *row))).map(String::as_str)
    }

    /// The same with all other rows but these refused too.
    pub fn with_all_but(&self, taken: impl IntoIterator<Item = (Position, Row)>) -> Refused {
        Refused { all_but: Some(taken.into_iter().collect()), ..self.clone() }
    }

    /// In the form in which they are held against events; none if nothing is refused.
    pub fn refusals(&self) -> Option<Arc<Refusals>> {
        let refused = self.words.keys().copied().collect();
        let is_any = !self.words.is_empty() || self.all_but.is_some();
        is_any.then(|| Arc::new(Refusals { refused, all_but: self.all_but.clone() }))
    }
}

/// Finds by halves the least number of rows with which a batch fails, as it does with all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Search {
    /// It passes with fewer than these.
    low: usize,
    /// It fails with these.
    high: usize,
}

impl Search {
    /// Among so many rows. `may_fail_without`: whether that may be with none of them.
    pub fn among(rows: usize, may_fail_without: bool) -> Search {
        Search { low: if may_fail_without { 0 } else { rows.min(1) }, high: rows }
    }

    /// With how many rows to try next; none once it is found.
    pub fn next(&self) -> Option<usize> {
        (self.low < self.high).then(|| self.low + (self.high - self.low) / 2)
    }

    /// What came of the try with so many rows.
    pub fn after(self, rows: usize, passed: bool) -> Search {
        match passed {
            true => Search { low: rows + 1, ..self },
            false => Search { high: rows, ..self },
        }
    }

    /// The least number with which it fails.
    pub fn found(&self) -> usize {
        self.high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_that_fails_is_found_in_a_few_tries() {
        for rows in [0, 1, 2, 3, 1000] {
            for culprit in [0, 1, rows / 2, rows].into_iter().filter(|culprit| *culprit <= rows) {
                for may_fail_without in [true, culprit == 0] {
                    let (mut search, mut tries) = (Search::among(rows, may_fail_without), 0);
                    while let Some(with) = search.next() {
                        search = search.after(with, with < culprit);
                        tries += 1;
                    }
                    assert_eq!(search.found(), culprit, "among {rows}");
                    assert!(tries <= 11, "{tries} tries among {rows}");
                }
            }
        }
    }
}
