//! Fields of an object and who holds them, in the shapes that a 1.37 API server writes.

use rstest::rstest;
use serde_json::json;

use super::super::template::ObjectKey;
use super::*;
use crate::api::WorkloadKind;

fn wanted(image: &str) -> Wanted {
    let key = ObjectKey::workload(WorkloadKind::Deployment, "shop", "cart-api");
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart-api", "namespace": "shop", "labels": {labels::TEMPLATE: "cart"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {"spec": {"containers": [{
                "name": "api",
                "image": image,
                "ports": [{"name": "main", "containerPort": 8080}],
                "env": [{"name": "A", "value": "x"}],
                "resources": {"requests": {"cpu": "0.1"}},
            }]}},
        },
    });
    Wanted::new(key, &object)
}

/// What the API server keeps of it, and the fields of whoever applied it.
fn live(wanted: &Wanted) -> Value {
    let mut object = wanted.object.clone();
    object["metadata"]["uid"] = json!("1");
    let container = &mut object["spec"]["template"]["spec"]["containers"][0];
    container["ports"][0]["protocol"] = json!("TCP");
    container["resources"]["requests"]["cpu"] = json!("100m");
    container["imagePullPolicy"] = json!("Always");
    object["metadata"]["managedFields"] = json!([{
        "manager": labels::FIELD_MANAGER,
        "operation": "Apply",
        "fieldsV1": {
            "f:metadata": {
                "f:annotations": {"f:goldenpath.dev/applied": {}},
                "f:labels": {"f:goldenpath.dev/template": {}},
            },
            "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"api\"}": {
                    ".": {}, "f:name": {}, "f:image": {},
                    "f:ports": {"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}},
                    "f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}},
                    "f:resources": {"f:requests": {"f:cpu": {}}},
                },
            }}}},
        },
    }]);
    object
}

const CONTAINER: &str = "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"api\"}";

/// Somebody takes the image over.
fn edited(mut object: Value, manager: &str, operation: &str, image: &str) -> Value {
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    let entries = object["metadata"]["managedFields"].as_array_mut().unwrap();
    entries[0].pointer_mut(CONTAINER).unwrap().as_object_mut().unwrap().remove("f:image");
    entries.push(json!({
        "manager": manager,
        "operation": operation,
        "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"api\"}": {"f:image": {}}}}}}},
    }));
    object
}

fn compared(wanted: &Wanted, live: &Value) -> Difference {
    difference(wanted, live, &PutBack::default(), false)
}

fn image(difference: &Difference) -> Option<&str> {
    difference.apply.as_ref()?.pointer("/spec/template/spec/containers/0/image")?.as_str()
}

#[test]
fn what_is_in_place_is_not_applied_again() {
    assert_eq!(compared(&wanted("cart:1"), &live(&wanted("cart:1"))), Difference::default());
}

#[test]
fn what_an_admission_plugin_rewrites_is_no_drift() {
    let mut object = live(&wanted("cart:1"));
    object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mirror.example.com/cart:1");
    assert_eq!(compared(&wanted("cart:1"), &object), Difference::default());
}

#[test]
fn what_is_wanted_now_is_applied_to_that_very_object() {
    let found = compared(&wanted("cart:2"), &live(&wanted("cart:1")));
    assert_eq!(image(&found), Some("cart:2"));
    assert_eq!(found.apply.unwrap()["metadata"]["uid"], "1");
    assert_eq!((found.puts_back, found.contested), (vec![], vec![]));
}

#[test]
fn labels_of_adoption_stay_in_what_is_applied() {
    let mut object = live(&wanted("cart:1"));
    object["metadata"]["labels"][labels::REVISION] = json!("web-1");
    object["metadata"]["labels"][labels::TEAM] = json!("payments");
    let labels = compared(&wanted("cart:2"), &object).apply.unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels, json!({labels::TEMPLATE: "cart", labels::REVISION: "web-1"}));
}

const IMAGE: &str = "spec.template.spec.containers[api].image";

#[test]
fn an_edit_is_put_back_once() {
    let object = edited(live(&wanted("cart:1")), "kubectl-set", "Update", "cart:9");
    let found = compared(&wanted("cart:1"), &object);
    assert_eq!(image(&found), Some("cart:1"));
    assert_eq!(found.puts_back, [(IMAGE.to_owned(), "kubectl-set".to_owned())]);

    let before = PutBack { hash: wanted("cart:1").hash, fields: found.puts_back };
    let again = difference(&wanted("cart:1"), &object, &before, false);
    let contested = Contested { field: IMAGE.to_owned(), manager: "kubectl-set".to_owned(), again: true };
    assert_eq!((again.apply, again.contested), (None, vec![contested]));

    let other = difference(&wanted("cart:2"), &object, &before, false);
    assert_eq!(image(&other), Some("cart:2"), "another content is another try");
}

