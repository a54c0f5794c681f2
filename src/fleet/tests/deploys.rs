//! Deploys as a watch tells of them, and as it does when times are missing, wrong, or never come.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fleet::table::Table;
use crate::plan::rollout::waits_for;
use crate::status::spread::LEAD;

const COMMIT: &str = "2026-11-27T10:00:00Z";

fn at(seconds: u32) -> Moment {
    let wall = "2026-11-27T12:00:00Z".parse::<Timestamp>().unwrap();
    Moment { uptime: seconds * 10, wall: wall + SignedDuration::from_secs(i64::from(seconds)) }
}

/// A Deployment of two whose template has that number, and so many pods of it.
fn deployment(version: u64, template: &str, updated: i64, reason: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": "web", "resourceVersion": version.to_string(), "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": template, "goldenpath.dev/commit-timestamp": COMMIT},
        },
        "spec": {"replicas": 2},
        "status": {
            "observedGeneration": 3, "replicas": 2, "updatedReplicas": updated, "availableReplicas": 2,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason, "lastUpdateTime": "2026-11-27T11:00:00Z"}],
        },
    })
}

/// A StatefulSet of two on its way from one revision to another.
fn stateful(version: u64, current: &str, update: &str, updated: i64) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": "db", "resourceVersion": version.to_string(), "generation": 3,
            "annotations": {"goldenpath.dev/commit-timestamp": COMMIT}},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": updated, "availableReplicas": 2,
            "currentRevision": current, "updateRevision": update},
    })
}

fn see(table: &mut Table, kind: WorkloadKind, object: &Value, seconds: u32) {
    let text = object.to_string();
    let slim: Slim<'_> = serde_json::from_str(&text).unwrap();
    table.see(kind, &slim, slim.version().unwrap(), at(seconds));
}

fn deploy(table: &mut Table, object: &Value, seconds: u32) {
    see(table, WorkloadKind::Deployment, object, seconds);
}

/// What ended how, off the road, and how many durations are known and their sum.
fn ended(table: &Table) -> ([u64; 3], u64, f64) {
    let tally = &table.deploys().tallies()[0];
    let shown = tally.durations.shown(DEPLOY);
    (tally.ended, shown.count, shown.sum)
}

/// Lead times off the road: how many, and their sum.
fn leads(table: &Table) -> (u64, f64) {
    let shown = table.counts().leads[0].shown(LEAD);
    (shown.count, shown.sum)
}

const DONE: &str = "NewReplicaSetAvailable";
const MOVING: &str = "ReplicaSetUpdated";
const GIVEN_UP: &str = "ProgressDeadlineExceeded";

#[test]
fn a_deploy_is_measured_from_its_new_template_to_its_last_pod() {
    let mut table = Table::new("goldenpath-system");
    deploy(&mut table, &deployment(1, "1", 2, DONE), 0);
    assert_eq!((ended(&table), leads(&table)), (([0; 3], 0, 0.0), (1, 3600.0)), "what ran before is no deploy");
    deploy(&mut table, &deployment(2, "2", 0, MOVING), 100);
    deploy(&mut table, &deployment(3, "2", 1, MOVING), 110);
    assert_eq!(table.deploys().under_way(), 1);
    deploy(&mut table, &deployment(4, "2", 2, DONE), 142);
    assert_eq!(ended(&table), ([1, 0, 0], 1, 42.0));
    // pods that crash, a scale-up and labels come later and are no deploys
    let mut crashed = deployment(5, "2", 2, DONE);
    crashed["status"]["availableReplicas"] = json!(0);
    deploy(&mut table, &crashed, 200);
    assert_eq!((ended(&table).0, table.deploys().under_way()), ([1, 0, 0], 0));
    assert_eq!(table.counts().serving, [[1, 0], [0, 0]], "but nobody serves");
}

