//! The release afterwards: tested, upgraded, rolled back and uninstalled, and nothing of a team changes.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::pods::lives;
use super::{Clock, REPOSITORY, Ring, TAG};
use crate::ControlPlane;
use crate::chart::{self, RELEASE};
use crate::installed::NAMESPACE;

/// Plays all of it.
///
/// # Errors
/// When helm fails, or a workload changes.
pub(super) async fn play(ring: &Ring, team: &str, clock: &mut Clock) -> Result<()> {
    let plane = &ring.control_plane;
    let before = (generations(plane).await?, lives(ring, team).await?);
    let said = plane.helm(["test", RELEASE, "--namespace", NAMESPACE, "--logs", "--timeout", "60s"]).await?;
    ensure!(said.contains(" leads\n") && said.contains("GoldenPath web-service: Ready"), "helm test says {said}");
    let lines = said.lines().filter(|line| ["leads", "Phase", "GoldenPath "].iter().any(|word| line.contains(word)));
    println!("helm test:\n  {}", lines.map(str::trim).collect::<Vec<_>>().join("\n  "));
    clock.done("helm test");

    let values = json!({"image": {"repository": REPOSITORY, "tag": TAG}, "log": "info,goldenpath=debug"});
    let wait = ["--wait", "--timeout", "90s"];
    plane.helm_chart("upgrade", &chart::folder(), &values, &wait).await?.success()?;
    unchanged("helm upgrade", &before.0, plane, clock).await?;
    plane.helm(["rollback", RELEASE, "--namespace", NAMESPACE].iter().chain(&wait)).await?;
    unchanged("helm rollback", &before.0, plane, clock).await?;
    print!("{}", plane.helm(["history", RELEASE, "--namespace", NAMESPACE]).await?);

    plane.helm(["uninstall", RELEASE, "--namespace", NAMESPACE].iter().chain(&wait)).await?;
    unchanged("helm uninstall", &before.0, plane, clock).await?;
    ensure!(lives(ring, team).await? == before.1, "pods were replaced");
    let kept = plane.kubectl(["get", "goldenpath", "web-service", "-o", "jsonpath={.metadata.name}"]).await?;
    ensure!(kept == "web-service", "{kept}");
    let policies = plane.kubectl(["get", "mutatingadmissionpolicies", "-o", "name"]).await?;
    ensure!(policies.contains("web-service"), "no policy is left: {policies}");
    Ok(())
}

/// Generations of all workloads but the operator's own.
async fn generations(plane: &ControlPlane) -> Result<BTreeMap<String, i64>> {
    let kinds = "deployments,statefulsets,daemonsets,cronjobs";
    let list: Value = serde_json::from_str(&plane.kubectl(["get", kinds, "-A", "-o", "json"]).await?)?;
    let objects = list["items"].as_array().into_iter().flatten().filter(|o| o["metadata"]["namespace"] != NAMESPACE);
    let name = |object: &Value| {
        [&object["kind"], &object["metadata"]["namespace"], &object["metadata"]["name"]]
            .map(|part| part.as_str().unwrap_or_default().to_owned())
            .join("/")
    };
    Ok(objects.map(|object| (name(object), object["metadata"]["generation"].as_i64().unwrap_or_default())).collect())
}

async fn unchanged(what: &str, before: &BTreeMap<String, i64>, plane: &ControlPlane, clock: &mut Clock) -> Result<()> {
    let after = generations(plane).await?;
    let changed: Vec<_> = before.iter().filter(|(name, generation)| after.get(*name) != Some(generation)).collect();
    let sum = |all: &BTreeMap<String, i64>| all.values().sum::<i64>();
    let (count, first, then) = (before.len(), sum(before), sum(&after));
    ensure!(changed.is_empty() && before.len() == after.len(), "{what} has changed {changed:?}");
    clock.done(&format!("{what}: {count} workloads, generations together {first} before and {then} after, 0 changed"));
    Ok(())
}
