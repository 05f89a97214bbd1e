//! The table of schemas by id: `schemas/ids.json`, built into the program so that nothing else has to run.
//!
//! A Confluent-compatible registry can take its place later, behind `SchemaTable::writer`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The number that the framing carries for a schema.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SchemaId(pub u32);

/// The schema that this build writes with.
pub const WRITER_ID: SchemaId = SchemaId(1);

const IDS: &str = include_str!("../../schemas/ids.json");
const FILES: &[(&str, &str)] = &[("payment_event/1.avsc", include_str!("../../schemas/payment_event/1.avsc"))];

/// A row of `ids.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: u32,
    #[allow(dead_code, reason = "for the reader of the file; the program goes by id")]
    subject: String,
    #[allow(dead_code, reason = "for the reader of the file; the program goes by id")]
    version: u32,
    file: String,
}

/// Every schema that this build can read, by its id.
pub struct SchemaTable {
    writers: BTreeMap<SchemaId, serde_avro_fast::Schema>,
}

/// A schema that could not be taken into the table.
#[derive(Debug, thiserror::Error)]
#[error("schema {id}: {problem}", id = .id.0)]
pub struct SchemaError {
    id: SchemaId,
    problem: String,
}

static BUILT_IN: LazyLock<SchemaTable> = LazyLock::new(|| {
    let rows: Vec<Row> = serde_json::from_str(IDS).expect("a test parses schemas/ids.json");
    let text = |file: &str| FILES.iter().find(|(name, _)| *name == file).map(|(_, text)| *text);
    let entries =
        rows.iter().map(|row| (SchemaId(row.id), text(&row.file).expect("a test finds every file of ids.json")));
    SchemaTable::parse(entries).expect("a test parses every schema of ids.json")
});

impl SchemaTable {
    /// The committed table.
    pub fn built_in() -> &'static SchemaTable {
        &BUILT_IN
    }

    /// A table of these schemas, each in Avro's JSON notation.
    pub fn parse<'a>(entries: impl IntoIterator<Item = (SchemaId, &'a str)>) -> Result<SchemaTable, SchemaError> {
        let mut writers = BTreeMap::new();
        for (id, text) in entries {
            let schema = text.parse().map_err(|e| SchemaError { id, problem: format!("{e}") })?;
            writers.insert(id, schema);
        }
        Ok(SchemaTable { writers })
    }

    /// The schema that a body with this id was written with.
    pub fn writer(&self, id: SchemaId) -> Option<&serde_avro_fast::Schema> {
        self.writers.get(&id)
    }
}
