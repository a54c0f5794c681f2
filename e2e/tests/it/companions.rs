//! Objects that a path asks for beside workloads: made, kept, left to the team's own, and taken away again.

mod covered;
mod kinds;
mod life;

use std::ops::Deref;

use anyhow::{Context, Result};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::space::{PATIENCE, Space};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The default of most stories.
const BUDGET: &str = "disruption-budget";

fn budget() -> Value {
    let spec = json!({"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"});
    resource(BUDGET, &json!([{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}]))
}

fn resource(name: &str, resources: &Value) -> Value {
    json!({"name": name, "owner": "Platform", "resources": resources})
}

fn path(name: &str, defaults: &[Value]) -> String {
    let token = json!({"name": "token", "podTemplate": {"spec": {"automountServiceAccountToken": false}}});
    let defaults: Vec<Value> = [token].into_iter().chain(defaults.iter().cloned()).collect();
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": name},
        "spec": {"defaults": defaults},
    })
    .to_string()
}

/// The path that stories share which do not change it: it asks for a budget.
async fn shared_path(control_plane: &ControlPlane) -> Result<&'static str> {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let name = control_plane.namespace("beside").await?;
        control_plane.golden_path(&path(&name, &[budget()])).await?;
        anyhow::Ok(name)
    };
    Ok(SHARED.get_or_try_init(make).await?)
}

/// A Deployment of one pod, called as its pods' label `app`.
fn deployment(name: &str) -> Value {
    workload("Deployment", name, name)
}

fn workload(kind: &str, name: &str, app: &str) -> Value {
    let labels = json!({"app": app});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": "example.com/web:1", "ports": [{"name": "http", "containerPort": 80}]}]},
            },
        },
    })
}

/// A budget of the team's own.
fn own_budget(app: &str) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "own"},
        "spec": {"minAvailable": 0, "selector": {"matchLabels": {"app": app}}},
    })
}

/// A namespace with one service, `shop`.
struct Shop<'a> {
    space: Space<'a>,
    path: String,
}

impl<'a> Deref for Shop<'a> {
    type Target = Space<'a>;

    fn deref(&self) -> &Self::Target {
        &self.space
    }
}

impl Shop<'static> {
    async fn open() -> Result<Self> {
        let control_plane = ControlPlane::with_goldenpath().await?;
        let path = shared_path(control_plane).await?.to_owned();
        Ok(Self { space: Space::new(control_plane, "shop").await?, path })
    }
}

impl<'a> Shop<'a> {
    async fn on(control_plane: &'a ControlPlane, path: &str) -> Result<Self> {
        Ok(Self { space: Space::new(control_plane, "shop").await?, path: path.to_owned() })
    }

    /// Writes the service, which names workloads by kind and name; `more` is merged into its spec.
    async fn adopts(&self, workloads: &[(&str, &str)], more: &Value) -> Result<()> {
        let entry = |(kind, name): &(&str, &str)| json!({"name": format!("{}-{name}", kind.to_lowercase()), "ref": {"kind": kind, "name": name}});
        let workloads: Vec<Value> = workloads.iter().map(entry).collect();
        let mut service = json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": "shop"},
            "spec": {"goldenPathRef": {"name": self.path}, "workloads": workloads},
        });
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.apply(&service).await
    }

    /// One Deployment `web` with a service.
    async fn web(&self) -> Result<()> {
        self.apply(&deployment("web")).await?;
        self.adopts(&[("Deployment", "web")], &json!({})).await
    }

    /// Waits for a verdict of a default on a workload; the answer is its message.
    async fn verdict(&self, default: &str, workload: &str, state: &str) -> Result<String> {
        let found = |service: &Value| -> Option<Value> {
            let answered = service["status"]["observedGeneration"] == service["metadata"]["generation"];
            let all = service["status"]["defaults"].as_array().filter(|_| answered)?;
            all.iter().find(|d| d["name"] == default && d["workload"] == workload && d["state"] == state).cloned()
        };
        let what = format!("{default} of {workload} {state}");
        let service = self.until("psvc/shop", &what, |service| found(service).is_some()).await?;
        let message = found(&service).context("no verdict")?["message"].as_str().unwrap_or_default().to_owned();
        println!("{default} | {state} | {message}");
        Ok(message)
    }
}

const WEB: &str = "deployment-web";
const WEB_BUDGET: &str = "pdb/web-disruption-budget";

fn is_owned(object: &Value) -> bool {
    object.pointer("/metadata/ownerReferences/0/kind").is_some_and(|kind| kind == "PlatformService")
}
