//! Asking for an exemption, and getting one.

use anyhow::{Result, ensure};
use goldenpath::api::{ExemptionState, VerdictState, WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::{Value, json};

use super::{assert_filled, image, manifest, path_with, unique};

fn grant(namespace: &str, until: &str) -> Value {
    json!({"exemptions": [{
        "name": "burst", "namespace": namespace, "defaults": ["cpu"], "reason": "RISK-88", "approvedBy": "ana",
        "expiresAt": until,
    }]})
}

async fn state(team: &Team<'_>, name: &str, state: ExemptionState) -> Result<String> {
    team.service_is(&format!("{name} {state:?}"), |service| {
        let all = &service.status.as_ref()?.exemptions;
        all.iter().find(|e| e.name == name && e.state == state).map(|e| e.message.clone().unwrap_or_default())
    })
    .await
}

#[tokio::test]
async fn team_asks_the_platform_grants_and_the_exemption_ends_by_itself() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let forbidden = || ("cpu", json!({"override": "Forbidden"}));
    let path = |spec: Value| path_with(&name, forbidden(), spec);
    control_plane.golden_path(&path(json!({}))).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    let request = json!({"exemptionRequests": [{
        "name": "no-cpu", "for": {"kind": "GoldenPath", "name": name, "defaults": ["cpu"]}, "reason": "bursts",
    }]});
    team.takes(&name, &request).await?;
    let object = team.rolls_out(&image(&first, "2")).await?;
    assert_filled(&team, &object)?;
    println!("{}", state(&team, "no-cpu", ExemptionState::Requested).await?);

    control_plane.golden_path(&path(grant(&team.namespace, "2036-01-01T00:00:00Z"))).await?;
    println!("{}", state(&team, "no-cpu", ExemptionState::Granted).await?);
    let verdict = team.verdict("cpu", VerdictState::Exempt).await?;
    ensure!(
        verdict.message.as_deref().is_some_and(|m| m.starts_with("exemption burst, granted by ana")),
        "{verdict:?}"
    );
    team.is_labelled(&labels::skip("cpu"), Some("")).await?;
    let object = team.rolls_out(&image(&first, "3")).await?;
    let requests = &team.pod_spec(&object)["containers"][0]["resources"]["requests"];
    ensure!(*requests == json!({"memory": "128Mi"}), "{requests}");
    let revision = |object: &Value| object["metadata"]["labels"][labels::REVISION].clone();
    let before = revision(&object);

    // it ends while nobody touches anything
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
    control_plane.golden_path(&path(grant(&team.namespace, &soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))).await?;
    state(&team, "no-cpu", ExemptionState::Expiring).await?;
    println!("{}", state(&team, "no-cpu", ExemptionState::Expired).await?);
    let object = team.is_labelled(&labels::skip("cpu"), None).await?;
    ensure!(revision(&object) == before, "a grant makes no new revision");
    let object = team.rolls_out(&image(&first, "4")).await?;
    assert_filled(&team, &object)
}

#[tokio::test]
async fn exemption_that_nobody_needs_says_so() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let spec = grant(&team.namespace, "2036-01-01T00:00:00Z");
    control_plane.golden_path(&path_with(&name, ("cpu", json!({"check": "true"})), spec)).await?;
    team.rolls_out(&manifest(WorkloadKind::Deployment)).await?;
    team.takes(&name, &json!({})).await?;
    println!("{}", state(&team, "burst", ExemptionState::Unused).await?);
    Ok(())
}
