//! A contender as a process of its own, so that its CPU time and memory are its own too.
//!
//! It ends with its handle, and by the kernel's hand if the bench dies first (`setpriv --pdeathsig`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a process may take to end after SIGTERM.
const END_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of a log an error shows.
const TAIL_LINES: usize = 12;

/// A process that is ended with its handle.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What to start.
pub struct Plan<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, beside what the bench has itself; without the settings of Millrace's own.
    pub environment: Vec<(&'static str, String)>,
}

impl Process {
    /// Starts it with its output in a file of `logs`.
    pub fn start(plan: Plan<'_>, logs: &Path) -> anyhow::Result<Process> {
        let log = logs.join(format!("{}.log", plan.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(plan.program).args(&plan.arguments);
        let ours = |name: &str| name.starts_with("MILLRACE_") || name == "DATABASE_URL";
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.envs(plan.environment);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("setpriv (util-linux) cannot be started")?;
        Ok(Process { name: plan.name.to_owned(), child, log })
    }

    /// Its process id; setpriv becomes the program and keeps it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its log if it has ended.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}):\n{}", self.name, self.tail()),
        }
    }

    /// Waits until it ends by itself, and gives what it has said.
    pub async fn finished(&mut self, deadline: Duration) -> anyhow::Result<String> {
        match self.wait(deadline).await? {
            Some(status) if status.success() => Ok(self.said()),
            Some(status) => bail!("{} failed ({status}):\n{}", self.name, self.tail()),
            None => bail!("{} still runs after {} s:\n{}", self.name, deadline.as_secs(), self.tail()),
        }
    }

    /// SIGTERM, and waits; what does not end by itself is killed.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.signal("-TERM")?;
        if self.wait(END_WITHIN).await?.is_none() {
            bail!("{} did not end within {} s of SIGTERM", self.name, END_WITHIN.as_secs());
        }
        Ok(())
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let shown = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("{shown}\n(log: {})", self.log.display())
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        // An error says that it has ended by itself.
        Command::new("kill").args([signal, &self.child.id().to_string()]).stderr(Stdio::null()).status()?;
        Ok(())
    }

    async fn wait(&mut self, deadline: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors say that it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