#[test]
fn a_deploy_that_fails_or_never_ends_counts_once() {
    let mut table = Table::new("goldenpath-system");
    deploy(&mut table, &deployment(1, "1", 2, DONE), 0);
    deploy(&mut table, &deployment(2, "2", 0, MOVING), 10);
    for version in 3..9 {
        deploy(&mut table, &deployment(version, "2", 0, GIVEN_UP), 600);
    }
    assert_eq!(ended(&table), ([0, 1, 0], 0, 0.0));
    // it comes to an end after all: it has failed nevertheless
    deploy(&mut table, &deployment(10, "2", 2, DONE), 900);
    assert_eq!(ended(&table), ([0, 1, 0], 0, 0.0));
    // replaced before its end, and that one by a third
    deploy(&mut table, &deployment(11, "3", 0, MOVING), 1000);
    deploy(&mut table, &deployment(12, "4", 0, MOVING), 1010);
    assert_eq!(ended(&table), ([0, 1, 1], 0, 0.0));
    let key = WorkloadKey { kind: WorkloadKind::Deployment, namespace: "shop".into(), name: "web".into() };
    table.remove(key, 13);
    assert_eq!((table.deploys().under_way(), leads(&table)), (0, (0, 0.0)), "what is gone leaves nothing");
}

#[test]
fn a_stateful_set_has_ten_minutes_a_pod_and_its_lead_time_is_that_of_an_end_that_was_seen() {
    let mut table = Table::new("goldenpath-system");
    let see = |table: &mut Table, object: &Value, seconds| see(table, WorkloadKind::StatefulSet, object, seconds);
    see(&mut table, &stateful(1, "a", "a", 2), 0);
    assert_eq!(leads(&table).0, 0, "when it ended nobody saw");
    see(&mut table, &stateful(2, "a", "b", 0), 100);
    see(&mut table, &stateful(3, "b", "b", 2), 160);
    assert_eq!((ended(&table), leads(&table)), (([1, 0, 0], 1, 60.0), (1, 7360.0)));
    see(&mut table, &stateful(4, "b", "c", 0), 200);
    see(&mut table, &stateful(5, "b", "c", 0), 1400);
    assert_eq!(ended(&table).0, [1, 0, 0], "two pods have twenty minutes");
    see(&mut table, &stateful(6, "b", "c", 0), 1401);
    see(&mut table, &stateful(7, "b", "c", 0), 9999);
    assert_eq!((ended(&table).0, leads(&table).0), ([1, 1, 0], 1));
}

#[test]
fn what_was_under_way_when_the_operator_began_has_no_duration() {
    let mut table = Table::new("goldenpath-system");
    deploy(&mut table, &deployment(1, "2", 1, MOVING), 0);
    deploy(&mut table, &deployment(2, "2", 2, DONE), 30);
    assert_eq!(ended(&table), ([1, 0, 0], 0, 0.0));
    let mut failed = deployment(3, "9", 0, GIVEN_UP);
    failed["metadata"]["name"] = json!("failed-before");
    deploy(&mut table, &failed, 40);
    assert_eq!(ended(&table).0, [1, 0, 0], "it was counted when it failed");
    // of a StatefulSet it is not even known whether it was a deploy
    see(&mut table, WorkloadKind::StatefulSet, &stateful(4, "a", "b", 1), 0);
    see(&mut table, WorkloadKind::StatefulSet, &stateful(5, "b", "b", 2), 30);
    assert_eq!(ended(&table).0, [1, 0, 0]);
}

#[test]
fn the_first_deploy_of_a_new_workload_is_one_and_a_template_without_number_is_no_other_one() {
    let mut table = Table::new("goldenpath-system");
    let mut new = deployment(1, "", 0, "");
    new["status"] = json!({});
    deploy(&mut table, &new, 0);
    deploy(&mut table, &deployment(2, "1", 0, MOVING), 1);
    deploy(&mut table, &deployment(3, "1", 2, DONE), 20);
    assert_eq!(ended(&table), ([1, 0, 0], 1, 20.0));
    // kubectl replace takes the number away, its controller gives it back
    deploy(&mut table, &deployment(4, "", 2, DONE), 30);
    deploy(&mut table, &deployment(5, "1", 2, DONE), 31);
    assert_eq!((ended(&table).0, table.deploys().under_way()), ([1, 0, 0], 0));
    // scaled to nothing, a new template reaches no pod
    let mut nothing = deployment(6, "2", 0, DONE);
    nothing["spec"]["replicas"] = json!(0);
    deploy(&mut table, &nothing, 40);
    assert_eq!(ended(&table).0, [1, 0, 0]);
}

