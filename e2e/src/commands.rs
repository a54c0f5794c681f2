//! kubectl, helm and `goldenpath` as a user runs them, cut off from the user's own configuration and caches.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::control_plane::ControlPlane;
use crate::programs;

/// Longer than any `--timeout` a test passes; without it a hanging command would hang the whole run.
const TIMEOUT: Duration = Duration::from_mins(5);

/// How a command ended.
#[derive(Debug)]
pub struct CommandOutput {
    /// Exit status
    pub status: ExitStatus,
    /// Standard output
    pub stdout: String,
    /// Standard error
    pub stderr: String,
    /// The command as one would type it
    command: String,
}

impl CommandOutput {
    /// Standard output of a command that succeeded.
    ///
    /// # Errors
    /// When it failed: the command, its exit status and what it wrote to standard error.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("`{}` failed ({}): {}{}", self.command, self.status, self.stdout, self.stderr);
        }
        Ok(self.stdout)
    }
}

impl ControlPlane {
    /// Runs kubectl as admin and gives its standard output. `--kubeconfig` makes it someone else.
    ///
    /// # Errors
    /// When kubectl fails, with its message.
    pub async fn kubectl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        self.kubectl_output(args, "").await?.success()
    }

    /// As [`Self::kubectl`], with `input` as standard input for `-f -`.
    ///
    /// # Errors
    /// When kubectl fails, with its message.
    pub async fn kubectl_stdin<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<String> {
        self.kubectl_output(args, input).await?.success()
    }

    /// As [`Self::kubectl_stdin`], for commands that may fail: the exit status is part of the answer.
    ///
    /// # Errors
    /// Only when kubectl cannot be run or does not end.
    pub async fn kubectl_output<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Result<CommandOutput> {
        let mut command = Command::new(&self.programs().kubectl);
        command.arg("--cache-dir").arg(self.folder().join("kubectl")).env("KUBERC", "off").args(args);
        self.output(command, input).await
    }

    /// `kubectl apply` of one or more YAML documents, client-side, as most users do it.
    ///
    /// # Errors
    /// When a document is refused, with the API server's message.
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_stdin(["apply", "-f", "-"], yaml).await
    }

    /// Runs helm as admin and gives its standard output.
    ///
    /// # Errors
    /// When helm fails, with its message.
    pub async fn helm<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<String> {
        self.helm_output(args).await?.success()
    }

    /// As [`Self::helm`], for commands that may fail: the exit status is part of the answer.
    ///
    /// # Errors
    /// Only when helm cannot be run or does not end.
    pub async fn helm_output<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<CommandOutput> {
        let home = |name: &str| self.folder().join("helm").join(name);
        let mut command = Command::new(&self.programs().helm);
        command
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"));
        command.args(args);
        self.output(command, "").await
    }

    /// Runs a script as a person pastes it into bash, as admin, with the kubectl and the helm of the tests first on the
    /// `PATH`. It ends with the first command that fails.
    ///
    /// # Errors
    /// Only when bash cannot be run or does not end.
    pub async fn shell(&self, script: &str) -> Result<CommandOutput> {
        let folders =
            [&self.programs().kubectl, &self.programs().helm].map(|program| program.parent().map(Path::to_owned));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().flatten().chain(std::env::split_paths(&path)))?;
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-s"]).env("PATH", path).env("KUBERC", "off");
        command.env("KUBECACHEDIR", self.folder().join("kubectl"));
        self.output(command, script).await
    }

    /// Runs `goldenpath` as a command line tool, as admin unless it is given a `--kubeconfig`.
    ///
    /// # Errors
    /// When it is not built, cannot be run or does not end.
    pub async fn goldenpath<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<CommandOutput> {
        self.goldenpath_as(self.kubeconfig(), args).await
    }

    /// As [`Self::goldenpath`], with the rights of a kubeconfig.
    ///
    /// # Errors
    /// As [`Self::goldenpath`].
    pub async fn goldenpath_as<A: AsRef<OsStr>>(
        &self,
        kubeconfig: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<CommandOutput> {
        let mut command = Command::new(programs::sibling("goldenpath")?);
        command.env("KUBECONFIG", kubeconfig).args(args);
        output(command, "").await
    }

    async fn output(&self, mut command: Command, input: &str) -> Result<CommandOutput> {
        command.env("KUBECONFIG", self.kubeconfig());
        output(command, input).await
    }
}

async fn output(mut command: Command, input: &str) -> Result<CommandOutput> {
    command.kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = show(command.as_std());
    let mut child = command.spawn().with_context(|| format!("run `{shown}`"))?;
    let mut stdin = child.stdin.take().context("no pipe to standard input")?;
    let write = async {
        // A command that fails early closes its end; its own message says more than the broken pipe.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let exchange = async { tokio::join!(child.wait_with_output(), write).0 };
    let output = tokio::time::timeout(TIMEOUT, exchange).await.with_context(|| format!("`{shown}` does not end"))??;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(CommandOutput {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        command: shown,
    })
}

/// Program without its folder, and arguments.
fn show(command: &std::process::Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
