//! The table against what it stands for: a cluster whose events come late, twice, in another order, or not at all.

mod compare;
mod decoder;
mod exposition;
mod histories;
mod pacing;

use serde_json::{Value, json};

use super::decode::Slim;
use super::*;
use crate::api::{Mode, Origin, State, VerdictState};
use crate::plan::score::Weights;
use crate::status::counts::{Bucket, Class, Counts, Sum};
use k8s_openapi::jiff::Timestamp;

const DEPLOYMENT: WorkloadKind = WorkloadKind::Deployment;
const AT: Moment = Moment { uptime: 0, wall: Timestamp::UNIX_EPOCH };

fn object(namespace: &str, name: &str, version: u64, team: Option<&str>) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": version.to_string(),
            "labels": {"goldenpath.dev/team": team}},
        "spec": {"replicas": 2},
    })
}

fn key(namespace: &str, name: &str) -> WorkloadKey {
    WorkloadKey { kind: DEPLOYMENT, namespace: namespace.into(), name: name.into() }
}

fn see(table: &mut Table, object: &Value) -> bool {
    let text = object.to_string();
    let slim: Slim<'_> = serde_json::from_str(&text).unwrap();
    table.see(DEPLOYMENT, &slim, slim.version().unwrap(), AT).news
}

fn see_namespace(table: &mut Table, name: &str, version: u64, team: Option<&str>) {
    let text = json!({"metadata": {"name": name, "labels": {"goldenpath.dev/team": team}}}).to_string();
    table.see_namespace(&serde_json::from_str(&text).unwrap(), version, || None);
}

fn evaluation(service: &str, team: Option<&str>, state: State) -> Evaluation {
    Evaluation {
        service: service.into(),
        team: team.map(Into::into),
        path: Some("web".into()),
        mode: Mode::Default,
        state,
        weights: Weights { good: 1, all: 2 },
        verdicts: [("requests".into(), VerdictState::Applied)].into(),
    }
}

fn service_bucket(team: &str, state: State) -> ServiceBucket {
    ServiceBucket { path: Some("web".into()), team: team.into(), state, mode: Mode::Default, origin: Origin::Voluntary }
}

