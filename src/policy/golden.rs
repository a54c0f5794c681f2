//! Golden files of whole policies: a changed policy is looked at before it is accepted.

use serde_json::json;

use super::{Job, Operator, compile, proof};
use crate::plan::leaf::Road;
use crate::plan::pod_template::road;

fn operator() -> Operator {
    Operator {
        username: "system:serviceaccount:goldenpath-system:goldenpath".into(),
        namespace: "goldenpath-system".into(),
    }
}

/// One of each shape: a scalar, a whole struct, map entries that look at each other, a list entry, a container by name.
fn every_shape() -> Road {
    road(&json!({"spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "*", "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
             "env": [{"name": "TZ", "value": "UTC"}]},
            {"name": "app", "resources": {"requests": {"cpu": "200m"}}},
        ],
    }}))
}

#[test]
fn a_revision_is_one_policy() {
    let compiled = compile("web", "web-0123456789", &every_shape(), Job::Fill, &operator()).unwrap();
    insta::assert_yaml_snapshot!("revision", compiled.policy);
    insta::assert_yaml_snapshot!("binding", compiled.binding);
}

#[test]
fn a_release_takes_values_and_traces_out() {
    let compiled = compile("web", "web-release", &every_shape().release(), Job::Release, &operator()).unwrap();
    insta::assert_yaml_snapshot!("release", compiled.policy);
}

#[test]
fn a_switch_takes_values_out_and_the_label_that_asked_for_it() {
    let compiled = compile("web", "web-switch", &every_shape().release(), Job::Switch, &operator()).unwrap();
    insta::assert_yaml_snapshot!("switch", compiled.policy);
}

#[test]
fn the_name_is_the_content() {
    let name = |road: &Road| compile("web", "web-1", road, Job::Fill, &operator()).unwrap().name().to_owned();
    let other = road(&json!({"spec": {"automountServiceAccountToken": false}}));
    assert_eq!(name(&every_shape()), name(&every_shape()));
    assert_ne!(name(&every_shape()), name(&other));
}

#[test]
fn a_proof_is_loud_and_stays_at_home() {
    let compiled = compile("web", "web-1", &every_shape(), Job::Fill, &operator()).unwrap();
    let copy = proof(&compiled, "web", "web-1", &operator()).unwrap();
    let json = serde_json::to_value(&copy.binding).unwrap();
    let only = &json["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(*only, json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["goldenpath-system"]}));
    assert_eq!(copy.policy.spec.unwrap().failure_policy.as_deref(), Some("Fail"));
}

#[test]
fn a_value_cannot_become_code() {
    let hostile = "x'] + variables.secret + ['\\";
    let road = road(&json!({"spec": {"containers": [{"name": "*", "workingDir": hostile}]}}));
    let compiled = compile("web", "web-1", &road, Job::Fill, &operator()).unwrap();
    let text = serde_json::to_string(&compiled.policy).unwrap();
    assert!(text.contains(r"x\\'] + variables.secret + [\\'\\\\"), "{text}");
}
