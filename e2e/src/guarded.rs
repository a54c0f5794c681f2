//! A process that never outlives whoever started it, however that ends.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::supervisor::{processes, send};
use crate::{programs, wait};

const END_TIMEOUT: Duration = Duration::from_mins(1);

/// A running process under `control-plane guard`. It ends with this value, and with this process at the latest.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    pid: u32,
    log: PathBuf,
}

impl Guarded {
    /// Starts a program with the arguments and the environment of `command`, and its output in `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(command: &Command, log: PathBuf) -> Result<Self> {
        let mut guard = Command::new(programs::sibling("control-plane")?);
        guard.args(["guard", "--log"]).arg(&log).arg("--").arg(command.get_program()).args(command.get_args());
        guard.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let what = command.get_program().display();
        let mut guard = guard.spawn().with_context(|| format!("start the guard of {what}"))?;
        let mut line = String::new();
        let stdout = guard.stdout.take().context("no pipe from the guard")?;
        BufReader::new(stdout).read_line(&mut line).context("read from the guard")?;
        let pid = line.trim().parse().with_context(|| format!("the guard did not start {what}: {line:?}"))?;
        Ok(Self { guard, pid, log })
    }

    /// Process id of the program itself, for its memory in `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // A zombie counts as ended: its parent, the guard, has only not asked for its status yet.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
    }

    /// Everything it has written to stdout and stderr so far; empty when that cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of [`Self::log`], for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        processes::tail(&self.log)
    }

    /// Where its output goes.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Ends it by SIGKILL, as a node that loses power would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill(&mut self) -> Result<()> {
        drop(self.guard.stdin.take());
        self.ended().await.map(drop)
    }

    /// Stops it in the middle of whatever it does, or lets it go on.
    ///
    /// # Errors
    /// When it is not there.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        send(self.pid, if frozen { Signal::STOP } else { Signal::CONT })
    }

    /// Waits until it ends by itself; gives its exit status.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub async fn ends(&mut self) -> Result<ExitStatus> {
        self.ended().await
    }

    /// Ends it by SIGTERM, as Kubernetes ends a pod; gives its exit status and how long it took.
    ///
    /// A signal that it did not handle shows as exit code 128 + signal (143 for SIGTERM).
    ///
    /// # Errors
    /// When it was not running, or does not end within a minute.
    pub async fn terminate(&mut self) -> Result<(ExitStatus, Duration)> {
        // The id of a process that was waited for can belong to another one by now.
        ensure!(self.guard.try_wait()?.is_none(), "the process has ended already");
        let started = Instant::now();
        send(self.guard.id(), Signal::TERM)?;
        let status = self.ended().await?;
        Ok((status, started.elapsed()))
    }

    async fn ended(&mut self) -> Result<ExitStatus> {
        let guard = &mut self.guard;
        wait::until("the process to end", END_TIMEOUT, || std::future::ready(guard.try_wait().map_err(Into::into)))
            .await
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
