//! docs/scaling.md cannot go stale: each of its blocks is the output of the command above it, and a test compares.
//!
//! A block begins with ```console and a line `$ millrace plan-capacity ...`. `make docs` writes them anew.

use std::path::PathBuf;

use clap::Parser;

use super::{PlanCapacityArgs, shown};

/// The command alone, for options in tests.
#[derive(Parser)]
#[command(name = "millrace plan-capacity", no_binary_name = true)]
pub struct TestCli {
    #[command(flatten)]
    pub args: PlanCapacityArgs,
}

const FENCE_BEGIN: &str = "```console\n";
const FENCE_END: &str = "```\n";
const COMMAND: &str = "$ millrace plan-capacity ";
/// Set by `make docs`.
const WRITE: &str = "MILLRACE_WRITE_DOCS";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/scaling.md")
}

/// What the command prints, for a shell line without quotes.
fn output(options: &str) -> String {
    let TestCli { args } = TestCli::try_parse_from(options.split_whitespace())
        .unwrap_or_else(|error| panic!("docs/scaling.md: millrace plan-capacity {options}: {error}"));
    shown(&args).unwrap_or_else(|error| panic!("docs/scaling.md: millrace plan-capacity {options}: {error}"))
}

/// The page with every block made anew, and how many there are.
fn refreshed(page: &str) -> (String, usize) {
    let mut parts = page.split(FENCE_BEGIN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut blocks = 0;
    for part in parts {
        let (block, rest) = part.split_once(FENCE_END).expect("docs/scaling.md: a block has an end");
        let command = block.lines().next().unwrap_or_default();
        let options = command.strip_prefix(COMMAND);
        let options = options.unwrap_or_else(|| panic!("docs/scaling.md: {command:?} is not {COMMAND:?}"));
        out += &format!("{FENCE_BEGIN}{command}\n{}{FENCE_END}{rest}", output(options));
        blocks += 1;
    }
    (out, blocks)
}

#[test]
fn every_table_of_the_scaling_page_is_what_its_command_prints() {
    let page = std::fs::read_to_string(path()).expect("docs/scaling.md");
    let (fresh, blocks) = refreshed(&page);
    assert!(blocks >= 4, "docs/scaling.md has {blocks} blocks: its tables are gone");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path(), &fresh).expect("docs/scaling.md can be written");
        return;
    }
    let differs = page.lines().zip(fresh.lines()).find(|(page, fresh)| page != fresh);
    assert!(
        page == fresh,
        "docs/scaling.md is stale: run `make docs` and read what changed. First difference: {differs:?}"
    );
}

#[test]
fn a_page_that_is_stale_is_made_anew_and_prose_is_left_alone() {
    let page = format!("before\n{FENCE_BEGIN}{COMMAND}--events-per-second 5 --no-working\nold\n{FENCE_END}after\n");
    let (fresh, blocks) = refreshed(&page);
    assert_eq!(blocks, 1);
    assert!(fresh.starts_with("before\n") && fresh.ends_with("after\n") && !fresh.contains("old\n"));
    assert_eq!(refreshed(&fresh).0, fresh);
}
