//! Reading `topics.yaml` and the schemas that it names from the disk.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::form;
use super::problem::{Position, Problem, ProblemKind, SpecErrors};
use super::reader::Problems;
use super::{Spec, yaml};

/// A hundred thousand topics fit; a file above it is not a topics.yaml.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks a `topics.yaml`. All of its problems are reported, not only the first, except
/// behind a syntax error.
pub fn parse(file: &Path) -> Result<Spec, SpecErrors> {
    let unreadable = |reason: String| SpecErrors::Unreadable { file: file.to_owned(), reason };
    let metadata = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unreadable("it is not a regular file".to_owned()));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has {} bytes, a topics.yaml at most {FILE_BYTES_MAX}", metadata.len())));
    }
    let bytes = fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse_text(file, &text),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(unreadable(format!("line {line} is not UTF-8 text")))
        }
    }
}

/// [`parse`] for text at hand; schemas are looked for beside `file`, which need not exist.
pub fn parse_text(file: &Path, text: &str) -> Result<Spec, SpecErrors> {
    let refused =
        |at, kind| SpecErrors::Refused(vec![Problem { file: file.to_owned(), at, field: String::new(), kind }]);
    let root = yaml::tree(text).map_err(|(at, kind)| refused(at, kind))?;
    let mut problems = Problems::new(file.to_owned());
    let topics = form::topics(&root, &|path, key| schema(file, path, key), &mut problems);
    let problems = problems.into_list();
    if problems.is_empty() { Ok(Spec { file: file.to_owned(), topics }) } else { Err(SpecErrors::Refused(problems)) }
}

/// The check of a topic's schema: its folder beside `file` has versions, and the newest has the
/// field that is the topic's key. Each refusal says which of the two fields it is about.
fn schema(file: &Path, path: &str, key: Option<&str>) -> Result<(), form::SchemaRefusal> {
    let folder = file.parent().unwrap_or(Path::new("")).join(path);
    let missing = |reason: &str| {
        form::SchemaRefusal::Schema(ProblemKind::SchemaMissing { path: folder.clone(), reason: reason.to_owned() })
    };
    if !folder.exists() {
        return Err(missing("does not exist"));
    }
    let entries = fs::read_dir(&folder).map_err(|error| missing(&format!("cannot be listed ({error})")))?;
    let newest = entries
        .filter_map(|entry| version(&entry.ok()?.file_name().into_string().ok()?))
        .max()
        .ok_or_else(|| missing("holds no version of a schema"))?;
    let newest = folder.join(format!("{newest}.avsc"));
    let json = fs::read_to_string(&newest).map_err(|error| missing(&format!("cannot be read ({error})")))?;
    let json: Value = serde_json::from_str(&json)
        .map_err(|error| missing(&format!("holds {}, which is not JSON ({error})", newest.display())))?;
    let fields: Vec<&str> =
        json["fields"].as_array().into_iter().flatten().filter_map(|f| f["name"].as_str()).collect();
    match key {
        Some(key) if !fields.contains(&key) => Err(form::SchemaRefusal::Key(ProblemKind::KeyNotInSchema {
            key: key.to_owned(),
            schema: newest,
            fields: fields.join(", "),
        })),
        _ => Ok(()),
    }
}

/// `3` of `3.avsc`.
fn version(file_name: &str) -> Option<u32> {
    file_name.strip_suffix(".avsc")?.parse().ok()
}

impl Position {
    /// Where a file begins.
    pub(super) const START: Position = Position { line: 1, column: 1 };
}
