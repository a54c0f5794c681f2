//! A proxy in front of the API server that does harm as planned.
//!
//! ```text
//! operator ── TLS ──> FaultProxy ── TLS ──> kube-apiserver
//!                      │  ▲
//!       trace of every │  │ faults for requests to come, disturbances of answers under way
//!             exchange ▼  │
//!                      test
//! ```
//!
//! The caller's token is passed on, so that whoever comes through the proxy keeps his own rights. A plan counts requests
//! and looks at nothing else: the same requests in the same order meet the same faults, however long they take.

mod body;
mod plan;
mod request;
mod server;
mod state;
mod trace;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub use body::Disturbance;
pub use plan::{Action, Fault, Refusal, Target};
pub use request::{RequestInfo, Verb};
pub use server::acceptor;
pub use trace::Exchange;

use crate::control_plane::ControlPlane;
use crate::kubeconfig;
use crate::supervisor::pki::Authority;
use state::Shared;

/// How many of the last exchanges a failed test shows.
const SHOWN: usize = 40;

/// A running proxy. It ends with this value, and every connection through it does.
///
/// It has a thread and a runtime of its own, so that it goes on while a test waits in a way that holds up its runtime.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Shared,
    address: SocketAddr,
    folder: PathBuf,
    authority: PathBuf,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl FaultProxy {
    /// Starts a proxy to the API server of a control plane, with no fault in force.
    ///
    /// # Errors
    /// When it cannot listen, or the control plane's own files cannot be used.
    pub async fn start(control_plane: &ControlPlane) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for the proxy")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let folder = control_plane.folder().to_owned();
        // Every proxy has files of its own: a file that another one writes anew at this moment is empty to its reader.
        let name = format!("fault-proxy-{}", address.port());
        // The key of the control plane's own authority is thrown away as soon as its certificates are made.
        let authority = Authority::new("goldenpath fault proxy")?;
        let path = folder.join(format!("{name}.crt"));
        std::fs::write(&path, &authority.certificate).with_context(|| format!("write {}", path.display()))?;
        let upstream = folder.join(format!("{name}-upstream.kubeconfig"));
        kubeconfig::write(&upstream, &control_plane.ready().server, &folder.join("ca.crt"), &json!({}))?;

        let shared = Shared::default();
        let (started, outcome) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let leaf = authority.server("goldenpath-fault-proxy", &[])?;
        let state = shared.clone();
        let thread = std::thread::spawn(move || run(listener, &leaf, &upstream, state, started, stopped));
        outcome.await.map_err(|_| anyhow!("the thread of the proxy ended"))??;
        Ok(Self { shared, address, folder, authority: path, running: Some((stop, thread)) })
    }

    /// A kubeconfig of the same account as another one, such as one of [`ControlPlane::as_account`], through the proxy.
    ///
    /// # Errors
    /// When it has no token: a client certificate does not get through a proxy that ends TLS.
    pub fn kubeconfig(&self, of: &Path) -> Result<PathBuf> {
        let text = std::fs::read_to_string(of).with_context(|| format!("read {}", of.display()))?;
        let config: Value = serde_json::from_str(&text).with_context(|| format!("parse {}", of.display()))?;
        let user = &config["users"][0]["user"];
        ensure!(user["token"].is_string(), "{} has no token", of.display());
        let stem = of.file_stem().unwrap_or_default().to_string_lossy();
        let path = self.folder.join(format!("{stem}-through-{}.kubeconfig", self.address.port()));
        kubeconfig::write(&path, &format!("https://{}", self.address), &self.authority, user)?;
        Ok(path)
    }

    /// A client of the same account as a kubeconfig's, through the proxy and without kube's own retries.
    ///
    /// # Errors
    /// As [`Self::kubeconfig`].
    pub async fn client(&self, of: &Path) -> Result<Client> {
        client(&self.kubeconfig(of)?).await
    }

    /// Puts a fault in force for requests to come, until the answer of this call ends.
    pub fn fault(&self, fault: Fault) -> InForce {
        InForce { id: self.shared.add(fault), shared: self.shared.clone() }
    }

    /// Does something to every answer under way, such as to running watches, and says to how many.
    #[must_use = "a client between two watches is not disturbed"]
    pub fn disturb(&self, target: &Target, disturbance: &Disturbance) -> usize {
        self.shared.disturb(target, disturbance)
    }

    /// Everything that was asked so far, in the order in which it came.
    #[must_use]
    pub fn trace(&self) -> Vec<Exchange> {
        self.shared.trace()
    }

    /// The part of the trace that a target means.
    #[must_use]
    pub fn exchanges(&self, target: &Target) -> Vec<Exchange> {
        self.trace().into_iter().filter(|exchange| target.matches(&exchange.request)).collect()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let trace = self.trace();
            eprintln!("the last exchanges through the proxy:");
            trace[trace.len().saturating_sub(SHOWN)..].iter().for_each(|exchange| eprintln!("{exchange}"));
        }
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic of its thread was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// A fault in force; it ends with this value.
#[must_use = "the fault ends with this value"]
pub struct InForce {
    shared: Shared,
    id: usize,
}

impl InForce {
    /// How many requests it has met.
    #[must_use]
    pub fn met(&self) -> usize {
        self.shared.met(self.id)
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        self.shared.remove(self.id);
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce").field("met", &self.met()).finish_non_exhaustive()
    }
}

/// The thread of a proxy: serves until `stopped` resolves, and says in `started` whether it could begin.
fn run(
    listener: TcpListener,
    leaf: &CertifiedKey<KeyPair>,
    upstream: &Path,
    shared: Shared,
    started: oneshot::Sender<Result<()>>,
    stopped: oneshot::Receiver<()>,
) {
    let prepared = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime");
    let prepared = prepared.and_then(|runtime| {
        let parts = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            anyhow::Ok((listener, acceptor(leaf)?, client(upstream).await?))
        })?;
        Ok((runtime, parts))
    });
    match prepared {
        Ok((runtime, (listener, acceptor, upstream))) => {
            // Whoever started it is gone when nobody hears this; then `stopped` resolves at once, too.
            let _ = started.send(Ok(()));
            runtime.block_on(async {
                tokio::select! {
                    () = server::serve(listener, acceptor, upstream, shared) => (),
                    _ = stopped => (),
                }
            });
        }
        Err(error) => drop(started.send(Err(error))),
    }
}

/// A client without kube's own retries: each call is one request.
async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}