#[test]
fn what_another_manager_applies_is_left_to_it() {
    let object = edited(live(&wanted("cart:1")), "argocd", "Apply", "cart:9");
    let found = compared(&wanted("cart:1"), &object);
    let contested = vec![Contested { field: IMAGE.to_owned(), manager: "argocd".to_owned(), again: false }];
    assert_eq!((found.apply, &found.contested), (None, &contested));

    let mut more = wanted("cart:1");
    more.object["spec"]["replicas"] = json!(5);
    let more = Wanted::new(more.key.clone(), &more.object);
    let found = compared(&more, &object);
    assert_eq!(found.contested, contested);
    let applied = found.apply.unwrap();
    assert_eq!(applied["spec"]["replicas"], 5);
    assert_eq!(applied["spec"]["template"]["spec"]["containers"][0].get("image"), None, "{applied}");
}

#[test]
fn a_value_that_is_held_together_is_not_taken_away_from_the_other() {
    let mut object = live(&wanted("cart:1"));
    let fields = json!({"f:spec": object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]});
    let flux = json!({"manager": "flux", "operation": "Apply", "fieldsV1": fields});
    object["metadata"]["managedFields"].as_array_mut().unwrap().push(flux);
    let found = compared(&wanted("cart:2"), &object);
    let contested = Contested { field: IMAGE.to_owned(), manager: "flux".to_owned(), again: false };
    assert_eq!((image(&found), &found.contested), (None, &vec![contested]));
}

#[test]
fn a_field_that_somebody_removed_comes_back() {
    let mut object = live(&wanted("cart:1"));
    object["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().remove("env");
    let mine = object["metadata"]["managedFields"][0].pointer_mut(CONTAINER).unwrap().as_object_mut().unwrap();
    mine.remove("f:env");
    let found = compared(&wanted("cart:1"), &object);
    assert_eq!((found.apply.is_some(), found.puts_back), (true, vec![]));
}

#[test]
fn an_object_without_records_is_applied_anew() {
    let mut object = live(&wanted("cart:1"));
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert!(compared(&wanted("cart:1"), &object).apply.is_some());
}

/// Replicas as an autoscaler, or `kubectl scale`, leaves them.
fn scaled(manager: &str, replicas: i32) -> Value {
    let mut object = live(&wanted("cart:1"));
    object["spec"]["replicas"] = json!(replicas);
    let entries = object["metadata"]["managedFields"].as_array_mut().unwrap();
    entries[0].pointer_mut("/fieldsV1/f:spec").unwrap().as_object_mut().unwrap().remove("f:replicas");
    entries.push(json!({
        "manager": manager, "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }));
    object
}

#[test]
fn replicas_are_the_autoscalers_where_there_is_one() {
    let object = scaled("kube-controller-manager", 5);
    let quiet = difference(&wanted("cart:1"), &object, &PutBack::default(), true);
    assert_eq!(quiet, Difference::default());
    let next = difference(&wanted("cart:2"), &object, &PutBack::default(), true).apply.unwrap();
    assert_eq!(next["spec"].get("replicas"), None);
    let alone = difference(&wanted("cart:1"), &object, &PutBack::default(), false).apply.unwrap();
    assert_eq!(alone["spec"]["replicas"], 2, "without one they are put back");
}

#[test]
fn replicas_that_no_autoscaler_has_touched_yet_stay_as_they_are() {
    let mut more = wanted("cart:1");
    more.object["spec"]["replicas"] = json!(7);
    let more = Wanted::new(more.key.clone(), &more.object);
    let found = difference(&more, &live(&wanted("cart:1")), &PutBack::default(), true);
    assert_eq!(found.apply.unwrap()["spec"]["replicas"], 2);
}

#[rstest]
#[case::a_quantity(json!("0.1"), json!("100m"), true)]
#[case::a_number_for_a_quantity(json!(1), json!("1"), true)]
#[case::another_quantity(json!("1"), json!("100m"), false)]
#[case::defaults_beside(json!({"a": 1}), json!({"a": 1, "b": 2}), true)]
#[case::something_missing(json!({"a": 1}), json!({}), false)]
#[case::a_longer_list(json!([1]), json!([1, 2]), false)]
#[case::texts(json!("a"), json!("b"), false)]
fn values_mean_the_same(#[case] wanted: Value, #[case] live: Value, #[case] same: bool) {
    assert_eq!(means(&wanted, &live), same);
}
