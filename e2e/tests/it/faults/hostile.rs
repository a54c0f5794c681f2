//! Lines that no API server should send never stall a watch: each is counted or skipped with a reason, and the next good
//! object is counted at once, by the same watch.

use goldenpath::api::WorkloadKind::Deployment;
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, Target};
use goldenpath_e2e::wait;
use rstest::rstest;
use serde_json::{Value, json};

use super::{BROKEN, Fleet, SOON, event, same, workload};

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Counted,
    Skipped(&'static str),
}
use Fate::{Counted, Skipped};

fn added(object: &Value) -> Vec<u8> {
    event("ADDED", object).into_bytes()
}

/// The object with something else in the place of a field.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value;
    object
}

/// The object without a field.
fn without(mut object: Value, pointer: &str) -> Vec<u8> {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
    added(&object)
}

/// The line with `depth` nested lists as the value of a field.
fn nested(object: Value, pointer: &str, depth: usize) -> Vec<u8> {
    let line = String::from_utf8(added(&with(object, pointer, json!("DEEP")))).unwrap();
    let deep = "[".repeat(depth) + &"]".repeat(depth);
    line.replace("\"DEEP\"", &deep).into_bytes()
}

/// The line with a field twice.
fn twice(object: &Value, field: &str) -> Vec<u8> {
    let line = String::from_utf8(added(object)).unwrap();
    let once = format!("\"{field}\":");
    assert!(line.contains(&once), "{line}");
    line.replacen(&once, &format!("\"{field}\":\"first\",{once}"), 1).into_bytes()
}

fn many_containers(object: Value) -> Vec<u8> {
    let containers: Vec<Value> =
        (0..10_000).map(|n| json!({"name": format!("c{n}"), "image": "example.com/app:1"})).collect();
    added(&with(object, "/spec/template/spec/containers", json!(containers)))
}

fn annotation(object: Value, bytes: usize) -> Vec<u8> {
    added(&with(object, "/metadata/annotations", json!({"note": "x".repeat(bytes)})))
}

#[rstest]
#[case::ten_thousand_containers(many_containers, Counted)]
#[case::annotations_of_1_4_mb(|object| annotation(object, 1_400_000), Counted)]
#[case::larger_than_any_object(|object| annotation(object, 17 * 1024 * 1024), Skipped("TooLarge"))]
#[case::nested_1000_deep_where_nobody_reads(|object| nested(object, "/spec/template/deep", 1000), Counted)]
#[case::nested_100_000_deep_where_nobody_reads(|object| nested(object, "/spec/template/deep", 100_000), Counted)]
#[case::nested_1000_deep_where_labels_are_read(|object| nested(object, "/metadata/labels", 1000), Skipped("Malformed"))]
#[case::two_names(|object| twice(&object, "name"), Skipped("Malformed"))]
#[case::two_kinds_which_nobody_reads(|object| twice(&object, "kind"), Counted)]
#[case::no_metadata(|object| without(object, "/metadata"), Skipped("NoName"))]
#[case::no_name(|object| without(object, "/metadata/name"), Skipped("NoName"))]
#[case::no_namespace(|object| without(object, "/metadata/namespace"), Skipped("NoName"))]
#[case::no_version(|object| without(object, "/metadata/resourceVersion"), Skipped("NoName"))]
#[case::no_spec(|object| without(object, "/spec"), Counted)]
#[case::no_object(|_| br#"{"type":"ADDED"}"#.to_vec(), Skipped("Malformed"))]
#[case::a_number_for_labels(|object| added(&with(object, "/metadata/labels", json!(7))), Skipped("Malformed"))]
#[case::half_a_line(|object| added(&object)[..100].to_vec(), Skipped("Malformed"))]
#[case::no_json(|_| b"<html>502 Bad Gateway</html>".to_vec(), Skipped("Malformed"))]
#[case::no_text(|_| b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\xff\xfe\"}}}".to_vec(), Skipped("Malformed"))]
#[tokio::test]
async fn a_hostile_line_is_counted_or_skipped_and_the_watch_goes_on(
    #[case] line: fn(Value) -> Vec<u8>,
    #[case] fate: Fate,
) {
    let fleet = Fleet::new().await;
    let one = fleet.create(Deployment, "one").await;
    fleet.counts(Deployment, 1).await;
    let mut hostile = workload(Deployment, &fleet.namespace, "hostile");
    // Not older than what has been seen, else it would rightly be ignored.
    hostile["metadata"]["resourceVersion"] = json!(one.metadata.resource_version);
    fleet.tell(BROKEN, line(hostile)).await;
    fleet.create(Deployment, "two").await;

    let expected = if fate == Counted { 3 } else { 2 };
    let took = fleet.counts_within(Deployment, expected, SOON).await.unwrap();
    println!("the next good object was counted after {took:?}");
    for reason in ["TooLarge", "Malformed", "NoName"] {
        let labels = [("resource", BROKEN), ("reason", reason)];
        let skipped = fleet.metric("goldenpath_fleet_skipped_objects_total", &labels).await.unwrap();
        assert!(same(skipped, usize::from(fate == Skipped(reason))), "{skipped} skipped with {reason}");
    }
    assert!(same(fleet.failures(BROKEN, None).await.unwrap(), 0), "the watch was given up");
    let lists = fleet.proxy.exchanges(&Target::any(BROKEN)).into_iter().filter(|e| e.request.is_full_list()).count();
    assert_eq!(lists, 1, "it was listed again");
}

/// A position that a line without a version could erase would be filled with "from now on": what went in between is lost.
#[tokio::test]
async fn a_line_without_a_version_does_not_change_where_the_watch_goes_on() {
    let fleet = Fleet::new().await;
    fleet.with_deployments(&["one", "two"]).await;
    fleet.tell(BROKEN, r#"{"type":"MODIFIED","object":{}}"#).await;
    let labels = [("resource", BROKEN), ("reason", "NoName")];
    let skipped =
        async || Ok((fleet.metric("goldenpath_fleet_skipped_objects_total", &labels).await? > 0.0).then_some(()));
    wait::until("the line to be skipped", SOON, skipped).await.unwrap();
    let fault = fleet.proxy.fault(Fault::new(Target::any(BROKEN), Action::Close));
    fleet.disturb(BROKEN, Disturbance::Cut { after: 0 }).await;
    fleet.delete(Deployment, "one").await;
    drop(fault);
    fleet.counts(Deployment, 1).await;
    fleet.equals_a_recount().await;
}
