//! The decision, case by case: when, what, and when not.

use rstest::rstest;

use super::*;
use crate::plan::pod_template;

const KIND: WorkloadKind = WorkloadKind::Deployment;
const NOW: &str = "2026-12-01T12:00:00Z";

fn road() -> Road {
    pod_template::road(&json!({"spec": {
        "securityContext": {"runAsNonRoot": true},
        "containers": [{"name": "*", "resources": {"requests": {"cpu": "100m"}}}],
    }}))
}

/// A Deployment of manager `kubectl`, whose rollout goes on. `cpu` and `non_root` are what stands there beside, and the
/// engine holds it.
fn deployment(image: &str, cpu: Option<&str>, non_root: Option<bool>) -> Value {
    let team = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
        ".": {}, "f:image": {}, "f:name": {},
    }}}}}});
    let mut managers = vec![json!({"manager": "kubectl", "operation": "Update", "fieldsV1": team})];
    let mut container = json!({"name": "app", "image": image});
    let mut spec = json!({});
    let mut held = json!({});
    if let Some(cpu) = cpu {
        container["resources"] = json!({"requests": {"cpu": cpu}});
        held["f:containers"]["k:{\"name\":\"app\"}"] =
            json!({".": {}, "f:name": {}, "f:resources": {"f:requests": {"f:cpu": {}}}});
    }
    if let Some(non_root) = non_root {
        spec["securityContext"] = json!({"runAsNonRoot": non_root});
        held["f:securityContext"] = json!({"f:runAsNonRoot": {}});
    }
    if held != json!({}) {
        let fields = json!({"f:spec": {"f:template": {"f:spec": held}}});
        managers.push(json!({"manager": labels::FALLBACK_MANAGER, "operation": "Apply", "fieldsV1": fields}));
    }
    spec["containers"] = json!([container]);
    json!({
        "metadata": {
            "name": "web", "namespace": "ns", "uid": "u", "generation": 2, "managedFields": managers,
            "labels": {labels::REVISION: "web-1", labels::PATH: "web", "app": "web"},
        },
        "spec": {"template": {"spec": spec}},
        "status": {"observedGeneration": 1},
    })
}

fn looks<'a>(object: &'a Value, road: &'a Road, seen: Option<&'a Seen>) -> Look<'a> {
    let now = NOW.parse().unwrap();
    Look { kind: KIND, object, road, leaves: false, asked: None, labelled: None, seen, now }
}

fn seen(object: &Value, road: &Road, wrote: Option<&str>) -> Seen {
    let wrote = wrote.map(|at| at.parse().unwrap());
    Seen { wrote, ..Seen::settled(&looks(object, road, None), None) }
}

fn kind_of(decision: &Decision) -> &'static str {
    match decision {
        Decision::Settled(None) => "settled",
        Decision::Settled(Some(_)) => "settled with a reason",
        Decision::Wait(_) => "wait",
        Decision::Hold(_) => "hold",
        Decision::Apply { .. } => "apply",
        Decision::Patch(_) => "patch",
    }
}

#[rstest]
#[case::the_same_template("a", None, "a", None, None, "settled")]
#[case::a_release("a", None, "b", None, None, "apply")]
#[case::a_release_that_keeps_what_was_filled("a", Some("100m"), "b", Some("100m"), None, "settled")]
#[case::taken_out_and_nothing_else("a", Some("100m"), "a", None, None, "settled with a reason")]
#[case::taken_out_with_a_release("a", Some("100m"), "b", None, None, "apply")]
#[case::a_minute_ago("a", None, "b", None, Some("2026-12-01T11:59:00Z"), "apply")]
#[case::a_moment_ago("a", None, "b", None, Some("2026-12-01T11:59:30Z"), "wait")]
fn what_others_change_is_followed_and_nothing_else(
    #[case] image: &str,
    #[case] had: Option<&str>,
    #[case] next: &str,
    #[case] has: Option<&str>,
    #[case] wrote: Option<&str>,
    #[case] expected: &str,
) {
    let road = pod_template::road(
        &json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": "100m"}}}]}}),
    );
    let (before, object) = (deployment(image, had, None), deployment(next, has, None));
    let before = seen(&before, &road, wrote);
    assert_eq!(kind_of(&decide(&looks(&object, &road, Some(&before)))), expected);
}

