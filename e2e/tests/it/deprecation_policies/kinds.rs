//! What is old without a spec, by its metadata, or by the API version that it is written through.

use goldenpath::api::DeprecationStage::{CreateBlocked, UpdateBlocked};

use super::*;

fn timeline() -> Value {
    json!({"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-03-01T00:00:00Z", "blockUpdateAt": "2026-05-15T00:00:00Z"})
}

#[tokio::test]
async fn what_has_no_spec_and_what_is_old_by_an_annotation_is_blocked_where_it_matters() {
    let expression = "has(object.metadata.annotations) && \
                      object.metadata.annotations.exists(k, k.startsWith('old.example.com/'))";
    let spec = json!({"matches": [{"expression": expression}], "timeline": timeline()});
    let mut old = Old::new("annotated", &["configmaps.v1", "services.v1"], spec).await;
    let map = |name: &str, annotations: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations}, "data": {"a": "1"}});
    let probe = map("probe", json!({"old.example.com/mode": "x"}));
    assert!(old.creates(&map("before", json!({"old.example.com/mode": "x"}))).await.is_silent());
    assert!(old.creates(&map("good", json!({"new.example.com/mode": "x"}))).await.is_silent());
    old.is_in(UpdateBlocked, &[], &probe).await;
    assert!(old.patches("configmap/before", &json!({"data": {"a": "2"}})).await.refusal().is_some(), "its content");
    assert!(
        old.does("annotate configmap before old.example.com/mode=y --overwrite").await.refusal().is_some(),
        "the key"
    );
    assert!(old.does("annotate configmap before old.example.com/more=y").await.refusal().is_some(), "one more of them");
    assert!(old.does("annotate configmap before other.example.com/mode=y").await.is_silent(), "another key");
    assert!(old.does("label configmap before touched=y").await.is_silent());
    assert!(old.does("annotate configmap good old.example.com/mode=y").await.refusal().is_some(), "it becomes old");
    assert!(old.does("annotate configmap before old.example.com/mode-").await.is_silent(), "the way out");
    old.ends().await;
}

fn autoscaler(version: &str, name: &str, max: u8) -> Value {
    json!({
        "apiVersion": format!("autoscaling/{version}"),
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"maxReplicas": max, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    })
}

#[tokio::test]
async fn who_writes_through_an_old_api_version_is_told_and_the_same_object_through_the_new_one_passes() {
    let spec = json!({"matches": [{"writtenAs": ["autoscaling/v1"]}], "timeline": timeline()});
    let mut old = Old::new("written", &["horizontalpodautoscalers.v2.autoscaling"], spec).await;
    assert!(old.creates(&autoscaler("v1", "before", 2)).await.is_silent());
    assert!(old.creates(&autoscaler("v2", "good", 2)).await.is_silent());
    assert!(old.kubectl("apply -f -", &autoscaler("v1", "moved", 2).to_string()).await.is_silent());
    // the API server keeps whole seconds, and which of two came last must be told
    tokio::time::sleep(Duration::from_millis(1100)).await;
    old.is_in(CreateBlocked, &[], &autoscaler("v1", "probe", 2)).await;
    old.warns_of(&autoscaler("v1", "before", 3)).await;
    assert!(old.creates(&autoscaler("v2", "new", 2)).await.is_silent());
    assert!(old.creates(&autoscaler("v1", "late", 2)).await.refusal().is_some());
    let replace = async |object: Value| old.kubectl("replace -f -", &object.to_string()).await;
    assert!(replace(autoscaler("v1", "before", 3)).await.warning().is_some(), "it was old before");
    let said = replace(autoscaler("v1", "good", 3)).await;
    assert!(said.refusal().is_some(), "nobody wrote it so before: {said:?}");
    assert!(replace(autoscaler("v2", "good", 3)).await.is_silent());
    // who has moved, and goes back, makes it old: of what one tool wrote the newest counts
    let apply = async |object: Value| old.kubectl("apply -f -", &object.to_string()).await;
    assert!(apply(autoscaler("v2", "moved", 3)).await.is_silent());
    assert!(apply(autoscaler("v1", "moved", 4)).await.refusal().is_some());

    old.is_in(UpdateBlocked, &[], &autoscaler("v1", "probe", 2)).await;
    assert!(old.kubectl("replace -f -", &autoscaler("v1", "before", 4).to_string()).await.refusal().is_some());
    assert!(old.kubectl("replace -f -", &autoscaler("v2", "before", 4).to_string()).await.is_silent());
    old.ends().await;
}

#[tokio::test]
async fn hostile_words_are_words() {
    let hostile = "it's \"old\"') || true || ('\\\n\nline ${x} {{y}} \u{1f600} ' + string(object)";
    let mut spec = json!({
        "title": hostile,
        "owner": {"team": "a'b", "contact": "c\\d'"},
        "matches": [{"expression": "object.data.old == 'yes' // '"}],
        "replacement": {"fix": {"type": "MergePatch", "patch": {"data": {"old": "it's $(no) `x` \\ \"q\"\n", "k": null}}}},
        "timeline": timeline(),
    });
    spec["title"] = json!(hostile.chars().take(128).collect::<String>());
    let mut old = Old::new("hostile", &["configmaps.v1"], spec).await;
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"old": "yes", "k": "x"}});
    let map_ok =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "before"}, "data": {"old": "no"}});
    assert!(old.creates(&map_ok).await.is_silent());
    let before = json!({"data": {"old": "yes"}});
    assert!(old.patches("configmap/before", &before).await.is_silent());
    old.is_in(UpdateBlocked, &[], &map("probe")).await;
    let said = old.dry_run("create", &map("probe")).await;
    let words = hostile.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.refusal().is_some_and(|refusal| refusal.contains(&words)), "{said:?}");
    let said = old.patches("configmap/before", &json!({"data": {"more": "1"}})).await;
    let refusal = said.refusal().unwrap();
    let patch = &refusal[refusal.find("kubectl patch").unwrap()..refusal.find("; ask a'b").unwrap()];
    let output = old.control_plane.shell(patch).await.unwrap();
    assert!(output.status.success(), "{patch}: {}", output.stderr);
    let stored =
        old.control_plane.kubectl(["get", "configmap", "before", "-n", &old.namespace, "-o", "json"]).await.unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["data"]["old"], "it's $(no) `x` \\ \"q\"\n", "no shell had a say");
    old.ends().await;
}
