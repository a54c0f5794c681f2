//! Who an object belongs to, and what is done to it.

use std::sync::Arc;

use rstest::rstest;

use super::super::revision::Revision;
use super::super::service::plan;
use super::super::template::build;
use super::*;
use crate::api::{PlatformServiceSpec, Workload, WorkloadKind, WorkloadRef, WorkloadTemplate};
use crate::plan::exceptions::Exceptions;
use crate::plan::route::Route;

const UID: &str = "0-1-2";

fn entry(name: &str) -> Workload {
    let template = WorkloadTemplate { image: "cart:1".to_owned(), ..WorkloadTemplate::default() };
    Workload { name: name.to_owned(), reference: None, template: Some(template) }
}

fn facts(spec: PlatformServiceSpec, entry: Workload, object: Option<Value>) -> ServiceFacts {
    let mut service = PlatformService::new("cart", spec);
    service.metadata.namespace = Some("shop".to_owned());
    service.metadata.uid = Some(UID.to_owned());
    let revision = Revision { name: "web-0123456789".into(), path: "web".into(), ..Revision::default() };
    let made = entry.template.as_ref().map(|template| MadeFacts {
        built: build(&service, &entry, template),
        service: None,
        autoscaled: false,
    });
    let target = entry.target("cart");
    ServiceFacts {
        service: Arc::new(service),
        namespace: Value::Null,
        operator_namespace: "goldenpath-system".into(),
        path: PathFacts::Ready(Route { revision: Arc::new(revision), ..Route::default() }),
        exceptions: Exceptions::default(),
        workloads: vec![WorkloadFacts {
            workload: entry,
            target,
            made,
            object,
            claimed_by: None,
            made_up_path: false,
            left: None,
        }],
    }
}

fn owned(uid: &str) -> Value {
    let owner = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "name": "cart", "uid": uid, "controller": true});
    json!({"metadata": {"uid": "1", "ownerReferences": [owner]}})
}

fn labelled(service: &str) -> Value {
    json!({"metadata": {"uid": "1", "labels": {labels::TEMPLATE: service}}})
}

fn with(mode: Mode, suspend: bool) -> PlatformServiceSpec {
    PlatformServiceSpec { mode, suspend, ..PlatformServiceSpec::default() }
}

#[rstest]
#[case::owned_by_us(owned(UID), true)]
#[case::owned_by_another(owned("3-4-5"), false)]
#[case::kept_for_us(labelled("cart"), true)]
#[case::kept_for_another(labelled("checkout"), false)]
#[case::nobodys(json!({"metadata": {}}), false)]
fn an_object_is_ours_by_its_owner_or_its_label(#[case] object: Value, #[case] ours: bool) {
    let facts = facts(Default::default(), entry("api"), Some(object));
    let plan = plan(&facts).remove(0);
    assert_eq!(plan.making == Making::Keep, ours, "{plan:?}");
    assert_eq!(plan.blocker.map(|b| b.reason), (!ours).then_some(Reason::NameTaken));
}

#[rstest]
#[case::on_the_road(with(Mode::Default, false), true, "Create({\"goldenpath.dev/path\": \"web\"")]
#[case::observed(with(Mode::Observe, false), true, "Create({})")]
#[case::observed_without_a_path(with(Mode::Observe, false), false, "Create({})")]
#[case::the_path_comes_first(with(Mode::Default, false), false, "Nothing")]
#[case::suspended(with(Mode::Default, true), true, "Nothing")]
fn what_is_missing_is_made_on_the_road_or_not_yet(
    #[case] spec: PlatformServiceSpec,
    #[case] path: bool,
    #[case] expected: &str,
) {
    let mut facts = facts(spec, entry("api"), None);
    if !path {
        facts.path = PathFacts::NotReady("web".into(), "proving".into());
    }
    let plan = plan(&facts).remove(0);
    assert!(format!("{:?}", plan.making).starts_with(expected), "{plan:?}");
    assert_eq!(plan.blocker, None);
}

#[test]
fn what_ends_is_waited_for() {
    let mut object = owned(UID);
    object["metadata"]["deletionTimestamp"] = json!("2026-11-26T00:00:00Z");
    assert_eq!(plan(&facts(Default::default(), entry("api"), Some(object)))[0].making, Making::Nothing);
}

