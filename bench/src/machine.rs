//! What the bench ran on, and of which commit: without that a figure says nothing.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::results::Machine;
use crate::stack::{Stack, repository};

/// Postgres' settings that matter for the figures.
const SETTINGS: [&str; 10] = [
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_compression",
    "full_page_writes",
    "fsync",
    "synchronous_commit",
    "autovacuum",
    "track_commit_timestamp",
];

/// The machine and its Postgres.
pub async fn describe(stack: &Stack) -> anyhow::Result<Machine> {
    let mut session = stack.administer().await?;
    let mut postgres = BTreeMap::new();
    for name in SETTINGS {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut session).await?;
        postgres.insert(name.to_owned(), value);
    }
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let cpus = read("/proc/cpuinfo")?;
    let cpu =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim());
    let memory = read("/proc/meminfo")?;
    let kib: Option<u64> = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok());
    Ok(Machine {
        cpu: cpu.unwrap_or("unknown").to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        memory_gib: kib.unwrap_or(0).div_ceil(1 << 20),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        postgres,
    })
}

/// The commit that is checked out, with `-dirty` if files differ from it.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(repository()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // What the bench itself writes is not part of what it measures.
    let changed = ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench"];
    match git(&changed).as_deref() {
        Some("") => commit,
        _ => format!("{commit}-dirty"),
    }
}

/// What was committed before under this path.
pub fn committed(path: &str) -> Option<String> {
    let shown = Command::new("git").args(["show", &format!("HEAD:{path}")]).current_dir(repository()).output().ok()?;
    shown.status.success().then(|| String::from_utf8_lossy(&shown.stdout).into_owned())
}

/// Now, as RFC 3339 in UTC.
pub fn date() -> anyhow::Result<String> {
    let now = OffsetDateTime::now_utc();
    Ok(now.replace_nanosecond(0)?.format(&Rfc3339)?)
}
