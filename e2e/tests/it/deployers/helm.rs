//! A release's whole life under Helm.

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::json;

use super::{assert_filled, image, manifest, shared_path, with};

#[tokio::test]
async fn helm_upgrades_and_rolls_back_across_a_set_and_a_dropped_value() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    let mut team = Team::new(control_plane, Style::Helm, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(path, &json!({})).await?;

    let second = image(&first, "2");
    let own = json!({"requests": {"cpu": "250m"}});
    let third = with(&image(&first, "3"), "containers.0.resources", own);
    let cpu = |object: &serde_json::Value| team_cpu(object);
    let object = team.rolls_out(&second).await?;
    ensure!((cpu(&object), sets(&team).await?) == ("100m".to_owned(), 2), "{}", object["spec"]);
    let object = team.rolls_out(&third).await?;
    ensure!((cpu(&object), sets(&team).await?) == ("250m".to_owned(), 3), "{}", object["spec"]);
    let object = team.rolls_out(&image(&first, "4")).await?;
    ensure!((cpu(&object), sets(&team).await?) == ("100m".to_owned(), 4), "{}", object["spec"]);

    // to the release that sets the value: its ReplicaSet is used again
    rollback(&team, "3").await?;
    let object = team.settled().await?;
    ensure!((cpu(&object), sets(&team).await?) == ("250m".to_owned(), 4), "{}", object["spec"]);
    // to the release before adoption: it is filled now, so it is another template
    rollback(&team, "1").await?;
    let object = team.settled().await?;
    ensure!(sets(&team).await? == 5, "{:?}", team.replica_sets().await?);
    ensure!(object["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/web:1", "{}", object["spec"]);
    assert_filled(&team, &object)?;
    team.is_adopted().await?;
    let list = control_plane.helm(["history", NAME, "-n", &team.namespace]).await?;
    ensure!(!list.contains("failed"), "{list}");
    Ok(())
}

async fn rollback(team: &Team<'_>, release: &str) -> Result<()> {
    team.control_plane.helm(["rollback", NAME, release, "-n", &team.namespace]).await.map(drop)
}

async fn sets(team: &Team<'_>) -> Result<usize> {
    Ok(team.replica_sets().await?.len())
}

fn team_cpu(object: &serde_json::Value) -> String {
    let cpu = &object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"];
    cpu.as_str().unwrap_or_default().to_owned()
}
