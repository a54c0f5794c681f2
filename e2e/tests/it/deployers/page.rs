//! What kubectl shows to its reader, at each state. Run with `--nocapture` to read it.

use anyhow::{Result, ensure};
use goldenpath::api::{PlatformService, State, VerdictState, WorkloadKind};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::json;

use super::{image, manifest, path, unique, with};

async fn show(team: &Team<'_>, path: &str, title: &str) -> Result<String> {
    let namespace = &team.namespace;
    let services = team.control_plane.kubectl(["get", "psvc", "-n", namespace]).await?;
    let paths = team.control_plane.kubectl(["get", "gp", path, "--ignore-not-found"]).await?;
    let page = team.control_plane.kubectl(["describe", "psvc", NAME, "-n", namespace]).await?;
    println!("\n======== {title}\n{services}\n{paths}\n{page}");
    Ok(format!("{services}{page}"))
}

#[tokio::test]
async fn kubectl_tells_the_whole_story_of_a_service() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    team.asks_for(&name, &json!({"team": "payments"})).await?;
    team.service_is("told that the workload is missing", |s| s.status.as_ref().map(|_| ())).await?;
    show(&team, &name, "no path, no workload").await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    show(&team, &name, "no path yet").await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    team.takes(&name, &json!({"team": "payments"})).await?;
    show(&team, &name, "adopted by labels, nothing rolled out yet").await?;

    let second = image(&first, "2");
    team.rolls_out(&second).await?;
    team.is_adopted().await?;
    let page = show(&team, &name, "adopted").await?;
    ensure!(page.contains("Adopted") && page.contains("1.00") && page.contains("payments"), "{page}");

    let own = with(&second, "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
    team.rolls_out(&own).await?;
    team.verdict("cpu", VerdictState::Overridden).await?;
    show(&team, &name, "the team has a value of its own").await?;

    control_plane.golden_path(&path(&name, "200m", "256Mi")).await?;
    team.verdict("memory", VerdictState::PendingRollout).await?;
    show(&team, &name, "a new revision").await?;

    let skip = ["annotate", "deployment", NAME, "goldenpath.dev/skip=*", "-n", &team.namespace];
    control_plane.kubectl(skip).await?;
    team.verdict("memory", VerdictState::Overridden).await?;
    team.settled().await?;
    show(&team, &name, "break-glass").await?;

    team.asks_for(&name, &json!({"team": "payments", "mode": "Observe"})).await?;
    team.is_labelled("goldenpath.dev/revision", Some(&format!("{name}-release"))).await?;
    let observing =
        |service: &PlatformService| Some(service.status.as_ref()?.adoption.as_ref()?.state == State::Observing);
    team.service_is("observing", |service| observing(service).filter(|yes| *yes)).await?;
    show(&team, &name, "leaving").await?;
    team.rolls_out(&image(&first, "3")).await?;
    team.is_labelled("goldenpath.dev/service", None).await?;
    show(&team, &name, "left, observing").await?;
    Ok(())
}
