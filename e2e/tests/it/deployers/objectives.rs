//! How available a service is, whether that is what it is meant to be, and what becomes of a revision that takes it away.

use anyhow::{Result, ensure};
use goldenpath::api::{Reliability, WorkloadKind, labels};
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, wait};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::waves::{PHASE, next, on_the_road, said};
use super::{image, manifest, path, path_with, unique};

/// Makes the kubelet's word of every pod of a team so that no pod is ready, or all are.
pub async fn pods_are_ready(team: &Team<'_>, ready: bool) -> Result<()> {
    let names = team.control_plane.kubectl(["get", "pods", "-o", "name", "-n", &team.namespace]).await?;
    let status = if ready { "True" } else { "False" };
    let patch = json!({"status": {"conditions": [{"type": "Ready", "status": status}]}}).to_string();
    for name in names.lines() {
        let args = ["patch", name, "-n", &team.namespace, "--subresource=status", "-p", &patch];
        team.control_plane.kubectl(args).await?;
    }
    Ok(())
}

async fn reliability(team: &Team<'_>, what: &str, holds: impl Fn(&Reliability) -> bool) -> Result<Reliability> {
    team.service_is(what, |service| {
        let reliability = service.status.as_ref()?.reliability.as_ref()?;
        holds(reliability).then(|| reliability.clone())
    })
    .await
}

/// As if the service had been watched for ten days.
pub async fn ten_days_ago(team: &Team<'_>) -> Result<()> {
    let since = Timestamp::from_second(Timestamp::now().as_second() - 240 * 3600)?;
    let patch = json!({"status": {"reliability": {"since": since.to_string()}}}).to_string();
    let args = ["patch", "psvc", NAME, "-n", &team.namespace, "--subresource=status", "--type=merge", "-p", &patch];
    team.control_plane.kubectl(args).await.map(drop)
}

#[tokio::test]
async fn service_says_whether_it_is_as_available_as_it_is_meant_to_be() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let of_path = json!({"objectives": {"availability": "99.5"}});
    control_plane.golden_path(&path_with(&name, ("cpu", json!({})), of_path)).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    team.rolls_out(&manifest(WorkloadKind::Deployment)).await?;
    team.takes(&name, &json!({})).await?;
    println!("{}", team.condition("ObjectiveMet", "Unknown").await?);
    // the path's objective holds where the service has none
    ensure!(team.condition("ObjectiveMet", "ObjectiveUnknown").await?.contains("objective 99.5 %"));
    team.asks_for(&name, &json!({"objectives": {"availability": "100"}})).await?;
    ten_days_ago(&team).await?;
    println!("{}", team.condition("ObjectiveMet", "True").await?);

    let mark = control_plane.audit_mark()?;
    pods_are_ready(&team, false).await?;
    println!("{}", team.condition("ObjectiveMet", "False").await?);
    pods_are_ready(&team, true).await?;
    let known = reliability(&team, "available again", |r| r.down_since.is_none() && !r.outages.is_empty()).await?;
    println!("{}", json!(known));
    ensure!(known.availability30d == "99.99" && known.outages.iter().all(|day| day.seconds < 120), "{known:?}");
    let writes = team.operator_writes(mark)?;
    println!("of an outage: {writes}");
    ensure!(writes.of("patch", "deployments") == 0 && writes.total() <= 4, "{writes}");

    control_plane.kubectl(["annotate", "gp", &name, "example.com/look=1"]).await?;
    let met = r#"{.status.conditions[?(@.type=="ObjectiveMet")].status}"#;
    said(control_plane, &name, met, "True").await?;
    // without an objective there is nothing to say
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    said(control_plane, &name, met, "").await?;
    Ok(())
}

#[tokio::test]
async fn revision_that_takes_a_service_away_after_its_rollout_is_taken_back() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let old = control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut canary = on_the_road(control_plane, Style::ServerSide, &name, "dev").await?;
    canary.asks_for(&name, &json!({"objectives": {"availability": "100"}})).await?;
    canary.condition("ObjectiveMet", "Unknown").await?;

    let soaks = |path: &mut Value| path["spec"]["rollout"]["waves"][0]["soak"] = json!("10m");
    let new = control_plane.golden_path(&next(&name, soaks)?).await?;
    canary.is_labelled(labels::REVISION, Some(&new)).await?;
    canary.rolls_out(&image(&manifest(WorkloadKind::Deployment), "3")).await?;
    said(control_plane, &name, PHASE, "Soaking").await?;
    pods_are_ready(&canary, false).await?;
    let why = canary.condition("UpToDate", "RolledBack").await?;
    println!("{why}");
    ensure!(why.contains("not available since") && why.contains("the objective of 100 %"), "{why}");
    canary.is_labelled(labels::REVISION, Some(&old)).await?;
    said(control_plane, &name, PHASE, "Aborted").await?;
    let back = wait::until("the old values", goldenpath_e2e::space::PATIENCE, async || {
        let object = canary.object().await?;
        let cpu = canary.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"].clone();
        ensure!(cpu == "100m", "{cpu}");
        Ok(Some(object))
    })
    .await?;
    ensure!(canary.pod_spec(&back)["containers"][0]["image"] == "example.com/web:3", "the release itself stays");
    Ok(())
}
