//! The program behind `control-plane`: starts a control plane, says where it is, ends it with whoever started it.

pub(crate) mod commands;
mod guard;
pub(crate) mod nodes;
mod parent;
pub mod pki;
pub(crate) mod processes;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

pub use guard::guard;
pub(crate) use guard::send;

use crate::options::Options;
use crate::programs::Programs;
use crate::{kubeconfig, ports};
use parent::Parent;
use processes::Processes;

/// The line that the supervisor prints, once, when pods can run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Kubeconfig of a user in `system:masters`
    pub kubeconfig: PathBuf,
    /// Data folder: logs, certificates, etcd; deleted at the end unless `--keep`
    pub folder: PathBuf,
    /// Audit events of the API server, one JSON object a line
    pub audit_log: PathBuf,
    /// Address of the API server
    pub server: String,
    /// Process ids by program
    pub pids: BTreeMap<String, u32>,
}

/// Runs a control plane until stdin closes, or SIGTERM or SIGINT arrives. Prints one [`Ready`] line to stdout.
///
/// # Errors
/// When a program is missing, a process ends by itself (with the end of its log), or nothing is ready in time.
pub async fn run(options: &Options) -> Result<()> {
    let programs = Programs::find(options.kubernetes_version.as_deref())?;
    let mut parent = Parent::new()?;
    for attempt in 1.. {
        let folder = data_folder()?;
        let mut processes = Processes::new(folder.path());
        let started = tokio::select! {
            started = start(&mut processes, &programs, options, folder.path()) => started.map(Some),
            () = parent.gone() => Ok(None),
        };
        let outcome = match started {
            Ok(Some(ready)) => live(&mut processes, &mut parent, &ready).await,
            Ok(None) => Ok(()),
            Err(_) if attempt < ports::ATTEMPTS && processes.lost_a_port() => {
                end(processes, folder, options.keep).await?;
                continue;
            }
            Err(error) => Err(error),
        };
        end(processes, folder, options.keep).await?;
        return outcome;
    }
    Ok(())
}

/// Private keys lie in it, and folders of the temporary directory are open to everyone by default.
pub(crate) fn data_folder() -> Result<TempDir> {
    let private = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("goldenpath-").permissions(private).tempdir().context("create the data folder")
}

async fn live(processes: &mut Processes, parent: &mut Parent, ready: &Ready) -> Result<()> {
    println!("{}", serde_json::to_string(ready)?);
    tokio::select! {
        ended = processes.while_alive(std::future::pending()) => ended,
        () = parent.gone() => Ok(()),
    }
}

/// The folder goes last: etcd would write into it again.
async fn end(mut processes: Processes, folder: TempDir, keep: bool) -> Result<()> {
    processes.kill().await?;
    if keep {
        eprintln!("kept {}", folder.keep().display());
        return Ok(());
    }
    folder.close().context("delete the data folder")
}

async fn start(processes: &mut Processes, programs: &Programs, options: &Options, folder: &Path) -> Result<Ready> {
    let [etcd, peer, api, kwok] = ports::free()?;
    let server = format!("https://127.0.0.1:{api}");
    prepare(folder, &server, &[], &pki::CLIENTS)?;
    let kubeconfig = folder.join("admin.kubeconfig");
    let client = kubeconfig::client(&kubeconfig).await?;

    if let Some(data) = &options.etcd_data {
        copy(data, &folder.join("etcd")).with_context(|| format!("copy {}", data.display()))?;
    }
    processes.spawn("etcd", &mut commands::etcd(programs, folder, options, etcd, peer))?;
    processes.spawn("kube-apiserver", &mut commands::api_server(programs, folder, options, etcd, api))?;
    processes.while_alive(nodes::api_ready(&client)).await?;

    if !options.bare {
        nodes_and_controllers(processes, programs, options, folder, (&client, kwok)).await?;
    }

    let (folder, audit_log) = (folder.to_owned(), folder.join("audit.log"));
    Ok(Ready { kubeconfig, folder, audit_log, server, pids: processes.pids() })
}

async fn nodes_and_controllers(
    processes: &mut Processes,
    programs: &Programs,
    options: &Options,
    folder: &Path,
    (client, kwok): (&Client, u16),
) -> Result<()> {
    processes.spawn("kube-controller-manager", &mut commands::controller_manager(programs, folder))?;
    processes.spawn("kube-scheduler", &mut commands::scheduler(programs, folder))?;
    processes.spawn("kwok", &mut commands::kwok(programs, folder, kwok))?;
    let usable = async {
        nodes::create(client, options.nodes).await?;
        nodes::usable(client, options.nodes).await
    };
    processes.while_alive(usable).await
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Certificates, kubeconfigs and the audit policy.
pub(crate) fn prepare(folder: &Path, server: &str, hosts: &[&str], clients: &[pki::ClientOf<'_>]) -> Result<()> {
    pki::write(folder, hosts, clients)?;
    for (name, ..) in clients {
        let user = json!({
            "client-certificate": folder.join(format!("{name}.crt")),
            "client-key": folder.join(format!("{name}.key")),
        });
        kubeconfig::write(&folder.join(format!("{name}.kubeconfig")), server, &folder.join("ca.crt"), &user)?;
    }
    std::fs::write(folder.join("audit-policy.json"), commands::audit_policy().to_string())
        .context("write the audit policy")
}
