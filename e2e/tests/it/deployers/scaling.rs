//! Scaling is no rollout.

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team, workloads};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{assert_filled, for_every_style, image, manifest, shared_path};

#[tokio::test]
async fn scaling_changes_no_template_and_an_autoscaler_does_no_harm() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let mut first = manifest(WorkloadKind::Deployment);
        first["spec"].as_object_mut().unwrap().remove("replicas"); // they are the autoscaler's
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": NAME},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}, "maxReplicas": 9,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
            },
        });
        let namespace = team.namespace.clone();
        let namespace = ["-n", &namespace];
        control_plane.kubectl_stdin(["apply", "-f", "-"].into_iter().chain(namespace), &autoscaler.to_string()).await?;
        let before = scaled(&team, 3).await?;
        ensure!(before["spec"]["template"]["spec"]["containers"][0]["resources"] == json!({}), "{}", before["spec"]);

        let second = image(&first, "2");
        let filled = team.rolls_out(&second).await?;
        assert_filled(&team, &filled)?;
        // `kubectl replace` of a manifest without replicas sets the API's default, with or without us
        let replicas = if team.style == Style::Replace { 1 } else { 3 };
        ensure!(filled["spec"]["replicas"] == json!(replicas), "{}", filled["spec"]);
        let mark = control_plane.audit_mark()?;
        control_plane.kubectl(["scale", "deployment", NAME, "--replicas=4"].into_iter().chain(namespace)).await?;
        team.settled().await?;
        let after = scaled(&team, 5).await?;
        assert_filled(&team, &after)?;
        ensure!(after["spec"]["template"] == filled["spec"]["template"], "{}", after["spec"]);
        ensure!(team.replica_sets().await?.len() == 2, "{:?}", team.replica_sets().await?);
        team.is_adopted().await?;
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", "deployments") == 0, "{counts}");
        Ok(())
    })
    .await
}

/// Scales as an autoscaler does, through the subresource.
async fn scaled(team: &Team<'_>, replicas: i32) -> Result<serde_json::Value> {
    let api = workloads(&team.client, WorkloadKind::Deployment, &team.namespace);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch_scale(NAME, &PatchParams::default(), &patch).await?;
    let object = team.settled().await?;
    ensure!(object["spec"]["replicas"] == json!(replicas), "{}", object["spec"]);
    Ok(object)
}
