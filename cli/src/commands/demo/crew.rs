//! The demo's workers: processes of this very binary, which end with the demo however it ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

/// How long a worker may take to finish its batches and leave the group.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How much of a log is shown when its worker ended by itself.
const LOG_LINES_SHOWN: usize = 3;

/// What every worker is started with.
pub struct Orders {
    /// Arguments behind `worker`, without its name.
    pub arguments: Vec<String>,
    /// Variables on top of the environment.
    pub environment: Vec<(&'static str, String)>,
    /// Where the logs are written.
    pub logs: PathBuf,
}

/// The workers.
pub struct Crew {
    orders: Orders,
    members: Vec<Member>,
}

struct Member {
    name: String,
    child: Child,
    log: PathBuf,
    killed: bool,
}

impl Crew {
    /// Nobody yet. Makes the directory of the logs.
    pub fn new(orders: Orders) -> anyhow::Result<Crew> {
        let logs = &orders.logs;
        fs::create_dir_all(logs).with_context(|| {
            format!("--logs {}: cannot make this directory; name one that is yours", logs.display())
        })?;
        Ok(Crew { orders, members: Vec::new() })
    }

    /// Where the logs are.
    pub fn logs(&self) -> &Path {
        &self.orders.logs
    }

    /// Starts one more, and gives its name and process id.
    pub fn start(&mut self) -> anyhow::Result<(String, u32)> {
        let name = format!("worker-{}", self.members.len() + 1);
        let log = self.orders.logs.join(format!("{name}.log"));
        let cannot_log = || format!("--logs {}: cannot write it", log.display());
        let out = File::create(&log).with_context(cannot_log)?;
        let err = out.try_clone().with_context(cannot_log)?;
        let binary = std::env::current_exe().context("cannot find this binary again to run it as a worker")?;
        let child = Command::new(binary)
            .args(["worker", "--name", &name, "--until-stdin-closes"])
            .args(&self.orders.arguments)
            .envs(self.orders.environment.iter().map(|(variable, value)| (variable, value)))
            // The kernel closes the pipe when this process ends, by kill -9 as well: nobody is left behind.
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            // Ctrl-C is the demo's to answer.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().unwrap_or_default();
        self.members.push(Member { name: name.clone(), child, log, killed: false });
        Ok((name, pid))
    }

    /// kill -9: it gets no chance to finish anything. Gives its process id.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<u32> {
        let member = self.members.iter_mut().find(|member| member.name == name);
        let member = member.with_context(|| format!("there is no worker {name}"))?;
        let pid = member.child.id().unwrap_or_default();
        member.killed = true;
        member.child.kill().await.with_context(|| format!("cannot kill {name} (pid {pid})"))?;
        Ok(pid)
    }

    /// An error if one ended that nobody killed.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for member in self.members.iter_mut().filter(|member| !member.killed) {
            if let Some(status) = member.child.try_wait()? {
                bail!(
                    "{} ended by itself ({}); its log, {}, ends with\n{}",
                    member.name,
                    status,
                    member.log.display(),
                    last_lines(&member.log)
                );
            }
        }
        Ok(())
    }

    /// Lets all finish their batches and leave; names those that had to be killed for it.
    pub async fn stop(&mut self) -> io::Result<Vec<String>> {
        for member in &mut self.members {
            drop(member.child.stdin.take());
        }
        let mut late = Vec::new();
        for member in &mut self.members {
            if tokio::time::timeout(STOP_DEADLINE, member.child.wait()).await.is_err() {
                member.child.kill().await?;
                late.push(member.name.clone());
            }
        }
        Ok(late)
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
