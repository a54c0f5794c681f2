//! One Deprecation from its announcement to its end, with seconds for months: what people see at each step.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath_e2e::wait;
use serde_json::{Value, json};

use super::{Cluster, condition, in_seconds, ingress, legacy_ingress};

const NAME: &str = "legacy-ingress";
const LEGACY: Option<&str> = Some("legacy-nginx");
const NEW: Option<&str> = Some("shared-gateway");

#[tokio::test]
async fn an_old_way_is_closed_step_by_step() {
    story().await.unwrap();
}

async fn story() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let shop = cluster.control_plane.namespace_with("shop", &[("goldenpath.dev/team", "shops")]).await?;
    let bank = cluster.control_plane.namespace("bank").await?;
    cluster.ingresses_can_be_read().await?;
    let old = [ingress(&shop, "old", LEGACY), ingress(&shop, "moved", NEW), ingress(&bank, "exempt", LEGACY)];
    cluster.apply_all(&old).await?;
    it_is_announced_and_says_nothing(&cluster, &shop).await?;
    it_warns(&cluster, &shop).await?;
    a_closed_gate_holds(&cluster).await?;
    nothing_new_is_old(&cluster, &shop).await?;
    it_goes_on_without_the_operator(&mut cluster, &shop).await?;
    a_brownout_ends_without_the_operator(&mut cluster, &shop).await?;
    an_exemption_holds_until_its_end(&cluster, &bank, &shop).await?;
    a_gate_that_closes_lifts_the_block(&cluster, &shop).await?;
    it_ends(&cluster, &shop, &bank).await
}

/// Waits for a stage.
async fn stage(cluster: &Cluster, stage: &str) -> Result<Value> {
    let object = cluster.until(NAME, &format!("stage {stage}"), |object| object["status"]["stage"] == stage).await?;
    for words in ["get", "describe"] {
        println!("$ kubectl {words} depr {NAME}\n{}", cluster.kubectl(&format!("{words} depr {NAME}")).await?);
    }
    Ok(object)
}

/// Asks until the API server answers so: a policy takes about a second to be in force, and to be gone.
async fn answers(
    cluster: &Cluster,
    words: &[&str],
    input: &Value,
    what: &str,
    succeeds: bool,
    says: &str,
) -> Result<String> {
    let text = wait::until(what, super::PATIENCE, async || {
        let (succeeded, text) = cluster.said(words, input).await?;
        ensure!(
            succeeded == succeeds && (if says.is_empty() { text.is_empty() } else { text.contains(says) }),
            "{text}"
        );
        Ok(Some(text))
    })
    .await?;
    println!("{what}:\n  {}", text.trim().replace('\n', "\n  "));
    Ok(text)
}

const DRY_CREATE: [&str; 4] = ["create", "--dry-run=server", "-f", "-"];
const DRY_APPLY: [&str; 5] = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f"];

fn dry_apply() -> Vec<&'static str> {
    DRY_APPLY.into_iter().chain(["-"]).collect()
}

/// An old ingress with another backend: its content changes, and it stays old.
fn changed(namespace: &str, name: &str) -> Value {
    let mut object = ingress(namespace, name, LEGACY);
    object["spec"]["defaultBackend"]["service"]["port"]["number"] = json!(8080);
    object
}

async fn it_is_announced_and_says_nothing(cluster: &Cluster, shop: &str) -> Result<()> {
    cluster.apply(&legacy_ingress(NAME, &json!({}))).await?;
    let object = stage(cluster, "Announced").await?;
    ensure!(object["status"]["stages"][0]["stage"] == "Announced", "{}", object["status"]);
    cluster.counts(NAME, &json!({"objects": 2})).await?;
    answers(cluster, &DRY_CREATE, &ingress(shop, "another", LEGACY), "nothing is said", true, "").await?;
    cluster.condition(NAME, "Enforced", "NothingToEnforce").await.map(drop)
}

async fn it_warns(cluster: &Cluster, shop: &str) -> Result<()> {
    cluster.patch(NAME, &json!({"timeline": {"warnAt": in_seconds(3)}})).await?;
    stage(cluster, "Warning").await?;
    let another = ingress(shop, "another", LEGACY);
    let text = answers(cluster, &DRY_CREATE, &another, "a warning", true, "is deprecated").await?;
    for words in ["Shared nginx ingress", "https://docs.example.com/migrate-ingress", "#paved-road"] {
        ensure!(text.contains(words), "{text}");
    }
    answers(cluster, &DRY_CREATE, &ingress(shop, "another", NEW), "nothing is said of a new one", true, "").await?;
    it_was_proved(cluster).await?;
    let events = cluster.kubectl("get events -n default -o jsonpath={.items[*].reason}").await?;
    ensure!(events.contains("Warning") && events.contains("Announced"), "{events}");
    Ok(())
}

