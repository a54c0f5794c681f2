//! Which requests are warned of, and what silences a check.

use goldenpath::api::WorkloadKind::Deployment;
use goldenpath::api::labels;
use goldenpath_e2e::wait;
use serde_json::json;

use super::{DEFAULTS, FILLS, TIMEOUT, path, turn, with_grace, with_requests, workload};

#[tokio::test]
async fn only_a_change_of_the_spec_is_spoken_of() {
    let (road, namespace) = turn().await;
    road.path("Warn", &[Deployment], &namespace).await;
    road.writes(&["create", "-n", &namespace], &workload(Deployment, "shop")).await;
    let shop = "deployment/shop";
    let silent: [&[&str]; 6] = [
        &["scale", shop, "--replicas=1"],
        &["patch", shop, "--type=merge", "-p", r#"{"spec":{"replicas":0}}"#],
        &["label", shop, "tier=front"],
        &["annotate", shop, "example.com/note=x"],
        &["patch", shop, "--type=merge", "-p", r#"{"metadata":{"finalizers":["example.com/keep"]}}"#],
        &["patch", shop, "--subresource=status", "--type=merge", "-p", r#"{"status":{"collisionCount":3}}"#],
    ];
    for words in silent {
        let said = road.does(&[words, &["-n", &namespace]].concat()).await;
        assert!(said.nothing(), "{words:?}: {said:?}");
    }
    let said = road.does(&["set", "image", shop, "app=example.com/app:2", "-n", &namespace]).await;
    assert!(said.succeeded && said.warns_of("default requests") && said.warns_of("default grace"), "{said:?}");
    // what is right is not spoken of
    let said = road.writes(&["apply", "-n", &namespace], &with_requests(&workload(Deployment, "shop"))).await;
    assert!(said.warns_of("default grace") && !said.warns_of("default requests"), "{said:?}");
    // and a deletion needs no good manners
    road.does(&["patch", shop, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#, "-n", &namespace]).await;
    assert!(road.does(&["delete", shop, "-n", &namespace]).await.nothing());
}

#[tokio::test]
async fn what_the_road_fills_in_the_same_request_is_not_asked_for() {
    let (road, namespace) = turn().await;
    road.path("Warn", &[Deployment], &namespace).await;
    let said = road.writes(&["create", "-n", &namespace], &workload(Deployment, "shop")).await;
    assert!(said.warns_of("default requests") && said.warns_of(FILLS), "{said:?}");
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": "shop"},
        "spec": {"workloads": [{"name": "app", "ref": {"kind": "Deployment", "name": "shop"}}]},
    });
    assert!(road.writes(&["create", "-n", &namespace], &service).await.nothing());
    let path = r"{.metadata.labels.goldenpath\.dev/path}";
    road.control_plane.expect(&namespace, "deployment/shop", path, "web").await.unwrap();
    let said = road.does(&["set", "image", "deployment/shop", "app=example.com/app:2", "-n", &namespace]).await;
    assert!(said.warns_of("default grace") && !said.warns_of("requests"), "{said:?}");
    let memory = "{.spec.template.spec.containers[0].resources.requests.memory}";
    road.control_plane.expect(&namespace, "deployment/shop", memory, "64Mi").await.unwrap();
}

#[tokio::test]
async fn whoever_has_a_reason_can_silence_a_check_and_only_that_one() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    let create = ["create", "--dry-run=server", "-n", &namespace];

    let mut skipped = workload(Deployment, "shop");
    skipped["metadata"]["labels"] = json!({"skip.goldenpath.dev/grace": ""});
    let said = road.writes(&create, &skipped).await;
    let refusal = said.refusal().unwrap();
    assert!(refusal.contains("default requests") && !refusal.contains("default grace"), "{refusal}");
    let said = road.writes(&create, &with_requests(&skipped)).await;
    assert!(said.nothing(), "{said:?}");

    let mut broken_glass = workload(Deployment, "shop");
    broken_glass["metadata"]["annotations"] = json!({labels::SKIP: labels::SKIP_ALL});
    assert!(road.writes(&create, &broken_glass).await.nothing());
    broken_glass["metadata"]["annotations"] = json!({labels::SKIP: "please"});
    assert!(!road.writes(&create, &broken_glass).await.succeeded);
}

#[tokio::test]
async fn what_a_path_forbids_is_silenced_by_an_exemption_alone_and_for_whom_it_names() {
    let (road, namespace) = turn().await;
    let forbidden = DEFAULTS.replace("- name: grace\n", "- name: grace\n    override: Forbidden\n");
    let text = path("Deny", &[Deployment], &forbidden, "");
    road.control_plane.golden_path(&text).await.unwrap();
    road.speaks(Deployment, &namespace).await;
    let create = ["create", "--dry-run=server", "-n", &namespace];
    let mut shop = with_requests(&workload(Deployment, "shop"));
    shop["metadata"]["labels"] = json!({"skip.goldenpath.dev/grace": ""});
    shop["metadata"]["annotations"] = json!({labels::SKIP: labels::SKIP_ALL});
    assert!(road.writes(&create, &shop).await.refusal().is_some_and(|told| told.contains("default grace")));

    let exemption = |end: &str| {
        format!(
            "{text}\n  exemptions:\n  - {{name: slow, namespaceSelector: {{matchLabels: {{feedback: 'on'}}}}, namespace: {namespace}, \
             defaults: [grace], reason: RISK-1, approvedBy: ana, expiresAt: '{end}'}}\n"
        )
    };
    road.control_plane.golden_path(&exemption("2036-01-01T00:00:00Z")).await.unwrap();
    let passes = async || road.writes(&create, &shop).await.nothing().then_some(());
    wait::until("the exemption to be in force", TIMEOUT, async || Ok(passes().await)).await.unwrap();
    let other = road.control_plane.namespace_with("told", &[("feedback", "on")]).await.unwrap();
    let said = road.writes(&["create", "--dry-run=server", "-n", &other], &shop).await;
    assert!(said.refusal().is_some_and(|told| told.contains("default grace")), "{said:?}");

    // one that has ended is none, whoever is alive to take it away
    road.control_plane.golden_path(&exemption("2026-01-01T00:00:00Z")).await.unwrap();
    let refused = async || road.writes(&create, &shop).await.refusal().map(drop);
    wait::until("the exemption to end", TIMEOUT, async || Ok(refused().await)).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_another_controller_or_another_path_is_left_alone() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    let create = ["create", "--dry-run=server", "-n", &namespace];
    let owned_by = |version: &str, controller: bool| {
        let mut child = workload(Deployment, "child");
        let owner = json!({
            "apiVersion": version, "kind": "Owner", "name": "x", "uid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            "controller": controller,
        });
        child["metadata"]["ownerReferences"] = json!([owner]);
        child
    };
    assert!(road.writes(&create, &owned_by("databases.example.com/v1", true)).await.nothing());
    // an owner that controls nothing, and a service of ours
    for child in [owned_by("databases.example.com/v1", false), owned_by("goldenpath.dev/v1alpha1", true)] {
        assert!(road.writes(&create, &child).await.refusal().is_some(), "{child}");
    }

    let mut elsewhere = workload(Deployment, "shop");
    elsewhere["metadata"]["labels"] = json!({labels::PATH: "other"});
    assert!(road.writes(&create, &elsewhere).await.nothing());
    elsewhere["metadata"]["labels"] = json!({labels::PATH: "web"});
    assert!(road.writes(&create, &elsewhere).await.refusal().is_some());
    assert!(road.writes(&create, &with_grace(&with_requests(&elsewhere))).await.nothing());
}
