//! Every kind that can be asked for, and those that cannot.

use anyhow::{Result, ensure};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, wait};
use serde_json::{Value, json};

use super::{PATIENCE, Shop, WEB, budget, is_owned, path, resource};

/// The definition of a kind that clusters may have or not.
fn definition(group: &str, version: &str, kind: &str, plural: &str) -> String {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"size": {"type": "integer", "maximum": 9}}},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
    .to_string()
}

async fn refused(control_plane: &ControlPlane, name: &str, default: Value) -> Result<String> {
    control_plane.apply(&path(name, &[default])).await?;
    let query = "{.status.conditions[?(@.type==\"Ready\")].reason} {.status.conditions[?(@.type==\"Ready\")].message}";
    let message = wait::until(&format!("GoldenPath {name} to be refused"), PATIENCE, async || {
        let live = control_plane.kubectl(["get", "goldenpath", name, "-o", &format!("jsonpath={query}")]).await?;
        Ok(live.strip_prefix("InvalidDefault ").map(ToOwned::to_owned))
    })
    .await?;
    println!("InvalidDefault | {message}");
    Ok(message)
}

fn of(api_version: &str, kind: &str, spec: &Value) -> Value {
    resource("extra", &json!([{"apiVersion": api_version, "kind": kind, "spec": spec}]))
}

#[tokio::test]
async fn what_cannot_be_made_is_said_on_the_path() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = async || control_plane.namespace("refused").await;
    let message = refused(control_plane, &name().await?, of("v1", "Secret", &json!({}))).await?;
    ensure!(message.contains("Secret of v1 is not allowed") && message.contains("companionKinds"), "{message}");
    let own = of("policy/v1", "PodDisruptionBudget", &json!({"selector": {"matchLabels": {"app": "web"}}}));
    let message = refused(control_plane, &name().await?, own).await?;
    ensure!(
        message.contains("resources[PodDisruptionBudget].spec.selector") && message.contains("leave it out"),
        "{message}"
    );
    let both = of("policy/v1", "PodDisruptionBudget", &json!({"maxUnavailable": 1, "minAvailable": 1}));
    let message = refused(control_plane, &name().await?, both).await?;
    ensure!(message.contains("the API server refuses it") && message.contains("cannot be both set"), "{message}");
    let typo = of("policy/v1", "PodDisruptionBudget", &json!({"maxUnavailabel": 1}));
    let message = refused(control_plane, &name().await?, typo).await?;
    ensure!(message.contains(".spec.maxUnavailabel: field not declared"), "{message}");

    // a typo in a path disturbs no service that follows it already
    let name = name().await?;
    let revision = control_plane.golden_path(&path(&name, &[budget()])).await?;
    let shop = Shop::on(control_plane, &name).await?;
    shop.web().await?;
    shop.until(super::WEB_BUDGET, "made", is_owned).await?;
    let message = refused(control_plane, &name, of("v1", "Secret", &json!({}))).await?;
    ensure!(message.contains(&format!("services stay on revision {revision}")), "{message}");
    shop.verdict(super::BUDGET, WEB, "Applied").await?;
    ensure!(shop.names("pdb").await?.len() == 1, "the budget stays");
    Ok(())
}

/// The right to make gadgets, as the chart grants it for `companionKinds`.
fn gadgets_are_allowed() -> String {
    let verbs = ["list", "watch", "create", "patch", "delete"];
    let rules = json!([{"apiGroups": ["example.com"], "resources": ["gadgets"], "verbs": verbs}]);
    let of = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gadgets"});
    let to = json!([{"kind": "ServiceAccount", "name": "goldenpath", "namespace": "goldenpath-system"}]);
    let object = |kind: &str, more: Value| {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "gadgets"}});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let role = object("ClusterRole", json!({"rules": rules}));
    let binding = object("ClusterRoleBinding", json!({"roleRef": of, "subjects": to}));
    json!({"apiVersion": "v1", "kind": "List", "items": [role, binding]}).to_string()
}

/// One default for each kind.
fn one_of_each() -> Vec<Value> {
    [
        ("budget", "policy/v1", "PodDisruptionBudget", json!({"maxUnavailable": 1})),
        ("network", "networking.k8s.io/v1", "NetworkPolicy", json!({"policyTypes": ["Ingress"], "ingress": [{}]})),
        ("service", "v1", "Service", json!({"ports": [{"port": 80, "targetPort": "http"}]})),
        ("scaled", "autoscaling/v2", "HorizontalPodAutoscaler", json!({"minReplicas": 2, "maxReplicas": 5})),
        ("monitored", "monitoring.coreos.com/v1", "ServiceMonitor", json!({"endpoints": [{"port": "http"}]})),
        ("gadget", "example.com/v1", "Gadget", json!({"size": 3, "targetRef": {}})),
    ]
    .map(|(name, api_version, kind, spec)| {
        resource(name, &json!([{"apiVersion": api_version, "kind": kind, "spec": spec}]))
    })
    .into()
}

