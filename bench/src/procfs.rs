//! What the kernel says of a process: CPU time and peak memory, from `/proc`.
//!
//! Which processes count as what is left to `stack`.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// `USER_HZ`: what `/proc` counts CPU time in. 100 on every architecture that Linux runs Postgres on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The numbers of `/proc/PID/stat` behind the name, which may hold spaces and brackets. The manual's field 3 is the
/// first of them.
struct Stat(Vec<String>);

impl Stat {
    fn read(pid: u32) -> anyhow::Result<Stat> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: has process {pid} ended?"))?;
        Stat::parse(&text).with_context(|| format!("{path} has an unknown form"))
    }

    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        Some(Stat(rest.split_whitespace().map(str::to_owned).collect()))
    }

    /// Field `number` of proc(5).
    fn field(&self, number: usize) -> anyhow::Result<u64> {
        const FIRST: usize = 3;
        let text = self.0.get(number - FIRST).context("/proc/PID/stat is too short")?;
        text.parse().with_context(|| format!("/proc/PID/stat, field {number}: {text:?}"))
    }

    fn parent(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.field(4)?)?)
    }

    /// User and system time of all its threads, living and ended.
    fn own_seconds(&self) -> anyhow::Result<f64> {
        Ok((self.field(14)? + self.field(15)?) as f64 / TICKS_PER_SECOND)
    }

    /// The same of its children that have ended and that it has waited for.
    fn reaped_seconds(&self) -> anyhow::Result<f64> {
        Ok((self.field(16)? + self.field(17)?) as f64 / TICKS_PER_SECOND)
    }
}

/// CPU seconds of one process.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    Stat::read(pid)?.own_seconds()
}

/// CPU seconds of a process with all children that it ever had: those that live, and those that ended.
pub fn family_cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let parent = Stat::read(pid)?;
    let mut seconds = parent.own_seconds()? + parent.reaped_seconds()?;
    for other in pids() {
        // One that ended a moment ago is in the parent's sum next time.
        let Ok(stat) = Stat::read(other) else { continue };
        if stat.parent()? == pid {
            seconds += stat.own_seconds()?;
        }
    }
    Ok(seconds)
}

/// CPU seconds of those threads of a process that live and whose name begins so.
pub fn thread_seconds(pid: u32, named: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&path).with_context(|| format!("{path}: has process {pid} ended?"))?;
    let mut seconds = 0.0;
    for task in tasks {
        let task = task?.path();
        // A thread may end at any moment.
        let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
        let Ok(text) = fs::read_to_string(task.join("stat")) else { continue };
        if name.starts_with(named) {
            seconds += Stat::parse(&text).with_context(|| task.display().to_string())?.own_seconds()?;
        }
    }
    Ok(seconds)
}

/// The process that started this one.
pub fn parent_of(pid: u32) -> anyhow::Result<u32> {
    Stat::read(pid)?.parent()
}

/// The most memory that the process ever had resident (`VmHWM`), in MiB.
pub fn peak_memory_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")).with_context(|| format!("{path}: no VmHWM"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{path}: {line}"))?;
    Ok(kib / 1024.0)
}

/// The arguments of a process.
pub fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// Every process that can be seen.
pub fn pids() -> Vec<u32> {
    let entries = fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory_and_has_a_parent() {
        let own = std::process::id();
        assert!(cpu_seconds(own).expect("its stat can be read") >= 0.0);
        assert!(family_cpu_seconds(own).expect("its stat can be read") >= 0.0);
        assert!(peak_memory_mib(own).expect("its status can be read") > 0.0);
        assert!(pids().contains(&parent_of(own).expect("its stat can be read")));
    }
}
