//! The control plane of real nodes: the same programs with the same flags as elsewhere, on an address that pods reach. Each is
//! under a guard of its own, so that it can be killed and started again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use kube::Client;

use super::{ADDRESS, NODES, node_name};
use crate::guarded::Guarded;
use crate::programs::Programs;
use crate::supervisor::{commands, nodes, pki, prepare};
use crate::{Options, kubeconfig, ports};

/// Where the API server listens.
const PORT: u16 = 6443;

/// A program that is started again after its death.
pub struct Program {
    name: String,
    command: Command,
    folder: PathBuf,
    starts: u32,
    running: Option<Guarded>,
}

impl Program {
    /// Starts it; its logs are `<folder>/<name>-<start>.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: Command, folder: &Path) -> Result<Self> {
        let mut program = Self { name: name.to_owned(), command, folder: folder.to_owned(), starts: 0, running: None };
        program.again()?;
        Ok(program)
    }

    /// Starts it once more.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn again(&mut self) -> Result<()> {
        let log = self.folder.join(format!("{}-{}.log", self.name, self.starts));
        self.starts += 1;
        self.running = Some(Guarded::spawn(&self.command, log)?);
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it was not there, or does not go.
    pub async fn kill(&mut self) -> Result<()> {
        self.running.take().context("it does not run")?.kill().await
    }

    /// The end of its log, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        self.running.as_ref().map(Guarded::tail).unwrap_or_default()
    }
}

/// Address of the API server.
#[must_use]
pub fn address() -> String {
    format!("https://{ADDRESS}:{PORT}")
}

/// What a control plane runs.
pub struct Servers {
    _scheduler: Program,
    _controllers: Program,
    /// The API server
    pub api: Program,
    /// Its store
    pub etcd: Program,
}

/// Starts all, and waits until the API server is ready.
///
/// # Errors
/// When one cannot be started, or is not ready in time.
pub async fn start(folder: &Path, programs: &Programs) -> Result<(Servers, Client)> {
    let kubelets: Vec<String> = (0..NODES).map(|node| format!("system:node:{}", node_name(node))).collect();
    let names: Vec<String> = (0..NODES).map(node_name).collect();
    let mut clients = pki::CLIENTS.to_vec();
    clients.push(("kube-proxy", "system:kube-proxy", None));
    clients.extend(names.iter().zip(&kubelets).map(|(name, user)| (&**name, &**user, Some("system:nodes"))));
    prepare(folder, &address(), &[ADDRESS, "10.96.0.1"], &clients)?;
    let client = kubeconfig::client(&folder.join("admin.kubeconfig")).await?;
    let [etcd, peer] = ports::free()?;
    let options = Options { api_server_flags: flags(folder), ..Options::default() };
    let command = commands::etcd(programs, folder, &options, etcd, peer);
    let etcd_server = Program::start("etcd", command.into_std(), folder)?;
    let command = commands::api_server(programs, folder, &options, etcd, PORT);
    let api = Program::start("kube-apiserver", command.into_std(), folder)?;
    nodes::api_ready(&client).await.map_err(|error| error.context(api.tail()))?;
    let command = commands::controller_manager(programs, folder);
    let controllers = Program::start("kube-controller-manager", command.into_std(), folder)?;
    let scheduler = Program::start("kube-scheduler", commands::scheduler(programs, folder).into_std(), folder)?;
    Ok((Servers { _scheduler: scheduler, _controllers: controllers, api, etcd: etcd_server }, client))
}

/// What the API server of real nodes has beyond that of simulated ones; the last of a kind wins, and modes add up.
fn flags(folder: &Path) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    vec![
        format!("--bind-address={ADDRESS}"),
        format!("--advertise-address={ADDRESS}"),
        "--endpoint-reconciler-type=lease".to_owned(),
        "--authorization-mode=Node".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // kubelets make their serving certificates themselves
        file("kubelet-client-certificate", "admin.crt"),
        file("kubelet-client-key", "admin.key"),
    ]
}
