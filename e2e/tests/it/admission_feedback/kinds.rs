//! Every kind, and where nothing is ever said.

use anyhow::ensure;
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::installed::NAMESPACE;
use goldenpath_e2e::wait;

use super::{FILLS, GRACE, HELP, REQUESTS, TIMEOUT, turn, with_grace, with_requests, workload};

#[tokio::test]
async fn a_new_workload_of_every_kind_hears_what_its_path_asks_for() {
    let (road, namespace) = turn().await;
    road.path("Warn", &WorkloadKind::ALL, &namespace).await;
    for kind in WorkloadKind::ALL {
        let shop = workload(kind, "shop");
        let said = road.writes(&["create", "-n", &namespace], &shop).await;
        assert!(said.succeeded, "{said:?}");
        let warning = format!("{kind} shop does not keep to GoldenPath web: {REQUESTS}; {GRACE}; {HELP}; {FILLS}");
        assert_eq!(said.warnings(), [warning], "{said:?}");
        println!("{}", said.lines.join("\n"));
        let said =
            road.writes(&["apply", "-n", &namespace], &with_requests(&with_grace(&workload(kind, "good")))).await;
        assert!(said.nothing(), "{said:?}");
    }
    no_type_is_complained_of(&road).await;
}

/// The controller manager type-checks policies against the kinds that they match, and says in their status what it finds.
async fn no_type_is_complained_of(road: &super::Road) {
    let policies = wait::until("the policies to be type-checked", TIMEOUT, async || {
        let policies = road.policies().await;
        for policy in &policies {
            ensure!(policy["status"]["observedGeneration"] == policy["metadata"]["generation"], "{}", policy["status"]);
        }
        Ok((!policies.is_empty()).then_some(policies))
    });
    for policy in policies.await.unwrap() {
        assert_eq!(policy["status"]["typeChecking"].get("expressionWarnings"), None, "{}", policy["status"]);
    }
}

#[tokio::test]
async fn nothing_is_said_where_nobody_asked_for_it() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[WorkloadKind::Deployment, WorkloadKind::CronJob], &namespace).await;
    let unselected = road.control_plane.namespace("untold").await.unwrap();
    // selected by label, and excluded by name
    for excluded in ["kube-system", "kube-public", NAMESPACE] {
        road.control_plane.kubectl(["label", "namespace", excluded, "feedback=on", "--overwrite"]).await.unwrap();
    }
    for place in [&unselected, "kube-system", "kube-public", NAMESPACE] {
        let said = road
            .writes(&["create", "--dry-run=server", "-n", place], &workload(WorkloadKind::Deployment, "shop"))
            .await;
        // other admission has its own to say
        assert!(said.succeeded && said.warnings().is_empty(), "{place}: {said:?}");
    }
    // of a kind that takes no path by default
    let said = road.writes(&["create", "-n", &namespace], &workload(WorkloadKind::DaemonSet, "agent")).await;
    assert!(said.nothing(), "{said:?}");
}
