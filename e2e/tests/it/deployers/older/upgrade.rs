//! The same cluster before and after its upgrade to a Kubernetes whose API server fills by itself.

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::story::{Style, Team};
use goldenpath_e2e::{ControlPlane, Options};
use serde_json::json;

use super::super::{assert_filled, image, manifest, path};
use super::{becomes, is_filled, is_let_go_of};

#[tokio::test]
async fn policies_take_over_what_the_operator_has_filled_and_nothing_restarts() -> Result<()> {
    let before = ControlPlane::start(Options { keep: true, ..Options::older()? }).await?;
    let kubeconfig = before.install_goldenpath().await?;
    let mut operator = before.start_operator(kubeconfig).await?;
    before.golden_path(&path("road", "100m", "128Mi")).await?;
    let mut team = Team::new(&before, Style::Apply, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes("road", &json!({})).await?;
    team.deploys(&image(&first, "2")).await?;
    let filled = becomes(&team, "filled", is_filled).await?;
    team.is_adopted().await?;
    operator.terminate().await?;
    let namespace = team.namespace.clone();
    let folder = before.folder().to_owned();
    tokio::task::spawn_blocking(|| drop(before)).await?;

    // its node is there already
    let options = Options { etcd_data: Some(folder.join("etcd")), nodes: 0, ..Options::default() };
    let after = ControlPlane::start(options).await;
    std::fs::remove_dir_all(&folder)?;
    let after = after?;
    let mut team = Team::new(&after, Style::Apply, WorkloadKind::Deployment).await?;
    team.namespace = namespace;
    let mark = after.audit_mark()?;
    let _operator = after.start_operator(after.as_account(NAMESPACE, ACCOUNT).await?).await?;
    let object = becomes(&team, "nobody's", assert_filled).await?;
    ensure!(object["spec"] == filled["spec"], "{}", object["spec"]);
    is_let_go_of(&team, &object)?;
    let writes = team.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 1, "{writes}");
    // and fill what comes
    let object = team.rolls_out(&image(&first, "3")).await?;
    assert_filled(&team, &object)?;
    team.is_adopted().await
}
