//! What a team does not want any more goes with its next rollout, and what a person asks for at once.

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::{Value, json};

use super::super::{assert_bare, image, tell};
use super::{Older, becomes, filled, generation, is_filled, looked_at};

/// Nothing of the path, and nothing of us.
fn is_left(team: &Team<'_>, object: &Value) -> Result<()> {
    assert_bare(team, object)?;
    let metadata = object["metadata"].to_string();
    ensure!(!metadata.contains("goldenpath"), "{metadata}");
    Ok(())
}

#[tokio::test]
async fn an_overridden_default_goes_with_the_next_rollout_and_the_others_stay() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let (mut team, first) = filled(older, &path, Style::Apply, &json!({})).await?;
    let without = json!({"overrides": [{"default": "cpu", "reason": "it is measured"}]});
    let before = team.object().await?;
    team.asks_for(&path, &without).await?;
    team.is_labelled(&labels::skip("cpu"), Some("")).await?;
    looked_at(&team, &path, &without).await?;
    let object = team.object().await?;
    ensure!(generation(&object) == generation(&before), "{}", object["spec"]);
    team.deploys(&image(&first, "3")).await?;
    let object = becomes(&team, "without cpu", |team, object| {
        for container in team.pod_spec(object)["containers"].as_array().into_iter().flatten() {
            ensure!(container["resources"] == json!({"requests": {"memory": "128Mi"}}), "{container}");
            ensure!(container["lifecycle"]["preStop"]["sleep"]["seconds"] == 5, "{container}");
        }
        Ok(())
    })
    .await?;
    team.verdict("cpu", VerdictState::Overridden).await?;
    team.verdict("memory", VerdictState::Applied).await?;
    ensure!(generation(&object) == generation(&before) + 2, "the team's, and one behind it: {}", object["spec"]);
    Ok(())
}

#[tokio::test]
async fn who_leaves_is_as_if_it_had_never_come_after_the_next_rollout() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let ways =
        [("observes", Style::Apply), ("deletes", Style::Apply), ("observes", Style::Edit), ("keeps", Style::Apply)];
    let story = async |way: &'static str, style: Style| {
        let undo = if way == "deletes" { json!({"deletionPolicy": "Undo"}) } else { json!({}) };
        let (mut team, first) = filled(older, &path, style, &undo).await?;
        let before = team.object().await?;
        if way == "observes" {
            team.asks_for(&path, &json!({"mode": "Observe"})).await?;
        } else {
            team.control_plane.kubectl(["delete", "psvc", NAME, "-n", &team.namespace]).await?;
        }
        if way == "keeps" {
            let object = team.is_labelled(labels::PATH, None).await?;
            ensure!(object["spec"] == before["spec"], "{}", object["spec"]);
            let metadata = object["metadata"].to_string();
            ensure!(!metadata.contains("goldenpath"), "{metadata}");
            return Ok(());
        }
        let object = team.is_labelled(labels::REVISION, Some(&labels::release_revision(&path))).await?;
        ensure!(object["spec"] == before["spec"], "{}", object["spec"]);
        team.deploys(&image(&first, "3")).await?;
        let object = becomes(&team, "as if it had never come", is_left).await?;

        let mut control = Team::new(team.control_plane, style, WorkloadKind::Deployment).await?;
        for tag in ["1", "2", "3"] {
            control.rolls_out(&image(&first, tag)).await?;
        }
        let never = control.object().await?;
        ensure!(owners(&object) == owners(&never), "{} {}", owners(&object), owners(&never));
        ensure!(object["spec"] == never["spec"], "{}", object["spec"]);
        Ok(())
    };
    tell(ways.into_iter().map(|(way, style)| (format!("{way} {style:?}"), story(way, style)))).await
}

/// Who owns what, without times.
fn owners(object: &Value) -> Value {
    let mut owners = object["metadata"]["managedFields"].clone();
    for record in owners.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        record.remove("time");
    }
    if let Some(owners) = owners.as_array_mut() {
        owners.retain(|record| record.get("subresource").is_none());
        owners.sort_by_key(ToString::to_string);
    }
    owners
}

#[tokio::test]
async fn break_glass_takes_everything_out_at_once_and_nothing_comes_back_before_a_rollout() -> Result<()> {
    let older = Older::get().await?;
    let _running = older.running().await?;
    let path = older.path().await?;
    let (mut team, first) = filled(older, &path, Style::Apply, &json!({})).await?;
    let annotate = async |what: &str| {
        team.control_plane.kubectl(["annotate", "deployment", NAME, what, "-n", &team.namespace]).await
    };
    annotate(&format!("{}=*", labels::SKIP)).await?;
    becomes(&team, "bare", assert_bare).await?;
    // it replaces all annotations
    let undo = ["rollout", "undo", "deployment", NAME, "--to-revision=1", "-n", &team.namespace];
    team.control_plane.kubectl(undo).await?;
    becomes(&team, "back at its first release, and bare", |team, object| {
        let (image, skip) = (&team.pod_spec(object)["containers"][0]["image"], &object["metadata"]["annotations"]);
        ensure!(image == "example.com/web:1" && skip[labels::SKIP] == "*", "{image} {skip}");
        assert_bare(team, object)
    })
    .await?;
    annotate(&format!("{}-", labels::SKIP)).await?;
    looked_at(&team, &path, &json!({})).await?;
    assert_bare(&team, &team.object().await?)?;
    team.deploys(&image(&first, "3")).await?;
    becomes(&team, "filled", is_filled).await.map(drop)
}
