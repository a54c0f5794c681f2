//! The fleet on an API server. It is made once per size and version, through the API as users make it, and kept as etcd's
//! data folder in the cache: 100,000 Deployments take minutes to create and seconds to copy.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::fleet::{Fleet, status};
use super::writes::{Progress, create, deployment, each, merge};
use crate::{ControlPlane, Options, programs};

/// Requests at a time. More do not help on two cores.
const CONCURRENCY: usize = 16;

/// Data folder of an etcd that holds the fleet. Delete its parent any time: it is made again.
///
/// # Errors
/// When the fleet cannot be created.
pub async fn etcd_data(fleet: &Fleet) -> Result<PathBuf> {
    let folder = programs::cache()?.join("bench").join(key(fleet)?);
    let data = folder.join("etcd");
    if data.exists() {
        eprintln!("bench: the fleet of {} Deployments is kept in {}", fleet.workloads, folder.display());
        return Ok(data);
    }
    eprintln!("bench: creating a fleet of {} Deployments, once", fleet.workloads);
    // Without fsync: a kill of etcd loses nothing, only a stop of the machine would, and then the folder is not kept.
    let control_plane = ControlPlane::start(Options { bare: true, keep: true, ..Options::default() }).await?;
    fill(&control_plane, fleet).await?;
    let left = control_plane.folder().to_owned();
    tokio::task::spawn_blocking(|| drop(control_plane)).await?;
    keep(&left, &folder).with_context(|| format!("keep the fleet in {}", folder.display()))?;
    Ok(data)
}

/// What the content depends on: versions of the programs, size, and what a Deployment and a namespace look like.
fn key(fleet: &Fleet) -> Result<String> {
    let versions = programs::versions()?;
    let mut hasher = DefaultHasher::new();
    (fleet.namespaces, fleet.namespace(0).to_string(), status().to_string()).hash(&mut hasher);
    (0..fleet.workloads.min(100)).for_each(|workload| fleet.manifest(workload).to_string().hash(&mut hasher));
    let (kubernetes, etcd, shape) = (versions.kubernetes, versions.etcd, hasher.finish());
    Ok(format!("{}-kubernetes-{kubernetes}-etcd-{etcd}-{shape:016x}", fleet.workloads))
}

/// The rename is the last step, so that a folder with half a copy is never taken for a whole one.
fn keep(left: &Path, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let partial = folder.join("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial)?;
    }
    // The temporary folder may be another file system.
    if std::fs::rename(left.join("etcd"), &partial).is_err() {
        crate::supervisor::copy(&left.join("etcd"), &partial)?;
    }
    std::fs::remove_dir_all(left)?;
    std::fs::rename(partial, folder.join("etcd"))
}

async fn fill(control_plane: &ControlPlane, fleet: &Fleet) -> Result<()> {
    let client = control_plane.client().await?;
    each(0..fleet.namespaces, CONCURRENCY, async |index| {
        create(&client, "/api/v1/namespaces", &fleet.namespace(index)).await
    })
    .await?;
    let progress = RefCell::new(Progress::new("Deployments", fleet.workloads));
    each(0..fleet.workloads, CONCURRENCY, async |workload| {
        let mut object = fleet.manifest(workload);
        // What `kubectl apply` leaves behind: its annotation and its entry of managedFields.
        let applied = format!("{object}\n");
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied.into();
        let namespace = fleet.namespace_of(workload);
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?fieldManager=kubectl-client-side-apply");
        create(&client, &path, &object).await?;
        // What the Deployment controller leaves behind. It does not run here: it would make 100,000 ReplicaSets too.
        let path = deployment(fleet, workload, "/status?fieldManager=kube-controller-manager");
        merge(&client, &path, &status()).await?;
        progress.borrow_mut().one();
        Ok(())
    })
    .await
}
