//! Simulated nodes, and the proof that every part of the control plane works.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::wait;

/// Cold page caches and a busy machine make the first start slow; 12 s is usual.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Waits until the API server says that all its start-up hooks are done.
pub async fn api_ready(client: &Client) -> Result<()> {
    wait::until("kube-apiserver to be ready", TIMEOUT, async || {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        let answer = client.request_text(request).await?;
        ensure!(answer == "ok", "{answer}");
        Ok(Some(()))
    })
    .await
}

/// Creates the nodes; kwok makes them ready.
pub async fn create(client: &Client, count: u32) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    // nothing really runs: room for the pods of every story of a test run, none of which waits for another's to end
    let capacity = json!({"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "1Ti", "pods": "5000"});
    for index in 0..count {
        let name = format!("node-{index}");
        let node = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
            },
            "status": {"capacity": capacity, "allocatable": capacity},
        }))?;
        nodes.create(&PostParams::default(), &node).await.with_context(|| format!("create node {name}"))?;
    }
    Ok(())
}

/// Waits until pods can run: the controller manager has made the default `ServiceAccount`, kwok has made the nodes
/// ready, and the controller manager has then taken their taints away.
pub async fn usable(client: &Client, count: u32) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    wait::until("ServiceAccount default in namespace default", TIMEOUT, async || {
        Ok(accounts.get_opt("default").await?)
    })
    .await?;
    let nodes: Api<Node> = Api::all(client.clone());
    wait::until("the nodes to be ready", TIMEOUT, async || {
        let ready = nodes.list(&ListParams::default()).await?.iter().filter(|node| is_usable(node)).count();
        if u32::try_from(ready)? < count {
            bail!("{ready} of {count} nodes ready and without taints");
        }
        Ok(Some(()))
    })
    .await
}

fn is_usable(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let tainted = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
    ready && !tainted
}
