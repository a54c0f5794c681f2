//! The path changes.

use anyhow::{Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::json;

use super::{assert_bare, assert_filled, for_every_style, image, manifest, path, unique, with};

#[tokio::test]
async fn new_revision_replaces_the_roads_value_and_leaves_an_identical_one_of_the_team() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let (labelled, moved) = (tokio::sync::Barrier::new(6), tokio::sync::Barrier::new(6));
    let teams = for_every_style(control_plane, async |mut team: Team<'_>| {
        let prepared = prepare(&mut team, &name).await;
        labelled.wait().await;
        let mark = control_plane.audit_mark()?;
        moved.wait().await;
        let (second, before) = prepared?;
        let revision = control_plane.kubectl(["get", "gp", &name, "-o", "jsonpath={.status.currentRevision}"]).await?;
        let object = team.is_labelled(labels::REVISION, Some(&revision)).await?;
        ensure!(object["metadata"]["generation"] == before["metadata"]["generation"], "{}", object["metadata"]);
        ensure!(object["spec"] == before["spec"], "{}", object["spec"]);

        let object = team.rolls_out(&image(&second, "3")).await?;
        let containers = &team.pod_spec(&object)["containers"];
        let requests = [&containers[0]["resources"]["requests"], &containers[1]["resources"]["requests"]];
        ensure!(*requests[0] == json!({"cpu": "200m", "memory": "128Mi"}), "{requests:?}");
        // client-side apply records no containers that CEL could read: "memory" in one speaks for all, and the value stays
        let memory = if team.style == Style::Apply { "128Mi" } else { "256Mi" };
        ensure!(*requests[1] == json!({"cpu": "200m", "memory": memory}), "{requests:?}");
        ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 1, "{counts}");
        Ok(())
    });
    let platform = async {
        labelled.wait().await;
        let changed = control_plane.golden_path(&path(&name, "200m", "256Mi")).await;
        moved.wait().await;
        changed
    };
    let (told, changed) = tokio::join!(teams, platform);
    changed?;
    told
}

/// A team whose app container has the road's memory request by its own word.
async fn prepare(team: &mut Team<'_>, path: &str) -> Result<(serde_json::Value, serde_json::Value)> {
    let own = json!({"requests": {"memory": "128Mi"}});
    let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
    team.rolls_out(&first).await?;
    team.takes(path, &json!({})).await?;
    let second = image(&first, "2");
    let object = team.rolls_out(&second).await?;
    let requests = &team.pod_spec(&object)["containers"][1]["resources"]["requests"];
    ensure!(*requests == json!({"cpu": "100m", "memory": "128Mi"}), "{requests}");
    Ok((second, object))
}

#[tokio::test]
async fn revision_without_a_default_takes_its_value_out_with_the_next_rollout() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(&name, &json!({})).await?;
    let object = team.rolls_out(&image(&first, "2")).await?;
    assert_filled(&team, &object)?;

    let mut less: serde_json::Value = serde_json::from_str(&path(&name, "100m", "128Mi"))?;
    less["spec"]["defaults"].as_array_mut().unwrap().truncate(2);
    less["spec"]["version"] = json!("less");
    let revision = control_plane.golden_path(&less.to_string()).await?;
    team.is_labelled(labels::REVISION, Some(&revision)).await?;
    let object = team.rolls_out(&image(&first, "3")).await?;
    let spec = team.pod_spec(&object);
    ensure!(spec["securityContext"] == json!({}), "{spec}");
    for container in spec["containers"].as_array().unwrap() {
        ensure!(container["resources"]["requests"] == json!({"cpu": "100m", "memory": "128Mi"}), "{container}");
        ensure!(container.get("lifecycle").is_none() && container.get("securityContext").is_none(), "{container}");
    }
    team.is_adopted().await
}

#[tokio::test]
async fn deleted_path_lets_its_workloads_go_with_their_next_rollout() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(&name, &json!({})).await?;
    team.rolls_out(&image(&first, "2")).await?;
    team.is_adopted().await?;

    // nothing else happens from here on: the deletion alone must be enough
    control_plane.kubectl(["delete", "gp", &name]).await?;
    let object = team.is_labelled(labels::REVISION, Some(&labels::release_revision(&name))).await?;
    assert_filled(&team, &object)?;
    let object = team.rolls_out(&image(&first, "3")).await?;
    assert_bare(&team, &object)?;
    team.is_labelled(labels::PATH, None).await?;
    Ok(())
}
