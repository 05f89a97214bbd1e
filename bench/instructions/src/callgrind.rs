//! Runs a stage under callgrind and reads how many instructions it counted.
//!
//! valgrind itself is found, or installed, by `compose/need callgrind`.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::stage::Stage;

/// How valgrind calls itself, such as valgrind-3.19.0.
pub fn version() -> anyhow::Result<String> {
    let output = Command::new("valgrind").arg("--version").output().context(
        "valgrind cannot be run; install it (on Debian: apt-get install valgrind, which `compose/need callgrind` does)",
    )?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How the compiler calls itself, for another one makes other code.
pub fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The instructions of the stage's counted function. The profile is left in `out`.
pub fn count(stage: Stage, out: &Path) -> anyhow::Result<u64> {
    let mut out_file = std::ffi::OsString::from("--callgrind-out-file=");
    out_file.push(out);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect=*counted_{}*", stage.name())])
        .arg(out_file)
        .arg(std::env::current_exe()?)
        .args(["run", stage.name()])
        // Hash maps and allocators must not find another environment each time.
        .env_clear()
        .output()
        .context("valgrind cannot be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "stage {}: callgrind failed ({}):\n{said}", stage.name(), output.status);
    let collected = collected(&said);
    collected.filter(|count| *count > 0).with_context(|| {
        format!("stage {}: callgrind counted nothing; was counted_{} inlined?\n{said}", stage.name(), stage.name())
    })
}

/// The first event, which is instructions, of callgrind's line `==1== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let (_, counts) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    counts.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 41337\n==7== \n"), Some(41_337));
        assert_eq!(collected("==7== Collected : \n"), None);
        assert_eq!(collected("valgrind: no such file"), None);
    }
}