#[rstest]
#[case::labelled_as_it_is(true, 1, "settled")]
#[case::changed_and_over(false, 2, "settled")]
#[case::changed_and_rolling_out(false, 1, "apply")]
fn after_a_start_only_a_rollout_that_goes_on_is_followed(
    #[case] same: bool,
    #[case] observed: i64,
    #[case] expected: &str,
) {
    let mut object = deployment("a", None, None);
    object["status"] = json!({"observedGeneration": observed, "updatedReplicas": 1, "availableReplicas": 1});
    let labelled = if same { template_hash(KIND, &object) } else { "another".to_owned() };
    let road = road();
    let look = Look { labelled: Some(&labelled), ..looks(&object, &road, None) };
    assert_eq!(kind_of(&decide(&look)), expected);
}

#[test]
fn what_is_applied_is_what_is_held_and_what_is_open() {
    let road = road();
    let object = deployment("b", Some("100m"), None);
    let before = seen(&deployment("a", Some("100m"), None), &road, None);
    let Decision::Apply { body, expected } = decide(&looks(&object, &road, Some(&before))) else { panic!() };
    let spec = json!({
        "securityContext": {"runAsNonRoot": true},
        "containers": [{"name": "app", "resources": {"requests": {"cpu": "100m"}}}],
    });
    assert_eq!(body["spec"]["template"]["spec"], spec);
    assert_eq!(body["metadata"], json!({"name": "web", "namespace": "ns", "uid": "u"}));
    assert_eq!(expected["spec"]["containers"][0]["image"], "b");
}

#[test]
fn a_default_that_is_not_wanted_any_more_is_left_out_of_the_next_apply() {
    let road = road();
    let mut object = deployment("b", Some("100m"), Some(true));
    let before = seen(&deployment("a", Some("100m"), Some(true)), &road, None);
    object["metadata"]["labels"][labels::skip("d")] = json!("");
    let Decision::Apply { body, .. } = decide(&looks(&object, &road, Some(&before))) else { panic!() };
    assert_eq!(body["spec"]["template"]["spec"], json!({}), "nothing is held any more");
    assert_eq!(kind_of(&decide(&looks(&object, &road, Some(&seen(&object, &road, None))))), "settled");
}

#[test]
fn a_value_that_the_team_has_taken_over_is_not_claimed() {
    let road = road();
    let mut object = deployment("b", Some("250m"), None);
    object["metadata"]["managedFields"] = json!([{"manager": "kubectl", "operation": "Update", "fieldsV1": {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
            "f:resources": {"f:requests": {"f:cpu": {}}},
        }}}}},
    }}]);
    let before = seen(&deployment("a", None, None), &road, None);
    let Decision::Apply { body, .. } = decide(&looks(&object, &road, Some(&before))) else { panic!() };
    assert_eq!(body["spec"]["template"]["spec"], json!({"securityContext": {"runAsNonRoot": true}}));
}

