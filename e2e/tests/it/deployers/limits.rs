//! The road yields where its values would make a team's request worse.

use anyhow::{Context, Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::Team;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{for_every_style, image, manifest, shared_path, with};

async fn qos(team: &Team<'_>) -> Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(team.client.clone(), &team.namespace);
    let pods = pods.list(&ListParams::default()).await?;
    let alive = pods.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(alive.filter_map(|pod| pod.status?.qos_class).collect())
}

#[tokio::test]
async fn limit_below_a_filled_request_is_accepted_and_the_road_yields() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let second = image(&first, "2");
        team.rolls_out(&second).await?;

        let low = with(&second, "containers.0.resources", json!({"limits": {"memory": "64Mi"}}));
        let object = team.rolls_out(&low).await.context("lower the limit")?;
        let resources = &team.pod_spec(&object)["containers"][0]["resources"];
        ensure!(*resources == json!({"limits": {"memory": "64Mi"}, "requests": {"cpu": "100m"}}), "{resources}");

        let object = team.rolls_out(&second).await.context("drop the limit")?;
        let resources = &team.pod_spec(&object)["containers"][0]["resources"];
        ensure!(*resources == json!({"requests": {"cpu": "100m", "memory": "128Mi"}}), "{resources}");
        team.is_adopted().await
    })
    .await
}

#[tokio::test]
async fn own_request_beside_a_low_limit_does_not_hold_the_road_back() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let own = json!({"requests": {"cpu": "250m"}});
        let first = with(&manifest(WorkloadKind::Deployment), "containers.0.resources", own);
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let second = image(&first, "2");
        team.rolls_out(&second).await?;

        let low = json!({"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}});
        let object = team.rolls_out(&with(&second, "containers.0.resources", low.clone())).await?;
        let resources = &team.pod_spec(&object)["containers"][0]["resources"];
        ensure!(*resources == low, "{resources}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn limits_without_requests_stay_guaranteed() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let limits = json!({"limits": {"cpu": "500m", "memory": "256Mi"}});
        let first = manifest(WorkloadKind::Deployment);
        let first = with(&first, "containers.0.resources", limits.clone());
        let first = with(&first, "containers.1.resources", limits.clone());
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        let of = |i: usize| &team.pod_spec(&object)["containers"][i]["resources"];
        ensure!((of(0), of(1)) == (&limits, &limits), "{} {}", of(0), of(1));
        ensure!(qos(&team).await? == ["Guaranteed", "Guaranteed"], "{:?}", qos(&team).await?);
        team.verdict("cpu", VerdictState::SatisfiedByTeam).await?;
        team.verdict("memory", VerdictState::SatisfiedByTeam).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn limits_that_come_after_the_fills_make_pods_guaranteed_as_without_the_road() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    for_every_style(control_plane, async |mut team: Team<'_>| {
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        team.takes(path, &json!({})).await?;
        let second = image(&first, "2");
        team.rolls_out(&second).await?;
        let limits: Value = json!({"limits": {"cpu": "500m", "memory": "256Mi"}});
        let third = with(&second, "containers.0.resources", limits.clone());
        let object = team.rolls_out(&with(&third, "containers.1.resources", limits.clone())).await?;
        let of = |i: usize| &team.pod_spec(&object)["containers"][i]["resources"];
        ensure!((of(0), of(1)) == (&limits, &limits), "{} {}", of(0), of(1));
        ensure!(qos(&team).await? == ["Guaranteed", "Guaranteed"], "{:?}", qos(&team).await?);
        Ok(())
    })
    .await
}
