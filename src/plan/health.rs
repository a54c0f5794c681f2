//! Whether a workload is well, as far as its own status tells.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::metadata::{condition, newest, records};
use super::rollout::{Pods, waits_for};
use crate::api::WorkloadKind;

/// A rollout without any progress for so long has failed, where the kind knows no deadline of its own: the default of a
/// Deployment's `progressDeadlineSeconds`.
pub const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// How the first rollout since a workload was labelled goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything that the workload asks for runs, or the next job will.
    Over,
    /// It may still succeed; if nothing changes, it has failed by then. Nothing where only time tells nothing.
    UnderWay(Option<Timestamp>),
    /// It has failed, and why.
    Failed(String),
}

/// Whether everything that the workload asks for runs.
#[must_use]
pub fn is_well(kind: WorkloadKind, object: &Value) -> bool {
    waits_for(kind, object).is_none() && stalled(object).is_none()
}

/// How a rollout goes that is under way since then.
///
/// Pods are not watched: it is told from the workload's own status. A Deployment's controller gives a rollout up by itself. Of
/// the other kinds nobody does, so a rollout of theirs has failed when its status has not changed for [`DEADLINE`], or when it
/// has brought less than one pod in each: a pod that crashes again and again changes the status, too. So a hundred pods of a
/// StatefulSet may take a day, one after the other. Where a person decides which pods are replaced (`OnDelete`, a partition)
/// nothing has failed as long as all pods are available.
#[must_use]
pub fn progress(kind: WorkloadKind, object: &Value, since: Option<Timestamp>, now: Timestamp) -> Progress {
    if let Some(message) = stalled(object) {
        return Progress::Failed(message);
    }
    let Some(wait) = waits_for(kind, object) else { return Progress::Over };
    let Some(since) = since.filter(|_| kind != WorkloadKind::Deployment) else { return Progress::UnderWay(None) };
    let Pods { there, updated, available, .. } = Pods::of(kind, object);
    let unavailable = there.saturating_sub(available).max(0);
    // new ones that are available, if all that are not available are new
    let brought = i32::try_from(updated.saturating_sub(unavailable).max(0)).unwrap_or(i32::MAX);
    if is_by_hand(object) && (unavailable == 0 || updated == 0) {
        return Progress::UnderWay(None);
    }
    // another template, or another number of pods, is another beginning
    let since = last_change(object, |of| of != "status").map_or(since, |written| written.max(since));
    let ready = object
        .pointer("/spec/minReadySeconds")
        .and_then(Value::as_i64)
        .map_or(SignedDuration::ZERO, SignedDuration::from_secs);
    let after = |time: Timestamp, deadlines: i32| {
        let pause = (DEADLINE + ready).saturating_mul(deadlines);
        time.checked_add(pause).unwrap_or(Timestamp::MAX)
    };
    let still = after(last_change(object, |of| of == "status").map_or(since, |last| last.max(since)), 1);
    let slow = after(since, brought.saturating_add(1));
    if still <= now {
        return Progress::Failed(format!("the rollout has not moved for {} minutes: {wait}", DEADLINE.as_mins()));
    }
    if is_by_hand(object) {
        return Progress::UnderWay(Some(still));
    }
    if slow <= now {
        let minutes = now.duration_since(since).as_mins();
        return Progress::Failed(format!("the rollout has brought {brought} pods in {minutes} minutes: {wait}"));
    }
    Progress::UnderWay(Some(still.min(slow)))
}

/// Whether a person decides which pods are replaced.
fn is_by_hand(object: &Value) -> bool {
    let strategy = object.pointer("/spec/updateStrategy");
    let text = |field: &str| strategy.and_then(|strategy| strategy.get(field)).and_then(Value::as_str);
    let partition = strategy.and_then(|strategy| strategy.pointer("/rollingUpdate/partition")).and_then(Value::as_i64);
    text("type") == Some("OnDelete") || partition.is_some_and(|partition| partition > 0)
}

/// When a part of the object last changed, by the records of whoever writes it. Records of metadata alone say nothing about
/// pods.
fn last_change(object: &Value, of: impl Fn(&str) -> bool) -> Option<Timestamp> {
    let is_meant = |record: &&Value| {
        let subresource = record.get("subresource").and_then(Value::as_str).unwrap_or_default();
        let fields = record.get("fieldsV1");
        let says = fields.is_none_or(|fields| fields.get("f:spec").is_some() || fields.get("f:status").is_some());
        of(subresource) && says
    };
    newest(records(object).filter(is_meant))
}

