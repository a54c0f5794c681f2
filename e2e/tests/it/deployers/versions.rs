//! Versions of a path: staying on one, its end, and that it is what it was.

use anyhow::{Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::{Value, json};

use super::{image, manifest, path, unique};

fn cpu(team: &Team<'_>, object: &Value) -> Value {
    team.pod_spec(object)["containers"][0]["resources"]["requests"]["cpu"].clone()
}

fn pin(path: &str, version: &str) -> Value {
    json!({"goldenPathRef": {"name": path, "version": version}})
}

#[tokio::test]
async fn pinned_service_stays_goes_back_and_follows_again() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let old = control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut pinned = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let mut other = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    for team in [&mut pinned, &mut other] {
        team.rolls_out(&first).await?;
    }
    pinned.takes(&name, &pin(&name, "100m")).await?;
    other.takes(&name, &json!({})).await?;
    pinned.condition("UpToDate", "UpToDate").await?;

    let new = control_plane.golden_path(&path(&name, "200m", "128Mi")).await?;
    other.is_labelled(labels::REVISION, Some(&new)).await?;
    println!("{}", pinned.condition("UpToDate", "Pinned").await?);
    let object = pinned.rolls_out(&image(&first, "2")).await?;
    ensure!(cpu(&pinned, &object) == "100m" && object["metadata"]["labels"][labels::REVISION] == old.as_str());
    let object = other.rolls_out(&image(&first, "2")).await?;
    ensure!(cpu(&other, &object) == "200m", "{object}");

    // back to a version that nothing else follows: its policy is made for it
    other.asks_for(&name, &pin(&name, "100m")).await?;
    other.is_labelled(labels::REVISION, Some(&old)).await?;
    let object = other.rolls_out(&image(&first, "3")).await?;
    ensure!(cpu(&other, &object) == "100m", "{object}");
    pinned.asks_for(&name, &json!({})).await?;
    pinned.is_labelled(labels::REVISION, Some(&new)).await?;
    let object = pinned.rolls_out(&image(&first, "3")).await?;
    ensure!(cpu(&pinned, &object) == "200m", "{object}");
    pinned.condition("UpToDate", "UpToDate").await?;
    Ok(())
}

#[tokio::test]
async fn version_that_ends_says_so_before_and_lets_go_then() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    team.rolls_out(&manifest(WorkloadKind::Deployment)).await?;
    team.takes(&name, &pin(&name, "100m")).await?;

    let mut next: Value = serde_json::from_str(&path(&name, "200m", "128Mi"))?;
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(10);
    let end = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    next["spec"]["retiredVersions"] = json!([{"version": "100m", "retireAt": end}]);
    let new = control_plane.golden_path(&next.to_string()).await?;
    println!("{}", team.condition("UpToDate", "VersionRetiring").await?);
    team.is_labelled(labels::REVISION, Some(&new)).await?;
    println!("{}", team.condition("UpToDate", "VersionRetiring").await?);
    Ok(())
}

#[tokio::test]
async fn version_that_somebody_follows_cannot_get_other_content() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let first = control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let workload = manifest(WorkloadKind::Deployment);

    // nobody follows it yet: its author may go on writing
    let second = control_plane.golden_path(&path(&name, "100m", "256Mi")).await?;
    ensure!(first != second, "{first}");
    team.rolls_out(&workload).await?;
    team.takes(&name, &json!({})).await?;

    control_plane.kubectl_stdin(["apply", "-f", "-"], &path(&name, "100m", "512Mi")).await?;
    let reason = r#"{.status.conditions[?(@.type=="Ready")].reason}"#;
    control_plane.expect("default", &format!("gp/{name}"), reason, "VersionReused").await?;
    let message = r#"{.status.conditions[?(@.type=="Ready")].message}"#;
    println!("{}", control_plane.kubectl(["get", "gp", &name, "-o", &format!("jsonpath={message}")]).await?);
    let object = team.rolls_out(&image(&workload, "2")).await?;
    let requests = &team.pod_spec(&object)["containers"][0]["resources"]["requests"];
    ensure!(*requests == json!({"cpu": "100m", "memory": "256Mi"}), "the team stays where it was: {requests}");
    Ok(())
}

#[tokio::test]
async fn version_that_never_was_is_answered_with_those_that_are() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    team.rolls_out(&manifest(WorkloadKind::Deployment)).await?;
    team.asks_for(&name, &pin(&name, "300m")).await?;
    let message = team
        .service_is("Ready=False for its version", |service| {
            let conditions = &service.status.as_ref()?.conditions;
            conditions.iter().find(|c| c.reason == "VersionNotFound").map(|c| c.message.clone())
        })
        .await?;
    ensure!(
        message == format!("goldenPathRef.version: GoldenPath {name} keeps no version 300m; it has 100m"),
        "{message}"
    );
    Ok(())
}
