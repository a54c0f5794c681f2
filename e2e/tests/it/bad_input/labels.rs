//! Our labels, set by somebody else.

use goldenpath_e2e::ControlPlane;
use rstest::rstest;

use super::{REVISION, TOKEN, deployment, field, golden_path, good_path, in_force, others_go_on, ready, service};

const LABELS: &str = r"{.metadata.labels}";

/// The Deployment `web` with labels in YAML flow style.
fn labelled(namespace: &str, labels: &str) -> String {
    deployment(namespace, "web", "").replace("labels: {}", &format!("labels: {{{labels}}}"))
}

#[tokio::test]
async fn labels_that_name_a_service_that_does_not_exist_are_removed() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("ghost").await.unwrap();
    let path = good_path(control_plane).await;
    let ours = format!(
        "own: stays, goldenpath.dev/service: ghost, goldenpath.dev/path: {path}, goldenpath.dev/revision: {path}-0"
    );
    control_plane.apply(&labelled(&namespace, &ours)).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", LABELS, r#"{"own":"stays"}"#).await.unwrap();
    others_go_on(control_plane, &namespace).await;
}

#[rstest]
#[case::a_path_that_does_not_exist("goldenpath.dev/path: bananas")]
#[case::path_and_revision_that_do_not_exist(
    "goldenpath.dev/path: bananas, goldenpath.dev/revision: bananas-0123456789"
)]
#[case::a_release_of_a_path_that_does_not_exist(
    "goldenpath.dev/path: bananas, goldenpath.dev/revision: bananas-release"
)]
#[case::a_revision_alone("goldenpath.dev/revision: bananas-0123456789")]
#[case::a_service_that_does_not_exist("goldenpath.dev/service: ghost")]
#[case::as_long_as_labels_can_be(
    "goldenpath.dev/path: a23456789012345678901234567890123456789012345678901234567890123, \
     goldenpath.dev/revision: b23456789012345678901234567890123456789012345678901234567890123, \
     goldenpath.dev/service: c23456789012345678901234567890123456789012345678901234567890123, \
     goldenpath.dev/on-delete: d23456789012345678901234567890123456789012345678901234567890123, \
     goldenpath.dev/team: e23456789012345678901234567890123456789012345678901234567890123"
)]
#[tokio::test]
async fn a_claimed_workload_with_made_up_labels_is_adopted(#[case] labels: &str) {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("made-up").await.unwrap();
    let path = good_path(control_plane).await;
    let yaml = labelled(&namespace, labels) + &service(&namespace, "web", path, "");
    control_plane.apply(&yaml).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
    // a path that might have filled something is left with the team's next rollout, the new one is taken after it
    control_plane.kubectl(["set", "image", "-n", &namespace, "deployment/web", "app=example.com/app:2"]).await.unwrap();
    let ours = r"{.metadata.labels.goldenpath\.dev/service} {.metadata.labels.goldenpath\.dev/path}";
    control_plane.expect(&namespace, "deployment/web", ours, &format!("web {path}")).await.unwrap();
    assert!(field(control_plane, &namespace, "deployment/web", REVISION).await.starts_with(path));
    others_go_on(control_plane, &namespace).await;
}

#[tokio::test]
async fn a_workload_that_a_tenant_labelled_with_another_path_comes_to_the_path_of_its_service() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("hijack").await.unwrap();
    let path = good_path(control_plane).await;
    let links = "{name: links, podTemplate: {spec: {enableServiceLinks: false, shareProcessNamespace: true}}}";
    let other = control_plane.golden_path(&golden_path(&namespace, links, "")).await.unwrap();
    let ours = format!("goldenpath.dev/path: {namespace}, goldenpath.dev/revision: {other}");
    // a label is all it takes to be on a road, once its policy is in force
    let shared = "{.spec.template.spec.shareProcessNamespace}";
    in_force(control_plane, &labelled(&namespace, &ours), shared, "true").await;
    control_plane.apply(&labelled(&namespace, &ours)).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", shared, "true").await.unwrap();
    control_plane.apply(&service(&namespace, "web", path, "")).await.unwrap();
    let paths = r"{.metadata.labels.goldenpath\.dev/path} after {.metadata.labels.goldenpath\.dev/release}";
    control_plane.expect(&namespace, "deployment/web", paths, &format!("{path} after {namespace}")).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", shared, "true").await.unwrap();
    control_plane.kubectl(["set", "image", "-n", &namespace, "deployment/web", "app=example.com/app:2"]).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", paths, &format!("{path} after ")).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", shared, "").await.unwrap();
    others_go_on(control_plane, &namespace).await;
}

#[tokio::test]
async fn a_revision_that_a_tenant_changed_is_put_right() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("moved").await.unwrap();
    let path = good_path(control_plane).await;
    let own = control_plane.golden_path(&golden_path(&namespace, TOKEN, "")).await.unwrap();
    control_plane.apply(&(labelled(&namespace, "") + &service(&namespace, "web", path, ""))).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
    let revision = field(control_plane, &namespace, "deployment/web", REVISION).await;
    let foreign = format!("goldenpath.dev/revision={own}");
    control_plane.kubectl(["label", "-n", &namespace, "deployment/web", &foreign, "--overwrite"]).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", REVISION, &revision).await.unwrap();
    others_go_on(control_plane, &namespace).await;
}
