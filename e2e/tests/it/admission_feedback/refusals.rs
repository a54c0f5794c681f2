//! Level Deny: what is refused, what is let through, and that nobody has to be alive for it.

use goldenpath::api::WorkloadKind::{self, Deployment};
use goldenpath::api::labels;

use super::{DEFAULTS, GRACE, HELP, REQUESTS, path, turn, with_grace, with_requests, workload};

#[tokio::test]
async fn a_refusal_names_everything_that_is_wrong_and_the_fix_works() {
    let (road, namespace) = turn().await;
    road.path("Deny", &WorkloadKind::ALL, &namespace).await;
    for kind in WorkloadKind::ALL {
        let shop = workload(kind, "shop");
        let said = road.writes(&["create", "-n", &namespace], &shop).await;
        assert!(!said.succeeded && said.warnings().is_empty(), "{said:?}");
        let told = format!("{kind} shop does not keep to GoldenPath web: {REQUESTS}; {GRACE}; {HELP}");
        assert_eq!(said.refusal(), Some(told.as_str()), "{said:?}");
        println!("{}", said.lines.join("\n"));
        let said = road.writes(&["create", "-n", &namespace], &with_requests(&shop)).await;
        assert!(said.refusal().is_some_and(|told| told.contains(GRACE) && !told.contains(REQUESTS)), "{said:?}");
        let said = road.writes(&["apply", "-n", &namespace], &with_grace(&with_requests(&shop))).await;
        assert!(said.nothing(), "{said:?}");
        // also when it is taken out again
        let said = road.writes(&["apply", "-n", &namespace], &with_grace(&shop)).await;
        let alone = format!("{kind} shop does not keep to GoldenPath web: {REQUESTS}; {HELP}");
        let refusals: Vec<&str> = said.refusal().into_iter().collect();
        assert_eq!(refusals, [alone], "{said:?}");
    }
}

#[tokio::test]
async fn what_was_so_before_is_warned_of_and_never_refused() {
    let (road, namespace) = turn().await;
    // of a time before the path said anything: its first version has no requests, its second one has
    let first = workload(Deployment, "shop");
    road.writes(&["apply", "-n", &namespace], &first).await;
    road.path("Deny", &[Deployment], &namespace).await;
    let shop = ["deployment/shop", "-n", &namespace];
    let said = road.does(&[&["set", "image"], &shop[..], &["app=example.com/app:2"]].concat()).await;
    assert!(said.succeeded && said.warns_of(REQUESTS) && said.warns_of(GRACE), "{said:?}");
    let second = r"{.metadata.annotations.deployment\.kubernetes\.io/revision}";
    road.control_plane.expect(&namespace, "deployment/shop", second, "2").await.unwrap();
    let said = road.does(&[&["rollout", "undo"], &shop[..]].concat()).await;
    assert!(said.succeeded && said.warns_of(REQUESTS) && said.warns_of(GRACE), "{said:?}");
    let said = road.does(&[&["rollout", "pause"], &shop[..]].concat()).await;
    assert!(said.succeeded && said.warns_of(REQUESTS) && said.warns_of(GRACE), "{said:?}");
    // once it is right it stays right
    let said = road.writes(&["apply", "-n", &namespace], &with_requests(&first)).await;
    assert!(said.succeeded && said.warns_of(GRACE) && !said.warns_of(REQUESTS), "{said:?}");
    let said = road.writes(&["apply", "-n", &namespace], &first).await;
    assert!(said.warns_of(GRACE) && !said.warns_of(REQUESTS), "{said:?}");
    assert!(said.refusal().is_some_and(|told| told.contains(REQUESTS) && !told.contains(GRACE)), "{said:?}");
    // whoever must, can, and says so
    let mut emergency = first.clone();
    emergency["metadata"]["annotations"] = serde_json::json!({labels::SKIP: labels::SKIP_ALL});
    let said = road.writes(&["apply", "-n", &namespace], &emergency).await;
    assert!(said.nothing(), "{said:?}");
}

#[tokio::test]
async fn the_api_server_answers_alone_when_the_operator_is_dead() {
    let (mut road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    road.operator.kill().await.unwrap();
    let said = road.writes(&["create", "-n", &namespace], &workload(Deployment, "shop")).await;
    assert!(said.refusal().is_some(), "{said:?}");
    let good = with_grace(&with_requests(&workload(Deployment, "shop")));
    assert!(road.writes(&["create", "-n", &namespace], &good).await.nothing());
}

/// A check that holds for every probe and cannot be evaluated for some workload that nobody thought of.
const UNGUARDED: &str = r#"
  - name: tier
    check: "object.metadata.name != 'odd' || object.metadata.labels['tier'] == 'front'"
  - name: requests
    check: variables.template.spec.containers.all(c, c.?resources.?requests.?memory.hasValue())
"#;

#[tokio::test]
async fn a_check_that_stops_with_an_error_lets_pass_or_refuses_as_asked_and_hides_no_other() {
    let (road, namespace) = turn().await;
    let create = ["create", "--dry-run=server", "-n", &namespace];
    let (odd, good) = (workload(Deployment, "odd"), with_requests(&workload(Deployment, "odd")));

    road.control_plane.golden_path(&path("Deny", &[Deployment], UNGUARDED, "")).await.unwrap();
    road.speaks(Deployment, &namespace).await;
    assert!(road.writes(&create, &good).await.nothing(), "failurePolicy: Ignore is the default");
    let said = road.writes(&create, &odd).await;
    assert!(said.refusal().is_some_and(|told| told.contains("default requests")), "{said:?}");

    road.control_plane.golden_path(&path("Deny", &[Deployment], UNGUARDED, ", failurePolicy: Fail")).await.unwrap();
    goldenpath_e2e::wait::until("the failure policy to be in force", super::TIMEOUT, async || {
        let said = road.writes(&create, &good).await;
        anyhow::ensure!(said.refusal().is_some_and(|told| told.contains("no such key: labels")), "{said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
    // back, so that nothing is refused meanwhile
    road.control_plane.golden_path(&path("Deny", &[Deployment], DEFAULTS, "")).await.unwrap();
}
