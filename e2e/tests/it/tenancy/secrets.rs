//! A secret that a team has written into a workload is in nothing that the operator says.

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::json;

use super::manifest;

const SECRET: &str = "c4n4ry-0f-th3-t34m";

/// It stands where people put secrets that belong into a Secret: in a variable that the path has an opinion about, in
/// another one, in an argument, and in annotations of the workload and of its pods.
#[tokio::test]
async fn a_secret_in_a_workload_is_in_no_status_event_log_or_metric() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let name = control_plane.namespace("road").await?;
    let environment = json!([{"name": "*", "env": [{"name": "TOKEN", "value": "road"}]}]);
    let path = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": name},
        "spec": {"version": "1", "defaults": [
            {"name": "token", "override": "Forbidden", "podTemplate": {"spec": {"containers": environment}}},
            {"name": "no-secrets", "check": "!variables.template.spec.containers.exists(c, has(c.args))"},
        ]},
    });
    control_plane.golden_path(&path.to_string()).await?;
    let mut workload = manifest();
    workload["metadata"]["annotations"] = json!({"example.com/secret": SECRET});
    workload["spec"]["template"]["metadata"]["annotations"] = json!({"example.com/secret": SECRET});
    let container = &mut workload["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "TOKEN", "value": SECRET}, {"name": "OTHER", "value": SECRET}]);
    container["args"] = json!([SECRET]);
    team.rolls_out(&workload).await?;
    team.takes(&name, &json!({})).await?;
    control_plane
        .expect(&team.namespace, &format!("psvc/{NAME}"), r#"{.status.defaults[?(@.name=="token")].name}"#, "token")
        .await?;

    let said = control_plane.kubectl(["get", "psvc,gp,events", "-A", "-o", "json"]).await?;
    ensure!(said.contains(&name) && !said.contains(SECRET), "{}", around(&said));
    let mut logs = 0;
    for entry in std::fs::read_dir(control_plane.folder())? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "log") && file.to_string_lossy().contains("operator-")
        {
            let log = std::fs::read_to_string(&file)?;
            logs += usize::from(log.contains("goldenpath is starting"));
            ensure!(!log.contains(SECRET), "{}", around(&log));
        }
    }
    ensure!(logs > 0, "there is no log of an operator");
    let metrics = ControlPlane::operator_of_all()?.metrics().await?;
    ensure!(metrics.contains("goldenpath_workloads") && !metrics.contains(SECRET), "{}", around(&metrics));
    Ok(())
}

/// What stands around the secret.
fn around(text: &str) -> &str {
    let at = text.find(SECRET).unwrap_or_default();
    text.get(at.saturating_sub(300)..(at + 100).min(text.len())).unwrap_or(text)
}
