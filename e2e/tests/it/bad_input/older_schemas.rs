//! Objects that were stored under an older schema, which the present one would not take.

use goldenpath_e2e::{ControlPlane, Options, programs};
use serde_json::{Value, json};

use super::definitions::waits_for_them;
use super::rights::a_right_is_withdrawn;
use super::{REVISION, TOKEN, deployment, golden_path, ready, refused, service};

/// Our definitions as an older chart might have brought them, before anybody knew better: every spec is taken.
fn older_definitions() -> String {
    let folder = programs::repository().join("crds");
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let mut crd: Value = serde_saphyr::from_str(&text).unwrap();
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        schema.as_object_mut().unwrap().remove("x-kubernetes-validations");
        crd
    };
    let items = [read("goldenpath.dev_goldenpaths.yaml"), read("goldenpath.dev_platformservices.yaml")];
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A service with anything as its spec.
fn stored(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: goldenpath.dev/v1alpha1
kind: PlatformService
metadata: {{name: {name}, namespace: default}}
spec: {spec}
---
"
    )
}

/// Name, spec and a part of the parser's answer.
const UNREADABLE: [(&str, &str, &str); 5] = [
    ("no-name", "{workloads: [{ref: {kind: Deployment, name: web}}]}", "issing field"),
    ("no-workloads", "{goldenPathRef: {name: good}}", "issing field"),
    ("other-type", "{suspend: often, workloads: [{name: app, ref: {kind: Deployment, name: web}}]}", "\"often\""),
    ("other-kind", "{workloads: [{name: app, ref: {kind: ReplicaSet, name: web}}]}", "nknown variant"),
    ("other-mode", "{mode: Force, workloads: [{name: app, ref: {kind: Deployment, name: web}}]}", "nknown variant"),
];

/// A control plane with the older definitions, and with objects that only they let in.
async fn from_older_times() -> ControlPlane {
    let control_plane = ControlPlane::start(Options::default()).await.unwrap();
    control_plane.apply(&older_definitions()).await.unwrap();
    let crds = ["crd/platformservices.goldenpath.dev", "crd/goldenpaths.goldenpath.dev"];
    let established = ["wait", "--for=condition=Established", "--timeout=30s", crds[0], crds[1]];
    control_plane.kubectl(established).await.unwrap();
    for (name, spec, _) in UNREADABLE {
        control_plane.apply(&stored(name, spec)).await.unwrap();
    }
    let path = golden_path("unreadable", "", "").replace("defaults: []", "defaults: all");
    control_plane.apply(&(path + &deployment("default", "web", ""))).await.unwrap();
    let eager = ", stage: Preview, defaultFor: [CronJob], admission: {level: Deny}";
    let check = "{name: deadline, check: 'has(object.spec.startingDeadlineSeconds)'}";
    control_plane.apply(&golden_path("eager", check, eager)).await.unwrap();
    control_plane
}

#[tokio::test]
async fn objects_that_an_older_schema_let_in_are_named_and_stop_nobody() {
    let control_plane = from_older_times().await;
    let operator = waits_for_them(&control_plane).await.unwrap();
    for (name, _, why) in UNREADABLE {
        let object = format!("platformservice/{name}");
        refused(&control_plane, "default", &object, "Undecodable", &["cannot be read", why, "apply it anew"]).await;
    }
    let parts = ["cannot be read", "\"all\"", "apply it anew"];
    refused(&control_plane, "default", "goldenpath/unreadable", "Undecodable", &parts).await;
    let parts =
        ["revision eager-", "is proved and in force", "admission.level: Deny", "stage Preview; set level: Warn"];
    refused(&control_plane, "default", "goldenpath/eager", "InvalidAdmission", &parts).await;
    let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
    let feedback = ["get", kinds, "-l", "goldenpath.dev/path", "-o", "name"];
    assert_eq!(control_plane.kubectl(feedback).await.unwrap(), "", "nobody is refused anything");
    let follower = deployment("default", "stuck", "") + &service("default", "stuck", "unreadable", "");
    control_plane.apply(&follower).await.unwrap();
    refused(&control_plane, "default", "platformservice/stuck", "PathNotReady", &["cannot be read"]).await;

    let revision = control_plane.golden_path(&golden_path("good", TOKEN, "")).await.unwrap();
    control_plane.apply(&service("default", "web", "good", "")).await.unwrap();
    ready(&control_plane, "default", "platformservice/web", "Ready").await;
    control_plane.expect("default", "deployment/web", REVISION, &revision).await.unwrap();

    // what could not be read comes right when it is written anew
    let anew = "{goldenPathRef: {name: good}, workloads: [{name: app, ref: {kind: DaemonSet, name: web}}]}";
    control_plane.apply(&stored("no-name", anew)).await.unwrap();
    refused(&control_plane, "default", "platformservice/no-name", "WorkloadNotFound", &[]).await;
    assert!(operator.is_alive());
    a_right_is_withdrawn(&control_plane, &operator).await;
}
