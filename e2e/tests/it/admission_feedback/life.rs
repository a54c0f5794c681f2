//! How feedback comes, changes and goes.

use anyhow::ensure;
use goldenpath::api::WorkloadKind::{Deployment, StatefulSet};
use goldenpath_e2e::audit::account;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::{audit, wait};

use super::{DEFAULTS, TIMEOUT, path, turn, workload};

#[tokio::test]
async fn level_off_and_a_deleted_path_take_everything_away() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    assert_eq!(road.feedback().await.len(), 4, "two policies and their bindings");
    road.control_plane.golden_path(&path("Off", &[Deployment], DEFAULTS, "")).await.unwrap();
    road.has_no_feedback().await;
    wait::until("nothing to be refused", TIMEOUT, async || {
        let said = road.writes(&["create", "--dry-run=server", "-n", &namespace], &workload(Deployment, "shop")).await;
        ensure!(said.nothing(), "{said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
    road.path("Warn", &[Deployment], &namespace).await;
    assert_eq!(road.feedback().await.len(), 2);
    // a workload that is labelled with the path keeps its fills, and nobody is warned in the name of what is gone
    let mut left = workload(Deployment, "left");
    left["metadata"]["labels"] = serde_json::json!({"goldenpath.dev/path": "web"});
    road.writes(&["create", "-n", &namespace], &left).await;
    road.control_plane.kubectl(["delete", "goldenpath", "web"]).await.unwrap();
    road.has_no_feedback().await;
    road.control_plane.kubectl(["delete", "deployment", "left", "-n", &namespace]).await.unwrap();
}

#[tokio::test]
async fn a_change_replaces_what_is_in_force_without_a_gap_and_a_second_look_writes_nothing() {
    let (road, namespace) = turn().await;
    road.path("Warn", &[Deployment], &namespace).await;
    let before = road.feedback().await;
    let reworded = DEFAULTS.replace("Set resources", "Please set resources");
    road.control_plane.golden_path(&path("Warn", &[Deployment], &reworded, "")).await.unwrap();
    let create = ["create", "--dry-run=server", "-n", &namespace];
    wait::until("the new words", TIMEOUT, async || {
        let said = road.writes(&create, &workload(Deployment, "shop")).await;
        assert!(!said.warnings().is_empty(), "a gap: {said:?}");
        let old = said.lines.iter().any(|line| line.contains("default requests: Set"));
        ensure!(!old && said.warns_of("Please set resources"), "{said:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
    let after = road.feedback().await;
    assert!(after.len() == 2 && before.iter().all(|name| !after.contains(name)), "{before:?} {after:?}");

    let mark = road.control_plane.audit_mark().unwrap();
    road.control_plane.kubectl(["annotate", "goldenpath", "web", "example.com/touched=1"]).await.unwrap();
    wait::until("a pass over the path", TIMEOUT, async || {
        let events = road.control_plane.audit_since(mark)?;
        let user = account(NAMESPACE, ACCOUNT);
        let looked = events.iter().filter(|e| e.user == user && e.resource == "validatingadmissionpolicybindings");
        Ok((looked.count() >= 1).then_some(()))
    })
    .await
    .unwrap();
    let writes = audit::writes(&road.control_plane.audit_since(mark).unwrap(), &account(NAMESPACE, ACCOUNT));
    assert_eq!(writes.total(), 0, "{writes}");
}

#[tokio::test]
async fn a_binding_that_a_person_deleted_stays_deleted_until_the_path_is_resumed_each_time_anew() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    let create = ["create", "--dry-run=server", "-n", &namespace];
    for time in 1..=2 {
        let bindings = ["delete", "validatingadmissionpolicybindings", "-l", "goldenpath.dev/path=web"];
        road.control_plane.kubectl(bindings).await.unwrap();
        // an edit is no answer to somebody who pulled the brake
        let reworded = DEFAULTS.replace("Set resources", &format!("Please {time} set resources"));
        road.control_plane.apply(&path("Deny", &[Deployment], &reworded, "")).await.unwrap();
        let message = road.ready("BindingDeleted").await;
        let parts = [
            "is proved and in force, its admission feedback is not",
            "somebody deleted ValidatingAdmissionPolicyBinding goldenpath-web-",
            "it warns and refuses nobody any more",
            "kubectl annotate goldenpath web goldenpath.dev/resume=",
        ];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        wait::until("the brake to work", TIMEOUT, async || {
            let said = road.writes(&create, &workload(Deployment, "shop")).await;
            ensure!(said.succeeded, "{said:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
        let left = ["get", "validatingadmissionpolicybindings", "-l", "goldenpath.dev/path", "-o", "name"];
        assert_eq!(road.control_plane.kubectl(left).await.unwrap(), "");

        let resume = format!("goldenpath.dev/resume={time}");
        road.control_plane.kubectl(["annotate", "goldenpath", "web", &resume, "--overwrite"]).await.unwrap();
        road.ready("Ready").await;
        wait::until("refusals to be back", TIMEOUT, async || {
            let said = road.writes(&create, &workload(Deployment, "shop")).await;
            ensure!(!said.succeeded, "{said:?}");
            Ok(Some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_path_that_is_no_default_any_more_is_silent() {
    let (road, namespace) = turn().await;
    let older = path("Off", &[StatefulSet], DEFAULTS, "").replace("name: web", "name: older");
    road.control_plane.golden_path(&older).await.unwrap();
    // creation times are whole seconds, and the older one is to be older
    let created = wait::until("another second", TIMEOUT, async || {
        let made = road
            .control_plane
            .kubectl([
                "create",
                "configmap",
                "clock",
                "--dry-run=server",
                "-o",
                "jsonpath={.metadata.creationTimestamp}",
            ])
            .await?;
        let first = road
            .control_plane
            .kubectl(["get", "goldenpath", "older", "-o", "jsonpath={.metadata.creationTimestamp}"])
            .await?;
        Ok((made > first).then_some(()))
    });
    created.await.unwrap();
    road.path("Warn", &[Deployment], &namespace).await;
    let claims = path("Off", &[Deployment], DEFAULTS, "").replace("name: web", "name: older");
    road.control_plane.golden_path(&claims).await.unwrap();
    road.control_plane.kubectl(["annotate", "goldenpath", "web", "example.com/touched=1"]).await.unwrap();
    road.ready("DefaultForTaken").await;
    road.has_no_feedback().await;
    // the one that waits goes first, or it would be back for a moment when the other goes
    road.control_plane.kubectl(["delete", "goldenpath", "web"]).await.unwrap();
}
