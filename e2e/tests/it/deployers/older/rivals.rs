//! Others who write the same fields: they win, and nobody fights.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath::api::VerdictState;
use goldenpath_e2e::Operator;
use goldenpath_e2e::audit::Mark;
use goldenpath_e2e::story::{NAME, Style, Team};
use kube::api::Patch;
use serde_json::{Value, json};
use tokio::sync::RwLockReadGuard;

use super::super::{image, with};
use super::{Older, becomes, filled, generation, is_filled, is_let_go_of, is_patched_once, looked_at, patches};

/// A rival pauses so long between two writes.
const OFTEN: Duration = Duration::from_millis(100);
/// It goes on for so long, and so often.
const LONG: Duration = Duration::from_secs(10);
const AT_LEAST: usize = 20;

/// What every story begins with: a team whose workload was filled, its first manifest, and nothing written since.
struct Rivalry {
    older: &'static Older,
    _running: RwLockReadGuard<'static, Option<Operator>>,
    path: String,
    team: Team<'static>,
    first: Value,
    mark: Mark,
}

impl Rivalry {
    async fn begins() -> Result<Self> {
        let older = Older::get().await?;
        let running = older.running().await?;
        let path = older.path().await?;
        let (team, first) = filled(older, &path, Style::Apply, &json!({})).await?;
        let mark = older.control_plane.audit_mark()?;
        Ok(Self { older, _running: running, path, team, first, mark })
    }
}

/// The rival writes again and again; the answer is how often.
async fn writes_on(team: &Team<'_>, patch: impl Fn(usize) -> Patch<Value>) -> Result<usize> {
    let (started, mut times) = (Instant::now(), 0);
    while started.elapsed() < LONG || times < AT_LEAST {
        times += 1;
        patches(team, "rival", patch(times)).await?;
        tokio::time::sleep(OFTEN).await; // however long a write takes: the operator needs a moment to look and to write
    }
    Ok(times)
}

fn cpu(team: &Team<'_>, object: &Value) -> String {
    let cpu = &team.pod_spec(object)["containers"][0]["resources"]["requests"]["cpu"];
    cpu.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_team_that_writes_a_filled_field_has_it() -> Result<()> {
    let Rivalry { _running, mut team, first, mark, .. } = Rivalry::begins().await?;
    let own = with(&image(&first, "3"), "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
    let object = team.rolls_out(&own).await?;
    team.verdict("cpu", VerdictState::Overridden).await?;
    team.verdict("memory", VerdictState::Applied).await?;
    ensure!(cpu(&team, &object) == "250m", "{}", object["spec"]);
    let field = ["containers", "app", "resources", "requests", "cpu"];
    ensure!(team.owners(&object, &field)? == ["kubectl-client-side-apply"], "{}", object["metadata"]["managedFields"]);
    let writes = team.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");
    // and gives it back
    team.deploys(&image(&first, "4")).await?;
    becomes(&team, "filled", is_filled).await?;
    team.is_adopted().await?;
    ensure!(team.operator_writes(mark)?.of("patch", "deployments") == 1, "{}", team.operator_writes(mark)?);
    Ok(())
}

#[tokio::test]
async fn a_manager_that_takes_a_field_by_force_again_and_again_is_not_fought() -> Result<()> {
    let Rivalry { _running, team, mark, .. } = Rivalry::begins().await?;
    let times = writes_on(&team, |times| {
        let container = json!({"name": "app", "resources": {"requests": {"cpu": format!("{}m", 200 + times)}}});
        Patch::Apply(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }))
    })
    .await?;
    team.verdict("cpu", VerdictState::Overridden).await?;
    let object = becomes(&team, "let go of", is_let_go_of).await?;
    ensure!(cpu(&team, &object) == format!("{}m", 200 + times), "{}", object["spec"]);
    let writes = team.operator_writes(mark)?;
    println!("{times} applies by force, and of the operator: {writes}");
    is_patched_once(&team, mark, 3).context("it lets go, and no more")
}

#[tokio::test]
async fn a_manager_that_takes_values_out_again_and_again_is_not_fought() -> Result<()> {
    let Rivalry { older, _running, path, mut team, first, mark } = Rivalry::begins().await?;
    let takes_out = |_| {
        let containers = json!([{"name": "app", "resources": null}, {"name": "sidecar", "resources": null}]);
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
    };
    let times = writes_on(&team, takes_out).await?;
    looked_at(&team, &path, &json!({})).await?;
    let (object, writes) = (team.object().await?, team.operator_writes(mark)?);
    println!("{times} patches that take it out, and of the operator: {writes}");
    ensure!(cpu(&team, &object).is_empty(), "{}", object["spec"]);
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");
    let told = team.verdict("cpu", VerdictState::Missing).await?.message.context("no message")?;
    ensure!(told.contains("taken out again"), "{told}");

    // the team's next release is another thing, and the rival's answer to it again is not
    let settled = team.settled().await?;
    team.deploys(&image(&first, "3")).await?;
    becomes(&team, "filled", is_filled).await?;
    let mark = older.control_plane.audit_mark()?;
    writes_on(&team, takes_out).await?;
    looked_at(&team, &path, &json!({})).await?;
    let writes = team.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");
    let object = team.settled().await?;
    ensure!(generation(&object) == generation(&settled) + 3, "release, fill, and out again: {}", object["spec"]);
    Ok(())
}

/// Each of its writes is another template, so each is a rollout of its own: at most one a minute is followed.
#[tokio::test]
async fn a_template_that_never_stands_still_is_followed_once_a_minute() -> Result<()> {
    let Rivalry { _running, team, mark, .. } = Rivalry::begins().await?;
    let times = writes_on(&team, |times| {
        let containers = json!([{"name": "app", "image": format!("example.com/web:r{times}"), "resources": null}]);
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
    })
    .await?;
    let writes = team.operator_writes(mark)?;
    println!("{times} templates, and of the operator: {writes}");
    ensure!(writes.of("patch", "deployments") <= 1, "{writes}");
    // the last one is: not at once, and not never
    let filled = goldenpath_e2e::wait::until("the last template to be filled", Duration::from_secs(90), async || {
        let object = team.object().await?;
        is_filled(&team, &object)?;
        Ok(Some(()))
    });
    filled.await?;
    ensure!(team.operator_writes(mark)?.of("patch", "deployments") <= 3, "{}", team.operator_writes(mark)?);
    Ok(())
}
