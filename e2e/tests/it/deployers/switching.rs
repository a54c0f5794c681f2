//! From one path to another: one rollout, with which the old one's values go and the new one's come.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::{Value, json};

use super::leaving::essence;
use super::{assert_filled, for_every_style, image, manifest, path, shared_path, unique};

/// A path with another value for what [`path`] fills, one with the same, and one for a field of its own. The rest is not in it.
fn other(name: &str) -> String {
    let mut other: Value = serde_json::from_str(&path(name, "200m", "128Mi")).unwrap();
    let defaults = other["spec"]["defaults"].as_array_mut().unwrap();
    defaults.truncate(2);
    defaults.push(json!({"name": "non-root", "podTemplate": {"spec": {"securityContext": {"runAsNonRoot": true}}}}));
    other.to_string()
}

fn assert_on_the_other(team: &Team<'_>, object: &Value) -> Result<()> {
    let spec = team.pod_spec(object);
    for container in spec["containers"].as_array().into_iter().flatten() {
        ensure!(container["resources"]["requests"] == json!({"cpu": "200m", "memory": "128Mi"}), "{container}");
        ensure!(container.get("lifecycle").is_none() && container.get("securityContext").is_none(), "{container}");
    }
    ensure!(spec["securityContext"] == json!({"runAsNonRoot": true}), "{spec}");
    Ok(())
}

#[tokio::test]
async fn a_workload_changes_its_path_in_one_rollout() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let (from, to) = (shared_path(control_plane).await?, unique(control_plane).await?);
    control_plane.golden_path(&other(&to)).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        // the same requests to a workload that was never on the first path
        let mut control = Team::new(team.control_plane, team.style, WorkloadKind::Deployment).await?;
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        control.rolls_out(&first).await?;
        team.takes(from, &json!({})).await?;
        let filled = team.rolls_out(&image(&first, "2")).await?;
        control.rolls_out(&image(&first, "2")).await?;
        assert_filled(&team, &filled)?;

        let mark = control_plane.audit_mark()?;
        team.asks_for(&to, &json!({})).await?;
        let object = team.is_labelled(labels::PATH, Some(&to)).await?;
        ensure!(object["spec"] == filled["spec"], "{}", object["spec"]);
        ensure!(object["metadata"]["generation"] == filled["metadata"]["generation"], "{}", object["metadata"]);
        // also where both paths say the same: who sees what stands there cannot know that it stays
        team.verdict("memory", VerdictState::PendingRollout).await?;
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 1, "{counts}");

        control.takes(&to, &json!({})).await?;
        let (switched, never) =
            (team.rolls_out(&image(&first, "3")).await?, control.rolls_out(&image(&first, "3")).await?);
        assert_on_the_other(&team, &switched)?;
        ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);
        team.is_adopted().await?;
        let (switched, never) = (essence(&team, &switched)?, essence(&control, &never)?);
        ensure!(
            switched == never,
            "differs from a workload that never was elsewhere: {}",
            json_patch::diff(&never, &switched)
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_turns_round_before_a_rollout_stays_where_it_was() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let (from, to) = (shared_path(control_plane).await?, unique(control_plane).await?);
    control_plane.golden_path(&other(&to)).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(from, &json!({})).await?;
    team.rolls_out(&image(&first, "2")).await?;

    team.asks_for(&to, &json!({})).await?;
    team.is_labelled(labels::RELEASE, Some(from)).await?;
    team.asks_for(from, &json!({})).await?;
    team.is_labelled(labels::RELEASE, Some(&to)).await?;
    let object = team.rolls_out(&image(&first, "3")).await?;
    assert_filled(&team, &object)?;
    team.is_labelled(labels::RELEASE, None).await?;
    team.is_adopted().await
}

#[tokio::test]
async fn a_path_that_is_deleted_meanwhile_keeps_its_policies_until_the_last_rollout() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let (from, to) = (unique(control_plane).await?, unique(control_plane).await?);
    control_plane.golden_path(&path(&from, "100m", "128Mi")).await?;
    control_plane.golden_path(&other(&to)).await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(&from, &json!({})).await?;
    team.rolls_out(&image(&first, "2")).await?;
    team.asks_for(&to, &json!({})).await?;
    team.is_labelled(labels::RELEASE, Some(&from)).await?;

    control_plane.kubectl(["delete", "gp", &from]).await?;
    let object = team.rolls_out(&image(&first, "3")).await?;
    assert_on_the_other(&team, &object)?;
    team.is_labelled(labels::RELEASE, None).await?;
    team.is_adopted().await
}
