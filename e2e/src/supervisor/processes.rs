//! Child processes of the supervisor: each with a log file of its own, all killed by the handles that started them.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use futures::future::{join_all, select_all};
use tokio::process::{Child, Command};

use crate::ports;

/// How many lines of a log an error shows.
const TAIL: usize = 15;

struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

/// The running processes of one control plane.
pub struct Processes {
    folder: PathBuf,
    running: Vec<Process>,
}

impl Processes {
    /// No process yet; logs go to `<folder>/<name>.log`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), running: Vec::new() }
    }

    /// Starts a program with its output in its log.
    pub fn spawn(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        // Ctrl-C in a terminal goes to the whole process group; the supervisor alone decides about its children.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        self.running.push(Process { name, log, child });
        Ok(())
    }

    /// Process ids by program.
    pub fn pids(&self) -> BTreeMap<String, u32> {
        self.running.iter().filter_map(|process| Some((process.name.to_owned(), process.child.id()?))).collect()
    }

    /// Does `work`, unless one of the processes ends first: its exit status and the end of its log are the error then.
    pub async fn while_alive<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let ends = self.running.iter_mut().map(|process| {
            Box::pin(async move {
                let status = process.child.wait().await;
                (process.name, process.log.clone(), status)
            })
        });
        tokio::select! {
            done = work => done,
            ((name, log, status), ..) = select_all(ends) => {
                let status = status.with_context(|| format!("wait for {name}"))?;
                bail!("{name} ended by itself ({status}); the end of its log:\n{}", tail(&log))
            }
        }
    }

    /// Whether a process could not bind its port, so that a new start may help.
    pub fn lost_a_port(&self) -> bool {
        self.running.iter().any(|process| ports::taken(&tail(&process.log)))
    }

    /// Ends every process and waits until it is gone. SIGKILL, because kube-apiserver lingers on open watches for
    /// a minute after SIGTERM, and the data is thrown away anyhow.
    pub async fn kill(&mut self) -> Result<()> {
        let ends = self.running.iter_mut().map(|process| process.child.kill());
        join_all(ends)
            .await
            .into_iter()
            .collect::<std::io::Result<()>>()
            .context("kill a process of the control plane")?;
        self.running.clear();
        Ok(())
    }
}

/// The last lines of a log, as far as it can be read.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
