//! A tool goes over to applying on the server, in several writes: the engine never comes between them.
//!
//! A model of those writes and of what the API server makes of each, with the engine's write tried at every place between
//! them: whatever the order, the template stays as it is.

use serde_json::{Value, json};

use super::*;

/// Who writes, in which order.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It applies its manifest on the server.
    Applies,
    /// It takes over what was recorded of `kubectl apply`.
    TakesOver,
}

/// What the manifest says of the container: the image, and no `resources`.
fn manifest() -> Value {
    json!({".": {}, "f:image": {}, "f:name": {}})
}

fn fields(container: &Value) -> Value {
    json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": container}}}}})
}

/// A workload that `kubectl apply` made on the client, so that `resources: {}` is recorded as its, and that was filled.
fn filled_behind_apply_on_client() -> Value {
    let mut object = deployment("a", Some("100m"), None);
    let mut own = manifest();
    own["f:resources"] = json!({});
    let mut recorded = fields(&own);
    recorded["f:metadata"] = json!({"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}});
    object["metadata"]["managedFields"][0] =
        json!({"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": recorded});
    object
}

fn all_records(object: &mut Value) -> &mut Vec<Value> {
    object["metadata"]["managedFields"].as_array_mut().unwrap()
}

/// What the API server does.
fn steps(object: &mut Value, step: Step) {
    let records = all_records(object);
    let is_tools = |record: &Value| record["manager"] == "tool";
    match step {
        Step::TakesOver => {
            let Some(from) = records.iter().position(|record| record["operation"] == "Update") else { return };
            let mut record = records.remove(from);
            records.retain(|record| !is_tools(record));
            record["manager"] = json!("tool");
            record["operation"] = json!("Apply");
            records.insert(0, record);
        }
        Step::Applies => {
            let before = records.iter().find(|record| is_tools(record)).cloned();
            records.retain(|record| !is_tools(record));
            let held = "/fieldsV1/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"app\"}/f:resources";
            let had = before.is_some_and(|record| record.pointer(held).is_some());
            // an item that its last apply had, and this one has not, goes with all that is in it; unless somebody has that
            let goes = had && !records.iter().any(|record| record.pointer(held).is_some());
            records.insert(0, json!({"manager": "tool", "operation": "Apply", "fieldsV1": fields(&manifest())}));
            if goes {
                let container = object.pointer_mut("/spec/template/spec/containers/0").and_then(Value::as_object_mut);
                container.unwrap().remove("resources");
            }
        }
    }
}

/// The engine looks, and writes what it decides, if anything.
fn looks_and_writes(object: &mut Value, before: &mut Seen, road: &Road) -> &'static str {
    let look = looks(object, road, Some(before));
    let decision = decide(&look);
    let next = match &decision {
        Decision::Hold(_) => Seen::holding(&look),
        _ => Seen::settled(&look, None),
    };
    let word = kind_of(&decision);
    if let Decision::Patch(operations) = decision {
        let operations: json_patch::Patch = serde_json::from_value(operations).unwrap();
        json_patch::patch(object, &operations).unwrap();
    }
    *before = next;
    word
}

#[rstest]
#[case::kubectl(&[Step::Applies, Step::TakesOver, Step::Applies])]
#[case::flux_argo_and_helm(&[Step::TakesOver, Step::Applies])]
fn a_tool_that_goes_over_to_apply_on_the_server_restarts_nothing(#[case] all: &[Step]) {
    let road = pod_template::road(
        &json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": "100m"}}}]}}),
    );
    // the engine looks behind each write of the tool, or it does not
    for looked in 0..1 << all.len() {
        let mut object = filled_behind_apply_on_client();
        let mut before = seen(&object, &road, None);
        let template = object["spec"]["template"].clone();
        for (position, step) in all.iter().enumerate() {
            steps(&mut object, *step);
            assert_eq!(object["spec"]["template"], template, "{all:?} {looked:b}: pods restart at step {position}");
            if looked & (1 << position) != 0 {
                let word = looks_and_writes(&mut object, &mut before, &road);
                let is_last = position + 1 == all.len();
                assert_eq!(word, if is_last { "patch" } else { "hold" }, "{all:?} {looked:b} at step {position}");
            }
        }
        looks_and_writes(&mut object, &mut before, &road);
        assert!(claims(&object).is_none(), "{all:?} {looked:b}: it is let go of when all is over");
        assert_eq!(object["spec"]["template"], template);
    }
}

/// Without it the model would prove nothing.
#[test]
fn what_is_let_go_of_too_early_is_taken_out() {
    for first in [&[Step::Applies][..], &[Step::Applies, Step::TakesOver], &[Step::TakesOver]] {
        let mut object = filled_behind_apply_on_client();
        for step in first {
            steps(&mut object, *step);
        }
        all_records(&mut object).retain(|record| record["manager"] != labels::FALLBACK_MANAGER);
        steps(&mut object, Step::TakesOver);
        steps(&mut object, Step::Applies);
        assert_eq!(object.pointer("/spec/template/spec/containers/0/resources"), None, "{first:?}");
    }
}

/// A manifest may have `resources: {}`, and a tool may be stopped on its way: neither is waited for without end.
#[test]
fn what_is_held_is_held_for_a_minute_from_the_first_look() {
    let road = road();
    let mut object = filled_behind_apply_on_client();
    steps(&mut object, Step::TakesOver);
    let before = seen(&filled_behind_apply_on_client(), &road, None);
    let look = looks(&object, &road, Some(&before));
    assert_eq!(decide(&look), Decision::Hold(HOLDS));
    let holding = Seen::holding(&look);
    let at = |seconds| look.now + SignedDuration::from_secs(seconds);
    let later = |seconds| decide(&Look { seen: Some(&holding), now: at(seconds), ..look });
    assert_eq!(later(59), Decision::Hold(SignedDuration::from_secs(1)));
    assert_eq!(
        Seen::holding(&Look { seen: Some(&holding), now: at(59), ..look }),
        holding,
        "a look begins nothing anew"
    );
    assert_eq!(kind_of(&later(60)), "patch");
    assert_eq!(Seen::settled(&Look { seen: Some(&holding), ..look }, None).holds, None);
    assert!(
        !holding.stands(&looks(&object, &road, None), None),
        "it is forgotten with the next look that holds nothing"
    );
}

/// Between a look and the write that comes of it.
#[test]
fn nothing_is_let_go_of_where_somebody_took_over_in_the_same_moment() {
    let road = road();
    let mut object = filled_behind_apply_on_client();
    all_records(&mut object)[0] = json!({"manager": "tool", "operation": "Apply", "fieldsV1": fields(&manifest())});
    let before = seen(&object, &road, None);
    let decision = decide(&looks(&object, &road, Some(&before)));
    assert_eq!(kind_of(&decision), "patch");
    assert!(decision.is_for(&object));
    let Decision::Patch(operations) = &decision else { panic!() };
    let operations: json_patch::Patch = serde_json::from_value(operations.clone()).unwrap();
    let mut own = manifest();
    own["f:resources"] = json!({});
    all_records(&mut object)[0]["fieldsV1"] = fields(&own);
    assert!(!decision.is_for(&object));
    json_patch::patch(&mut object, &operations).unwrap_err();
}

/// A manager of one field is not about to take over what others wrote.
#[test]
fn who_applies_one_field_alone_is_let_go_of_at_once() {
    let road = road();
    let mut object = filled_behind_apply_on_client();
    let one = fields(&json!({".": {}, "f:name": {}, "f:tty": {}}));
    all_records(&mut object).insert(0, json!({"manager": "tool", "operation": "Apply", "fieldsV1": one}));
    let before = seen(&object, &road, None);
    assert_eq!(kind_of(&decide(&looks(&object, &road, Some(&before)))), "patch");
}
