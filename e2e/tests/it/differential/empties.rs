//! Empty values (`tolerations: []`): the API server refuses some, keeps some, and drops some. Of a dropped one nothing is
//! left but its owner, and that is enough: it counts as set.

use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::leaf::{Leaf, Place};
use goldenpath::plan::ownership::Ownership;
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::road::{InForce, Kind, canonical};
use kube::Client;
use serde_json::{Value, json};

use super::catalogue::{Field, fillable};
use super::checks::differences;
use super::defaults::{put, road_of};
use super::requests::{Answer, Call, Target, Verb, Who, send};
use super::workloads::{empty_of, template};

const REVISION: &str = "empties";
const KIND: WorkloadKind = WorkloadKind::Deployment;

/// What the API server makes of an empty value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Kept,
    Dropped,
}

#[tokio::test]
async fn an_empty_value_that_the_api_server_drops_is_its_managers_and_is_not_filled() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = control_plane.namespace("empties").await.unwrap();
    let fields: Vec<Field> = fillable().into_iter().filter(|field| field.keys.is_empty()).collect();
    let mut dropped = Vec::new();
    let mut names = [const { Vec::new() }; 3];
    for field in fields {
        let fate = fate(&client, &namespace, &field).await;
        names[fate as usize].push(format!("{:?} {}", field.place, field.path.join(".")));
        if fate == Fate::Dropped {
            dropped.push(field);
        }
    }
    for fate in [Fate::Refused, Fate::Kept, Fate::Dropped] {
        println!("empties: {fate:?}: {}", names[fate as usize].join(", "));
    }
    assert!(names[Fate::Dropped as usize].contains(&"Pod tolerations".to_owned()), "an atomic list is dropped");
    assert!(names[Fate::Dropped as usize].contains(&"Pod nodeSelector".to_owned()), "an atomic map is dropped");
    assert!(names[Fate::Dropped as usize].contains(&"Containers tty".to_owned()), "false is dropped");
    assert!(names[Fate::Kept as usize].contains(&"Pod securityContext.seLinuxOptions".to_owned()), "a struct is kept");

    let road = road_of(&json!({"spec": pod("*", &dropped, |field| field.values[0].clone())}));
    let road = canonical(&client, &namespace, &road).await.unwrap();
    let mut policies = InForce::new(&client);
    policies.add(&namespace, &[(REVISION.to_owned(), road.clone(), Kind::Revision)], true).await.unwrap();
    let filled = apply(&client, &namespace, &pod("app", &[], empty), true).await;
    let emptied = apply(&client, &namespace, &pod("app", &dropped, empty), true).await;
    let without = apply(&client, &namespace, &pod("app", &dropped, empty), false).await;
    policies.remove().await.unwrap();
    let [filled, emptied, without] = [filled, emptied, without].map(|answer| match answer {
        Answer::Accepted(object) => object,
        Answer::Refused(why) => panic!("{why}"),
    });
    for line in &road.0 {
        assert!(line.leaf.get(root(&filled, line.leaf.place)).is_some(), "{} is filled", line.leaf.field(None));
    }
    assert_eq!(differences(template(KIND, &emptied), template(KIND, &without)), Vec::<String>::new());
}

fn empty(field: &Field) -> Value {
    empty_of(&field.values[0])
}

/// A pod spec with one container and these fields.
fn pod(container: &str, fields: &[Field], value: impl Fn(&Field) -> Value) -> Value {
    let mut spec = json!({"containers": [{"name": container}]});
    for field in fields {
        let root = if field.place == Place::Pod { &mut spec } else { &mut spec["containers"][0] };
        put(root, &field.path, &[], value(field));
    }
    spec
}

fn root(object: &Value, place: Place) -> &Value {
    let spec = &template(KIND, object)["spec"];
    place.list().map_or(spec, |list| &spec[list][0])
}

async fn fate(client: &Client, namespace: &str, field: &Field) -> Fate {
    let answer = apply(client, namespace, &pod("app", std::slice::from_ref(field), empty), false).await;
    let Answer::Accepted(object) = answer else { return Fate::Refused };
    let path = field.path.iter().map(|name| (*name).to_owned()).collect();
    let leaf = Leaf { place: field.place, path, entry: None };
    let container = (field.place != Place::Pod).then_some("app");
    assert!(Ownership::of(KIND, &object).owners(&leaf, container).eq(["team"]), "{object}");
    if leaf.get(root(&object, field.place)).is_some() { Fate::Kept } else { Fate::Dropped }
}

/// A dry run of server-side apply: the only way of writing that owns what it writes, whatever becomes of it.
async fn apply(client: &Client, namespace: &str, pod: &Value, adopted: bool) -> Answer {
    let mut pod = pod.clone();
    pod["containers"][0]["image"] = json!("example.com/a:1");
    let mut body = json!({
        "apiVersion": KIND.api_version(),
        "kind": KIND.to_string(),
        "metadata": {"name": "empty"},
        "spec": {
            "selector": {"matchLabels": {"app": "empty"}},
            "template": {"metadata": {"labels": {"app": "empty"}}, "spec": pod},
        },
    });
    if adopted {
        body["metadata"]["labels"] = json!({labels::REVISION: REVISION});
    }
    let target = Target { kind: KIND, namespace: namespace.to_owned(), name: "empty".to_owned() };
    send(client, &target, &Call { verb: Verb::Apply, manager: "team", body }, Who::Team, true).await.unwrap()
}
