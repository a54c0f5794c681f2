//! What the people who deploy live through, each in their own way of deploying.

use std::future::Future;

use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

mod aborting;
mod adopting;
mod alone;
mod exemptions;
mod helm;
mod kinds;
mod leaving;
mod limits;
mod loops;
mod moving;
pub(crate) mod objectives;
mod older;
mod ownership;
mod page;
mod restarts;
mod scaling;
mod switching;
mod versions;
pub(crate) mod waves;

/// Pod spec fields that [`path`] fills, as `managedFields` name them.
const FILLS: [&[&str]; 6] = [
    &["containers", "app", "resources", "requests", "cpu"],
    &["containers", "app", "resources", "requests", "memory"],
    &["containers", "sidecar", "resources", "requests", "cpu"],
    &["containers", "sidecar", "securityContext", "allowPrivilegeEscalation"],
    &["containers", "app", "lifecycle", "preStop"],
    &["securityContext", "seccompProfile", "type"],
];

/// A GoldenPath of one's own: nobody takes it without naming it.
pub(crate) fn path(name: &str, cpu: &str, memory: &str) -> String {
    let of_containers = |fields: Value| {
        let mut container = json!({"name": "*"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"spec": {"containers": [container]}})
    };
    let prestop = json!({"preStop": {"sleep": {"seconds": 5}}});
    let default = |name: &str, template: Value| json!({"name": name, "podTemplate": template});
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "GoldenPath",
        "metadata": {"name": name},
        "spec": {
            "version": cpu,
            "defaults": [
                default("cpu", of_containers(json!({"resources": {"requests": {"cpu": cpu}}}))),
                default("memory", of_containers(json!({"resources": {"requests": {"memory": memory}}}))),
                default("no-escalation", of_containers(json!({"securityContext": {"allowPrivilegeEscalation": false}}))),
                default("drain", of_containers(json!({"lifecycle": prestop}))),
                default("seccomp", json!({"spec": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}})),
            ],
        },
    })
    .to_string()
}

/// The path of [`path`] with fields of a default, by its name, and of the spec.
pub(crate) fn path_with(name: &str, default: (&str, Value), spec: Value) -> String {
    let mut path: Value = serde_json::from_str(&path(name, "100m", "128Mi")).unwrap();
    let merge = |into: &mut Value, fields: Value| {
        into.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    };
    let defaults = path["spec"]["defaults"].as_array_mut().unwrap();
    merge(defaults.iter_mut().find(|d| d["name"] == default.0).unwrap(), default.1);
    merge(&mut path["spec"], spec);
    path.to_string()
}

/// A name that no other test has.
async fn unique(control_plane: &ControlPlane) -> Result<String> {
    control_plane.namespace("road").await
}

/// The path that stories share which do not change it.
async fn shared_path(control_plane: &ControlPlane) -> Result<&'static str> {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    let make = async || {
        let name = unique(control_plane).await?;
        control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
        anyhow::Ok(name)
    };
    Ok(SHARED.get_or_try_init(make).await?)
}

/// The first version of a workload: two containers, and nothing that the path fills.
pub(crate) fn manifest(kind: WorkloadKind) -> Value {
    let labels = json!({"app": NAME});
    let containers = json!([
        {"name": "app", "image": "example.com/web:1", "env": [{"name": "PORT", "value": "8080"}]},
        {"name": "sidecar", "image": "example.com/proxy:1"},
    ]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let spec = match kind {
        WorkloadKind::Deployment => json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": template}),
        WorkloadKind::StatefulSet => {
            json!({"replicas": 2, "serviceName": NAME, "selector": {"matchLabels": labels}, "template": template})
        }
        WorkloadKind::DaemonSet => json!({"selector": {"matchLabels": labels}, "template": template}),
        WorkloadKind::CronJob => {
            let mut template = template;
            template["spec"]["restartPolicy"] = json!("OnFailure");
            json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}})
        }
    };
    json!({"apiVersion": kind.api_version(), "kind": kind, "metadata": {"name": NAME}, "spec": spec})
}

/// The same manifest with another field below the pod spec.
pub(crate) fn with(manifest: &Value, field: &str, value: Value) -> Value {
    let mut manifest = manifest.clone();
    let kind: WorkloadKind = serde_json::from_value(manifest["kind"].clone()).unwrap();
    let root = kind.template_path().iter().fold(&mut manifest, |at, name| &mut at[*name]);
    let field = field.split('.').fold(&mut root["spec"], |at, name| match name.parse::<usize>() {
        Ok(index) => &mut at[index],
        Err(_) => &mut at[name],
    });
    *field = value;
    manifest.clone()
}

/// The next release: another image, nothing else.
pub(crate) fn image(manifest: &Value, tag: &str) -> Value {
    with(manifest, "containers.0.image", json!(format!("example.com/web:{tag}")))
}

/// Asserts that every fill is there and nobody's.
fn assert_filled(team: &Team<'_>, object: &Value) -> Result<()> {
    let spec = team.pod_spec(object);
    for container in spec["containers"].as_array().context("no containers")? {
        anyhow::ensure!(container["resources"]["requests"] == json!({"cpu": "100m", "memory": "128Mi"}), "{container}");
        anyhow::ensure!(container["securityContext"] == json!({"allowPrivilegeEscalation": false}), "{container}");
        anyhow::ensure!(container["lifecycle"] == json!({"preStop": {"sleep": {"seconds": 5}}}), "{container}");
    }
    anyhow::ensure!(spec["securityContext"] == json!({"seccompProfile": {"type": "RuntimeDefault"}}), "{spec}");
    for field in FILLS {
        anyhow::ensure!(team.owners(object, field)?.is_empty(), "{field:?} of {}", object["metadata"]["managedFields"]);
    }
    Ok(())
}

/// Asserts that nothing of the path is there.
fn assert_bare(team: &Team<'_>, object: &Value) -> Result<()> {
    let spec = team.pod_spec(object);
    for container in spec["containers"].as_array().context("no containers")? {
        let holds = |field: &str| container.get(field).is_some_and(|v| *v != json!({}));
        anyhow::ensure!(!["resources", "securityContext", "lifecycle"].into_iter().any(holds), "{container}");
    }
    anyhow::ensure!(spec["securityContext"] == json!({}), "{spec}");
    Ok(())
}

/// Tells the same story of a team of every style, side by side; every failure is told.
async fn for_every_style<'a, F>(control_plane: &'a ControlPlane, story: impl Fn(Team<'a>) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    for_styles(control_plane, &Style::ALL, story).await
}

async fn for_styles<'a, F>(
    control_plane: &'a ControlPlane,
    styles: &[Style],
    story: impl Fn(Team<'a>) -> F,
) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    let teams =
        try_join_all(styles.iter().map(|style| Team::new(control_plane, *style, WorkloadKind::Deployment))).await?;
    tell(teams.into_iter().map(|team| (team.to_string(), story(team)))).await
}

async fn tell<F: Future<Output = Result<()>>>(stories: impl Iterator<Item = (String, F)>) -> Result<()> {
    let ended = join_all(stories.map(async |(name, story)| (name, story.await))).await;
    let failed: Vec<String> =
        ended.into_iter().filter_map(|(name, end)| Some(format!("{name}: {:?}", end.err()?))).collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}
