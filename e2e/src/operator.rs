//! The operator as a process: the real binary with a real user's rights, to be stopped and killed at will.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::control_plane::ControlPlane;
use crate::guarded::Guarded;
use crate::{ports, probe, programs, wait};

const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// How to start an operator.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// Whose rights it has: usually [`ControlPlane::as_account`]
    pub kubeconfig: PathBuf,
    /// Arguments after `goldenpath run --listen 127.0.0.1:<port>`
    pub args: Vec<OsString>,
    /// Environment, over `POD_NAMESPACE=goldenpath-system` and `RUST_LOG=info,goldenpath=debug`
    pub env: Vec<(String, String)>,
    /// Another `goldenpath` than the one that was built with the tests, such as [`programs::Previous`]'s
    pub program: Option<PathBuf>,
}

/// A running operator. It ends with this value, and with this process at the latest.
#[derive(Debug)]
pub struct Operator {
    process: Guarded,
    port: u16,
}

impl Operator {
    /// Starts `goldenpath run` and waits until `/readyz` answers 200.
    ///
    /// Its lease lives in the namespace `goldenpath-system`, which must exist.
    ///
    /// # Errors
    /// When it is not built, ends by itself or is not ready in time; the end of its log is part of the message.
    pub async fn start(control_plane: &ControlPlane, options: &OperatorOptions) -> Result<Self> {
        for _ in 1..ports::ATTEMPTS {
            let operator = Self::spawn(control_plane.folder(), options)?;
            match operator.ready().await {
                Err(_) if ports::taken(&operator.log()) => (),
                outcome => return outcome.map(|()| operator),
            }
        }
        let operator = Self::spawn(control_plane.folder(), options)?;
        operator.ready().await.map(|()| operator)
    }

    /// Starts `goldenpath run` where it cannot be ready, and waits until `/readyz` says why: a line with `words` in it.
    ///
    /// # Errors
    /// When it does not say so in time; the end of its log is part of the message.
    pub async fn start_unready(control_plane: &ControlPlane, options: &OperatorOptions, words: &str) -> Result<Self> {
        let operator = Self::spawn(control_plane.folder(), options)?;
        let says = operator.is_unready(words).await;
        says.with_context(|| format!("the end of its log:\n{}", operator.process.tail()))?;
        Ok(operator)
    }

    /// Waits until `/readyz` says no, for this reason; the answer is the line.
    ///
    /// # Errors
    /// When it does not say so in time.
    pub async fn is_unready(&self, words: &str) -> Result<String> {
        wait::until(&format!("/readyz to say {words}"), READY_TIMEOUT, async || {
            let (code, body) = self.get("/readyz").await?;
            let line = body.lines().find(|line| line.contains(words)).filter(|_| code == 503);
            ensure!(line.is_some(), "{code} {body}");
            Ok(line.map(str::to_owned))
        })
        .await
    }

    /// Starts `goldenpath run` and waits for nothing.
    pub(crate) fn spawn(folder: &Path, options: &OperatorOptions) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let [port] = ports::free()?;
        let log = folder.join(format!("operator-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let program = options.program.clone().map_or_else(|| programs::sibling("goldenpath"), Ok)?;
        let mut command = Command::new(program);
        command
            .args(["run", "--listen", &format!("127.0.0.1:{port}")])
            .args(&options.args)
            .env("KUBECONFIG", &options.kubeconfig)
            .env("POD_NAMESPACE", "goldenpath-system")
            .env("RUST_LOG", "info,goldenpath=debug")
            // one that was killed would be waited for; stories of several replicas say otherwise
            .env("GOLDENPATH_LEADER_ELECT", "false")
            .envs(options.env.iter().map(|(name, value)| (name, value)));
        Ok(Self { process: Guarded::spawn(&command, log)?, port })
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends by itself or is not ready in time; the end of its log is part of the message.
    pub async fn ready(&self) -> Result<()> {
        let ready = wait::until("the operator to be ready", READY_TIMEOUT, async || {
            if !self.is_alive() {
                return Ok(Some(false));
            }
            let (code, body) = self.get("/readyz").await?;
            ensure!(code == 200, "/readyz says {code} {body}");
            Ok(Some(true))
        });
        match ready.await {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the operator ended by itself; the end of its log:\n{}", self.process.tail()),
            Err(error) => bail!("{error:#}; the end of its log:\n{}", self.process.tail()),
        }
    }

    /// The process under its guard.
    pub(crate) fn process(&self) -> &Guarded {
        &self.process
    }

    /// Port of `/livez`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id of the operator itself, for its memory in `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether the process is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.process.is_alive()
    }

    /// Everything it has written to stdout and stderr so far; empty when that cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Status and body of a GET on its port.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        probe::get(self.port, path).await.with_context(|| format!("GET {path} of the operator"))
    }

    /// Text of `/metrics`.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub async fn metrics(&self) -> Result<String> {
        let (code, body) = self.get("/metrics").await?;
        ensure!(code == 200, "/metrics says {code} {body}");
        Ok(body)
    }

    /// Whether it leads, by its own account.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn leads(&self) -> Result<bool> {
        Ok(self.metrics().await?.lines().any(|line| line == "goldenpath_leader 1"))
    }

    /// As [`Guarded::freeze`].
    ///
    /// # Errors
    /// When it is not there.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.process.freeze(frozen)
    }

    /// As [`Guarded::ends`].
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ends(&mut self) -> Result<ExitStatus> {
        self.process.ends().await
    }

    /// As [`Guarded::kill`].
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// As [`Guarded::terminate`].
    ///
    /// # Errors
    /// When it was not running, or does not end within a minute.
    pub async fn terminate(&mut self) -> Result<(ExitStatus, Duration)> {
        self.process.terminate().await
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log goes with the data folder, and a failed test needs it.
            eprintln!("end of {}:\n{}", self.process.log_file().display(), self.process.tail());
        }
    }
}