#[rstest]
#[case::nothing_is_held(None, "settled with a reason")]
#[case::something_is_held(Some("100m"), "patch")]
fn a_template_that_is_applied_on_the_server_is_let_go_of(#[case] cpu: Option<&str>, #[case] expected: &str) {
    let road = road();
    let mut object = deployment("b", cpu, None);
    object["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    object["metadata"]["managedFields"][0]["manager"] = json!("helm");
    let before = seen(&deployment("a", cpu, None), &road, None);
    let decision = decide(&looks(&object, &road, Some(&before)));
    assert_eq!(kind_of(&decision), expected);
    match decision {
        Decision::Patch(operations) => {
            let paths: Vec<&str> = operations.as_array().unwrap().iter().filter_map(|op| op["path"].as_str()).collect();
            let [team, manager, record] =
                ["/metadata/managedFields/0", "/metadata/managedFields/1/manager", "/metadata/managedFields/1"];
            assert_eq!(paths, ["/metadata/uid", "/spec/template", team, manager, record], "the template stays");
        }
        Decision::Settled(Some(why)) => assert!(why.starts_with("helm applies"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::waits_for_a_rollout("a", "settled")]
#[case::with_a_rollout("b", "patch")]
fn who_leaves_is_left_with_the_next_rollout(#[case] next: &str, #[case] expected: &str) {
    let road = road();
    let (before, object) = (deployment("a", Some("100m"), None), deployment(next, Some("100m"), None));
    let before = seen(&before, &road, None);
    let decision = decide(&Look { leaves: true, ..looks(&object, &road, Some(&before)) });
    assert_eq!(kind_of(&decision), expected);
    let Decision::Patch(operations) = decision else { return };
    let text = operations.to_string();
    for part in
        ["goldenpath.dev~1revision", "goldenpath.dev~1path", "/metadata/managedFields/1", "containers/0/resources"]
    {
        assert!(text.contains(part), "{part} {text}");
    }
    assert!(!text.contains("labels/app"), "{text}");
}

#[test]
fn who_leaves_and_has_nothing_of_the_road_is_let_go_of_at_once() {
    let (road, object) = (road(), deployment("a", None, None));
    let before = seen(&object, &road, None);
    assert_eq!(kind_of(&decide(&Look { leaves: true, ..looks(&object, &road, Some(&before)) })), "patch");
}

#[test]
fn break_glass_is_at_once_and_nothing_comes_back_by_itself() {
    let road = road();
    let mut object = deployment("a", Some("100m"), Some(true));
    let before = seen(&object, &road, Some(NOW));
    object["metadata"]["annotations"] = json!({labels::SKIP: "*"});
    assert_eq!(kind_of(&decide(&looks(&object, &road, Some(&before)))), "patch");
    let bare = deployment("a", None, None);
    let after = seen(&bare, &road, Some(NOW));
    assert_eq!(kind_of(&decide(&looks(&bare, &road, Some(&after)))), "settled");
}

#[rstest]
#[case::with_another_template("b", "patch")]
#[case::alone("a", "settled")]
fn a_brake_that_a_change_of_the_template_loses_comes_back(#[case] next: &str, #[case] expected: &str) {
    let road = road();
    let mut braked = deployment("a", None, None);
    braked["metadata"]["annotations"] = json!({labels::SKIP: "*"});
    let (before, object) = (seen(&braked, &road, Some(NOW)), deployment(next, None, None));
    let decision = decide(&looks(&object, &road, Some(&before)));
    assert_eq!(kind_of(&decision), expected);
    if let Decision::Patch(operations) = decision {
        assert_eq!(
            operations[3],
            json!({"op": "add", "path": "/metadata/annotations/goldenpath.dev~1skip", "value": "*"})
        );
    }
}

#[test]
fn what_the_plan_asks_for_is_done_once() {
    let (road, object) = (road(), deployment("a", None, None));
    let before = seen(&object, &road, Some(NOW));
    let ask = |seen: &Seen| kind_of(&decide(&Look { asked: Some("web-1"), ..looks(&object, &road, Some(seen)) }));
    assert_eq!(ask(&before), "apply");
    assert_eq!(ask(&Seen { asked: Some("web-1".into()), ..before }), "settled");
}

#[test]
fn to_the_rest_of_the_operator_a_filled_value_is_nobodys() {
    let (road, object) = (road(), deployment("a", Some("100m"), Some(true)));
    let gaps = gaps(KIND, &object, &road);
    assert!(gaps.iter().all(|gap| gap.whose == crate::plan::gaps::Whose::Roads && gap.managers.is_empty()), "{gaps:?}");
}

#[test]
fn containers_keep_their_order() {
    let mut claim = json!({"spec": {"containers": [
        {"name": "b", "tty": true}, {"name": "a", "tty": true}, {"name": "c"},
    ]}});
    let expected = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}});
    in_order(&mut claim, "containers", &expected);
    assert_eq!(claim["spec"]["containers"], json!([{"name": "a", "tty": true}, {"name": "b", "tty": true}]));
}

mod handing_over;
