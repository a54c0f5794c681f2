//! The operator as a process: the real binary with a real user's rights, to be stopped and killed at will.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::control_plane::ControlPlane;
use crate::supervisor::{processes, send};
use crate::{ports, probe, programs, wait};

const READY_TIMEOUT: Duration = Duration::from_mins(1);
const END_TIMEOUT: Duration = Duration::from_mins(1);

/// How to start an operator.
#[derive(Clone, Debug, Default)]
pub struct OperatorOptions {
    /// Whose rights it has: usually [`ControlPlane::as_account`]
    pub kubeconfig: PathBuf,
    /// Arguments after `goldenpath run --listen 127.0.0.1:<port>`
    pub args: Vec<OsString>,
    /// Environment, over `POD_NAMESPACE=goldenpath-system` and `RUST_LOG=info,goldenpath=debug`
    pub env: Vec<(String, String)>,
}

/// A running operator. It ends with this value, and with this process at the latest.
#[derive(Debug)]
pub struct Operator {
    guard: Child,
    pid: u32,
    port: u16,
    log: PathBuf,
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

    fn spawn(folder: &Path, options: &OperatorOptions) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let [port] = ports::free()?;
        let log = folder.join(format!("operator-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let mut guard = Command::new(programs::sibling("control-plane")?)
            .args(["guard", "--log"])
            .arg(&log)
            .arg("--")
            .arg(programs::sibling("goldenpath")?)
            .args(["run", "--listen", &format!("127.0.0.1:{port}")])
            .args(&options.args)
            .env("KUBECONFIG", &options.kubeconfig)
            .env("POD_NAMESPACE", "goldenpath-system")
            .env("RUST_LOG", "info,goldenpath=debug")
            .envs(options.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("start the guard of an operator")?;
        let mut line = String::new();
        let stdout = guard.stdout.take().context("no pipe from the guard")?;
        BufReader::new(stdout).read_line(&mut line).context("read from the guard")?;
        let pid = line.trim().parse().with_context(|| format!("the guard did not start the operator: {line:?}"))?;
        Ok(Self { guard, pid, port, log })
    }

    async fn ready(&self) -> Result<()> {
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
            Ok(false) => bail!("the operator ended by itself; the end of its log:\n{}", processes::tail(&self.log)),
            Err(error) => bail!("{error:#}; the end of its log:\n{}", processes::tail(&self.log)),
        }
    }

    /// Process id of the operator itself, for its memory in `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the process is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        alive(self.pid)
    }

    /// Everything it has written to stdout and stderr so far; empty when that cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
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

    /// Ends it by SIGKILL, as a node that loses power would, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go.
    pub async fn kill(&mut self) -> Result<()> {
        drop(self.guard.stdin.take());
        self.ended().await.map(drop)
    }

    /// Ends it by SIGTERM, as Kubernetes ends a pod; gives its exit status and how long it took.
    ///
    /// A signal that it did not handle shows as exit code 128 + signal (143 for SIGTERM).
    ///
    /// # Errors
    /// When it was not running, or does not end within a minute.
    pub async fn terminate(&mut self) -> Result<(ExitStatus, Duration)> {
        // The id of a process that was waited for can belong to another one by now.
        ensure!(self.guard.try_wait()?.is_none(), "the operator has ended already");
        let started = Instant::now();
        send(self.guard.id(), Signal::TERM)?;
        let status = self.ended().await?;
        Ok((status, started.elapsed()))
    }

    async fn ended(&mut self) -> Result<ExitStatus> {
        let guard = &mut self.guard;
        wait::until("the operator to end", END_TIMEOUT, || std::future::ready(guard.try_wait().map_err(Into::into)))
            .await
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log goes with the data folder, and a failed test needs it.
            eprintln!("end of {}:\n{}", self.log.display(), processes::tail(&self.log));
        }
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// A zombie counts as ended: its parent, the guard, has only not asked for its status yet.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}
