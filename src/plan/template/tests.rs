//! Templates and the objects that they make, whole.

use rstest::rstest;

use super::*;
use crate::api::{Probes, TemplateKind};

fn service(name: &str, policy: Option<DeletionPolicy>) -> PlatformService {
    let spec = PlatformServiceSpec { deletion_policy: policy, ..PlatformServiceSpec::default() };
    let mut service = PlatformService::new(name, spec);
    service.metadata.namespace = Some("shop".to_owned());
    service.metadata.uid = Some("0-1-2".to_owned());
    service
}

fn workload(name: &str, template: WorkloadTemplate) -> Workload {
    Workload { name: name.to_owned(), reference: None, template: Some(template) }
}

fn cart() -> WorkloadTemplate {
    WorkloadTemplate { image: "ghcr.io/acme/cart:1.0.0".to_owned(), port: Some(8080), ..WorkloadTemplate::default() }
}

fn fields(value: &Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

fn made(template: WorkloadTemplate) -> Built {
    let workload = workload("api", template);
    build(&service("cart", None), &workload, workload.template.as_ref().unwrap()).unwrap()
}

#[test]
fn eight_lines_make_a_deployment_and_a_service() {
    let built = made(cart());
    insta::assert_yaml_snapshot!("deployment", built.workload.object);
    insta::assert_yaml_snapshot!("service", built.service.unwrap().object);
}

#[test]
fn every_field_of_a_template_arrives() {
    let template = WorkloadTemplate {
        kind: Some(TemplateKind::StatefulSet),
        command: vec!["/cart".into()],
        args: vec!["--verbose".into()],
        env: vec![fields(&json!({"name": "MODE", "value": "fast"})).unwrap()],
        env_from: vec![fields(&json!({"secretRef": {"name": "cart"}})).unwrap()],
        replicas: Some(3),
        resources: fields(&json!({"limits": {"memory": "64Mi"}})),
        probes: Some(Probes {
            startup: fields(&json!({"tcpSocket": {"port": 8080}})),
            readiness: fields(&json!({"httpGet": {"port": 8080, "path": "/ready"}})),
            liveness: fields(&json!({"httpGet": {"port": 8080, "path": "/live"}})),
        }),
        patch: fields(&json!({
            "metadata": {"annotations": {"example.com/page": "cart"}, "labels": {labels::TEAM: "payments"}},
            "spec": {"template": {"spec": {
                "serviceAccountName": "cart",
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "containers": [{"name": "api", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}],
            }}},
        })),
        ..cart()
    };
    let built = made(template);
    insta::assert_yaml_snapshot!("stateful-set", built.workload.object);
    insta::assert_yaml_snapshot!("headless-service", built.service.unwrap().object);
}

#[test]
fn a_schedule_makes_a_cron_job_and_no_service() {
    let schedule = Some("*/10 * * * *".to_owned());
    let built = made(WorkloadTemplate { port: None, schedule, ..cart() });
    insta::assert_yaml_snapshot!("cron-job", built.workload.object);
    assert_eq!(built.service, None);
}

#[rstest]
#[case::of_service_and_entry("cart", "api", "cart-api")]
#[case::both_called_the_same("cart", "cart", "cart")]
fn an_object_is_called(#[case] of: &str, #[case] entry: &str, #[case] expected: &str) {
    let workload = workload(entry, cart());
    let built = build(&service(of, None), &workload, workload.template.as_ref().unwrap()).unwrap();
    assert_eq!(built.workload.key.name, expected);
    assert_eq!(built.service.unwrap().key.name, expected);
}

#[rstest]
#[case::by_default(None, true)]
#[case::delete(Some(DeletionPolicy::Delete), true)]
#[case::undo_is_for_others(Some(DeletionPolicy::Undo), true)]
#[case::keep(Some(DeletionPolicy::Keep), false)]
fn what_goes_with_the_service_is_owned_by_it(#[case] policy: Option<DeletionPolicy>, #[case] owned: bool) {
    let workload = workload("api", cart());
    let built = build(&service("cart", policy), &workload, workload.template.as_ref().unwrap()).unwrap();
    for wanted in [built.workload, built.service.unwrap()] {
        assert_eq!(wanted.object["metadata"].get("ownerReferences").is_some(), owned, "{}", wanted.key);
    }
}

#[test]
fn the_hash_says_what_the_object_says() {
    let hash = |image: &str| made(WorkloadTemplate { image: image.to_owned(), ..cart() }).workload.hash;
    assert_eq!(hash("a"), hash("a"));
    assert_ne!(hash("a"), hash("b"));
}

#[rstest]
#[case::what_it_is(json!({"kind": "DaemonSet"}), "kind")]
#[case::its_name(json!({"metadata": {"name": "other"}}), "metadata.name")]
#[case::its_namespace(json!({"metadata": {"namespace": "kube-system"}}), "metadata.namespace")]
#[case::its_owner(json!({"metadata": {"ownerReferences": []}}), "metadata.ownerReferences")]
#[case::its_status(json!({"status": {"replicas": 1}}), "status")]
#[case::our_label(json!({"metadata": {"labels": {labels::REVISION: "x"}}}), "metadata.labels[goldenpath.dev/revision]")]
#[case::our_annotation(json!({"metadata": {"annotations": {labels::SKIP: "*"}}}), "metadata.annotations[goldenpath.dev/skip]")]
#[case::all_labels(json!({"metadata": {"labels": null}}), "metadata.labels[app.kubernetes.io/name]")]
#[case::all_metadata(json!({"metadata": null}), "metadata.labels[app.kubernetes.io/name]")]
#[case::everything(json!({"spec": null}), "spec.selector")]
#[case::the_selector(json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}), "spec.selector")]
#[case::no_selector(json!({"spec": {"selector": null}}), "spec.selector")]
#[case::the_service(json!({"spec": {"serviceName": "other"}}), "spec.serviceName")]
#[case::a_label_of_pods(
    json!({"spec": {"template": {"metadata": {"labels": {INSTANCE: "x"}}}}}),
    "spec.template.metadata.labels[app.kubernetes.io/instance]"
)]
#[case::all_labels_of_pods(
    json!({"spec": {"template": {"metadata": null}}}),
    "spec.template.metadata.labels[app.kubernetes.io/name]"
)]
fn a_patch_that_changes_what_is_not_its_own_is_refused(#[case] patch: Value, #[case] field: &str) {
    let workload = workload("api", WorkloadTemplate { patch: fields(&patch), ..cart() });
    let refused = build(&service("cart", None), &workload, workload.template.as_ref().unwrap()).unwrap_err();
    assert_eq!(refused.field, field);
    assert!(refused.to_string().starts_with(&format!("template.patch.{field} cannot be changed: ")), "{refused}");
}

#[test]
fn a_patch_that_repeats_what_stands_there_is_fine() {
    let selector = json!({"spec": {"selector": {"matchLabels": {NAME: "cart"}}}});
    let same = made(WorkloadTemplate { patch: fields(&selector), ..cart() });
    assert_eq!(same, made(WorkloadTemplate { patch: fields(&json!({})), ..cart() }));
}
