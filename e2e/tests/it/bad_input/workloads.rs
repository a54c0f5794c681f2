//! Workloads that cannot be adopted, and workloads whose records say less than the operator would like.

use std::time::Duration;

use goldenpath_e2e::{ControlPlane, wait};
use serde_json::json;

use super::{
    REVISION, deployment, field, golden_path, good_path, in_force, is_adopted, others_go_on, ready, refused, service,
    writes_to,
};

#[tokio::test]
async fn a_workload_of_another_controller_is_left_to_it() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("managed").await.unwrap();
    let path = good_path(control_plane).await;
    control_plane.kubectl(["create", "configmap", "database", "-n", &namespace]).await.unwrap();
    let uid = field(control_plane, &namespace, "configmap/database", "{.metadata.uid}").await;
    let owner =
        format!("ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: database, uid: {uid}, controller: true}}]");
    let mark = control_plane.audit_mark().unwrap();
    let child = deployment(&namespace, "web", "").replace("labels: {}", &owner);
    control_plane.apply(&(child + &service(&namespace, "web", path, ""))).await.unwrap();
    let parts = ["workloads[app]", "Deployment web", "belongs to ConfigMap database", "set the defaults there"];
    refused(control_plane, &namespace, "platformservice/web", "WorkloadManaged", &parts).await;
    others_go_on(control_plane, &namespace).await;
    assert_eq!(writes_to(control_plane, mark, &namespace, "web"), 0);
}

/// A policy of the cluster's own admins, against what the good path fills.
fn veto(namespace: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}]
  validations:
  - {{expression: '!(object.spec.template.spec.?automountServiceAccountToken == optional.of(false))', message: tokens must be mounted here}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec:
  policyName: {namespace}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}, objectSelector: {{matchLabels: {{veto: 'yes'}}}}}}
"
    )
}

#[tokio::test]
async fn a_workload_that_the_server_refuses_with_the_defaults_is_not_labelled_until_it_takes_them() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("veto").await.unwrap();
    let path = good_path(control_plane).await;
    control_plane.apply(&veto(&namespace)).await.unwrap();
    let of =
        |name: &str, extra: &str| deployment(&namespace, name, extra).replace("labels: {}", "labels: {veto: 'yes'}");
    let denied = of("denied", ", automountServiceAccountToken: false");
    wait::until("the veto to be in force", Duration::from_secs(30), async || {
        let tried = control_plane.kubectl_output(["apply", "--dry-run=server", "-f", "-"], &denied).await?;
        Ok(tried.stderr.contains("tokens must be mounted here").then_some(()))
    })
    .await
    .unwrap();
    let mark = control_plane.audit_mark().unwrap();
    control_plane.apply(&(of("web", "") + &service(&namespace, "web", path, ""))).await.unwrap();
    let parts =
        ["workloads[app]", "the API server refuses the workload with the defaults", "tokens must be mounted here"];
    refused(control_plane, &namespace, "platformservice/web", "ApiServerRefused", &parts).await;
    let verdict = "{.status.defaults[0].state}: {.status.defaults[0].message}";
    let verdict = field(control_plane, &namespace, "platformservice/web", verdict).await;
    assert!(verdict.starts_with("Missing: ") && verdict.contains("tokens must be mounted here"), "{verdict}");
    others_go_on(control_plane, &namespace).await;
    assert_eq!(field(control_plane, &namespace, "deployment/web", REVISION).await, "");
    assert_eq!(writes_to(control_plane, mark, &namespace, "web"), 0);

    let both = ["validatingadmissionpolicybinding", "validatingadmissionpolicy"];
    for kind in both {
        control_plane.kubectl(["delete", kind, &namespace]).await.unwrap();
    }
    // nobody touches the workload or its service: the operator asks again by itself
    is_adopted(control_plane, &namespace, "deployment/web", path).await;
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;
}

