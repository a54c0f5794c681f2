//! Defaults that come at once: each workload restarts for them, few at the same time, and once for a revision.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::story::{Style, Team};
use goldenpath_e2e::{ControlPlane, wait};
use serde_json::{Value, json};

use super::{manifest, path, path_with, unique};

const TEAMS: usize = 4;

/// Teams on a path that rolls out slowly.
async fn slow_teams<'a>(control_plane: &'a ControlPlane, path: &str) -> Result<Vec<Team<'a>>> {
    let team = async |_| {
        let mut team = Team::new(control_plane, Style::Apply, WorkloadKind::Deployment).await?;
        let mut manifest = manifest(WorkloadKind::Deployment);
        manifest["spec"]["minReadySeconds"] = json!(3);
        team.rolls_out(&manifest).await?;
        team.takes(path, &json!({})).await?;
        anyhow::Ok(team)
    };
    try_join_all((0..TEAMS).map(team)).await
}

/// The path, with a change that comes at once and to one after the other; `more` is merged into what it says of its rollout.
fn at_once(name: &str, more: &Value) -> String {
    let mut rollout = json!({"maxConcurrentRestarts": 1});
    rollout.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    path_with(name, ("cpu", json!({"timing": "Immediate"})), json!({"version": "at-once", "rollout": rollout}))
}

/// What an adopted Deployment says while it restarts: its ReplicaSets, and whether the newest one is complete.
async fn restarted(team: &Team<'_>) -> Result<(usize, bool)> {
    let object = team.object().await?;
    let asked = object["metadata"]["annotations"].get(labels::FILL).is_some();
    let status = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    let complete = asked
        && object["status"]["observedGeneration"] == object["metadata"]["generation"]
        && status("updatedReplicas") == status("replicas")
        && status("availableReplicas") == status("replicas");
    Ok((team.replica_sets().await?.len(), complete))
}

#[tokio::test]
async fn default_that_comes_at_once_restarts_few_at_a_time_and_each_once() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
    let teams = slow_teams(control_plane, &name).await?;

    let mark = control_plane.audit_mark()?;
    control_plane.golden_path(&at_once(&name, &json!({}))).await?;
    let (most, waited) = (AtomicUsize::new(0), AtomicBool::new(false));
    wait::until("every team to have restarted", 4 * PATIENCE, async || {
        let all = try_join_all(teams.iter().map(restarted)).await?;
        most.fetch_max(all.iter().filter(|(sets, complete)| *sets > 1 && !complete).count(), Relaxed);
        waited.fetch_or(all.iter().any(|(sets, _)| *sets == 1) && all.iter().any(|(sets, _)| *sets > 1), Relaxed);
        Ok(all.iter().all(|(sets, complete)| *sets == 2 && *complete).then_some(()))
    })
    .await?;
    ensure!(most.load(Relaxed) == 1, "{} restarted at the same time", most.load(Relaxed));
    ensure!(waited.load(Relaxed), "nobody ever waited");
    for team in &teams {
        team.verdict("cpu", VerdictState::Applied).await?;
        let object: Value = team.object().await?;
        ensure!(team.pod_spec(&object)["containers"][0]["resources"]["requests"]["cpu"] == "100m", "{object}");
        let writes = team.operator_writes(mark)?;
        println!("{team}: {writes}");
        // one for the label of the revision, one to ask for the fill
        ensure!(writes.of("patch", "deployments") == 2, "{writes}");
        ensure!(team.replica_sets().await?.len() == 2, "each restarts once");
    }
    Ok(())
}
