//! What is left alone: templates that somebody applies on the server, and everything while no operator runs.

use anyhow::{Context, Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind};
use goldenpath_e2e::story::{Style, Team};
use kube::api::Patch;
use serde_json::json;

use super::super::{assert_bare, for_styles, image, manifest, tell, with};
use super::{Older, all_are, becomes, is_filled, is_let_go_of, is_patched_once, looked_at, patches};

#[tokio::test]
async fn what_is_applied_on_the_server_is_only_reported() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let styles = [Style::ServerSide, Style::Helm];
    for_styles(&older.control_plane, &styles, async |team: Team<'static>| is_reported(team, &path).await).await
}

async fn is_reported(mut team: Team<'_>, path: &str) -> Result<()> {
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    let mark = team.control_plane.audit_mark()?;
    team.takes(path, &json!({})).await?;
    let object = team.rolls_out(&image(&first, "2")).await?;
    team.service_is("told that nothing is filled", |service| all_are(service, VerdictState::Missing)).await?;
    assert_bare(&team, &object)?;
    let told = team.verdict("cpu", VerdictState::Missing).await?.message.unwrap_or_default();
    for words in ["spec.containers[app].resources.requests.cpu is open: set it to \"100m\"", team.style.manager()] {
        ensure!(told.contains(words), "{told}");
    }
    // what would be a conflict, or refused, if the operator held anything there
    let own = with(&image(&first, "3"), "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
    let mut alone = own.clone();
    alone["spec"]["template"]["spec"]["containers"].as_array_mut().into_iter().for_each(|all| all.truncate(1));
    for manifest in [own, alone, first] {
        team.rolls_out(&manifest).await?;
    }
    looked_at(&team, path, &json!({})).await?;
    assert_bare(&team, &team.object().await?)?;
    let writes = team.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 1, "labels, and nothing else: {writes}");
    Ok(())
}

#[tokio::test]
async fn a_template_that_comes_to_be_applied_on_the_server_is_let_go_of_as_it_is() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let mut team = Team::new(&older.control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(&path, &json!({})).await?;
    team.deploys(&image(&first, "2")).await?;
    let filled = becomes(&team, "filled", is_filled).await?;
    let mark = older.control_plane.audit_mark()?;
    team.style = Style::ServerSide;
    // kubectl writes three times: it applies, takes over what it had recorded on the client, and applies again, which takes out
    // what it had recorded and its manifest does not have, `resources: {}` among it. Here it stops for a while after the first.
    let mut manifest = image(&first, "2");
    manifest["metadata"]["namespace"] = json!(team.namespace);
    patches(&team, "team", Patch::Apply(manifest)).await?;
    looked_at(&team, &path, &json!({})).await?;
    is_filled(&team, &team.object().await?)?;
    team.deploys(&image(&first, "2")).await?;
    let object = becomes(&team, "let go of", is_let_go_of).await?;
    ensure!(team.pod_spec(&object) == team.pod_spec(&filled), "nothing restarts: {}", object["spec"]);
    // it may drop a container and set what was filled
    let mut own = with(&image(&first, "3"), "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
    own["spec"]["template"]["spec"]["containers"].as_array_mut().into_iter().for_each(|all| all.truncate(1));
    let object = team.rolls_out(&own).await?;
    ensure!(team.pod_spec(&object)["containers"].as_array().is_some_and(|all| all.len() == 1), "{}", object["spec"]);
    team.verdict("cpu", VerdictState::Overridden).await?;
    team.verdict("memory", VerdictState::Applied).await?;
    // kubectl writes twice
    is_patched_once(&team, mark, 2).context("it lets go, and nothing else")
}

/// What rolled out while nobody looked is not restarted when somebody does.
#[tokio::test]
async fn nothing_is_filled_without_the_operator_or_after_it_came_back() -> Result<()> {
    let older = Older::get().await?;
    let running = older.running().await?;
    let path = older.path().await?;
    let first = manifest(WorkloadKind::Deployment);
    let mut teams = Vec::new();
    for style in [Style::Apply, Style::Edit] {
        let mut team = Team::new(&older.control_plane, style, WorkloadKind::Deployment).await?;
        team.rolls_out(&first).await?;
        team.takes(&path, &json!({})).await?;
        teams.push(team);
    }
    drop(running);
    let mut operator = older.operator.write().await;
    if let Some(operator) = operator.as_mut() {
        operator.kill().await?;
    }
    for team in &mut teams {
        team.rolls_out(&image(&first, "2")).await?;
    }
    *operator = Some(older.control_plane.start_operator(older.kubeconfig.clone()).await?);
    let _running = operator.downgrade();
    let story = async |mut team: Team<'static>| {
        looked_at(&team, &path, &json!({})).await?;
        let object = team.settled().await?;
        assert_bare(&team, &object)?;
        team.service_is("waiting for a rollout", |service| all_are(service, VerdictState::PendingRollout)).await?;
        ensure!(team.replica_sets().await?.len() == 2, "{:?}", team.replica_sets().await?);
        team.deploys(&image(&first, "3")).await?;
        becomes(&team, "filled", is_filled).await?;
        team.is_adopted().await
    };
    tell(teams.into_iter().map(|team| (team.to_string(), story(team)))).await
}