/// A `CronJob` that nobody but us writes to, with `size` bytes in an argument.
fn full_of(namespace: &str, size: usize) -> String {
    let pod = json!({
        "restartPolicy": "Never",
        "containers": [{"name": "app", "image": "example.com/app:1", "args": ["x".repeat(size)]}],
    });
    let spec = json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": pod}}}});
    let metadata = json!({"name": "web", "namespace": namespace});
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}).to_string()
}

/// etcd takes requests of 1.5 MiB: at 1.4 MB the labels still fit, and at the limit they do not.
#[tokio::test]
async fn a_workload_as_large_as_etcd_takes_is_adopted_or_says_why_not() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let path = good_path(control_plane).await;
    for (prefix, largest) in [("large", 1_400_000), ("full", 1_572_864)] {
        let namespace = control_plane.namespace(prefix).await.unwrap();
        let mut sizes = (1..).map(|step| largest - 64 * step);
        let size = loop {
            let size = sizes.next().unwrap();
            let made = control_plane.kubectl_output(["create", "-f", "-"], &full_of(&namespace, size)).await.unwrap();
            if made.status.success() {
                break size;
            }
            assert!(made.stderr.contains("too large") || made.stderr.contains("Too long"), "{}", made.stderr);
        };
        println!("{prefix}: a CronJob with an argument of {size} bytes");
        let wish = service(&namespace, "web", path, "").replace("kind: Deployment", "kind: CronJob");
        control_plane.apply(&wish).await.unwrap();
        others_go_on(control_plane, &namespace).await;
        if prefix == "large" {
            ready(control_plane, &namespace, "platformservice/web", "Ready").await;
            assert!(field(control_plane, &namespace, "cronjob/web", REVISION).await.starts_with(path));
        } else {
            let parts = ["workloads[app]", "the API server refused the labels", "too large"];
            refused(control_plane, &namespace, "platformservice/web", "ApiServerRefused", &parts).await;
            assert_eq!(field(control_plane, &namespace, "cronjob/web", REVISION).await, "");
        }
    }
}

/// A client that clears `managedFields` takes away the record of who wrote what. The team's value here is the road's
/// first literal, so that nothing but that record tells whose it is.
#[tokio::test]
async fn what_a_team_wrote_stays_when_the_record_of_it_is_cleared() {
    let control_plane = ControlPlane::with_goldenpath().await.unwrap();
    let namespace = control_plane.namespace("scrubbed").await.unwrap();
    let host = |name: &str| format!("{{name: host, podTemplate: {{spec: {{hostname: {name}}}}}}}");
    control_plane.golden_path(&golden_path(&namespace, &host("one"), "")).await.unwrap();
    let workload = deployment(&namespace, "web", ", hostname: one");
    control_plane.kubectl_stdin(["create", "-f", "-"], &workload).await.unwrap();
    let clear = r#"[{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]"#;
    control_plane.kubectl(["patch", "-n", &namespace, "deployment/web", "--type=json", "-p", clear]).await.unwrap();
    control_plane.apply(&service(&namespace, "web", &namespace, "")).await.unwrap();
    ready(control_plane, &namespace, "platformservice/web", "Ready").await;

    // the road moves on, and the team deploys: the server records nothing more until somebody applies server-side
    let second = control_plane.golden_path(&golden_path(&namespace, &host("two"), "")).await.unwrap();
    control_plane.expect(&namespace, "deployment/web", REVISION, &second).await.unwrap();
    let road = format!("labels: {{goldenpath.dev/revision: {second}}}");
    let labelled = deployment(&namespace, "other", "").replace("labels: {}", &road);
    in_force(control_plane, &labelled, "{.spec.template.spec.hostname}", "two").await;
    control_plane.kubectl(["set", "image", "-n", &namespace, "deployment/web", "app=example.com/app:2"]).await.unwrap();
    let query = "{.spec.template.spec.hostname} {.spec.template.spec.containers[0].image}";
    assert_eq!(field(control_plane, &namespace, "deployment/web", query).await, "one example.com/app:2");
    others_go_on(control_plane, &namespace).await;
}
