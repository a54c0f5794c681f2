//! A cluster whose API server has no MutatingAdmissionPolicy, as before Kubernetes 1.36.

use anyhow::{Result, ensure};
use goldenpath_e2e::{ControlPlane, Options, chart};

use super::shipped;

const REASON: &str = "{.status.conditions[?(@.type==\"Ready\")].reason}";

#[tokio::test]
async fn an_older_cluster_is_told_who_fills_and_that_is_true() -> Result<()> {
    let control_plane = ControlPlane::start(Options::without_mutating_policies()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let notes = control_plane.helm(["get", "notes", chart::RELEASE, "-n", "goldenpath-system"]).await?;
    ensure!(notes.contains("FILLED BY THE OPERATOR, NOT BY THE API SERVER"), "{notes}");

    let _operator = control_plane.start_operator(kubeconfig).await?;
    let path = shipped("web-service", "1", &["enableServiceLinks"]);
    control_plane.apply(&serde_json::to_string(&path)?).await?;
    control_plane.expect("default", "goldenpath/web-service", REASON, "FilledByOperator").await?;
    control_plane.kubectl(["create", "deployment", "hello", "--image=example.com/hello:1"]).await?;
    let service = "{apiVersion: goldenpath.dev/v1alpha1, kind: PlatformService, metadata: {name: hello}, \
                   spec: {goldenPathRef: {name: web-service}, workloads: [{name: main, ref: {kind: Deployment, name: hello}}]}}";
    control_plane.apply(service).await?;
    control_plane.expect("default", "platformservice/hello", REASON, "Ready").await?;
    let links = "{.spec.template.spec.enableServiceLinks}";
    control_plane.expect("default", "deployment/hello", links, "").await?;
    control_plane.kubectl(["set", "image", "deployment/hello", "hello=example.com/hello:2"]).await?;
    control_plane.expect("default", "deployment/hello", links, "false").await
}
