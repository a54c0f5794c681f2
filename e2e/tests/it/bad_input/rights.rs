//! A right that is withdrawn while the operator runs.

use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{ControlPlane, Operator, wait};
use serde_json::{Value, json};

use super::{TIMEOUT, deployment, is_adopted, ready, service};

/// The rules without one verb on one resource.
fn without(rules: &Value, verb: &str, resource: &str) -> Value {
    let mut left = Vec::new();
    for rule in rules.as_array().unwrap() {
        let has = |list: &str, word: &str| rule[list].as_array().unwrap().contains(&json!(word));
        let all_but = |list: &str, word: &str| -> Value {
            rule[list].as_array().unwrap().iter().filter(|other| **other != json!(word)).cloned().collect()
        };
        if !has("verbs", verb) || !has("resources", resource) {
            left.push(rule.clone());
            continue;
        }
        let groups = rule["apiGroups"].clone();
        left.push(json!({"apiGroups": groups, "resources": all_but("resources", resource), "verbs": rule["verbs"]}));
        left.push(json!({"apiGroups": groups, "resources": [resource], "verbs": all_but("verbs", verb)}));
    }
    left.retain(|rule| rule["resources"] != json!([]) && rule["verbs"] != json!([]));
    json!(left)
}

/// Gives the operator's account these rules, and waits until that is so.
async fn grant(control_plane: &ControlPlane, rules: &Value, may_patch: bool) {
    let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
    control_plane.kubectl(["patch", "clusterrole", ACCOUNT, "--type=json", "-p", &patch]).await.unwrap();
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    wait::until("the authoriser to know it", TIMEOUT, async || {
        let answer = control_plane.kubectl_output(["auth", "can-i", "patch", "daemonsets.apps", &account], "").await?;
        Ok((answer.stdout.trim() == if may_patch { "yes" } else { "no" }).then_some(()))
    })
    .await
    .unwrap();
}

/// The service `no-name` waits for a DaemonSet, which comes when the operator may not label it any more.
pub async fn a_right_is_withdrawn(control_plane: &ControlPlane, operator: &Operator) {
    let role = control_plane.kubectl(["get", "clusterrole", ACCOUNT, "-o", "json"]).await.unwrap();
    let rules = serde_json::from_str::<Value>(&role).unwrap()["rules"].take();
    grant(control_plane, &without(&rules, "patch", "daemonsets"), false).await;
    let pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]}});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod},
    });
    control_plane.apply(&set.to_string()).await.unwrap();
    let named = "the operator's account may not patch daemonsets.apps in the namespace \"default\"; give it back: `helm upgrade`";
    let said = wait::until("the service to name the right", TIMEOUT, async || {
        let text = control_plane.kubectl(["get", "psvc", "no-name", "-n", "default", "-o", "json"]).await?;
        let service: Value = serde_json::from_str(&text)?;
        let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|c| c["message"].as_str().is_some_and(|m| m.contains(named)));
        anyhow::ensure!(found.is_some(), "{}", service["status"]);
        Ok(found.cloned())
    });
    let said = said.await.unwrap();
    println!("rights | {} {} | {} | {}", said["type"], said["status"], said["reason"], said["message"]);
    assert!(operator.log().contains("a right is missing"), "{}", operator.log());
    let metrics = operator.metrics().await.unwrap();
    let series = "goldenpath_forbidden_requests_total{resource=\"daemonsets.apps\",verb=\"patch\"} ";
    assert!(metrics.lines().any(|line| line.starts_with(series)), "{metrics}");
    control_plane
        .apply(&(deployment("default", "other", "") + &service("default", "other", "good", "")))
        .await
        .unwrap();
    ready(control_plane, "default", "platformservice/other", "Ready").await;

    grant(control_plane, &rules, true).await;
    is_adopted(control_plane, "default", "daemonset/web", "good").await;
}
