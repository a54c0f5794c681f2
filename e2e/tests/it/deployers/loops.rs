//! A tool that heals its objects ten times a second, by force: whoever owns a field, nobody fights over it.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::story::{NAME, Style, Team, workloads};
use kube::api::{Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::{manifest, path_with, unique, with};

/// How often the tool applies, and how many applies.
const BEAT: Duration = Duration::from_millis(100);
const BEATS: u32 = 50;

/// What becomes of one ownership.
struct Case {
    permission: &'static str,
    mode: &'static str,
    verdict: VerdictState,
    cpu: &'static str,
}

#[rstest]
#[case::allowed(Case { permission: "Allowed", mode: "Default", verdict: VerdictState::Overridden, cpu: "250m" })]
#[case::with_reason(Case { permission: "WithReason", mode: "Default", verdict: VerdictState::Conflict, cpu: "250m" })]
#[case::forbidden(Case { permission: "Forbidden", mode: "Default", verdict: VerdictState::Conflict, cpu: "250m" })]
#[case::enforced(Case { permission: "Forbidden", mode: "Enforce", verdict: VerdictState::Applied, cpu: "100m" })]
#[tokio::test]
async fn nobody_fights_with_a_tool_that_applies_by_force(#[case] case: Case) -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = unique(control_plane).await?;
    let permission = ("cpu", json!({"override": case.permission}));
    control_plane.golden_path(&path_with(&name, permission, json!({"maxMode": "Enforce"}))).await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let own = |image: &str| {
        let own =
            with(&manifest(WorkloadKind::Deployment), "containers.0.resources", json!({"requests": {"cpu": "250m"}}));
        super::image(&own, image)
    };
    team.rolls_out(&own("1")).await?;
    team.takes(&name, &json!({"mode": case.mode})).await?;
    let object = team.rolls_out(&own("2")).await?;
    team.verdict("cpu", case.verdict).await?;
    let sets = team.replica_sets().await?;

    // the verdict is the same before and after the rollout, and the status may still tell of that
    team.still().await?;
    let mark = control_plane.audit_mark()?;
    let api = workloads(&team.client, WorkloadKind::Deployment, &team.namespace);
    let params = PatchParams::apply("healer").force();
    let mut beat = tokio::time::interval(BEAT);
    for _ in 0..BEATS {
        beat.tick().await;
        api.patch(NAME, &params, &Patch::Apply(&own("2"))).await?;
    }
    let after = team.settled().await?;
    let cpu: &Value = &team.pod_spec(&after)["containers"][0]["resources"]["requests"]["cpu"];
    ensure!(*cpu == case.cpu, "{cpu}");
    ensure!(after["metadata"]["generation"] == object["metadata"]["generation"], "{}", after["metadata"]);
    ensure!(team.replica_sets().await? == sets, "nothing restarts");
    team.verdict("cpu", case.verdict).await?;
    let writes = team.operator_writes(mark)?;
    println!("{} {}, {BEATS} applies by force: {writes}", case.permission, case.mode);
    // a second manager owns the value now, which the status may name
    ensure!(writes.of("patch", "deployments") == 0 && writes.total() <= 1, "{writes}");
    Ok(())
}
