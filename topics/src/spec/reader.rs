//! Typed reading of a tree: each function gives the value, or notes the problem and gives `None`,
//! so that one pass over the file finds all its problems.

use std::path::PathBuf;

use super::problem::{Position, Problem, ProblemKind, nearest};
use super::yaml::{Entry, Node, Value};

/// The problems of one file so far.
pub(super) struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

impl Problems {
    pub fn new(file: PathBuf) -> Problems {
        Problems { file, list: Vec::new() }
    }

    pub fn add(&mut self, at: Position, field: impl Into<String>, kind: ProblemKind) {
        self.list.push(Problem { file: self.file.clone(), at, field: field.into(), kind });
    }

    /// In the order of the file: that is how a person works through it.
    pub fn into_list(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| (problem.at.line, problem.at.column));
        self.list
    }
}

/// A mapping at a known path.
pub(super) struct Section<'n> {
    pub path: String,
    pub at: Position,
    entries: &'n [Entry],
}

impl<'n> Section<'n> {
    /// A mapping whose keys are all known.
    pub fn closed(
        node: &'n Node,
        path: &str,
        at: Position,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Section<'n>> {
        let section = Section::open(node, path, at, problems)?;
        for entry in section.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let kind = ProblemKind::UnknownKey {
                nearest: nearest(&entry.key, known.iter().copied()),
                known: known.join(", "),
            };
            problems.add(entry.key_at, section.field(&entry.key), kind);
        }
        Some(section)
    }

    /// A mapping whose keys are names that the file chooses; each may be there once.
    pub fn open(node: &'n Node, path: &str, at: Position, problems: &mut Problems) -> Option<Section<'n>> {
        let Value::Mapping(entries) = &node.value else {
            problems.add(node.at, path, wrong_type("a mapping of `key: value` lines", node));
            return None;
        };
        let section = Section { path: path.to_owned(), at, entries };
        for (i, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..i].iter().find(|earlier| earlier.key == entry.key) {
                problems.add(
                    entry.key_at,
                    section.field(&entry.key),
                    ProblemKind::DuplicateKey { first: first.key_at },
                );
            }
        }
        Some(section)
    }

    /// The entries, each key once: of two equal keys the first.
    pub fn entries(&self) -> impl Iterator<Item = &'n Entry> {
        let entries = self.entries;
        entries
            .iter()
            .enumerate()
            .filter(move |(i, entry)| !entries[..*i].iter().any(|earlier| earlier.key == entry.key))
            .map(|(_, entry)| entry)
    }

    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub fn required(&self, key: &str, example: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() {
            problems.add(self.at, self.field(key), ProblemKind::MissingKey { example });
        }
        node
    }

    pub fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A whole number from `min` to `max`.
pub(super) fn integer(node: &Node, field: &str, min: u64, max: u64, problems: &mut Problems) -> Option<u64> {
    let digits = |text: &str| text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit());
    let text = match &node.value {
        Value::Scalar { text, plain: true } if !matches!(text.as_str(), "" | "-") && digits(text) => text,
        _ => {
            problems.add(node.at, field, wrong_type("a whole number", node));
            return None;
        }
    };
    let number = text.parse::<u64>().ok().filter(|number| (min..=max).contains(number));
    if number.is_none() {
        problems.add(node.at, field, ProblemKind::OutOfRange { found: text.clone(), min, max });
    }
    number
}

/// Text that is not empty; what YAML reads as a number or a truth value needs quotes.
pub(super) fn text<'n>(node: &'n Node, field: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Scalar { text, plain: false } if !text.is_empty() => Some(text),
        Value::Scalar { text, plain: true } if plain_kind(text) == "text" => Some(text),
        _ => {
            problems.add(node.at, field, wrong_type("text", node));
            None
        }
    }
}

/// A scalar as it is written: a number, a truth value or text.
pub(super) fn scalar<'n>(node: &'n Node, field: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::Scalar { text, plain } if !(*plain && plain_kind(text) == "nothing") => Some(text),
        _ => {
            problems.add(node.at, field, wrong_type("a number, text, true or false", node));
            None
        }
    }
}

pub(super) fn boolean(node: &Node, field: &str, problems: &mut Problems) -> Option<bool> {
    match &node.value {
        Value::Scalar { text, plain: true } if text == "true" => Some(true),
        Value::Scalar { text, plain: true } if text == "false" => Some(false),
        _ => {
            problems.add(node.at, field, wrong_type("true or false", node));
            None
        }
    }
}

pub(super) fn sequence<'n>(node: &'n Node, field: &str, problems: &mut Problems) -> Option<&'n [Node]> {
    match &node.value {
        Value::Sequence(items) => Some(items),
        _ => {
            problems.add(node.at, field, wrong_type("a list", node));
            None
        }
    }
}

fn wrong_type(expected: &'static str, node: &Node) -> ProblemKind {
    let found = match &node.value {
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Scalar { text, plain: true } => match plain_kind(text) {
            "nothing" => "empty".to_owned(),
            kind => format!("the {kind} {}", shown(text)),
        },
        Value::Scalar { text, plain: false } => format!("the quoted text \"{}\"", shown(text)),
    };
    ProblemKind::WrongType { expected, found }
}

/// A value of megabytes does not belong into a message.
fn shown(text: &str) -> String {
    let chars_max = 60;
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// What YAML's core schema takes an unquoted value for.
fn plain_kind(text: &str) -> &'static str {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "nothing",
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => "truth value",
        // f64 would also take the words "nan" and "inf", which YAML does not.
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) && text.parse::<f64>().is_ok() => {
            "number"
        }
        _ => "text",
    }
}
