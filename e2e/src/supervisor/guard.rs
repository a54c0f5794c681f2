//! `control-plane guard`: runs one program that must not outlive the test that started it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use super::parent::stdin_closed;

/// Runs `program` with its output in `log`; kills it when stdin closes and passes SIGTERM on to it.
///
/// Prints the program's process id, and returns its exit code (128 + signal when a signal ended it).
///
/// # Errors
/// When the log cannot be created or the program cannot be started.
pub async fn guard(log: &Path, program: &[OsString]) -> Result<u8> {
    let (name, arguments) = program.split_first().context("no program to guard")?;
    let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let mut terminate = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut closed = stdin_closed();
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}", name.display()))?;
    let pid = child.id().context("the program has no process id")?;
    println!("{pid}");
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code(status?)),
            _ = &mut closed => {
                child.start_kill()?;
                return Ok(code(child.wait().await?));
            }
            // An error means that it has just ended by itself, which the next round reports.
            _ = terminate.recv() => { let _ = send(pid, Signal::TERM); }
        }
    }
}

/// Sends a signal to a process that the caller has started.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("{pid} is no process id"))?;
    kill_process(pid, signal).with_context(|| format!("send {signal:?} to process {pid:?}"))
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
