//! Whether an operator runs, which would undo the release: by its Lease, and by its pods where it holds none.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tokio::time::sleep;

use super::cluster::{Cluster, PAUSE, ReleaseError, within};
use crate::plan::lease::{self, Candidate, Turn, holder};
use crate::plan::release::is_ending;

/// What the chart and the manifest call the pods of the operator.
const PODS: &str = "app.kubernetes.io/part-of=goldenpath,app.kubernetes.io/component=operator";
/// Those that are over.
const NOT_OVER: &str = "status.phase!=Succeeded,status.phase!=Failed";

impl Cluster {
    /// What runs, if anything does. One that runs elsewhere has no pod here, and one without leader election holds no Lease.
    pub async fn running(&self) -> Result<Option<String>, ReleaseError> {
        match self.leader().await? {
            Some(leader) => Ok(Some(leader)),
            None => self.pod().await,
        }
    }

    /// A pod of the operator that stays.
    async fn pod(&self) -> Result<Option<String>, ReleaseError> {
        let api: Api<Pod> = Api::all(self.client().clone());
        let params = ListParams::default().labels(PODS).fields(NOT_OVER);
        let started = Instant::now();
        loop {
            let pods = match within("list Pods", api.list_metadata(&params)).await {
                Err(ReleaseError::Api { source, .. }) if source.is_status(403) => {
                    eprintln!("Pods cannot be listed: whether an operator runs is told by its Lease alone.");
                    return Ok(None);
                }
                pods => pods?.items,
            };
            if pods.is_empty() {
                return Ok(None);
            }
            if let Some(pod) = pods.iter().find(|pod| !is_ending(&pod.metadata, started.elapsed())) {
                return Ok(Some(format!("pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any())));
            }
            sleep(PAUSE).await;
        }
    }

    /// Who leads. A Lease is held when its holder changes it while we look: times in it are of another machine's clock.
    async fn leader(&self) -> Result<Option<String>, ReleaseError> {
        let api: Api<Lease> = Api::all(self.client().clone());
        let params = ListParams::default().fields(&format!("metadata.name={}", lease::NAME));
        let mut candidates: BTreeMap<String, (Candidate, Option<LeaseSpec>)> = BTreeMap::new();
        loop {
            let leases = within("list Leases", api.list(&params)).await?;
            let mut wait = false;
            for lease in leases {
                let (namespace, spec) = (lease.namespace().unwrap_or_default(), lease.spec.unwrap_or_default());
                let Some(who) = holder(&spec).map(str::to_owned) else { continue };
                let (candidate, first) = candidates.entry(namespace.clone()).or_default();
                if first.get_or_insert_with(|| spec.clone()) != &spec {
                    return Ok(Some(format!("{who} holds Lease {namespace}/{}", lease::NAME)));
                }
                wait |= matches!(candidate.look(Some(&spec), Instant::now()), Turn::Wait(_));
            }
            if !wait {
                return Ok(None);
            }
            sleep(PAUSE).await;
        }
    }
}
