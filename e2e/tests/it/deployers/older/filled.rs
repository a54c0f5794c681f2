//! What is filled, when, and at what cost.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::wait;
use serde_json::json;

use super::super::{assert_bare, for_styles, image, manifest, path_with, tell, unique};
use super::{Older, all_are, becomes, generation, is_filled, looked_at};

/// Those that do not apply on the server.
const WRITERS: [Style; 3] = [Style::Apply, Style::Replace, Style::Edit];

#[tokio::test]
async fn a_rollout_is_followed_by_one_more_and_nothing_else_is_changed() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    for_styles(&older.control_plane, &WRITERS, async |team: Team<'static>| is_followed(team, &path).await).await
}

async fn is_followed(mut team: Team<'_>, path: &str) -> Result<()> {
    let first = manifest(WorkloadKind::Deployment);
    let before = team.rolls_out(&first).await?;
    let mark = team.control_plane.audit_mark()?;
    team.takes(path, &json!({})).await?;
    team.service_is("waiting for a rollout", |service| all_are(service, VerdictState::PendingRollout)).await?;
    let scale = ["scale", "deployment", NAME, "--replicas=3", "-n", &team.namespace];
    team.control_plane.kubectl(scale).await?;
    looked_at(&team, path, &json!({})).await?;
    let object = team.settled().await?;
    ensure!(team.pod_spec(&object) == team.pod_spec(&before), "nobody has asked for {}", object["spec"]);
    ensure!(team.operator_writes(mark)?.of("patch", "deployments") == 1, "{}", team.operator_writes(mark)?);

    let second = image(&first, "2");
    team.deploys(&second).await?;
    becomes(&team, "filled", is_filled).await?;
    team.is_adopted().await?;
    let (writes, sets) = (team.operator_writes(mark)?, team.replica_sets().await?);
    // `kubectl replace` drops the labels, too, and they come back
    let labelled = if team.style == Style::Replace { 2 } else { 1 };
    ensure!(writes.of("patch", "deployments") == labelled + 1, "labels, and one fill: {writes}");
    ensure!(sets.len() <= 3, "the old one, the team's, and one more at most: {sets:?}");

    // the same once more
    let (mark, filled) = (team.control_plane.audit_mark()?, team.object().await?);
    team.deploys(&second).await?;
    team.is_labelled(labels::PATH, Some(path)).await?;
    looked_at(&team, path, &json!({})).await?;
    let object = team.settled().await?;
    let writes = team.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == labelled - 1, "{writes}");
    if team.style == Style::Replace {
        // it has put in its own manifest, as it stands; whether that is the team or a controller that fights, who knows
        assert_bare(&team, &object)?;
        let seen = team.verdict("cpu", VerdictState::Missing).await?.message.unwrap_or_default();
        ensure!(seen.contains("taken out again"), "{seen}");
    } else {
        ensure!(generation(&object) == generation(&filled), "{}", object["spec"]);
    }
    // a fill can be faster than the controller, which then has never made what the team's own template would have been
    let again = team.replica_sets().await?;
    ensure!(again == sets || (team.style == Style::Replace && again.len() <= 3), "{sets:?} {again:?}");

    // the next release
    team.deploys(&image(&first, "3")).await?;
    if team.style == Style::Replace {
        becomes(&team, "filled", is_filled).await?;
    } else {
        let object = becomes(&team, "filled", is_filled).await?;
        ensure!(generation(&object) == generation(&filled) + 1, "what is filled goes along: {}", object["spec"]);
        ensure!(team.replica_sets().await?.len() == sets.len() + 1, "{:?}", team.replica_sets().await?);
        ensure!(team.operator_writes(mark)?.of("patch", "deployments") == 0, "{}", team.operator_writes(mark)?);
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_is_filled() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let kinds = [WorkloadKind::StatefulSet, WorkloadKind::DaemonSet, WorkloadKind::CronJob];
    let story = async |kind: WorkloadKind| {
        let mut team = Team::new(&older.control_plane, Style::Apply, kind).await?;
        team.rolls_out(&manifest(kind)).await?;
        team.takes(&path, &json!({})).await?;
        team.deploys(&image(&manifest(kind), "2")).await?;
        becomes(&team, "filled", is_filled).await?;
        team.is_adopted().await
    };
    tell(kinds.into_iter().map(|kind| (kind.to_string(), story(kind)))).await
}

#[tokio::test]
async fn what_a_template_makes_is_filled_while_it_starts() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let team = Team::new(&older.control_plane, Style::Apply, WorkloadKind::Deployment).await?;
    let workload = |image: &str, patch: serde_json::Value| {
        let service = json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": NAME},
            "spec": {"goldenPathRef": {"name": path}, "workloads": [{"name": "main", "template": {
                "image": image, "patch": patch,
            }}]},
        });
        service.to_string()
    };
    let apply =
        async |text: String| team.control_plane.kubectl_stdin(["apply", "-n", &team.namespace, "-f", "-"], &text).await;
    let requests = "{.spec.template.spec.containers[*].resources.requests.cpu}";
    let sidecar = json!([{"name": "sidecar", "image": "example.com/proxy:1"}]);
    let sidecar = json!({"spec": {"template": {"spec": {"containers": sidecar}}}});
    apply(workload("example.com/web:1", sidecar)).await?;
    let object = format!("deployment/{NAME}-main");
    team.control_plane.expect(&team.namespace, &object, requests, "100m 100m").await?;
    // a container goes, and what was filled in it does not hold it
    apply(workload("example.com/web:2", json!({}))).await?;
    team.control_plane.expect(&team.namespace, &object, requests, "100m").await?;
    team.is_adopted().await
}

#[tokio::test]
async fn a_path_says_who_fills_and_its_feedback_works() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let name = unique(&older.control_plane).await?;
    let namespace = older.control_plane.namespace_with("feedback", &[("feedback", &name)]).await?;
    let check = json!({"check": "has(variables.template.spec.securityContext.seccompProfile)", "hint": "Set a seccomp profile."});
    let admission = json!({
        "admission": {"level": "Warn", "namespaceSelector": {"matchLabels": {"feedback": name}}},
        "defaultFor": ["DaemonSet"],
    });
    older.control_plane.golden_path(&path_with(&name, ("seccomp", check), admission)).await?;
    let ready = async |field: &str| {
        let query = format!("jsonpath={{.status.conditions[?(@.type==\"Ready\")].{field}}}");
        older.control_plane.kubectl(["get", "goldenpath", &name, "-o", &query]).await
    };
    ensure!(ready("reason").await? == "FilledByOperator", "{}", ready("reason").await?);
    let message = ready("message").await?;
    for words in ["Kubernetes 1.36", "one more ReplicaSet", "admission feedback"] {
        ensure!(message.contains(words), "{message}");
    }
    let workload = manifest(WorkloadKind::DaemonSet).to_string();
    let apply = ["apply", "--dry-run=server", "-n", &namespace, "-f", "-"];
    wait::until("a warning", PATIENCE, async || {
        let output = older.control_plane.kubectl_output(apply, &workload).await?;
        ensure!(output.stderr.contains("Set a seccomp profile"), "{}", output.stderr);
        Ok(Some(()))
    })
    .await?;
    let labelled = format!("{}={name}", labels::PATH);
    let left =
        older.control_plane.kubectl(["get", "validatingadmissionpolicies", "-l", &labelled, "-o", "name"]).await?;
    ensure!(!left.is_empty());
    Ok(())
}