/// The kind of a monitor comes later, and then it needs a Service with labels.
async fn a_monitor_waits_for_its_kind_and_for_a_service(shop: &Shop<'_>) -> Result<()> {
    let message = shop.verdict("monitored", WEB, "Missing").await?;
    ensure!(message.contains("the API server does not serve it"), "{message}");
    let monitors = definition("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors");
    shop.control_plane.apply(&monitors).await?;
    wait::until("the monitor to be looked at", PATIENCE * 2, async || {
        let message = shop.verdict("monitored", WEB, "Missing").await?;
        Ok(message.contains("no Service with labels").then_some(()))
    })
    .await?;
    shop.kubectl("label service/web-service app=web").await?;
    let monitor = shop.until("servicemonitor/web-monitored", "made", is_owned).await?;
    ensure!(monitor["spec"]["selector"] == json!({"matchLabels": {"app": "web"}}), "{}", monitor["spec"]);
    Ok(())
}

/// One of the team's own for the same target or the same pods goes first.
async fn the_teams_own_goes_first(shop: &Shop<'_>) -> Result<()> {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let selector = json!({"matchLabels": {"app": "web"}});
    for (default, api_version, kind, spec) in [
        ("gadget", "example.com/v1", "Gadget", json!({"targetRef": target})),
        ("network", "networking.k8s.io/v1", "NetworkPolicy", json!({"podSelector": {}})),
        ("service", "v1", "Service", json!({"selector": {"app": "web"}, "ports": [{"port": 81}]})),
        ("scaled", "autoscaling/v2", "HorizontalPodAutoscaler", json!({"scaleTargetRef": target, "maxReplicas": 3})),
        ("monitored", "monitoring.coreos.com/v1", "ServiceMonitor", json!({"selector": selector})),
    ] {
        let metadata = json!({"name": "own", "labels": {"app": "web"}});
        shop.apply(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})).await?;
        let message = shop.verdict(default, WEB, "SatisfiedByTeam").await?;
        ensure!(message == format!("{kind} own covers its pods"), "{message}");
        shop.gone(&format!("{}/web-{default}", kind.to_lowercase())).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_is_bound_to_its_workload() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    control_plane.apply(&gadgets_are_allowed()).await?;
    control_plane.apply(&definition("example.com", "v1", "Gadget", "gadgets")).await?;
    let args = vec!["--companion-kind=example.com/v1/Gadget=gadgets".into()];
    let _operator =
        Operator::start(&control_plane, &OperatorOptions { kubeconfig, args, ..Default::default() }).await?;
    control_plane.golden_path(&path("all", &one_of_each())).await?;
    let shop = Shop::on(&control_plane, "all").await?;
    shop.web().await?;
    let selector = json!({"matchLabels": {"app": "web"}});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    for (object, field, value) in [
        ("pdb/web-budget", "selector", selector.clone()),
        ("networkpolicy/web-network", "podSelector", selector),
        ("service/web-service", "selector", json!({"app": "web"})),
        ("hpa/web-scaled", "scaleTargetRef", target.clone()),
        ("gadget/web-gadget", "targetRef", target),
    ] {
        let made = shop.until(object, "made", is_owned).await?;
        ensure!(made["spec"][field] == value, "{object}: {}", made["spec"]);
    }
    // the autoscaler that the path brought is at work
    shop.until("deployment/web", "scaled", |o| o["spec"]["replicas"] == 2).await?;
    for default in ["budget", "network", "service", "scaled", "gadget"] {
        shop.verdict(default, WEB, "Applied").await?;
    }
    a_monitor_waits_for_its_kind_and_for_a_service(&shop).await?;
    the_teams_own_goes_first(&shop).await?;

    let mut gadget = one_of_each().remove(5);
    gadget["resources"][0]["spec"]["size"] = json!(10);
    let message = refused(&control_plane, "too-large", gadget).await?;
    ensure!(message.contains("spec.size") && message.contains("less than or equal to 9"), "{message}");
    Ok(())
}