/// Before a policy was bound the API server said of the objects what is counted of them, and nothing is left of that.
async fn it_was_proved(cluster: &Cluster) -> Result<()> {
    let object = cluster.object(&format!("depr {NAME}")).await?;
    ensure!(object["status"]["matches"][0]["provedBy"].is_i64(), "{}", object["status"]);
    let words =
        "get validatingadmissionpolicies,validatingadmissionpolicybindings -l goldenpath.dev/deprecation -o name";
    let there = cluster.kubectl(words).await?;
    ensure!(there.contains("-warn-") && !there.contains("-proof"), "{there}");
    Ok(())
}

/// A replacement that does not exist holds the block, and the status says which gate.
async fn a_closed_gate_holds(cluster: &Cluster) -> Result<()> {
    let gated = json!({
        "timeline": {"blockCreateAt": in_seconds(2)},
        "gates": {"replacementStage": "Stable"},
        "replacement": {"goldenPathRef": {"name": "gateway"}},
    });
    cluster.patch(NAME, &gated).await?;
    let held = |object: &Value| object["status"]["next"]["heldBy"] == json!(["replacementStage"]);
    cluster.until(NAME, "held by the missing path", held).await?;
    let message = cluster.condition(NAME, "ReplacementReady", "ReplacementNotReady").await?;
    ensure!(message.contains("there is no GoldenPath gateway"), "{message}");
    tokio::time::sleep(Duration::from_secs(4)).await; // the date passes
    let object = cluster.object(&format!("depr {NAME}")).await?;
    ensure!(object["status"]["stage"] == "Warning", "{}", object["status"]);
    cluster.control_plane.golden_path(&path("Preview")).await?;
    let message = cluster.condition(NAME, "ReplacementReady", "ReplacementNotReady").await?;
    println!("held: {message}");
    cluster.control_plane.golden_path(&path("Stable")).await.map(drop)
}

fn path(stage: &str) -> String {
    let default = json!({"name": "links", "podTemplate": {"spec": {"enableServiceLinks": false}}});
    json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": "gateway"},
        "spec": {"stage": stage, "defaults": [default]}})
    .to_string()
}

async fn nothing_new_is_old(cluster: &Cluster, shop: &str) -> Result<()> {
    stage(cluster, "CreateBlocked").await?;
    let another = ingress(shop, "another", LEGACY);
    let text = answers(cluster, &DRY_CREATE, &another, "a refusal", false, "denied request").await?;
    ensure!(
        text.contains("https://docs.example.com/migrate-ingress") && text.contains("take GoldenPath gateway"),
        "{text}"
    );
    let turned = ingress(shop, "moved", LEGACY);
    answers(cluster, &dry_apply(), &turned, "a good one that becomes old", false, "denied request").await?;
    let (succeeded, text) = cluster.said(&dry_apply(), &changed(shop, "old")).await?;
    ensure!(succeeded, "what is old already can be changed: {text}");
    cluster.condition(NAME, "Enforced", "Enforced").await.map(drop)
}

/// The operator is killed: the API server goes on, and a restart has nothing to write.
async fn it_goes_on_without_the_operator(cluster: &mut Cluster, shop: &str) -> Result<()> {
    // whatever overlaps is gone
    let policies = "get validatingadmissionpolicies -l goldenpath.dev/deprecation -o name";
    wait::until("no policy of an earlier stage", super::PATIENCE, async || {
        let names = cluster.kubectl(policies).await?;
        ensure!(!names.is_empty() && names.lines().count() <= 2, "{names}");
        Ok(Some(()))
    })
    .await?;
    // the path itself has been counted, which takes a minute where nothing else changes
    wait::until("the adoption of the path", super::PATIENCE, async || {
        let path = cluster.object("goldenpath gateway").await?;
        ensure!(path["status"]["adoption"].is_object(), "{}", path["status"]);
        Ok(Some(()))
    })
    .await?;
    cluster.is_still().await?;
    cluster.dies().await?;
    let another = ingress(shop, "another", LEGACY);
    answers(cluster, &DRY_CREATE, &another, "a refusal with the operator dead", false, "denied request").await?;
    answers(cluster, &DRY_CREATE, &ingress(shop, "another", NEW), "a new one with the operator dead", true, "").await?;
    cluster.comes_back_in_silence().await
}

