//! Services that cannot be followed, not yet, or not at all.

use goldenpath_e2e::ControlPlane;

use super::{
    REVISION, TOKEN, claim, deployment, field, golden_path, good_path, others_go_on, ready, refused, service, writes_to,
};

#[tokio::test]
async fn a_service_of_an_unknown_path_says_so_and_is_adopted_when_the_path_appears() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("unknown-path").await.unwrap();
    let yaml = deployment(&namespace, "web", "") + &service(&namespace, "web", &namespace, "");
    control_plane.apply(&yaml).await.unwrap();
    let parts = ["goldenPathRef.name", namespace.as_str(), "does not exist", "kubectl get goldenpaths"];
    refused(control_plane, &namespace, "platformservice/web", "PathNotFound", &parts).await;
    others_go_on(control_plane, &namespace).await;

    let revision = control_plane.golden_path(&golden_path(&namespace, TOKEN, "")).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", REVISION, &revision).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
}

#[tokio::test]
async fn a_service_of_a_missing_workload_waits_for_it() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("no-workload").await.unwrap();
    let path = good_path(control_plane).await;
    control_plane.apply(&service(&namespace, "web", path, "")).await.unwrap();
    let parts = ["workloads[app]", "Deployment web", "not found", namespace.as_str(), "as soon as it appears"];
    refused(control_plane, &namespace, "platformservice/web", "WorkloadNotFound", &parts).await;
    others_go_on(control_plane, &namespace).await;

    control_plane.apply(&deployment(&namespace, "web", "")).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
    assert!(field(control_plane, &namespace, "deployment/web", REVISION).await.starts_with(path));
}

#[tokio::test]
async fn a_path_that_is_only_an_idea_is_not_adopted() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("idea").await.unwrap();
    let mark = control_plane.audit_mark().unwrap();
    let yaml = deployment(&namespace, "web", "")
        + &service(&namespace, "web", &namespace, "")
        + &golden_path(&namespace, TOKEN, ", stage: Idea");
    control_plane.apply(&yaml).await.unwrap();
    let path = format!("goldenpath/{namespace}");
    refused(control_plane, &namespace, &path, "StageNotAdoptable", &["stage: Idea", "set stage: Preview or Stable"])
        .await;
    let parts = [namespace.as_str(), "stage: Idea"];
    refused(control_plane, &namespace, "platformservice/web", "PathNotReady", &parts).await;
    others_go_on(control_plane, &namespace).await;
    assert_eq!(writes_to(control_plane, mark, &namespace, "web"), 0);
}

#[tokio::test]
async fn nothing_in_an_excluded_namespace_is_written() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("excluded").await.unwrap();
    let path = good_path(control_plane).await;
    for excluded in ["kube-system", "goldenpath-system"] {
        let mark = control_plane.audit_mark().unwrap();
        let yaml = deployment(excluded, &namespace, "") + &service(excluded, &namespace, path, "");
        control_plane.apply(&yaml).await.unwrap();
        let object = format!("platformservice/{namespace}");
        let message = format!("namespace {excluded} is excluded");
        refused(control_plane, excluded, &object, "NamespaceExcluded", &[&message, "delete this PlatformService"])
            .await;
        assert_eq!(writes_to(control_plane, mark, excluded, &namespace), 0);
        control_plane.kubectl(["delete", "-n", excluded, &object, &format!("deployment/{namespace}")]).await.unwrap();
    }
    others_go_on(control_plane, &namespace).await;
}

#[tokio::test]
async fn the_younger_of_two_claims_waits_until_the_older_goes() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("claimed").await.unwrap();
    let path = good_path(control_plane).await;
    let older = deployment(&namespace, "web", "") + &claim(&namespace, "a-older", "web", path, "");
    control_plane.apply(&older).await.unwrap();
    ready(control_plane, &namespace, "platformservice/a-older", "Ready").await;
    control_plane.apply(&claim(&namespace, "b-younger", "web", path, "")).await.unwrap();
    let parts = ["workloads[app]", "Deployment web", "PlatformService a-older is older", "remove it here or there"];
    refused(control_plane, &namespace, "platformservice/b-younger", "WorkloadClaimed", &parts).await;
    others_go_on(control_plane, &namespace).await;

    control_plane.kubectl(["delete", "-n", &namespace, "platformservice/a-older"]).await.unwrap();
    ready(control_plane, &namespace, "platformservice/b-younger", "Ready").await;
    let of = r"{.metadata.labels.goldenpath\.dev/service}";
    control_plane.expect(&namespace, "deployment/web", of, "b-younger").await.unwrap();
    assert!(field(control_plane, &namespace, "deployment/web", REVISION).await.starts_with(path));
}

