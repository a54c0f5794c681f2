//! Bad input: each kind of it gets a reason and a message with object, field, value and fix, and everything else goes on.

mod definitions;
mod labels;
mod older_schemas;
mod paths;
mod policies;
mod rights;
mod services;
mod workloads;

use std::time::Duration;

use anyhow::{Context, ensure};
use goldenpath_e2e::audit::{self, Mark};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::space::LONGEST_PAUSE;
use goldenpath_e2e::{ControlPlane, wait};
use serde_json::Value;
use tokio::sync::OnceCell;

/// How long an answer may take while other stories keep two cores busy.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The label that a workload carries while it is adopted, as JSONPath.
const REVISION: &str = r"{.metadata.labels.goldenpath\.dev/revision}";
/// What most bad paths of these stories would give if they were good.
const TOKEN: &str = "{name: token, podTemplate: {spec: {automountServiceAccountToken: false}}}";

/// The condition Ready of an object, once it answers the object's generation.
#[derive(Debug)]
struct Ready {
    status: String,
    message: String,
}

/// A Deployment without replicas, and with `extra` in its pod spec.
fn deployment(namespace: &str, name: &str, extra: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}, labels: {{}}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: 'example.com/app:1'}}]{extra}}}
---
"
    )
}

/// A PlatformService with the name of its one Deployment, and with `extra` in its spec.
fn service(namespace: &str, name: &str, path: &str, extra: &str) -> String {
    claim(namespace, name, name, path, extra)
}

/// A PlatformService that names the Deployment `workload`.
fn claim(namespace: &str, name: &str, workload: &str, path: &str, extra: &str) -> String {
    format!(
        "apiVersion: goldenpath.dev/v1alpha1
kind: PlatformService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{goldenPathRef: {{name: {path}}}, workloads: [{{name: app, ref: {{kind: Deployment, name: {workload}}}}}]{extra}}}
---
"
    )
}

/// A GoldenPath with the given defaults, in YAML flow style, and with `extra` in its spec.
fn golden_path(name: &str, defaults: &str, extra: &str) -> String {
    format!(
        "apiVersion: goldenpath.dev/v1alpha1
kind: GoldenPath
metadata: {{name: {name}}}
spec: {{defaults: [{defaults}]{extra}}}
---
"
    )
}

/// The one good path that these stories share; it fills `automountServiceAccountToken: false`.
async fn good_path(control_plane: &ControlPlane) -> &'static str {
    static PATH: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let name = control_plane.namespace("good").await.unwrap();
        control_plane.golden_path(&golden_path(&name, TOKEN, "")).await.unwrap();
        name
    };
    PATH.get_or_init(make).await
}

/// Waits for the condition Ready with a reason, and prints it: the output of a run is the table of bad input.
async fn ready(control_plane: &ControlPlane, namespace: &str, object: &str, reason: &str) -> Ready {
    let what = format!("Ready of {object} to say {reason}");
    let found = wait::until(&what, TIMEOUT, async || {
        let text = control_plane.kubectl(["get", "-n", namespace, object, "-o", "json"]).await?;
        let live: Value = serde_json::from_str(&text)?;
        let conditions = live["status"]["conditions"].as_array().context("no conditions")?;
        let condition = conditions.iter().find(|c| c["type"] == "Ready").context("no condition Ready")?;
        ensure!(
            condition["observedGeneration"] == live["metadata"]["generation"],
            "of an older generation: {condition}"
        );
        ensure!(condition["reason"] == *reason, "{condition}");
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Ok(Some(Ready { status: text("status"), message: text("message") }))
    });
    let found = found.await.unwrap();
    println!("{} | {} | {reason} | {}", object.split('/').next().unwrap_or_default(), found.status, found.message);
    found
}

/// Waits until the operator has asked again by itself, and a workload is on a path.
async fn is_adopted(control_plane: &ControlPlane, namespace: &str, workload: &str, path: &str) {
    wait::until(&format!("{workload} to be adopted"), LONGEST_PAUSE, async || {
        Ok(field(control_plane, namespace, workload, REVISION).await.starts_with(path).then_some(()))
    })
    .await
    .unwrap();
}

/// As [`ready`], for a reason that is bad; the answer is the message, which must have every one of `parts` in it.
async fn refused(control_plane: &ControlPlane, namespace: &str, object: &str, reason: &str, parts: &[&str]) -> String {
    let found = ready(control_plane, namespace, object, reason).await;
    assert_eq!(found.status, "False", "{found:?}");
    assert!(parts.iter().all(|part| found.message.contains(part)), "{parts:?} are not all in {found:?}");
    found.message
}

/// Another service in the same namespace becomes ready and its workload is adopted: everything else goes on.
async fn others_go_on(control_plane: &ControlPlane, namespace: &str) {
    let path = good_path(control_plane).await;
    let yaml = deployment(namespace, "good", "") + &service(namespace, "good", path, "");
    control_plane.apply(&yaml).await.unwrap();
    let found = ready(control_plane, namespace, "platformservice/good", "Ready").await;
    assert_eq!(found.status, "True", "{found:?}");
    assert!(field(control_plane, namespace, "deployment/good", REVISION).await.starts_with(path));
}

/// Waits until a policy fills what a new object with its label leaves open: a policy takes about a second to act.
async fn in_force(control_plane: &ControlPlane, labelled: &str, jsonpath: &str, value: &str) {
    let tried = ["apply", "--dry-run=server", "-f", "-", "-o", &format!("jsonpath={jsonpath}")];
    let acts = async || Ok((control_plane.kubectl_stdin(tried, labelled).await? == value).then_some(()));
    wait::until("the policy to be in force", TIMEOUT, acts).await.unwrap();
}

/// What a JSONPath finds in an object.
async fn field(control_plane: &ControlPlane, namespace: &str, object: &str, jsonpath: &str) -> String {
    control_plane.kubectl(["get", "-n", namespace, object, "-o", &format!("jsonpath={jsonpath}")]).await.unwrap()
}

/// Writes of the operator to one workload since a mark, refused ones included.
fn writes_to(control_plane: &ControlPlane, mark: Mark, namespace: &str, name: &str) -> usize {
    let operator = audit::account(NAMESPACE, ACCOUNT);
    let events = control_plane.audit_since(mark).unwrap();
    let to_it = |e: &&audit::AuditEvent| {
        matches!(e.group.as_str(), "apps" | "batch") && e.namespace == namespace && e.name == name
    };
    events.iter().filter(|e| e.user == operator && e.is_write()).filter(to_it).count()
}
