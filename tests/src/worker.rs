//! A worker as an operator runs it: a process of the release binary, with its log in a file.
//!
//! It ends with its handle, and by the kernel's hand if the test dies first (`setpriv --pdeathsig`).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::until;

/// How long a worker may take to say where it listens.
const START_WITHIN: Duration = Duration::from_secs(20);

/// A process that is ended with its handle.
pub struct Worker {
    child: Child,
    log: PathBuf,
}

/// Starts a program with its output in `log`. What it inherits of our own settings is taken away.
pub fn start(program: &Path, arguments: &[String], environment: &[(String, String)], log: PathBuf) -> Worker {
    let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILLRACE_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file);
    let child = command.spawn().unwrap_or_else(|error| panic!("setpriv (util-linux) cannot start: {error}"));
    Worker { child, log }
}

impl Worker {
    /// `kill -9`, and waits until the kernel has taken it.
    pub fn kill_9(&mut self) {
        // An error says that it has ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal by name, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "kill {signal} {} failed; log: {}", self.child.id(), self.log.display());
    }

    /// Waits for its end.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let log = self.log.display().to_string();
        until(&format!("the process ends; its log is {log}"), deadline, async || {
            self.child.try_wait().expect("it is our child").ok_or("it runs")
        })
        .await
    }

    /// Fails the test if it has ended.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            panic!("the worker ended by itself ({status}); its log, {}:\n{}", self.log.display(), self.tail());
        }
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many lines of its log hold this.
    pub fn times_said(&self, words: &str) -> usize {
        self.said().lines().filter(|line| line.contains(words)).count()
    }

    /// Waits until its log holds this.
    pub async fn says(&self, words: &str, deadline: Duration) {
        until(&format!("{:?} in {}", words, self.log.display()), deadline, async || {
            if self.said().contains(words) { Ok(()) } else { Err(self.tail()) }
        })
        .await
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// Where it listens, as its log says.
    pub async fn endpoint(&self) -> String {
        until(&format!("an endpoint in {}", self.log.display()), START_WITHIN, async || {
            let said = self.said();
            let found = said.split_once("endpoints=http://").map(|(_, rest)| rest);
            let address = found.and_then(|rest| rest.split_whitespace().next());
            address.map(str::to_owned).ok_or(said)
        })
        .await
    }

    /// GETs a path of its endpoints: the status and the body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let address = self.endpoint().await;
        let mut stream = TcpStream::connect(&address).await.unwrap_or_else(|e| panic!("{address}: {e}"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the answer is text");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or_else(|| panic!("no status in {head:?}")), body.to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