#[tokio::test]
async fn the_younger_of_two_claims_takes_over_what_the_older_drops_from_its_spec() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("dropped").await.unwrap();
    let path = good_path(control_plane).await;
    let both = deployment(&namespace, "web", "") + &deployment(&namespace, "other", "");
    control_plane.apply(&(both + &claim(&namespace, "a-older", "web", path, ""))).await.unwrap();
    ready(control_plane, &namespace, "platformservice/a-older", "Ready").await;
    control_plane.apply(&claim(&namespace, "b-younger", "web", path, "")).await.unwrap();
    refused(control_plane, &namespace, "platformservice/b-younger", "WorkloadClaimed", &[]).await;

    control_plane.apply(&claim(&namespace, "a-older", "other", path, "")).await.unwrap();
    ready(control_plane, &namespace, "platformservice/b-younger", "Ready").await;
    let of = r"{.metadata.labels.goldenpath\.dev/service}";
    control_plane.expect(&namespace, "deployment/web", of, "b-younger").await.unwrap();
    control_plane.expect(&namespace, "deployment/other", of, "a-older").await.unwrap();
}

#[tokio::test]
async fn a_suspended_service_is_evaluated_and_nothing_is_written() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("suspended").await.unwrap();
    let path = good_path(control_plane).await;
    let mark = control_plane.audit_mark().unwrap();
    let yaml = deployment(&namespace, "web", "") + &service(&namespace, "web", path, ", suspend: true");
    control_plane.apply(&yaml).await.unwrap();
    let found = ready(control_plane, &namespace, "platformservice/web", "Suspended").await;
    assert!(found.status == "True" && found.message.contains("suspend: true"), "{found:?}");
    let verdict = "{.status.defaults[0].state} {.status.defaults[0].message}";
    let expected = "Missing suspend: true, so the workload is not labelled";
    control_plane.expect(&namespace, "platformservice/web", verdict, expected).await.unwrap();
    others_go_on(control_plane, &namespace).await;
    assert_eq!(writes_to(control_plane, mark, &namespace, "web"), 0);
}

#[tokio::test]
async fn an_observing_service_gets_verdicts_and_nothing_is_written() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("observing").await.unwrap();
    let path = good_path(control_plane).await;
    let mark = control_plane.audit_mark().unwrap();
    let yaml = deployment(&namespace, "web", "") + &service(&namespace, "web", path, ", mode: Observe");
    control_plane.apply(&yaml).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
    let verdict = "{.status.adoption.state} {.status.defaults[0].state} {.status.defaults[0].message}";
    let expected = "Observing Missing spec.automountServiceAccountToken is open; mode: Observe fills nothing";
    control_plane.expect(&namespace, "platformservice/web", verdict, expected).await.unwrap();
    // a rollout of the team changes nothing about it
    control_plane.kubectl(["set", "image", "-n", &namespace, "deployment/web", "app=example.com/app:2"]).await.unwrap();
    others_go_on(control_plane, &namespace).await;
    let filled =
        field(control_plane, &namespace, "deployment/web", "{.spec.template.spec.automountServiceAccountToken}");
    assert_eq!(filled.await, "");
    assert_eq!(writes_to(control_plane, mark, &namespace, "web"), 0);
}

#[tokio::test]
async fn a_team_that_nobody_declares_is_read_from_labels() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let path = good_path(control_plane).await;
    let team = [("goldenpath.dev/team", "of-the-namespace")];
    let labelled = control_plane.namespace_with("team", &team).await.unwrap();
    let bare = control_plane.namespace("no-team").await.unwrap();
    let own = deployment(&labelled, "own", "").replace("labels: {}", "labels: {goldenpath.dev/team: of-the-workload}");
    let yaml = own
        + &deployment(&labelled, "web", "")
        + &deployment(&labelled, "told", "")
        + &deployment(&bare, "web", "")
        + &service(&labelled, "own", path, "")
        + &service(&labelled, "web", path, "")
        + &service(&labelled, "told", path, ", team: declared")
        + &service(&bare, "web", path, "");
    control_plane.apply(&yaml).await.unwrap();
    for (namespace, name, team) in [
        (&labelled, "own", "of-the-workload"),
        (&labelled, "web", "of-the-namespace"),
        (&labelled, "told", "declared"),
        (&bare, "web", "unowned"),
    ] {
        let object = format!("platformservice/{name}");
        control_plane.expect(namespace, &object, "{.status.team}", team).await.unwrap();
    }
}
