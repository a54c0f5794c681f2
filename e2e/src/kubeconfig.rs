//! Kubeconfig files, for processes, tests and clients alike.

use std::path::Path;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig, NamedCluster};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Writes a kubeconfig with one cluster, one user and one context. JSON is YAML, so no YAML writer is needed.
///
/// `user` is the user's entry (`client-certificate` and `client-key`, or `token`).
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, server: &str, authority: &Path, user: &Value) -> Result<()> {
    let cluster = json!({"name": "goldenpath", "cluster": {"server": server, "certificate-authority": authority}});
    save(path, &cluster, user)
}

/// Address of the API server that a kubeconfig's current context names.
///
/// # Errors
/// When there is no such context or cluster.
pub fn server(config: &Kubeconfig) -> Result<String> {
    current(config)?
        .cluster
        .and_then(|cluster| cluster.server)
        .context("the cluster of the current context has no server")
}

/// Writes a kubeconfig of the same cluster as another one's current context, for whoever has a token.
///
/// # Errors
/// When the other one cannot be used, or the file cannot be written.
pub fn with_token(from: &Path, to: &Path, token: &str) -> Result<()> {
    let file = Kubeconfig::read_from(from).with_context(|| format!("read {}", from.display()))?;
    let cluster = current(&file).with_context(|| format!("use {}", from.display()))?;
    save(to, &json!(cluster), &json!({"token": token}))
}

fn save(path: &Path, cluster: &Value, user: &Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "goldenpath", "context": {"cluster": cluster["name"], "user": "user"}}],
        "current-context": "goldenpath",
    });
    std::fs::write(path, config.to_string()).with_context(|| format!("write {}", path.display()))
}

/// The cluster of the current context.
fn current(config: &Kubeconfig) -> Result<NamedCluster> {
    let name = config.current_context.as_deref().context("it has no current context")?;
    let context = config.contexts.iter().find(|context| context.name == name).and_then(|named| named.context.as_ref());
    let cluster = &context.with_context(|| format!("it has no context {name}"))?.cluster;
    let cluster = config.clusters.iter().find(|named| named.name == *cluster);
    cluster.cloned().with_context(|| format!("it lacks the cluster of context {name}"))
}

/// A fresh client. It belongs to the runtime it was made on: every `#[tokio::test]` needs its own.
///
/// # Errors
/// When the file is no usable kubeconfig; nothing is sent yet.
pub async fn client(path: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(path).with_context(|| format!("read {}", path.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Ok(Client::try_from(config.with_context(|| format!("use {}", path.display()))?)?)
}