/// The Deployment controller gave the rollout up.
fn stalled(object: &Value) -> Option<String> {
    let found = condition(object, "Progressing", "False")?;
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default();
    (text("reason") == "ProgressDeadlineExceeded").then(|| format!("ProgressDeadlineExceeded: {}", text("message")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn object(updated: i64, reason: Option<&str>) -> Value {
        let conditions: Vec<Value> = reason
            .into_iter()
            .map(|reason| json!({"type": "Progressing", "status": "False", "reason": reason, "message": "stuck"}))
            .collect();
        json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 2},
            "status": {
                "observedGeneration": 2, "replicas": 2, "updatedReplicas": updated, "availableReplicas": 2,
                "currentRevision": "a", "updateRevision": "b", "conditions": conditions,
            },
        })
    }

    /// The rollout began at the epoch.
    fn told(kind: WorkloadKind, object: &Value, minutes: i64) -> Progress {
        let now = Timestamp::from_second(minutes * 60).unwrap();
        progress(kind, object, Some(Timestamp::UNIX_EPOCH), now)
    }

    fn until(minutes: i64) -> Progress {
        Progress::UnderWay(Some(Timestamp::from_second(minutes * 60).unwrap()))
    }

    fn failed(message: &str) -> Progress {
        Progress::Failed(message.to_owned())
    }

    #[rstest]
    #[case::done(object(2, None), Progress::Over)]
    #[case::under_way(object(1, None), Progress::UnderWay(None))]
    #[case::given_up(object(1, Some("ProgressDeadlineExceeded")), failed("ProgressDeadlineExceeded: stuck"))]
    #[case::paused_by_somebody(object(1, Some("DeploymentPaused")), Progress::UnderWay(None))]
    fn a_deployment_fails_when_its_controller_says_so(#[case] object: Value, #[case] expected: Progress) {
        assert_eq!(told(WorkloadKind::Deployment, &object, 99), expected);
    }

    /// A StatefulSet of 20, so many of them new and so many available, whose status last changed then.
    fn of_twenty(updated: i64, available: i64, changed: i64, strategy: &Value) -> Value {
        let time = Timestamp::from_second(changed * 60).unwrap().to_string();
        json!({
            "metadata": {"generation": 2, "managedFields": [
                {"manager": "team", "time": "1970-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}},
                {"manager": "goldenpath-operator", "time": "2036-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
                {"manager": "kube-controller-manager", "subresource": "status", "time": time},
            ]},
            "spec": {"replicas": 20, "updateStrategy": strategy},
            "status": {
                "observedGeneration": 2, "replicas": 20, "updatedReplicas": updated, "availableReplicas": available,
                "currentRevision": "a", "updateRevision": "b",
            },
        })
    }

    const OLD: &str = "not all pods run the new template";

    #[rstest]
    #[case::early(of_twenty(1, 19, 1, &json!({})), 9, until(10))]
    #[case::no_pod_in_time(of_twenty(1, 19, 9, &json!({})), 10, failed(&format!("the rollout has brought 0 pods in 10 minutes: {OLD}")))]
    #[case::slow_and_well(of_twenty(15, 19, 148, &json!({})), 149, until(150))]
    #[case::slower(of_twenty(15, 19, 149, &json!({})), 150, failed(&format!("the rollout has brought 14 pods in 150 minutes: {OLD}")))]
    #[case::stuck_after_a_good_beginning(of_twenty(10, 19, 12, &json!({})), 21, until(22))]
    #[case::stuck_for_good(of_twenty(10, 19, 12, &json!({})), 22, failed(&format!("the rollout has not moved for 10 minutes: {OLD}")))]
    #[case::partition(of_twenty(1, 20, 1, &json!({"rollingUpdate": {"partition": 19}})), 9999, Progress::UnderWay(None))]
    #[case::broken_canary(of_twenty(1, 19, 1, &json!({"rollingUpdate": {"partition": 19}})), 11, failed(&format!("the rollout has not moved for 10 minutes: {OLD}")))]
    #[case::slow_canary(of_twenty(1, 19, 500, &json!({"rollingUpdate": {"partition": 19}})), 501, until(510))]
    #[case::all_pods_of_whom_waits_for_a_person(of_twenty(0, 20, 1, &json!({"type": "OnDelete"})), 9999, Progress::UnderWay(None))]
    fn a_stateful_set_fails_when_it_stands_still_or_brings_too_little(
        #[case] object: Value,
        #[case] minutes: i64,
        #[case] expected: Progress,
    ) {
        assert_eq!(told(WorkloadKind::StatefulSet, &object, minutes), expected);
    }

    #[test]
    fn another_template_or_number_of_pods_is_another_beginning() {
        let mut object = of_twenty(0, 20, 25, &json!({}));
        assert_eq!(
            told(WorkloadKind::StatefulSet, &object, 26),
            failed(&format!("the rollout has brought 0 pods in 26 minutes: {OLD}"))
        );
        object["metadata"]["managedFields"][0]["time"] = json!("1970-01-01T00:25:00Z");
        assert_eq!(told(WorkloadKind::StatefulSet, &object, 26), until(35));
        object["spec"]["minReadySeconds"] = json!(300);
        assert_eq!(told(WorkloadKind::StatefulSet, &object, 26), until(40));
        // scaled, in the middle
        let scaled = json!({"manager": "hpa", "subresource": "scale", "time": "1970-01-01T00:26:00Z", "fieldsV1": {"f:spec": {}}});
        object["metadata"]["managedFields"].as_array_mut().unwrap().push(scaled);
        assert_eq!(told(WorkloadKind::StatefulSet, &object, 26), until(41));
    }

    #[test]
    fn where_a_person_replaces_pods_a_broken_old_one_is_no_failure() {
        let object = of_twenty(0, 19, 1, &json!({"type": "OnDelete"}));
        assert_eq!(told(WorkloadKind::StatefulSet, &object, 9999), Progress::UnderWay(None));
    }

    #[test]
    fn a_daemon_set_counts_nodes() {
        let set = |updated: i64| {
            json!({"metadata": {"generation": 1}, "status": {
                "observedGeneration": 1, "desiredNumberScheduled": 9, "currentNumberScheduled": 9, "updatedNumberScheduled": updated, "numberAvailable": 8,
            }})
        };
        let told = |updated, minutes| told(WorkloadKind::DaemonSet, &set(updated), minutes);
        assert_eq!(told(1, 9), until(10));
        assert_eq!(told(1, 10), failed(&format!("the rollout has not moved for 10 minutes: {OLD}")));
    }
}
