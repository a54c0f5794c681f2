//! A changed path reaches its services wave by wave, and stops by itself where it does harm.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::{Value, json};

use super::{assert_filled, image, manifest, path, unique};

/// A team whose Deployment gives a rollout up after some seconds, and runs the first version of the path.
pub async fn on_the_road<'a>(control_plane: &'a ControlPlane, style: Style, path: &str, env: &str) -> Result<Team<'a>> {
    let mut team = Team::new(control_plane, style, WorkloadKind::Deployment).await?;
    control_plane.kubectl(["label", "namespace", &team.namespace, &format!("env={env}")]).await?;
    team.rolls_out(&impatient()).await?;
    team.takes(path, &json!({})).await?;
    let object = team.rolls_out(&image(&impatient(), "2")).await?;
    assert_filled(&team, &object)?;
    team.is_adopted().await?;
    Ok(team)
}

fn impatient() -> Value {
    let mut manifest = manifest(WorkloadKind::Deployment);
    manifest["spec"]["progressDeadlineSeconds"] = json!(8);
    manifest
}

/// The next version of a path, in two waves: namespaces with `env: dev`, and everybody else.
pub fn next(name: &str, change: impl Fn(&mut Value)) -> Result<String> {
    let mut next: Value = serde_json::from_str(&path(name, "200m", "128Mi"))?;
    let canary = json!({"name": "canary", "namespaceSelector": {"matchLabels": {"env": "dev"}}, "soak": "3s"});
    next["spec"]["rollout"] = json!({"abortOnFailurePercent": 0, "waves": [canary]});
    change(&mut next);
    Ok(next.to_string())
}

pub async fn said(control_plane: &ControlPlane, path: &str, jsonpath: &str, value: &str) -> Result<()> {
    control_plane.expect("default", &format!("gp/{path}"), jsonpath, value).await
}

pub const PHASE: &str = "{.status.rollout.phase}";
const WAITING: &str = "{.status.rollout.waitingFor}";

#[tokio::test]
async fn second_wave_moves_when_the_first_has_rolled_out_and_soaked() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let old = control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut canary = on_the_road(control_plane, Style::Apply, &name, "dev").await?;
    let mut other = on_the_road(control_plane, Style::ServerSide, &name, "prod").await?;

    let mark = control_plane.audit_mark()?;
    let new = control_plane.golden_path(&next(&name, |_| ())?).await?;
    canary.is_labelled(labels::REVISION, Some(&new)).await?;
    said(control_plane, &name, WAITING, "canary: 0 of 1 services have rolled out; needs 1").await?;
    println!("{}", other.condition("UpToDate", "WaitingForWave").await?);
    let object = other.rolls_out(&image(&impatient(), "3")).await?;
    assert_filled(&other, &object)?;
    ensure!(object["metadata"]["labels"][labels::REVISION] == old.as_str(), "it stays where it was");

    canary.rolls_out(&image(&impatient(), "3")).await?;
    other.is_labelled(labels::REVISION, Some(&new)).await?;
    said(control_plane, &name, PHASE, "Complete").await?;
    said(control_plane, &name, r#"{.status.conditions[?(@.type=="RolledOut")].status}"#, "True").await?;
    let object = other.rolls_out(&image(&impatient(), "4")).await?;
    ensure!(other.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"] == "200m", "{object}");
    for team in [&canary, &other] {
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 1, "{counts}");
    }
    Ok(())
}

#[tokio::test]
async fn default_that_breaks_a_service_is_undone_there_and_reaches_nobody_else() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let old = control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut canary = on_the_road(control_plane, Style::Apply, &name, "dev").await?;
    let mut other = on_the_road(control_plane, Style::ServerSide, &name, "prod").await?;

    let nowhere = json!({"name": "nowhere", "podTemplate": {"spec": {"nodeSelector": {"no": "where"}}}});
    let broken = next(&name, |path| path["spec"]["defaults"].as_array_mut().unwrap().push(nowhere.clone()))?;
    let new = control_plane.golden_path(&broken).await?;
    canary.is_labelled(labels::REVISION, Some(&new)).await?;
    // the team's own rollout, which gets stuck
    canary.deploys(&image(&impatient(), "3")).await?;
    println!("{}", canary.condition("UpToDate", "RolledBack").await?);
    canary.is_labelled(labels::REVISION, Some(&old)).await?;
    // what it goes without is told, and it is not where its path is
    let verdict = canary.verdict("nowhere", VerdictState::RolledBack).await?;
    println!("{}", verdict.message.unwrap_or_default());
    canary.verdict("cpu", VerdictState::RolledBack).await?;
    canary.verdict("drain", VerdictState::Applied).await?;
    canary.condition("Adopted", "False").await?;
    let object = canary.settled().await?;
    assert_filled(&canary, &object)?;
    ensure!(canary.pod_spec(&object).get("nodeSelector").is_none(), "{object}");
    ensure!(canary.pod_spec(&object)["containers"][0]["image"] == "example.com/web:3", "the release itself stays");

    said(control_plane, &name, PHASE, "Aborted").await?;
    let degraded = r#"{.status.conditions[?(@.type=="Degraded")].message}"#;
    println!("{}", control_plane.kubectl(["get", "gp", &name, "-o", &format!("jsonpath={degraded}")]).await?);
    let object = other.rolls_out(&image(&impatient(), "3")).await?;
    ensure!(object["metadata"]["labels"][labels::REVISION] == old.as_str(), "nobody else moves");
    assert_filled(&other, &object)?;

    // the next revision begins anew
    let mended = next(&name, |path| path["spec"]["version"] = json!("mended"))?;
    let mended = control_plane.golden_path(&mended).await?;
    canary.is_labelled(labels::REVISION, Some(&mended)).await?;
    canary.rolls_out(&image(&impatient(), "4")).await?;
    other.is_labelled(labels::REVISION, Some(&mended)).await?;
    Ok(())
}
