//! The control plane of one benchmark: the fleet restored on it, Goldenpath installed, an account for everybody.

use std::path::PathBuf;

use anyhow::Result;
use kube::Client;

use super::fleet::{Fleet, PATH_YAML};
use super::prepare;
use crate::installed::{ACCOUNT, NAMESPACE};
use crate::{ControlPlane, Operator, OperatorOptions, Options, audit, kubeconfig};

const PEERS: &str = include_str!("peers.yaml");
const PEERS_NAMESPACE: &str = "bench-peers";

/// Everything that the measurements share.
pub struct Stage {
    /// etcd with fsync and kube-apiserver, nothing else
    pub control_plane: ControlPlane,
    /// What is on it
    pub fleet: Fleet,
    /// An administrator's client, for what users do
    pub client: Client,
    /// Kubeconfig of the operator's account
    pub operator: PathBuf,
    /// Kubeconfig of the null client's account
    pub null_client: PathBuf,
    /// Kubeconfig of kube-state-metrics' account
    pub kube_state_metrics: PathBuf,
}

impl Stage {
    /// Workloads of the cluster: the fleet, and the Deployment that the chart has brought.
    #[must_use]
    pub fn workloads(&self) -> usize {
        self.fleet.workloads + 1
    }

    /// Restores the fleet and installs Goldenpath; no operator runs yet.
    ///
    /// # Errors
    /// When the fleet cannot be made or the control plane does not start.
    pub async fn set(fleet: Fleet) -> Result<Self> {
        let data = prepare::etcd_data(&fleet).await?;
        eprintln!("bench: starting etcd and kube-apiserver on a copy of it");
        let options = Options { fsync: true, bare: true, etcd_data: Some(data), ..Options::default() };
        let control_plane = ControlPlane::start(options).await?;
        let operator = control_plane.install_goldenpath().await?;
        control_plane.apply(PEERS).await?;
        control_plane.apply(PATH_YAML).await?;
        Ok(Self {
            fleet,
            client: control_plane.client().await?,
            null_client: control_plane.as_account(PEERS_NAMESPACE, "null-client").await?,
            kube_state_metrics: control_plane.as_account(PEERS_NAMESPACE, "kube-state-metrics").await?,
            operator,
            control_plane,
        })
    }

    /// User name of the operator in the audit log.
    #[must_use]
    pub fn operator_user() -> String {
        audit::account(NAMESPACE, ACCOUNT)
    }

    /// A client with the operator's account, for who does the same as it.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn operator_client(&self) -> Result<Client> {
        kubeconfig::client(&self.operator).await
    }

    /// How an operator is started: with the logs of production.
    #[must_use]
    pub fn operator_options(&self) -> OperatorOptions {
        let env = vec![("RUST_LOG".to_owned(), "info".to_owned())];
        OperatorOptions { kubeconfig: self.operator.clone(), env, ..OperatorOptions::default() }
    }

    /// Starts an operator and waits until it is ready.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn start_operator(&self) -> Result<Operator> {
        Operator::start(&self.control_plane, &self.operator_options()).await
    }
}
