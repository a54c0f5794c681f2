//! Paths that cannot be compiled: the path says so, services stay on what was in force, and other paths go on.

use goldenpath_e2e::ControlPlane;
use rstest::rstest;

use super::{REVISION, TOKEN, deployment, golden_path, others_go_on, ready, refused, service};

#[rstest]
#[case::not_a_quantity(
    "{name: requests, podTemplate: {spec: {containers: [{name: '*', resources: {requests: {cpu: banana}}}]}}}",
    &["defaults[requests].podTemplate.spec.containers[*].resources.requests.cpu", "\"banana\"", "is not a quantity", "write a quantity"])]
#[case::no_such_field(
    "{name: non-root, podTemplate: {spec: {securityContext: {runAsNonroot: true}}}}",
    &["defaults[non-root].podTemplate.spec.securityContext.runAsNonroot", "no such field", "did you mean runAsNonRoot?"])]
#[case::set_by_the_server(
    "{name: grace, podTemplate: {spec: {terminationGracePeriodSeconds: 60}}}",
    &["defaults[grace].podTemplate.spec.terminationGracePeriodSeconds", "60", "the API server sets it to 30", "write it as a check"])]
#[case::two_for_one_field(
    "{name: a, podTemplate: {spec: {hostname: one}}}, {name: b, podTemplate: {spec: {hostname: two}}}",
    &["defaults[b].podTemplate.spec.hostname", "\"two\"", "default a fills the same field", "keep one of the two"])]
#[case::privileged(
    "{name: host, podTemplate: {spec: {hostNetwork: true}}}",
    &["defaults[host].podTemplate.spec.hostNetwork", "cannot be a default", "write a check"])]
#[case::refused_by_the_server_alone(
    "{name: fine, podTemplate: {spec: {hostname: x}}}, \
     {name: seccomp, podTemplate: {spec: {securityContext: {seccompProfile: {type: Localhost}}}}}",
    &["defaults[seccomp].podTemplate", "the API server refuses it", "securityContext.seccompProfile.localhostProfile"])]
#[case::an_entry_refused_by_the_server_alone(
    "{name: env, podTemplate: {spec: {containers: [{name: '*', env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.bananas}}}]}]}}}",
    &["defaults[env].podTemplate", "the API server refuses it", "containers[0].env[0].valueFrom.fieldRef", "spec.bananas"])]
#[case::an_unknown_field_in_an_entry(
    "{name: env, podTemplate: {spec: {containers: [{name: '*', env: [{name: A, valeu: b}]}]}}}",
    &["defaults[env].podTemplate", "the API server refuses it", "valeu"])]
#[tokio::test]
async fn a_default_that_cannot_be_filled_is_answered(#[case] defaults: &str, #[case] parts: &[&str]) {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("default").await.unwrap();
    control_plane.apply(&golden_path(&namespace, defaults, "")).await.unwrap();
    refused(control_plane, &namespace, &format!("goldenpath/{namespace}"), "InvalidDefault", parts).await;
    others_go_on(control_plane, &namespace).await;
}

#[rstest]
#[case::no_cel("object.spec.(", &["defaults[d].check"])]
#[case::no_such_function("object.bananas(3)", &["defaults[d].check", "bananas"])]
#[case::no_such_variable("pod.spec.hostNetwork == true", &["defaults[d].check", "pod"])]
#[case::not_boolean("1 + 1", &["defaults[d].check", "must be true or false", "type int"])]
#[case::a_bomb("[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, \
    [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, [0,1,2,3,4,5,6,7,8,9].all(g, \
    [0,1,2,3,4,5,6,7,8,9].all(h, true))))))))", &["defaults[d].check"])]
#[tokio::test]
async fn a_check_that_cannot_be_evaluated_is_answered(#[case] check: &str, #[case] parts: &[&str]) {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("check").await.unwrap();
    let default = format!("{{name: d, check: '{check}'}}");
    control_plane.apply(&golden_path(&namespace, &default, "")).await.unwrap();
    refused(control_plane, &namespace, &format!("goldenpath/{namespace}"), "InvalidCheck", parts).await;
    others_go_on(control_plane, &namespace).await;
}

#[tokio::test]
async fn a_typo_in_a_path_in_use_leaves_its_services_on_the_last_good_revision() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("typo").await.unwrap();
    let revision = control_plane.golden_path(&golden_path(&namespace, TOKEN, "")).await.unwrap();
    let typo = TOKEN.replace("Account", "Acount");
    control_plane.apply(&golden_path(&namespace, &typo, "")).await.unwrap();
    let parts =
        ["defaults[token].podTemplate.spec.automountServiceAcountToken", "services stay on revision", &revision];
    refused(control_plane, &namespace, &format!("goldenpath/{namespace}"), "InvalidDefault", &parts).await;
    let yaml = deployment(&namespace, "web", "") + &service(&namespace, "web", &namespace, "");
    control_plane.apply(&yaml).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
    control_plane.expect(&namespace, "deployment/web", REVISION, &revision).await.unwrap();
}

/// No other story claims CronJobs.
#[tokio::test]
async fn the_younger_of_two_paths_for_a_kind_waits_until_the_older_goes() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("default-for").await.unwrap();
    let (older, younger) = (format!("{namespace}-a"), format!("{namespace}-b"));
    let claims = ", defaultFor: [CronJob]";
    control_plane.golden_path(&golden_path(&older, TOKEN, claims)).await.unwrap();
    control_plane.apply(&golden_path(&younger, TOKEN, claims)).await.unwrap();
    let object = format!("goldenpath/{younger}");
    let parts = ["defaultFor: CronJob", older.as_str(), "is older and claims it", "remove it here or there"];
    refused(control_plane, &namespace, &object, "DefaultForTaken", &parts).await;
    others_go_on(control_plane, &namespace).await;

    control_plane.kubectl(["delete", "goldenpath", &older]).await.unwrap();
    ready(control_plane, &namespace, &object, "Ready").await;
    control_plane.kubectl(["delete", "goldenpath", &younger]).await.unwrap();
}