#[test]
fn a_deploy_with_our_label_counts_as_adopted() {
    let mut table = Table::new("goldenpath-system");
    deploy(&mut table, &deployment(1, "1", 2, DONE), 0);
    let labelled = |version, updated, reason| {
        let mut object = deployment(version, "2", updated, reason);
        object["metadata"]["labels"] = json!({"goldenpath.dev/service": "web"});
        object
    };
    deploy(&mut table, &labelled(2, 0, MOVING), 10);
    deploy(&mut table, &labelled(3, 2, DONE), 15);
    assert_eq!(table.deploys().tallies().each_ref().map(|tally| tally.ended[0]), [0, 1]);
}

#[rstest]
#[case::an_hour(json!("2026-11-27T10:00:00Z"), Some(36_000))]
#[case::another_zone(json!("2026-11-27T12:30:00+02:00"), Some(18_000))]
#[case::a_clock_that_is_a_little_ahead(json!("2026-11-27T11:00:30Z"), Some(0))]
#[case::the_future(json!("2026-11-28T10:00:00Z"), None)]
#[case::far_future(json!("9999-12-31T23:59:59Z"), None)]
#[case::a_zero(json!("1970-01-01T00:00:00Z"), None)]
#[case::before_there_was_time(json!("-009999-01-02T00:00:00Z"), None)]
#[case::no_time(json!("yesterday\n\"}"), None)]
#[case::seconds(json!("1764237600"), None)]
#[case::empty(json!(""), None)]
#[case::missing(json!(null), None)]
fn a_commit_that_nobody_can_have_meant_has_no_lead_time(#[case] commit: Value, #[case] expected: Option<u32>) {
    let mut object = deployment(1, "1", 2, DONE);
    object["metadata"]["annotations"]["goldenpath.dev/commit-timestamp"] = commit;
    let text = object.to_string();
    let slim: Slim<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(slim.lead(WorkloadKind::Deployment, None), expected);
}

#[rstest]
#[case::no_time_at_all(json!({"type": "Progressing", "reason": DONE}))]
#[case::null(json!({"type": "Progressing", "reason": DONE, "lastUpdateTime": null}))]
#[case::no_time(json!({"type": "Progressing", "reason": DONE, "lastUpdateTime": "soon"}))]
fn an_end_without_a_time_has_no_lead_time(#[case] condition: Value) {
    let mut object = deployment(1, "1", 2, DONE);
    object["status"]["conditions"] = json!([condition]);
    let text = object.to_string();
    let slim: Slim<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(slim.lead(WorkloadKind::Deployment, None), None);
}

/// Without a word of its controller, a workload is over exactly when `kubectl rollout status` would say so.
#[test]
fn the_slim_reading_agrees_with_the_whole_one() {
    use WorkloadKind::{DaemonSet, Deployment, StatefulSet};
    let mut tried = 0;
    for (there, updated, available, observed) in choices(3) {
        for kind in [Deployment, StatefulSet, DaemonSet] {
            for (current, paused) in [("a", false), ("b", false), ("b", true)] {
                let object = json!({
                    "metadata": {"name": "x", "generation": 2}, "spec": {"replicas": 2, "paused": paused},
                    "status": {
                        "observedGeneration": observed, "replicas": there, "updatedReplicas": updated,
                        "availableReplicas": available, "currentRevision": current, "updateRevision": "b",
                        "desiredNumberScheduled": 2, "currentNumberScheduled": there,
                        "updatedNumberScheduled": updated, "numberAvailable": available,
                    },
                });
                let text = object.to_string();
                let slim: Slim<'_> = serde_json::from_str(&text).unwrap();
                let over = slim.rollout(kind).standing == Standing::Over;
                assert_eq!(over, waits_for(kind, &object).is_none(), "{kind} {text}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 4 * 4 * 4 * 2 * 9);
}

/// Every choice of three counts up to a number, and of two generations.
fn choices(up_to: i64) -> impl Iterator<Item = (i64, i64, i64, i64)> {
    let counts = move || 0..=up_to;
    counts().flat_map(move |a| {
        counts().flat_map(move |b| counts().flat_map(move |c| (1..=2).map(move |observed| (a, b, c, observed))))
    })
}
