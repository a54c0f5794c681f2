//! Requests that pass, whatever is blocked.

use goldenpath::api::DeprecationStage::UpdateBlocked;

use super::*;

/// Blocked in every way.
fn blocked(entry: &Value) -> Value {
    json!({
        "matches": [entry],
        "timeline": {"warnAt": "2026-01-15T00:00:00Z", "blockCreateAt": "2026-03-01T00:00:00Z", "blockUpdateAt": "2026-05-15T00:00:00Z"},
    })
}

fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "initContainers": [{"name": "init", "image": image}],
                    "containers": [{"name": "app", "image": "example.com/app:1"}],
                },
            },
        },
    })
}

#[tokio::test]
async fn who_scales_or_rolls_back_the_status_of_an_old_workload_is_not_stopped() {
    let resources = ["deployments.v1.apps", "replicasets.v1.apps", "cronjobs.v1.batch", "pods.v1"];
    let mut old = Old::new("images", &resources, blocked(&json!({"images": ["*/base/java?*", "*/base/java8*"]}))).await;
    let image = "registry.example.com/base/java8:412";
    assert!(old.creates(&deployment("before", image)).await.is_silent());
    old.is_in(UpdateBlocked, &[], &deployment("probe", image)).await;

    assert!(old.does("scale deployment before --replicas=2").await.is_silent());
    assert!(
        old.patches("deployment/before", &json!({"spec": {"replicas": 1}})).await.is_silent(),
        "an apply scales, too"
    );
    let env = json!({"spec": {"template": {"metadata": {"annotations": {"changed": "yes"}}}}});
    assert!(old.patches("deployment/before", &env).await.refusal().is_some());
    // its ReplicaSet and its pods come from controllers, which would try for ever
    let client = old.client.clone();
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, &old.namespace);
    wait::until("the pod of the scaled Deployment", TIMEOUT, async || {
        let pods = pods.list(&Default::default()).await?;
        Ok((!pods.items.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let operator = road::operator().username;
    let controller = "system:serviceaccount:kube-system:deployment-controller";
    for user in [&operator, controller] {
        let words = format!("create --dry-run=server --as={user} --as-group=system:masters -f -");
        let said = old.kubectl(&words, &deployment("ours", image).to_string()).await;
        assert!(said.is_silent(), "no person reads what is said to {user}: {said:?}");
    }
    for other in ["registry.example.com/base/java17:1", "java8", "registry.example.com/base/jav"] {
        assert!(old.dry_run("create", &deployment("other", other)).await.is_silent(), "{other}");
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
        "spec": {"containers": [{"name": "a", "image": image}]},
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "a", "image": image}]}}}}},
    });
    for object in [pod, job] {
        assert!(old.dry_run("create", &object).await.refusal().is_some(), "{object}");
    }
    old.ends().await;
}

#[tokio::test]
async fn an_expression_that_ends_in_an_error_stops_nobody() {
    // one that lacks a `has()`, and one that costs more than the API server allows for
    let expression = "object.data.nowhere == 'x' || object.data.old == 'yes' || has(object.data.bomb) && \
                      [1,2,3,4,5,6,7,8,9,0].all(a, [1,2,3,4,5,6,7,8,9,0].all(b, [1,2,3,4,5,6,7,8,9,0].all(c, \
                      [1,2,3,4,5,6,7,8,9,0].all(d, [1,2,3,4,5,6,7,8,9,0].all(e, [1,2,3,4,5,6,7,8,9,0].all(f, \
                      [1,2,3,4,5,6,7,8,9,0].all(g, true)))))))";
    let mut old = Old::new("errors", &["configmaps.v1"], blocked(&json!({"expression": expression}))).await;
    let map = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    old.is_in(UpdateBlocked, &[], &map("probe", json!({"old": "yes"}))).await;
    assert!(old.creates(&map("broken", json!({"other": "1"}))).await.is_silent());
    assert!(old.creates(&map("costly", json!({"bomb": "1", "old": "no", "nowhere": "y"}))).await.is_silent());
    assert!(old.patches("configmap/broken", &json!({"data": {"other": "2"}})).await.is_silent());
    old.ends().await;
}

#[tokio::test]
async fn the_namespaces_of_the_system_and_an_exempt_service_pass() {
    let mut spec = blocked(&json!({"expression": "object.data.old == 'yes'"}));
    let exemption = |name: &str, namespace: &str, service: Value, end: &str| json!({"name": name, "namespace": namespace, "service": service, "reason": "RISK-1", "approvedBy": "ana", "expiresAt": end});
    let mut old = Old::new("exempt", &["configmaps.v1"], spec.clone()).await;
    spec["exemptions"] = json!([
        exemption("granted", &old.namespace, json!("checkout"), "2099-01-01T00:00:00Z"),
        exemption("elsewhere", "elsewhere", Value::Null, "2099-01-01T00:00:00Z"),
        exemption("ended", &old.namespace, Value::Null, "2026-01-01T00:00:00Z"),
    ]);
    old.spec.exemptions = serde_json::from_value(spec["exemptions"].clone()).unwrap();
    // those of the system are selected, too, but not those of other stories
    let selected = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [old.namespace, "kube-system", "kube-public"]});
    old.spec.matches[0].namespace_selector = serde_json::from_value(json!({"matchExpressions": [selected]})).unwrap();
    let map = |name: &str, labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"old": "yes"}});
    old.is_in(UpdateBlocked, &[], &map("probe", json!({}))).await;
    let exempt = map("exempt", json!({"goldenpath.dev/service": "checkout"}));
    assert!(old.creates(&exempt).await.is_silent());
    assert!(old.patches("configmap/exempt", &json!({"data": {"more": "1"}})).await.is_silent());
    let other = map("other", json!({"goldenpath.dev/service": "cart"}));
    assert!(old.creates(&other).await.refusal().is_some());
    for namespace in ["kube-system", "kube-public"] {
        let words = format!("create --dry-run=server -f - --namespace={namespace}");
        let said = old.kubectl(&words, &map("system", json!({})).to_string()).await;
        assert!(said.is_silent(), "{namespace}: {said:?}");
    }
    old.ends().await;
}
