//! Readiness tells the truth: a watch that has been blind for a minute closes its gate, and sight opens it again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use goldenpath::api::WorkloadKind::{Deployment, StatefulSet};
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, Target};
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::wait;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{Cluster, Fleet, PATIENCE, SOON};

/// Longer than the minute after which a gate closes.
const CLOSED: Duration = Duration::from_secs(75);

/// Waits until `/readyz` says no, and why.
async fn not_ready(fleet: &Fleet) -> Result<String> {
    wait::until("/readyz to say no", CLOSED, async || {
        let (code, body) = fleet.operator.get("/readyz").await?;
        Ok((code == 503).then_some(body))
    })
    .await
}

async fn ready(fleet: &Fleet) {
    let ready = async || {
        let (code, body) = fleet.operator.get("/readyz").await?;
        ensure!(code == 200, "{body}");
        Ok(Some(()))
    };
    wait::until("/readyz to say yes again", PATIENCE, ready).await.unwrap();
}

#[tokio::test]
async fn a_watch_that_is_blind_for_a_minute_closes_its_gate_until_it_sees_again() {
    let fleet = Fleet::new().await;
    let fault = fleet.proxy.fault(Fault::new(Target::any("daemonsets"), Action::Close));
    let started = Instant::now();
    fleet.disturb("daemonsets", Disturbance::Cut { after: 0 }).await;
    let body = not_ready(&fleet).await.unwrap();
    println!("not ready after {:?}: {body}", started.elapsed());
    assert!(started.elapsed() > Duration::from_secs(55), "too early: a short fault must not take a pod out of service");
    assert!(body.starts_with("watch/daemonsets: ") && body.lines().count() == 1, "{body}");
    assert_eq!(fleet.operator.get("/livez").await.unwrap().0, 200, "blindness is no reason to be restarted");

    drop(fault);
    ready(&fleet).await;
    fleet.equals_a_recount().await;
}

/// An account that has what an installation gives the operator, in roles of its own.
async fn own_account(cluster: &Cluster) -> String {
    let control_plane = &cluster.control_plane;
    let namespace = control_plane.namespace("account").await.unwrap();
    let text = control_plane.kubectl(["get", "clusterrole", "goldenpath", "-o", "json"]).await.unwrap();
    let rules = serde_json::from_str::<Value>(&text).unwrap()["rules"].take();
    apply_role(cluster, &namespace, &rules).await;
    let account = format!("--serviceaccount={namespace}:default");
    let role = format!("--clusterrole={namespace}");
    let bind = ["create", "clusterrolebinding", &namespace, &role, &account];
    control_plane.kubectl(bind).await.unwrap();
    let bind = ["create", "rolebinding", &namespace, "-n", NAMESPACE, "--role=goldenpath", &account];
    control_plane.kubectl(bind).await.unwrap();
    namespace
}

async fn apply_role(cluster: &Cluster, name: &str, rules: &Value) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    });
    cluster.control_plane.apply(&role.to_string()).await.unwrap();
}

/// The rules without one resource.
fn without(rules: &Value, resource: &str) -> Value {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().unwrap() {
        rule["resources"].as_array_mut().unwrap().retain(|name| name != resource);
    }
    rules.as_array_mut().unwrap().retain(|rule| rule["resources"] != json!([]));
    rules
}

#[tokio::test]
async fn rights_for_one_kind_withdrawn_at_run_time_blind_that_kind_alone_until_they_are_back() {
    let cluster = Cluster::shared().await;
    let account = own_account(cluster).await;
    let kubeconfig = cluster.control_plane.as_account(&account, "default").await.unwrap();
    let fleet = Fleet::of(&cluster.control_plane, &kubeconfig).await;
    let text = cluster.control_plane.kubectl(["get", "clusterrole", &account, "-o", "json"]).await.unwrap();
    let rules = serde_json::from_str::<Value>(&text).unwrap()["rules"].take();

    apply_role(cluster, &account, &without(&rules, "statefulsets")).await;
    let as_account = cluster.control_plane.client_for(&kubeconfig).await.unwrap();
    let sets = Api::<k8s_openapi::api::apps::v1::StatefulSet>::all(as_account);
    let withdrawn = async || match sets.list(&ListParams::default().limit(1)).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(())),
        other => Ok(other.map(|_| None)?),
    };
    wait::until("the rights to be withdrawn", PATIENCE, withdrawn).await.unwrap();
    // An API server lets a running watch go on to its end; that is only waiting.
    fleet.disturb("statefulsets", Disturbance::End).await;
    fleet.notices("statefulsets", "Forbidden").await;
    fleet.create(StatefulSet, "unseen").await;
    fleet.create(Deployment, "seen").await;
    fleet.counts_within(Deployment, 1, SOON).await.unwrap();

    let body = not_ready(&fleet).await.unwrap();
    println!("not ready: {body}");
    assert!(body.starts_with("watch/statefulsets: ") && body.lines().count() == 1, "{body}");
    assert!(body.contains("403") || body.to_lowercase().contains("forbidden"), "{body}");

    apply_role(cluster, &account, &rules).await;
    ready(&fleet).await;
    fleet.counts(StatefulSet, 1).await;
    fleet.equals_a_recount().await;
}
