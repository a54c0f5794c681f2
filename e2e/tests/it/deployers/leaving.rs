//! Leaving the path: nothing of it remains.

use anyhow::{Context, Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::{Value, json};

use super::{assert_filled, for_every_style, image, manifest, shared_path};

/// A workload without what differs between two of the same making: identity, time, status.
pub fn essence(team: &Team<'_>, object: &Value) -> Result<Value> {
    let text = object.to_string().replace(&team.namespace, "NAMESPACE");
    let mut object: Value = serde_json::from_str(&text)?;
    object.as_object_mut().context("no object")?.remove("status");
    let metadata = object["metadata"].as_object_mut().context("no metadata")?;
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(field);
    }
    let managers = metadata.get_mut("managedFields").and_then(Value::as_array_mut).context("no managedFields")?;
    for entry in managers.iter_mut() {
        entry.as_object_mut().context("no entry")?.remove("time");
    }
    managers.sort_by_key(ToString::to_string);
    Ok(object)
}

/// Takes the road's values out of a template as a person would.
fn strip(object: &mut Value) {
    let spec = &mut object["spec"]["template"]["spec"];
    spec["securityContext"] = json!({});
    for container in spec["containers"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        container.retain(|field, _| field != "securityContext" && field != "lifecycle");
        container.insert("resources".to_owned(), json!({}));
    }
}

/// The same requests to two workloads; one of them takes the path and leaves it between the second and the third.
async fn leaves(mut team: Team<'_>, path: &str, way: Way) -> Result<()> {
    let mut control = Team::new(team.control_plane, team.style, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    control.rolls_out(&first).await?;
    team.takes(path, &way.spec()).await?;
    let filled = team.rolls_out(&image(&first, "2")).await?;
    control.rolls_out(&image(&first, "2")).await?;
    assert_filled(&team, &filled)?;
    team.is_adopted().await?;

    way.go(&team, path, &filled).await?;
    let third = image(&first, "3");
    let (mut left, never) = (team.rolls_out(&third).await?, control.rolls_out(&third).await?);
    // whoever replaces the whole object takes out what nobody owns, with or without us
    if way == Way::Keep && team.style != Style::Replace {
        assert_filled(&team, &left)?;
        strip(&mut left);
    }
    let (left, never) = (essence(&team, &left)?, essence(&control, &never)?);
    ensure!(
        left == never,
        "differs from a workload that was never adopted: {}",
        json!(json_patch::diff(&never, &left))
    );
    ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Observe,
    Undo,
    Keep,
}

impl Way {
    fn spec(self) -> Value {
        if self == Self::Undo { json!({"deletionPolicy": "Undo"}) } else { json!({}) }
    }

    /// The team says that it leaves; the workload itself does not change.
    async fn go(self, team: &Team<'_>, path: &str, filled: &Value) -> Result<()> {
        if self == Self::Observe {
            team.asks_for(path, &json!({"mode": "Observe"})).await?;
        } else {
            team.control_plane.kubectl(["delete", "psvc", NAME, "-n", &team.namespace]).await?;
        }
        let release = labels::release_revision(path);
        let object = match self {
            Self::Keep => team.is_labelled(labels::SERVICE, None).await?,
            _ => team.is_labelled(labels::REVISION, Some(&release)).await?,
        };
        ensure!(object["spec"] == filled["spec"], "{}", object["spec"]);
        ensure!(object["metadata"]["generation"] == filled["metadata"]["generation"], "{}", object["metadata"]);
        Ok(())
    }
}

async fn every_team_leaves(way: Way) -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |team: Team<'_>| leaves(team, path, way).await).await
}

#[tokio::test]
async fn opting_out_leaves_no_trace_after_the_next_release() -> Result<()> {
    every_team_leaves(Way::Observe).await
}

#[tokio::test]
async fn deleting_a_service_with_undo_leaves_no_trace_after_the_next_release() -> Result<()> {
    every_team_leaves(Way::Undo).await
}

#[tokio::test]
async fn deleting_a_service_with_keep_leaves_the_values_and_nothing_else() -> Result<()> {
    every_team_leaves(Way::Keep).await
}
