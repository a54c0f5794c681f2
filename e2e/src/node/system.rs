//! Programs of the system, which `e2e/test-node.sh` has installed, and how they are run.

use std::ffi::OsStr;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Runs a program; the answer is what it printed.
///
/// # Errors
/// When it fails: with what it said.
pub async fn run<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("run {:?}", command.as_std()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{:?} failed ({}): {}{}", command.as_std(), output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}
