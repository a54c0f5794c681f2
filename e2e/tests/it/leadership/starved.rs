//! The API server is overloaded, and the traffic of everybody's accounts stands in a queue: renewals of the Lease do not.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::replicas::Replicas;
use goldenpath_e2e::{Operator, wait};
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::PATIENCE;

/// Longer than two leases.
const STARVES: Duration = Duration::from_secs(12);

/// A level without a seat, where one request goes through if no other is on its way, and a schema that sends all the operator's
/// traffic there which no schema of a higher precedence has taken. 300 stands behind the chart's own, and before that of all
/// ServiceAccounts.
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

/// A request whose body never comes, for which the API server waits a minute, or until the connection is dropped.
async fn without_end(kubeconfig: &Path, config: &Config) -> Result<TlsStream<TcpStream>> {
    let said: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    let token = said["users"][0]["user"]["token"].as_str().context("no token")?;
    let host = config.cluster_url.authority().context("no host")?;
    let stream = TcpStream::connect(host.as_str()).await?;
    let name = ServerName::try_from(host.host().to_owned())?;
    let mut stream = TlsConnector::from(Arc::new(config.rustls_client_config()?)).connect(name, stream).await?;
    let head = format!(
        "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer \
         {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    Ok(stream)
}

/// While each other request of its account is refused, the leader leads on; without the chart's schema it ends.
pub async fn it_leads_on(cluster: &Replicas, mut leader: Operator) -> Result<()> {
    let control_plane = &cluster.control_plane;
    let read = Kubeconfig::read_from(cluster.kubeconfig())?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    config.default_retry = false; // else nobody hears of a refusal
    let client = Client::try_from(config.clone())?;
    control_plane.apply(NO_SEATS).await?;
    let taken = wait::until("a request to be refused", PATIENCE, async || {
        let taken = without_end(cluster.kubeconfig(), &config).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        match client.apiserver_version().await {
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(Some(taken)),
            other => anyhow::bail!("{other:?}"),
        }
    })
    .await?;
    let holder = cluster.holder().await?;
    let end = Instant::now() + STARVES;
    while Instant::now() < end {
        ensure!(leader.leads().await? && cluster.holder().await? == holder, "it leads no more: {}", leader.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("leadership: {holder} led on for {STARVES:?} while each other request of its account was refused");
    let schema = ["delete", "flowschema", "-l", "app.kubernetes.io/name=goldenpath"];
    control_plane.kubectl(schema).await?;
    let status = leader.ends().await?;
    ensure!(status.code() == Some(1), "{status}");
    drop(taken);
    control_plane.kubectl(["delete", "flowschema,prioritylevelconfiguration", "no-seats"]).await.map(drop)
}
