//! The Deprecations that people need today: each says of an object as somebody has it that it is old, of the same object as it
//! should be that it is not, and its fix makes the one of the other. The page for platform teams names them.

use goldenpath::plan::consumers::fix::remedy;
use goldenpath::plan::consumers::{Matcher, Sight};
use serde_json::json;

use super::*;

/// File, an object that is old, and what it should be; null where it should be of another kind.
fn needed() -> [(&'static str, Value, Value); 5] {
    let annotated = |class: Value, annotations: Value| json!({"metadata": {"annotations": annotations}, "spec": class});
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
    let written = |version: &str| json!({"metadata": {"managedFields": [{"manager": "helm", "operation": "Update", "apiVersion": version}]}});
    let class = "kubernetes.io/ingress.class";
    [
        (
            "deprecation-ingress-class.yaml",
            annotated(json!({"ingressClassName": "nginx"}), json!({"a": "b"})),
            annotated(json!({"ingressClassName": "shared"}), json!({"a": "b"})),
        ),
        (
            "deprecation-annotation.yaml",
            annotated(json!({}), json!({class: "nginx", "a": "b"})),
            annotated(json!({"ingressClassName": "shared"}), json!({"a": "b"})),
        ),
        (
            "deprecation-base-image.yaml",
            image("docker.io/library/openjdk:8-jre"),
            image("docker.io/library/openjdk:21"),
        ),
        ("deprecation-autoscaling-v1.yaml", written("autoscaling/v1"), written("autoscaling/v2")),
        ("deprecation-kyverno-cluster-policy.yaml", json!({"kind": "ClusterPolicy"}), Value::Null),
    ]
}

#[test]
fn what_people_need_to_deprecate_today_is_found_and_mended() {
    let all = samples("valid");
    for (file, old, new) in needed() {
        let sample = all.iter().find(|sample| sample.name == file).unwrap();
        let spec = Deprecation::deserialize(&sample.object).unwrap().spec;
        let matchers: Vec<Matcher> = spec.matches.iter().map(|entry| Matcher::compile(entry).unwrap()).collect();
        let sights = |object: &Value| -> Vec<Sight> { matchers.iter().map(|m| m.look(object, &Value::Null)).collect() };
        let seen = sights(&old);
        assert!(seen.iter().any(|sight| matches!(sight, Sight::Matched { .. })), "{file}: {seen:?}");
        assert!(seen.iter().all(|sight| !matches!(sight, Sight::Unevaluable(_))), "{file}: {seen:?}");
        if !new.is_null() {
            assert!(sights(&new).iter().all(|sight| *sight == Sight::NotMatched), "{file}: {:?}", sights(&new));
        }
        let fix = spec.replacement.as_ref().and_then(|replacement| replacement.fix.as_ref());
        if let Some(fix) = fix {
            let entries = spec.matches.iter().map(|entry| entry.name.as_str()).zip(&matchers);
            let patch = remedy(&fix.patch, &old, &Value::Null, entries).unwrap();
            let mut mended = old.clone();
            json_patch::merge(&mut mended, &Value::Object(patch));
            assert_eq!(mended, new, "{file}");
        }
    }
}

#[test]
fn the_page_for_platform_teams_names_each_of_them() {
    let page = std::fs::read_to_string(repository().join("docs/deprecate.md")).unwrap();
    for (file, ..) in needed() {
        assert!(page.contains(&format!("../manifests/samples/valid/{file}")), "docs/deprecate.md does not link {file}");
    }
}
