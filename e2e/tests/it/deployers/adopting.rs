//! Taking the path, and what the team's own values do.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::json;

use super::{assert_bare, assert_filled, for_every_style, image, manifest, shared_path, with};

#[tokio::test]
async fn adoption_is_one_label_patch_and_the_next_release_brings_everything_in_one_rollout() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let first = manifest(WorkloadKind::Deployment);
        let before = team.rolls_out(&first).await?;
        let sets = team.replica_sets().await?;
        let mark = control_plane.audit_mark()?;

        team.takes(path, &json!({})).await?;
        let adopted = team.object().await?;
        ensure!(adopted["metadata"]["generation"] == before["metadata"]["generation"], "{}", adopted["metadata"]);
        ensure!(adopted["spec"] == before["spec"], "{}", adopted["spec"]);
        ensure!(team.replica_sets().await? == sets, "{:?}", team.replica_sets().await?);
        assert_bare(&team, &adopted)?;

        let object = team.rolls_out(&image(&first, "2")).await?;
        assert_filled(&team, &object)?;
        team.is_adopted().await?;
        ensure!(team.replica_sets().await?.len() == 2, "{:?}", team.replica_sets().await?);
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 1, "{counts}");
        let others = counts.total() - counts.of("patch", "deployments") - counts.of("patch", "platformservices/status");
        ensure!(others == 0, "{counts}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn own_value_stands_with_its_owners_name_until_it_is_dropped() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let second = image(&first, "2");
        let filled = team.rolls_out(&second).await?;
        assert_filled(&team, &filled)?;

        let own = with(&second, "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
        let object = team.rolls_out(&own).await?;
        let requests = &team.pod_spec(&object)["containers"][0]["resources"]["requests"];
        ensure!(*requests == json!({"cpu": "250m", "memory": "128Mi"}), "{requests}");
        let verdict = team.verdict("cpu", VerdictState::Overridden).await?;
        ensure!(verdict.field_managers == [team.style.manager()], "{verdict:?}");

        let object = team.rolls_out(&second).await?;
        assert_filled(&team, &object)?;
        ensure!(object["spec"] == filled["spec"], "{}", object["spec"]);
        team.is_adopted().await
    })
    .await
}

#[tokio::test]
async fn equal_value_that_the_team_had_first_is_its_own() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let own = json!({"requests": {"memory": "128Mi"}});
        let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        // client-side apply records no containers that CEL could read: "memory" in one speaks for all
        let whose = if team.style == Style::Apply { VerdictState::SatisfiedByTeam } else { VerdictState::Applied };
        let verdict = team.verdict("memory", whose).await?;
        ensure!(verdict.field_managers == [team.style.creator()], "{verdict:?}");
        let field = ["containers", "app", "resources", "requests", "memory"];
        ensure!(team.owners(&object, &field)? == [team.style.creator()], "{}", object["metadata"]["managedFields"]);
        // the sidecar has the road's
        let field = ["containers", "sidecar", "resources", "requests", "memory"];
        ensure!(team.owners(&object, &field)?.is_empty(), "{}", object["metadata"]["managedFields"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn replace_that_drops_labels_and_values_has_both_back_in_the_same_request() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    let mut team = Team::new(control_plane, Style::Replace, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(path, &json!({})).await?;
    let before = team.rolls_out(&image(&first, "2")).await?;
    let mark = control_plane.audit_mark()?;
    for again in [image(&first, "2"), image(&first, "3")] {
        team.deploys(&again).await?;
        // read at once: what is there now came with the request, not from the operator
        let object = team.object().await?;
        assert_filled(&team, &object)?;
        ensure!(object["metadata"]["labels"] == before["metadata"]["labels"], "{}", object["metadata"]);
    }
    team.settled().await?;
    team.is_adopted().await?;
    ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);
    let counts = team.operator_writes(mark)?;
    println!("{team}: {counts}");
    ensure!(counts.of("patch", "deployments") == 0, "{counts}");
    Ok(())
}

#[tokio::test]
async fn workload_with_a_broken_glass_or_an_old_fill_is_adopted_too() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    let revision = control_plane.kubectl(["get", "gp", path, "-o", "jsonpath={.status.currentRevision}"]).await?;
    for annotation in [("goldenpath.dev/skip", "*"), ("goldenpath.dev/fill", revision.as_str())] {
        let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
        let mut first = manifest(WorkloadKind::Deployment);
        first["metadata"]["annotations"] = json!({annotation.0: annotation.1});
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        if annotation.1 == "*" {
            assert_bare(&team, &object)?;
            team.verdict("cpu", VerdictState::Overridden).await?;
        } else {
            assert_filled(&team, &object)?;
        }
    }
    Ok(())
}
