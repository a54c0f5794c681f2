//! Who has the say over a field: what a team may decide, what it has to explain, and what is not its own.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::json;

use super::{assert_filled, for_every_style, image, manifest, path_with, unique, with};

const CPU: [&str; 5] = ["containers", "app", "resources", "requests", "cpu"];

/// A condition of a service, once it has that status.
#[tokio::test]
async fn override_with_a_reason_takes_the_roads_value_out_with_the_next_rollout_and_ends() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path_with(&name, ("cpu", json!({})), json!({}))).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        team.takes(&name, &json!({})).await?;
        let before = team.rolls_out(&image(&first, "2")).await?;
        assert_filled(&team, &before)?;

        team.asks_for(&name, &json!({"overrides": [{"default": "cpu", "reason": "bursts"}]})).await?;
        let object = team.is_labelled(&labels::skip("cpu"), Some("")).await?;
        ensure!(object["metadata"]["generation"] == before["metadata"]["generation"], "{}", object["metadata"]);
        let verdict = team.verdict("cpu", VerdictState::Overridden).await?;
        let message = verdict.message.unwrap_or_default();
        ensure!(
            message.starts_with("overrides: bursts; spec.containers[app].resources.requests.cpu leaves"),
            "{message}"
        );
        let object = team.rolls_out(&image(&first, "3")).await?;
        for container in team.pod_spec(&object)["containers"].as_array().unwrap() {
            ensure!(container["resources"]["requests"] == json!({"memory": "128Mi"}), "{container}");
        }
        team.service_is("without the road's value", |service| {
            let cpu = service.status.as_ref()?.defaults.iter().find(|d| d.name == "cpu")?;
            (cpu.message.as_deref() == Some("overrides: bursts")).then_some(())
        })
        .await?;

        team.asks_for(&name, &json!({"overrides": []})).await?;
        team.is_labelled(&labels::skip("cpu"), None).await?;
        let object = team.rolls_out(&image(&first, "4")).await?;
        assert_filled(&team, &object)?;
        team.is_adopted().await
    })
    .await
}

#[tokio::test]
async fn override_that_means_nothing_is_answered_and_disturbs_nothing_else() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let forbidden = ("cpu", json!({"override": "Forbidden"}));
    control_plane.golden_path(&path_with(&name, forbidden, json!({}))).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    for (entry, answer) in [
        (json!({"default": "cpu", "reason": "bursts"}), "overrides[cpu]: GoldenPath "),
        (json!({"default": "probes", "reason": "none"}), "overrides[probes]: GoldenPath "),
        (
            json!({"default": "memory", "reason": "none", "expiresAt": "2026-01-01T00:00:00Z"}),
            "overrides[memory].expiresAt: 2026-01-01T00:00:00Z is past, so the default applies again",
        ),
    ] {
        team.asks_for(&name, &json!({"overrides": [entry]})).await?;
        let why = team
            .service_is("Ready=False about the entry", |service| {
                let conditions = &service.status.as_ref()?.conditions;
                let found = conditions.iter().find(|c| c.type_ == "Ready" && c.reason == "InvalidOverride")?;
                found.message.contains(answer).then(|| found.message.clone())
            })
            .await?;
        println!("{why}");
    }
    let object = team.rolls_out(&image(&first, "2")).await?;
    assert_filled(&team, &object)
}

#[tokio::test]
async fn own_value_without_a_reason_is_a_conflict_that_names_the_manager() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let with_reason = ("cpu", json!({"override": "WithReason"}));
    control_plane.golden_path(&path_with(&name, with_reason, json!({}))).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let own = json!({"requests": {"cpu": "250m"}});
        let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
        team.rolls_out(&first).await?;
        team.takes(&name, &json!({})).await?;
        let verdict = team.verdict("cpu", VerdictState::Conflict).await?;
        ensure!(verdict.field_managers == [team.style.creator()], "{verdict:?}");
        let why = team.condition("Conflicted", "True").await?;
        println!("{team}: {why}");
        ensure!(
            why.contains(team.style.creator()) && why.ends_with("say why in spec.overrides, or remove it"),
            "{why}"
        );

        team.asks_for(&name, &json!({"overrides": [{"default": "cpu", "reason": "measured"}]})).await?;
        team.verdict("cpu", VerdictState::Overridden).await?;
        team.condition("Conflicted", "False").await?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        ensure!(team.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"] == "250m", "the team's stays");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn forbidden_value_is_replaced_in_the_teams_own_request_and_nobody_fights() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let forbidden = ("cpu", json!({"override": "Forbidden"}));
    control_plane.golden_path(&path_with(&name, forbidden, json!({"maxMode": "Enforce"}))).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let own = json!({"requests": {"cpu": "250m"}});
        let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
        let before = team.rolls_out(&first).await?;
        team.takes(&name, &json!({"mode": "Enforce"})).await?;
        let object = team.object().await?;
        ensure!(object["metadata"]["generation"] == before["metadata"]["generation"], "{}", object["metadata"]);
        let verdict = team.verdict("cpu", VerdictState::PendingRollout).await?;
        println!("{team}: {}", verdict.message.unwrap_or_default());

        let mark = control_plane.audit_mark()?;
        let second = image(&first, "2");
        let object = team.rolls_out(&second).await?;
        let cpu = &team.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"];
        ensure!(cpu == "100m", "{cpu}");
        // a PUT that sends back what another manager wrote changes whose it is: then nobody's, so the road's
        let owned = !team.owners(&object, &CPU)?.is_empty() || team.style == Style::Replace;
        ensure!(owned, "the team owns it: {}", object["metadata"]["managedFields"]);
        // the sidecar has the road's own value, beside the team's that was replaced; client-side apply records no containers
        // that CEL could read, so that "cpu" in one speaks for all
        let whose = if team.style == Style::Apply { VerdictState::SatisfiedByTeam } else { VerdictState::Applied };
        let verdict = team.verdict("cpu", whose).await?;
        ensure!(!verdict.field_managers.is_empty(), "{verdict:?}");
        team.condition("Conflicted", "False").await?;

        // GitOps sends the same again and again: nothing moves, nothing is refused
        for _ in 0..3 {
            team.deploys(&second).await?;
        }
        let again = team.settled().await?;
        // a PUT drops the annotation of the Deployment controller, which counts as a generation without us, too
        ensure!(again["spec"] == object["spec"], "{}", again["spec"]);
        ensure!(team.replica_sets().await?.len() == 2, "{:?}", team.replica_sets().await?);
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 0, "{counts}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn enforce_is_capped_by_the_path() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let forbidden = ("cpu", json!({"override": "Forbidden"}));
    control_plane.golden_path(&path_with(&name, forbidden, json!({}))).await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let own = json!({"requests": {"cpu": "250m"}});
    let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
    team.rolls_out(&first).await?;
    team.takes(&name, &json!({"mode": "Enforce"})).await?;
    let ready = team.condition("Ready", "True").await?;
    ensure!(ready.ends_with("mode Enforce is more than its maxMode, so it is Default"), "{ready}");
    let object = team.rolls_out(&image(&first, "2")).await?;
    ensure!(team.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"] == "250m", "the team's stays");
    team.verdict("cpu", VerdictState::Conflict).await?;
    Ok(())
}
