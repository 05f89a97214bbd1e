//! Rules about the repository itself that a program can hold: who depends on whom, how long a file may be, what must
//! not be left behind. Nothing here needs the stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace_tests::stack::repository;
use saphyr_parser::{Event, Parser};
use serde_json::Value;

/// The crate table of the design: each crate, what of ours it may depend on, and what it alone may name.
/// `consumers` and `topics` name rdkafka beside `producer`; `generator` and the model stand apart, for what they say
/// is held against the others.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    ("millrace-domain", &[], &[]),
    ("millrace-wire", &["millrace-domain"], &["apache-avro", "serde_avro_fast"]),
    ("millrace-topics", &[], &["rdkafka"]),
    ("millrace-store", &["millrace-domain"], &["sqlx"]),
    ("millrace-producer", &["millrace-domain", "millrace-wire"], &["rdkafka"]),
    ("millrace-consumers", &["millrace-domain", "millrace-wire", "millrace-store"], &["rdkafka"]),
    ("millrace-generator", &[], &[]),
    ("millrace-model", &[], &[]),
    (
        "millrace",
        &[
            "millrace-domain",
            "millrace-wire",
            "millrace-topics",
            "millrace-store",
            "millrace-producer",
            "millrace-consumers",
            "millrace-generator",
        ],
        &["clap"],
    ),
    (
        "millrace-instructions",
        &["millrace-domain", "millrace-wire", "millrace-store", "millrace-consumers", "millrace-generator"],
        &[],
    ),
];

const GUARDED: [&str; 5] = ["apache-avro", "serde_avro_fast", "rdkafka", "sqlx", "clap"];

/// The packages of the workspace with their dependencies, those for tests left out.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).expect("JSON");
    let text = |value: &Value, name: &str| value[name].as_str().expect("a text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().expect("dependencies");
            let built = all.iter().filter(|dependency| dependency["kind"] != "dev");
            (text(package, "name"), built.map(|dependency| text(dependency, "name")).collect())
        })
        .collect()
}

#[test]
fn the_crates_depend_on_each_other_as_the_design_says() {
    let mut manifests = manifests();
    // The tests and the benchmarks may name everything.
    manifests.remove("millrace-tests").expect("this crate");
    manifests.remove("millrace-bench").expect("bench/");
    for (name, ours, alone) in CRATES {
        let dependencies = manifests.remove(*name).unwrap_or_else(|| panic!("no crate {name}"));
        for dependency in &dependencies {
            let allowed = match dependency.as_str() {
                of_ours if of_ours.starts_with("millrace") => ours.contains(&of_ours),
                guarded if GUARDED.contains(&guarded) => alone.contains(&guarded),
                _ => true,
            };
            assert!(allowed, "{name} depends on {dependency}, which the crate table does not give it");
        }
    }
    assert!(manifests.is_empty(), "crates that are not in the table: {:?}", manifests.keys());
}

/// Every file of the repository that is not built, downloaded or run, by its path from the root.
fn files(extension: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let paths = names.lines().map(PathBuf::from).filter(|path| path.extension().is_some_and(|e| e == extension));
    let paths: Vec<PathBuf> = paths.filter(|path| repository().join(path).is_file()).collect();
    assert!(!paths.is_empty(), "no *.{extension} in the repository");
    paths
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is wrong, one a line.
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn a_source_file_can_be_read_in_one_sitting_and_says_what_it_is_for() {
    const LINES_MAX: usize = 500;
    let mut problems = Vec::new();
    for path in files("rs") {
        let text = read(&path);
        let lines = text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{}: {lines} lines, at most {LINES_MAX}", path.display()));
        }
        if !text.starts_with("//!") {
            problems.push(format!("{}: does not begin with //!", path.display()));
        }
    }
    assert_none(problems);
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together, so that this file does not find itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["unimpl", "emented!"]].map(|halves| halves.concat());
    let mut problems = Vec::new();
    for path in ["rs", "sql", "md", "yaml", "java"].iter().flat_map(|extension| files(extension)) {
        for (number, line) in read(&path).lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str()))
                || line.trim() == ["//! To be", " written."].concat()
            {
                problems.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn every_relative_link_in_a_document_leads_somewhere() {
    let mut problems = Vec::new();
    for path in files("md") {
        let text = read(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<'])) {
            let file = target.split('#').next().unwrap_or_default();
            let from = path.parent().unwrap_or(Path::new(""));
            if !repository().join(from).join(file).exists() {
                problems.push(format!("{}: the link {target} leads nowhere", path.display()));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn the_shipped_topics_are_accepted_by_their_own_reader() {
    let spec = millrace_topics::parse(&repository().join("topics.yaml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(spec.topic("payment-events").is_some());
}

#[test]
fn every_yaml_file_is_yaml() {
    for path in files("yaml") {
        let text = read(&path);
        let documents = Parser::new_from_str(&text)
            .map(|event| event.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            .filter(|(event, _)| matches!(event, Event::DocumentStart(..)))
            .count();
        assert!(documents > 0, "{} is empty", path.display());
    }
}