fn reference() -> Workload {
    let reference = WorkloadRef { kind: WorkloadKind::Deployment, name: "cart-api".into(), api_version: None };
    Workload { name: "api".into(), reference: Some(reference), template: None }
}

fn applied(mut object: Value) -> Value {
    object["metadata"]["annotations"] = json!({labels::APPLIED: "x"});
    object
}

#[rstest]
#[case::owned(owned(UID), true)]
#[case::applied(applied(labelled("cart")), true)]
#[case::handed_over_before(labelled("cart"), false)]
#[case::the_teams_own(json!({"metadata": {}}), false)]
fn what_is_named_by_ref_is_handed_over_once(#[case] object: Value, #[case] handed: bool) {
    let plan = plan(&facts(Default::default(), reference(), Some(object))).remove(0);
    assert_eq!((plan.making == Making::HandOver, plan.blocker), (handed, None));
}

#[test]
fn an_invalid_patch_names_its_field() {
    let mut entry = entry("api");
    entry.template.as_mut().unwrap().patch = json!({"spec": {"selector": null}}).as_object().cloned();
    let blocker = plan(&facts(Default::default(), entry, None)).remove(0).blocker.unwrap();
    assert_eq!(blocker.reason, Reason::InvalidTemplate);
    assert!(blocker.message.starts_with("workloads[api].template.patch.spec.selector cannot"), "{}", blocker.message);
}

#[test]
fn two_entries_of_one_object_are_refused() {
    let mut facts = facts(Default::default(), entry("api"), None);
    let mut other = facts.workloads[0].clone();
    (other.workload, other.made) = (Workload { name: "web".into(), ..reference() }, None);
    facts.workloads.push(other);
    let blocker = plan(&facts).remove(0).blocker.unwrap();
    assert_eq!(blocker.reason, Reason::NameTaken);
    assert!(blocker.message.contains("the entry web names it, too"), "{}", blocker.message);
}

#[test]
fn handing_over_takes_out_our_records_and_no_value() {
    let mut object = applied(owned(UID));
    object["metadata"]["labels"] = json!({labels::TEMPLATE: "cart", labels::SERVICE: "cart"});
    object["spec"] = json!({"replicas": 3});
    object["metadata"]["managedFields"] = json!([
        {"manager": "flux", "operation": "Apply"},
        {"manager": labels::FIELD_MANAGER, "operation": "Apply"},
        {"manager": labels::FIELD_MANAGER, "operation": "Update"},
    ]);
    let before = object.clone();
    let patch: json_patch::Patch = serde_json::from_value(hand_over(&object, &[labels::SERVICE])).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    let mut expected = before;
    expected["metadata"]["labels"] = json!({labels::TEMPLATE: "cart"});
    expected["metadata"]["annotations"] = json!({});
    expected["metadata"]["ownerReferences"] = json!([]);
    expected["metadata"]["managedFields"].as_array_mut().unwrap().remove(1);
    assert_eq!(object, expected);
}

#[test]
fn an_object_is_never_left_without_records() {
    let mut object = applied(labelled("cart"));
    object["metadata"]["managedFields"] = json!([
        {"manager": labels::FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(hand_over(&object, &[])).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    let left = json!({"f:metadata": {"f:labels": {"f:goldenpath.dev/template": {}}}});
    let record = json!([{"manager": labels::FIELD_MANAGER, "operation": "Update", "fieldsV1": left}]);
    assert_eq!(object["metadata"]["managedFields"], record);
}

#[test]
fn a_conflict_says_who_and_what_to_do() {
    let key = ObjectKey::workload(WorkloadKind::Deployment, "shop", "cart-api");
    let contested = |again| Contested { field: "spec.replicas".into(), manager: "argocd".into(), again };
    let said = |contested: &[Contested]| conflict(&key, "api", contested).unwrap().message;
    assert_eq!(
        said(&[contested(false), contested(false)]),
        "workloads[api]: Deployment cart-api: spec.replicas (and 1 more) is applied by argocd, too, so its value \
         stays; take it out there, or out of the template"
    );
    assert!(said(&[contested(true)]).contains("was put back once and argocd changed it again"));
    assert_eq!(conflict(&key, "api", &[]), None);
}
