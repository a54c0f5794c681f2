//! What ends by itself: brownouts and exemptions, with nobody there to end them.

use goldenpath::api::DeprecationStage::{UpdateBlocked, Warning};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::*;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"old": "yes"}})
}

/// A time so many seconds from now, as the API server writes it.
fn later(seconds: i64) -> Timestamp {
    let at = Timestamp::now() + SignedDuration::from_secs(seconds);
    Timestamp::from_second(at.as_second()).unwrap()
}

async fn until_it(old: &Old, what: &str, holds: impl Fn(&Said) -> bool) {
    wait::until(what, TIMEOUT, async || {
        let said = old.dry_run("create", &map("probe")).await;
        ensure!(holds(&said), "{said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_brownout_begins_and_ends_at_its_time_with_nobody_there() {
    let mut old = Old::new(
        "brownout",
        &["configmaps.v1"],
        json!({
            "matches": [{"expression": "object.data.old == 'yes'"}],
            "timeline": {"warnAt": "2026-01-15T00:00:00Z"},
        }),
    )
    .await;
    assert!(old.creates(&map("before")).await.is_silent());
    // of all that takes its time only the policies are left
    let (start, lasts) = (later(12), 8);
    let end = start + SignedDuration::from_secs(lasts);
    let brownout =
        json!({"name": "first", "startAt": start.to_string(), "duration": format!("{lasts}s"), "action": "DenyUpdate"});
    old.spec.brownouts = serde_json::from_value(json!([brownout])).unwrap();
    old.is_in(Warning, &["first"], &map("probe")).await;
    assert!(old.dry_run("create", &map("probe")).await.warning().is_some(), "not yet");
    until_it(&old, "the brownout to begin", |said| said.refusal().is_some()).await;
    assert!(Timestamp::now() >= start);
    let said = old.patches("configmap/before", &json!({"data": {"more": "1"}})).await;
    assert!(said.refusal().unwrap().contains(&format!("; refused until {end} (brownout first)")), "{said:?}");
    until_it(&old, "the brownout to end", |said| said.warning().is_some()).await;
    assert!(Timestamp::now() >= end);
    assert!(old.patches("configmap/before", &json!({"data": {"more": "1"}})).await.warning().is_some());
    old.ends().await;
}

#[tokio::test]
async fn an_exemption_ends_at_its_time_with_nobody_there() {
    let mut old = Old::new("expiring", &["configmaps.v1", "secrets.v1"], json!({
        "matches": [{"expression": "object.data.old in ['yes', 'eWVz']"}],
        "timeline": {"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-01-15T00:00:00Z", "blockUpdateAt": "2026-01-15T00:00:00Z"},
    }))
    .await;
    let end = later(12);
    let exemption = json!({
        "name": "e", "namespace": old.namespace, "service": "late", "reason": "r", "approvedBy": "a", "expiresAt": end.to_string(),
    });
    old.spec.exemptions = serde_json::from_value(json!([exemption])).unwrap();
    let exempt = |name: &str| {
        let mut map = map(name);
        map["metadata"]["labels"] = json!({"goldenpath.dev/service": "late"});
        map
    };
    old.is_in(UpdateBlocked, &[], &map("probe")).await;
    assert!(old.creates(&exempt("late")).await.is_silent());
    let refused = async || Ok(old.dry_run("create", &exempt("other")).await.refusal().is_some().then_some(()));
    wait::until("the exemption to end", TIMEOUT, refused).await.unwrap();
    assert!(Timestamp::now() >= end);
    assert!(old.patches("configmap/late", &json!({"data": {"more": "1"}})).await.refusal().is_some());
    old.ends().await;
}
