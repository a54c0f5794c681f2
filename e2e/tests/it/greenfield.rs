//! Services that begin on the road: a template becomes a workload, and stays what the template says without a fight.

mod born;
mod conflicts;
mod ends;
mod restart;
mod scaling;
mod taken;
mod tenants;

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::space::{LONGEST_PAUSE, PATIENCE, Space};
use goldenpath_e2e::{ControlPlane, wait};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// What the path of these stories fills, below the pod spec.
const FILLS: [(&str, &str); 4] = [
    ("/containers/0/resources/requests/cpu", "50m"),
    ("/containers/0/resources/requests/memory", "100Mi"),
    ("/containers/0/lifecycle/preStop/sleep/seconds", "5"),
    ("/securityContext/seccompProfile/type", "RuntimeDefault"),
];
/// The version of [`FILLS`] that a path begins with.
const FIRST_CPU: &str = "50m";

/// A path that fills `cpu`, and what all of these paths fill.
fn path(name: &str, cpu: &str) -> String {
    let everywhere = |fields: Value| {
        let mut container = json!({"name": "*"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"spec": {"containers": [container]}})
    };
    let default = |name: &str, template: Value| json!({"name": name, "podTemplate": template});
    let requests = json!({"resources": {"requests": {"cpu": cpu, "memory": "100Mi"}}});
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "GoldenPath",
        "metadata": {"name": name},
        "spec": {"defaults": [
            default("requests", everywhere(requests)),
            default("drain", everywhere(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}))),
            default("seccomp", json!({"spec": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}})),
        ]},
    })
    .to_string()
}

/// The path that stories share which do not change it.
async fn shared_path(control_plane: &ControlPlane) -> Result<&'static str> {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let name = control_plane.namespace("green").await?;
        control_plane.golden_path(&path(&name, FIRST_CPU)).await?;
        anyhow::Ok(name)
    };
    Ok(SHARED.get_or_try_init(make).await?)
}

/// A namespace with one service, `cart`.
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
    /// On the shared control plane and the shared path.
    async fn open() -> Result<Self> {
        let control_plane = ControlPlane::with_goldenpath().await?;
        let path = shared_path(control_plane).await?.to_owned();
        Ok(Self { space: Space::new(control_plane, "shop").await?, path })
    }
}

impl Shop<'_> {
    /// Writes the service with these entries; `more` is merged into its spec.
    async fn asks(&self, workloads: Value, more: Value) -> Result<()> {
        let mut service = json!({
            "apiVersion": "goldenpath.dev/v1alpha1",
            "kind": "PlatformService",
            "metadata": {"name": "cart", "namespace": self.namespace},
            "spec": {"goldenPathRef": {"name": self.path}, "workloads": workloads},
        });
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control_plane.apply(&service.to_string()).await.map(drop)
    }

    /// One entry `api` with a template.
    async fn asks_for(&self, template: Value) -> Result<()> {
        self.asks(api(template), json!({})).await
    }

    /// Waits until the service is answered and Ready says this; the answer is the message.
    async fn ready(&self, reason: &str) -> Result<String> {
        self.ready_within(PATIENCE, reason).await
    }

    /// As [`Self::ready`], within a time.
    async fn ready_within(&self, patience: Duration, reason: &str) -> Result<String> {
        let what = format!("PlatformService cart in {} to say {reason}", self.namespace);
        let message = wait::until(&what, patience, async || {
            let service = self.object("psvc/cart").await?;
            let conditions = service["status"]["conditions"].as_array().context("no conditions")?;
            let ready = conditions.iter().find(|c| c["type"] == "Ready").context("no Ready")?;
            let answered = ready["observedGeneration"] == service["metadata"]["generation"];
            ensure!(answered && ready["reason"] == *reason, "{ready}");
            Ok(Some(ready["message"].as_str().unwrap_or_default().to_owned()))
        })
        .await?;
        println!("Ready: {reason} | {message}");
        Ok(message)
    }

    /// Waits until a Deployment, StatefulSet or `CronJob` runs what its template says, on the road.
    async fn runs(&self, name: &str) -> Result<Value> {
        self.ready("Ready").await?;
        self.kubectl(&format!("rollout status {name} --timeout=60s")).await?;
        self.until("psvc/cart", "adopted", |s| s["status"]["adoption"]["state"] == "Adopted").await?;
        self.object(name).await
    }

    async fn pods(&self) -> Result<Vec<String>> {
        let text = self.kubectl("get pods -o jsonpath={.items[*].metadata.uid}").await?;
        let mut uids: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
        uids.sort();
        Ok(uids)
    }
}

/// One entry with a template.
#[allow(clippy::needless_pass_by_value)] // what is written in place is passed on
fn api(template: Value) -> Value {
    json!([{"name": "api", "template": template}])
}

/// The template of most stories.
fn cart(image: &str) -> Value {
    json!({"image": format!("ghcr.io/acme/cart:{image}"), "port": 8080})
}

fn pod_spec(object: &Value) -> &Value {
    object.pointer("/spec/jobTemplate/spec/template/spec").unwrap_or(&object["spec"]["template"]["spec"])
}

/// Everything that the path fills stands there.
fn assert_has_fills(object: &Value, cpu: &str) -> Result<()> {
    for (pointer, value) in FILLS {
        let value = if value == FIRST_CPU { cpu } else { value };
        let stands = pod_spec(object).pointer(pointer).context(pointer)?;
        let text = stands.as_str().map_or_else(|| stands.to_string(), ToOwned::to_owned);
        ensure!(text == value, "{pointer} is {text}, not {value}");
    }
    Ok(())
}

/// Everything that the path fills stands there, and no manager owns it.
fn assert_filled(object: &Value, cpu: &str) -> Result<()> {
    assert_has_fills(object, cpu)?;
    let owned = object["metadata"]["managedFields"].to_string();
    ensure!(!owned.contains("f:requests") && !owned.contains("f:seccompProfile"), "{owned}");
    Ok(())
}

/// Manager and operation of every record of an object, those of the status left out.
fn managers(object: &Value) -> Vec<(String, String)> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let whole = entries.iter().filter(|entry| entry.get("subresource").is_none());
    whole.map(|entry| (text(entry, "manager"), text(entry, "operation"))).collect()
}

fn label<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    goldenpath::plan::metadata::label(object, name)
}

fn is_owned(object: &Value) -> bool {
    object.pointer("/metadata/ownerReferences/0/kind").is_some_and(|kind| kind == "PlatformService")
}
