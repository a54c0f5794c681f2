//! Both engines say the same: what the API server refuses is what is counted as old, for every workload of the corpus.

use futures::StreamExt;
use goldenpath::api::DeprecationStage::UpdateBlocked;
use goldenpath::api::WorkloadKind;
use goldenpath::plan::consumers::matcher::{Matcher, Sight};
use goldenpath_e2e::{corpus, story};
use kube::api::DynamicObject;

use super::*;

/// Requests at a time.
const AT_A_TIME: usize = 8;

#[rstest::rstest]
#[case::latest(json!({"images": ["*:latest"]}))]
#[case::patterns(json!({"images": ["*/nginx:*", "nginx*", "docker.io/*/*:v*", "quay.io/*"]}))]
#[case::expression(json!({"expression": "object.metadata.name.size() > 12 || has(object.spec.template) && \
    object.spec.template.spec.containers.exists(c, !has(c.resources) || !has(c.resources.limits))"}))]
#[case::errors(json!({"expression": "object.spec.template.spec.securityContext.runAsNonRoot == true"}))]
#[case::metadata(json!({"expression": "has(object.metadata.labels) && \
    object.metadata.labels.exists(k, k.startsWith('app.kubernetes.io/'))"}))]
#[case::both(json!({"images": ["*"], "expression": "has(object.spec.replicas) && object.spec.replicas > 1"}))]
#[tokio::test]
async fn what_is_refused_is_what_is_counted(#[case] entry: Value) {
    let timeline = json!({"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-03-01T00:00:00Z", "blockUpdateAt": "2026-05-15T00:00:00Z"});
    let resources = ["deployments.v1.apps", "statefulsets.v1.apps", "daemonsets.v1.apps", "cronjobs.v1.batch"];
    let mut old = Old::new("agreement", &resources, json!({"matches": [entry], "timeline": timeline})).await;
    let matcher = Matcher::compile(&old.spec.matches[0]).unwrap();
    let bare = old.control_plane.namespace("bare").await.unwrap();
    let probe = probe();
    old.is_in(UpdateBlocked, &[], &probe).await;

    let mut documents = Vec::new();
    for document in corpus().unwrap().into_iter().flat_map(|file| file.documents) {
        if let Ok(kind) = serde_json::from_value::<WorkloadKind>(document["kind"].clone()) {
            documents.push((kind, document));
        }
    }
    let asked = documents.iter().map(|(kind, document)| agrees(&old, &bare, &matcher, *kind, document));
    let sights: Vec<Option<Sight>> = futures::stream::iter(asked).buffer_unordered(AT_A_TIME).collect().await;
    let count = |of: fn(&Sight) -> bool| sights.iter().flatten().filter(|sight| of(sight)).count();
    let [matched, not, unevaluable] = [
        count(|sight| matches!(sight, Sight::Matched { .. })),
        count(|sight| matches!(sight, Sight::NotMatched)),
        count(|sight| matches!(sight, Sight::Unevaluable(_))),
    ];
    println!(
        "{matched} refused, {not} not, {unevaluable} cannot be told, {} are no objects",
        sights.iter().filter(|s| s.is_none()).count()
    );
    assert!(matched > 0 && matched + not + unevaluable > 200, "there is something to compare");
    old.ends().await;
}

/// Old by each of the entries.
fn probe() -> Value {
    let labels = json!({"app.kubernetes.io/name": "a"});
    let container = |name: &str, image: &str| json!({"name": name, "image": image});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "a-name-that-is-long", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "securityContext": {"runAsNonRoot": true},
            "containers": [container("a", "example.com/nginx:latest"), container("b", "nginx")],
        }}},
    })
}

/// What is said of one workload; nothing when the API server refuses it without us, too.
async fn agrees(old: &Old, bare: &str, matcher: &Matcher, kind: WorkloadKind, document: &Value) -> Option<Sight> {
    let create = async |namespace: &str| {
        let mut object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.owner_references = None;
        let params = PostParams { dry_run: true, field_manager: Some("team".to_owned()) };
        story::workloads(&old.client, kind, namespace).create(&params, &object).await
    };
    let stored = match create(bare).await {
        Ok(stored) => json!(stored),
        Err(kube::Error::Api(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    let sight = matcher.look(&stored, &Value::Null);
    let refused = match create(&old.namespace).await {
        Ok(_) => false,
        Err(kube::Error::Api(status)) => {
            assert!(status.message.contains("is deprecated"), "{}", status.message);
            true
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(refused, matches!(sight, Sight::Matched { .. }), "{kind} {}: {sight:?}", document["metadata"]["name"]);
    Some(sight)
}