/// Workloads by team and class.
fn shown(table: &mut Table) -> Vec<String> {
    let counts = table.counts().clone();
    assert_eq!(counts, table.recounted(), "the running counts equal a recount");
    let line = |(bucket, sum): (&Bucket, &Sum)| match &bucket.class {
        Class::Claimed { state, .. } => format!("{} {state} {}", bucket.team, sum.workloads),
        class => format!("{} {class:?} {}", bucket.team, sum.workloads),
    };
    let mut lines: Vec<String> = table.counts().workloads.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn the_team_is_the_services_else_the_workloads_else_the_namespaces() {
    let mut table = Table::new("goldenpath-system");
    see(&mut table, &object("shop", "a", 1, None));
    assert_eq!(shown(&mut table), ["unowned Unclaimed 1"]);
    see_namespace(&mut table, "shop", 2, Some("shops"));
    assert_eq!(shown(&mut table), ["shops Unclaimed 1"]);
    see(&mut table, &object("shop", "a", 3, Some("payments")));
    assert_eq!(shown(&mut table), ["payments Unclaimed 1"]);
    let service = ("shop".to_owned(), "checkout".to_owned());
    table.claim(&service, &[key("shop", "a")]);
    assert_eq!((shown(&mut table), table.unevaluated()), (vec!["payments NotStarted 1".to_owned()], 1));
    let found = vec![(key("shop", "a"), evaluation("checkout", Some("declared"), State::Adopted))];
    table.evaluated(&service, service_bucket("declared", State::Adopted), found);
    assert_eq!((shown(&mut table), table.unevaluated()), (vec!["declared Adopted 1".to_owned()], 0));
    table.claim(&service, &[]);
    see_namespace(&mut table, "shop", 4, None);
    see(&mut table, &object("shop", "a", 5, None));
    assert_eq!(shown(&mut table), ["unowned Unclaimed 1"]);
    assert_eq!(table.counts().services.len() + table.counts().verdicts.len(), 0);
}

#[test]
fn what_is_labelled_counts_as_claimed_until_the_services_are_known() {
    let mut table = Table::new("goldenpath-system");
    let labelled = |name: &str| {
        let mut object = object("shop", name, 1, None);
        object["metadata"]["labels"]["goldenpath.dev/service"] = json!("checkout");
        object
    };
    let keep = |table: &mut Table, object: &Value| {
        see(table, object);
        let name = object["metadata"]["name"].as_str().unwrap();
        table.keep(&key("shop", name), 1, Kept::new(&serde_json::value::to_raw_value(object).unwrap()));
    };
    for object in [labelled("named"), labelled("left"), object("shop", "plain", 1, None)] {
        keep(&mut table, &object);
    }
    assert_eq!(shown(&mut table), ["unowned NotStarted 2", "unowned Unclaimed 1"]);
    let _ = table.claim(&("shop".to_owned(), "checkout".to_owned()), &[key("shop", "named")]);
    table.know_claims();
    assert_eq!(shown(&mut table), ["unowned NotStarted 1", "unowned Unclaimed 2"]);
    let kept = ["named", "left", "plain"].map(|name| table.object(&key("shop", name)).is_some());
    assert_eq!(kept, [true, false, false]);
    see(&mut table, &labelled("late"));
    assert_eq!(shown(&mut table), ["unowned NotStarted 1", "unowned Unclaimed 3"]);
}

#[test]
fn what_is_never_touched_is_counted_apart() {
    let mut table = Table::new("goldenpath-system");
    let mut child = object("shop", "child", 1, None);
    child["metadata"]["ownerReferences"] = json!([{"controller": true}]);
    see(&mut table, &child);
    see(&mut table, &object("kube-system", "dns", 2, None));
    see(&mut table, &object("goldenpath-system", "goldenpath", 3, None));
    let service = ("shop".to_owned(), "s".to_owned());
    table.claim(&service, &[key("shop", "child")]);
    assert_eq!(shown(&mut table), ["unowned Excluded 2", "unowned Managed 1"]);
    assert_eq!(table.unevaluated(), 0);
}

#[test]
fn an_older_fact_never_undoes_a_newer_one() {
    let mut table = Table::new("goldenpath-system");
    assert!(see(&mut table, &object("shop", "a", 10, Some("new"))));
    assert!(!see(&mut table, &object("shop", "a", 9, Some("old"))), "an old line");
    assert!(!see(&mut table, &object("shop", "a", 10, Some("same"))), "the same line");
    assert!(!table.remove(key("shop", "a"), 9), "an old deletion");
    assert_eq!(shown(&mut table), ["new Unclaimed 1"]);
    assert!(table.remove(key("shop", "a"), 11));
    assert!(!see(&mut table, &object("shop", "a", 10, Some("new"))), "it is gone");
    assert!(see(&mut table, &object("shop", "a", 12, Some("again"))), "another one of that name");
    assert_eq!(shown(&mut table), ["again Unclaimed 1"]);
}

#[test]
fn deletions_that_nobody_saw_are_found_by_the_next_list() {
    let mut table = Table::new("goldenpath-system");
    table.begin(DEPLOYMENT);
    for (name, version) in [("a", 1), ("b", 2), ("c", 3)] {
        see(&mut table, &object("shop", name, version, None));
    }
    table.sweep(DEPLOYMENT, 5);
    table.claim(&("shop".into(), "s".into()), &[key("shop", "b")]);
    see(&mut table, &object("shop", "d", 9, None));
    table.begin(DEPLOYMENT);
    see(&mut table, &object("shop", "a", 1, None));
    assert_eq!(table.sweep(DEPLOYMENT, 8), [key("shop", "b")], "claimed, and gone");
    assert_eq!(shown(&mut table), ["unowned Unclaimed 2"], "a was listed, d is newer than the list");
    assert_eq!(table.sizes(), ([2, 0, 0, 0], 0));
}

#[test]
fn a_cluster_that_was_set_back_is_believed_in_the_end() {
    let mut table = Table::new("goldenpath-system");
    table.begin(DEPLOYMENT);
    see(&mut table, &object("shop", "a", 100, Some("new")));
    table.sweep(DEPLOYMENT, 120);
    table.remove(key("shop", "b"), 130);
    table.begin(DEPLOYMENT);
    table.set_back(DEPLOYMENT);
    see(&mut table, &object("shop", "a", 50, Some("old")));
    see(&mut table, &object("shop", "b", 51, Some("old")));
    table.sweep(DEPLOYMENT, 60);
    assert_eq!(shown(&mut table), ["old Unclaimed 2"]);
}

#[test]
fn a_workload_that_changes_hands_is_counted_once() {
    let mut table = Table::new("goldenpath-system");
    see(&mut table, &object("shop", "a", 1, None));
    let (old, new) = (("shop".to_owned(), "old".to_owned()), ("shop".to_owned(), "new".to_owned()));
    table.claim(&old, &[key("shop", "a")]);
    table.claim(&new, &[key("shop", "a")]);
    table.evaluated(
        &old,
        service_bucket("t", State::Adopted),
        vec![(key("shop", "a"), evaluation("old", None, State::Adopted))],
    );
    table.claim(&old, &[]);
    assert_eq!(shown(&mut table), ["unowned NotStarted 1"], "the new service has not looked yet");
    table.evaluated(
        &new,
        service_bucket("t", State::Migrating),
        vec![(key("shop", "a"), evaluation("new", None, State::Migrating))],
    );
    assert_eq!(shown(&mut table), ["unowned Migrating 1"]);
    assert_eq!(table.counts().services.values().sum::<u64>(), 1);
}

#[test]
fn an_object_is_kept_while_a_service_names_it_and_never_an_older_one() {
    let (fleet, _) = fleet();
    let service = ("shop".to_owned(), "s".to_owned());
    fleet.learn(&key("shop", "a"), &object("shop", "a", 5, None));
    assert_eq!(fleet.table().object(&key("shop", "a")), None, "nobody names it");
    let _ = fleet.claim(&service, &[key("shop", "a")]);
    fleet.learn(&key("shop", "a"), &object("shop", "a", 6, None));
    fleet.learn(&key("shop", "a"), &object("shop", "a", 4, None));
    assert_eq!(fleet.table().object(&key("shop", "a")), Some(object("shop", "a", 6, None)));
    let _ = fleet.claim(&service, &[]);
    assert_eq!(fleet.table().object(&key("shop", "a")), None);
}

fn fleet() -> (Fleet, crate::observability::Metrics) {
    let metrics = crate::observability::Metrics::new().unwrap();
    let (touched, _) = futures::channel::mpsc::unbounded();
    (Fleet::new("goldenpath-system", touched, WatchMetrics::new(&metrics).unwrap()), metrics)
}