async fn a_brownout_ends_without_the_operator(cluster: &mut Cluster, shop: &str) -> Result<()> {
    let brownout = json!([{"name": "first", "startAt": in_seconds(5), "duration": "20s", "action": "DenyUpdate"}]);
    cluster.patch(NAME, &json!({"brownouts": brownout, "timeline": {"removeAt": in_seconds(600)}})).await?;
    let change = changed(shop, "old");
    let text = answers(cluster, &dry_apply(), &change, "a refusal in the brownout", false, "denied request").await?;
    ensure!(text.contains("brownout first"), "{text}");
    cluster.dies().await?;
    let again = wait::until("the end of the brownout", super::PATIENCE, async || {
        let (succeeded, text) = cluster.said(&dry_apply(), &change).await?;
        ensure!(succeeded, "{text}");
        Ok(Some(text))
    });
    println!("after the brownout, with the operator dead: {}", again.await?);
    cluster.comes_back().await
}

async fn an_exemption_holds_until_its_end(cluster: &Cluster, bank: &str, shop: &str) -> Result<()> {
    let exemption = json!([{"name": "bank", "namespace": bank, "reason": "RISK-91", "approvedBy": "ana",
        "expiresAt": in_seconds(40)}]);
    let update = json!({"exemptions": exemption, "brownouts": null, "timeline": {"blockUpdateAt": in_seconds(3)}});
    cluster.patch(NAME, &update).await?;
    stage(cluster, "UpdateBlocked").await?;
    let change = changed(shop, "old");
    let text = answers(cluster, &dry_apply(), &change, "a refusal of a change", false, "denied request").await?;
    ensure!(text.contains("kubectl patch ingresses.networking.k8s.io old"), "{text}");
    let exempt = changed(bank, "exempt");
    let (succeeded, text) = cluster.said(&dry_apply(), &exempt).await?;
    ensure!(succeeded, "who is exempt goes on: {text}");
    let label = ["label", "ingress", "old", "-n", shop, "a=b", "--overwrite"];
    let (succeeded, text) = cluster.said(&label, &Value::Null).await?;
    ensure!(succeeded, "labels are no content: {text}");
    answers(cluster, &dry_apply(), &exempt, "a refusal when the exemption has ended", false, "denied request").await?;
    cluster.counts(NAME, &json!({"exempt": 0, "remaining": 2})).await.map(drop)
}

async fn a_gate_that_closes_lifts_the_block(cluster: &Cluster, shop: &str) -> Result<()> {
    cluster.kubectl("delete goldenpath gateway").await?;
    let object = stage(cluster, "Warning").await?;
    ensure!(object["status"]["next"]["heldBy"] == json!(["replacementStage"]), "{}", object["status"]);
    let change = changed(shop, "old");
    answers(cluster, &dry_apply(), &change, "a warning again", true, "is deprecated").await?;
    let events = cluster.kubectl("get events -n default -o jsonpath={.items[*].message}").await?;
    ensure!(events.contains("UpdateBlocked -> Warning"), "{events}");
    cluster.control_plane.golden_path(&path("Stable")).await?;
    stage(cluster, "UpdateBlocked").await.map(drop)
}

/// The stragglers move with the command that the refusal prints; then the old way goes.
async fn it_ends(cluster: &Cluster, shop: &str, bank: &str) -> Result<()> {
    cluster.patch(NAME, &json!({"timeline": {"removeAt": in_seconds(3)}})).await?;
    stage(cluster, "Removed").await?;
    let message = cluster.condition(NAME, "OnTrack", "StragglersLeft").await?;
    ensure!(message.starts_with("2 objects are old still"), "{message}");
    let (succeeded, text) = cluster.said(&dry_apply(), &changed(shop, "old")).await?;
    let command = text.split("fix: ").nth(1).and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    ensure!(!succeeded && command.starts_with("kubectl patch"), "{text}");
    let output = cluster.control_plane.shell(command).await?;
    ensure!(output.status.success(), "{command}: {}", output.stderr);
    cluster.counts(NAME, &json!({"remaining": 1, "migrated": 1})).await?;
    cluster.kubectl(&format!("delete ingress exempt -n {bank}")).await?;
    cluster.condition(NAME, "OnTrack", "NotRemoved").await?;
    cluster.patch(NAME, &json!({"removed": true})).await?;
    let object = stage(cluster, "Completed").await?;
    ensure!(condition(&object, "Completed")["status"] == "True", "{}", object["status"]);
    cluster.kubectl(&format!("delete depr {NAME}")).await?;
    wait::until("the policies to go with their Deprecation", super::PATIENCE, async || {
        let left =
            "get validatingadmissionpolicies,validatingadmissionpolicybindings -l goldenpath.dev/deprecation -o name";
        let left = cluster.kubectl(left).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(Some(()))
    })
    .await
}
