//! Kubeconfig files, for processes, tests and clients alike.

use std::path::Path;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Writes a kubeconfig with one cluster, one user and one context. JSON is YAML, so no YAML writer is needed.
///
/// `user` is the user's entry (`client-certificate` and `client-key`, or `token`).
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, server: &str, authority: &Path, user: &Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "goldenpath", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "goldenpath", "context": {"cluster": "goldenpath", "user": "user"}}],
        "current-context": "goldenpath",
    });
    std::fs::write(path, config.to_string()).with_context(|| format!("write {}", path.display()))
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
