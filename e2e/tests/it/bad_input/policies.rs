//! Policies on the API server that somebody else had a hand in.

use goldenpath_e2e::ControlPlane;
use rstest::rstest;

use super::{REVISION, TOKEN, deployment, golden_path, others_go_on, ready, refused, service};

/// Name of the policy of a revision.
async fn policy_of(control_plane: &ControlPlane, revision: &str) -> String {
    let selector = format!("goldenpath.dev/revision={revision}");
    let query = "jsonpath={.items[*].metadata.name}";
    let kind = "mutatingadmissionpolicies";
    control_plane.kubectl(["get", kind, "-l", &selector, "-o", query]).await.unwrap()
}

/// Nothing watches policies: a pass of the path looks, and any change of the path brings one.
async fn touch(control_plane: &ControlPlane, path: &str, value: &str) {
    let annotation = format!("example.com/touched={value}");
    control_plane.kubectl(["annotate", "goldenpath", path, &annotation, "--overwrite"]).await.unwrap();
}

#[rstest]
#[case::and_the_path_stays(TOKEN)]
#[case::and_the_path_changes("{name: links, podTemplate: {spec: {enableServiceLinks: false}}}")]
#[tokio::test]
async fn a_binding_that_a_person_deleted_stays_deleted_until_the_path_is_resumed(#[case] then: &str) {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("binding").await.unwrap();
    let path = namespace.clone();
    let revision = control_plane.golden_path(&golden_path(&path, TOKEN, "")).await.unwrap();
    let policy = policy_of(control_plane, &revision).await;
    control_plane.kubectl(["delete", "mutatingadmissionpolicybinding", &policy]).await.unwrap();
    control_plane.apply(&golden_path(&path, then, "")).await.unwrap();
    touch(control_plane, &path, "1").await;
    let parts = ["somebody deleted", policy.as_str(), "nothing is filled", "goldenpath.dev/resume"];
    refused(control_plane, &namespace, &format!("goldenpath/{path}"), "BindingDeleted", &parts).await;
    others_go_on(control_plane, &namespace).await;
    let bindings = async || {
        let selector =
            format!("goldenpath.dev/path={path},goldenpath.dev/revision notin ({path}-release,{path}-switch)");
        let kind = "mutatingadmissionpolicybindings";
        control_plane.kubectl(["get", kind, "-l", &selector, "-o", "name"]).await.unwrap()
    };
    assert_eq!(bindings().await, "");

    control_plane.kubectl(["annotate", "goldenpath", &path, "goldenpath.dev/resume=now"]).await.unwrap();
    ready(control_plane, &namespace, &format!("goldenpath/{path}"), "Ready").await;
    assert!(bindings().await.contains(&path));
}

#[tokio::test]
async fn a_policy_of_a_newer_operator_is_left_alone() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("newer").await.unwrap();
    let revision = control_plane.golden_path(&golden_path(&namespace, TOKEN, "")).await.unwrap();
    let policy = policy_of(control_plane, &revision).await;
    let kind = "mutatingadmissionpolicy";
    control_plane.kubectl(["annotate", kind, &policy, "goldenpath.dev/compiler=999", "--overwrite"]).await.unwrap();
    let version = async || {
        let query = "jsonpath={.metadata.resourceVersion}";
        control_plane.kubectl(["get", kind, &policy, "-o", query]).await.unwrap()
    };
    let before = version().await;
    touch(control_plane, &namespace, "1").await;
    let parts = [policy.as_str(), "newer operator", "upgrade this one"];
    refused(control_plane, &namespace, &format!("goldenpath/{namespace}"), "NewerCompiler", &parts).await;
    others_go_on(control_plane, &namespace).await;
    // a service that comes now cannot be adopted by an operator that does not understand the policy
    let yaml = deployment(&namespace, "web", "") + &service(&namespace, "web", &namespace, "");
    control_plane.apply(&yaml).await.unwrap();
    refused(control_plane, &namespace, "platformservice/web", "PathNotReady", &["newer operator"]).await;
    control_plane.expect(&namespace, "deployment/web", REVISION, "").await.unwrap();
    assert_eq!(version().await, before);
}
