//! The API server is overloaded, and the traffic of everybody's accounts stands in a queue: renewals of the Lease do not.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::replicas::Replicas;
use goldenpath_e2e::{Operator, wait};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;

use super::PATIENCE;

/// Longer than two leases.
const STARVES: Duration = Duration::from_secs(12);

/// A level without a seat, and a schema that sends all the operator's traffic there which no schema of a higher precedence
/// has taken. 300 stands behind the chart's own, and before that of all ServiceAccounts.
const NO_SEATS: &str = "
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: no-seats}
spec:
  type: Limited
  limited: {nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: no-seats}
spec:
  priorityLevelConfiguration: {name: no-seats}
  matchingPrecedence: 300
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: goldenpath, namespace: goldenpath-system}}]
    resourceRules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*'], namespaces: ['*'], clusterScope: true}]
    nonResourceRules: [{nonResourceURLs: ['*'], verbs: ['*']}]
";

/// While each other request of its account is refused, the leader leads on; without the chart's schema it ends.
pub async fn it_leads_on(cluster: &Replicas, mut leader: Operator) -> Result<()> {
    let control_plane = &cluster.control_plane;
    let client = control_plane.client_for(cluster.kubeconfig()).await?;
    control_plane.apply(NO_SEATS).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    wait::until("a request to be refused", PATIENCE, async || match maps.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 429 => Ok(Some(())),
        other => anyhow::bail!("{other:?}"),
    })
    .await?;
    let holder = cluster.holder().await?;
    let end = std::time::Instant::now() + STARVES;
    while std::time::Instant::now() < end {
        ensure!(leader.leads().await? && cluster.holder().await? == holder, "it leads no more: {}", leader.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("leadership: {holder} led on for {STARVES:?} while each other request of its account was refused");
    let schema = ["delete", "flowschema", "-l", "app.kubernetes.io/name=goldenpath"];
    control_plane.kubectl(schema).await?;
    let status = leader.ends().await?;
    ensure!(status.code() == Some(1), "{status}");
    control_plane.kubectl(["delete", "flowschema,prioritylevelconfiguration", "no-seats"]).await.map(drop)
}
