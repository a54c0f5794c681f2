//! How teams deliver, as a real operator sees real deploys, and what it still knows after a restart.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind::Deployment;
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, Operator, Options, wait};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::deployers::waves::on_the_road;
use crate::deployers::{manifest, path};

const PATIENCE: Duration = Duration::from_mins(1);

/// A version of the team's workload, committed so many hours ago.
fn committed(version: &str, hours: i64) -> Result<Value> {
    let at = Timestamp::now().checked_sub(SignedDuration::from_hours(hours))?;
    let mut manifest = manifest(Deployment);
    manifest["metadata"]["annotations"] = json!({"goldenpath.dev/commit-timestamp": at.to_string()});
    manifest["spec"]["template"]["metadata"]["annotations"] = json!({"version": version});
    Ok(manifest)
}

/// Waits until the operator exports each of these lines.
async fn exports(operator: &Operator, lines: &[&str]) -> Result<()> {
    let what = lines.join(", ");
    wait::until(&what, PATIENCE, async || {
        let text = operator.metrics().await?;
        let missing: Vec<&&str> = lines.iter().filter(|line| !text.lines().any(|other| other == **line)).collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn lead_times_and_first_deploys_outlive_the_operator_and_deploys_are_counted_on_the_road_and_off_it() -> Result<()>
{
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let mut operator = control_plane.start_operator(kubeconfig.clone()).await?;
    control_plane.golden_path(&path("road", "100m", "128Mi")).await?;
    let mut off = Team::new(&control_plane, Style::Apply, Deployment).await?;
    off.rolls_out(&committed("1", 100)?).await?;
    let mut on = on_the_road(&control_plane, Style::Apply, "road", "prod").await?;
    off.rolls_out(&committed("2", 30)?).await?;
    on.rolls_out(&committed("2", 3)?).await?;
    // a commit of tomorrow, and a pod that finds no node
    let mut broken = committed("3", -24)?;
    broken["spec"]["progressDeadlineSeconds"] = json!(2);
    broken["spec"]["template"]["spec"]["nodeSelector"] = json!({"no": "node"});
    off.deploys(&broken).await?;
    let kept = [
        r#"goldenpath_lead_time_seconds_bucket{adopted="true",le="14400"} 1"#,
        r#"goldenpath_lead_time_seconds_count{adopted="true"} 1"#,
        r#"goldenpath_time_to_first_deploy_seconds_bucket{path="road",origin="Voluntary",le="60"} 1"#,
        r#"goldenpath_serving_workloads{adopted="true",available="true"} 1"#,
    ];
    exports(&operator, &kept).await?;
    let counted = [
        r#"goldenpath_deploys_total{adopted="false",outcome="Failed"} 1"#,
        r#"goldenpath_deploys_total{adopted="true",outcome="Failed"} 0"#,
        r#"goldenpath_lead_time_seconds_bucket{adopted="false",le="172800"} 1"#,
    ];
    exports(&operator, &counted).await?;
    let text = operator.metrics().await?;
    let total = |adopted: bool| {
        let name = format!("goldenpath_deploys_total{{adopted=\"{adopted}\",outcome=\"Complete\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u32>().ok()).unwrap_or_default()
    };
    ensure!(total(true) >= 1 && total(false) >= 2, "{} on the road, {} off it", total(true), total(false));

    let first = ["get", "psvc", NAME, "-n", &on.namespace, "-o", "jsonpath={.status.milestones.firstReadyAt}"];
    let before = control_plane.kubectl(first).await?;
    ensure!(!before.is_empty(), "no milestone");
    operator.kill().await?;
    let operator = control_plane.start_operator(kubeconfig).await?;
    exports(&operator, &kept).await?;
    exports(&operator, &[r#"goldenpath_deploys_total{adopted="false",outcome="Failed"} 0"#]).await?;
    let after = control_plane.kubectl(first).await?;
    ensure!(before == after, "ready first at {before}, and after the restart at {after}");
    Ok(())
}
