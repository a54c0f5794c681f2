//! The other kinds of workloads.

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{Style, Team};
use serde_json::json;

use super::{assert_bare, assert_filled, image, manifest, shared_path, tell};

async fn is_filled_with_its_next_template(kind: WorkloadKind) -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let path = shared_path(control_plane).await?;
    let teams = try_join_all(Style::ALL.map(|style| Team::new(control_plane, style, kind))).await?;
    let story = async |mut team: Team<'_>| {
        let first = manifest(kind);
        let before = team.rolls_out(&first).await?;
        let mark = control_plane.audit_mark()?;
        team.takes(path, &json!({})).await?;
        let adopted = team.object().await?;
        ensure!(adopted["metadata"]["generation"] == before["metadata"]["generation"], "{}", adopted["metadata"]);
        assert_bare(&team, &adopted)?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        assert_filled(&team, &object)?;
        team.is_adopted().await?;
        let counts = team.operator_writes(mark)?;
        println!("{team}: {counts}");
        ensure!(counts.of("patch", kind.plural()) == 1, "{counts}");
        Ok(())
    };
    tell(teams.into_iter().map(|team| (team.to_string(), story(team)))).await
}

#[tokio::test]
async fn stateful_set_is_filled_with_its_next_template() -> Result<()> {
    is_filled_with_its_next_template(WorkloadKind::StatefulSet).await
}

#[tokio::test]
async fn daemon_set_is_filled_with_its_next_template() -> Result<()> {
    is_filled_with_its_next_template(WorkloadKind::DaemonSet).await
}

#[tokio::test]
async fn cron_job_is_filled_with_its_next_template() -> Result<()> {
    is_filled_with_its_next_template(WorkloadKind::CronJob).await
}
