//! Whether a workload runs what its template says, and what it waits for.

use serde_json::Value;

use crate::api::WorkloadKind;

/// The pods of a workload, as its status counts them. A CronJob has none of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// How many there should be.
    pub wanted: i64,
    /// How many there are.
    pub there: i64,
    /// How many of them run the current template.
    pub updated: i64,
    /// How many of them are available.
    pub available: i64,
}

impl Pods {
    /// Reads a status.
    #[must_use]
    pub fn of(kind: WorkloadKind, object: &Value) -> Self {
        let int = |path: &str| object.pointer(path).and_then(Value::as_i64);
        let status = |field: &str| int(&format!("/status/{field}")).unwrap_or(0);
        match kind {
            WorkloadKind::CronJob => Self::default(),
            WorkloadKind::DaemonSet => Self {
                wanted: status("desiredNumberScheduled"),
                there: status("currentNumberScheduled"),
                updated: status("updatedNumberScheduled"),
                available: status("numberAvailable"),
            },
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => Self {
                wanted: int("/spec/replicas").unwrap_or(1),
                there: status("replicas"),
                updated: status("updatedReplicas"),
                available: status("availableReplicas"),
            },
        }
    }
}

/// Why the current template does not run everywhere yet; `None` when it does.
///
/// The rules are those of `kubectl rollout status`, without its numbers: they change with every pod, and the answer is
/// written into a status. A CronJob has no rollout: the next job runs the template.
#[must_use]
pub fn waits_for(kind: WorkloadKind, object: &Value) -> Option<String> {
    if kind == WorkloadKind::CronJob {
        return None;
    }
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Some("the rollout is paused".to_owned());
    }
    let int = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    if int("/status/observedGeneration") < int("/metadata/generation") {
        return Some("the rollout has not begun".to_owned());
    }
    let Pods { wanted, there, mut updated, available } = Pods::of(kind, object);
    if kind == WorkloadKind::Deployment && there > updated && updated >= wanted {
        return Some("old pods are still ending".to_owned());
    }
    if kind == WorkloadKind::StatefulSet {
        let revision = |field: &str| object.pointer(&format!("/status/{field}")).and_then(Value::as_str);
        if revision("currentRevision") == revision("updateRevision") {
            updated = wanted;
        }
    }
    if updated < wanted {
        let on_delete = ["/spec/updateStrategy/type", "/spec/strategy/type"]
            .iter()
            .any(|path| object.pointer(path).and_then(Value::as_str) == Some("OnDelete"));
        let who = if on_delete { "; the strategy is OnDelete, so pods must be deleted by hand" } else { "" };
        return Some(format!("not all pods run the new template{who}"));
    }
    (available < wanted).then(|| "not all pods are available".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::done(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}), None)]
    #[case::not_begun(json!({"observedGeneration": 1}), Some("the rollout has not begun"))]
    #[case::half(json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3}), Some("not all pods run the new template"))]
    #[case::old_pods(json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "availableReplicas": 3}), Some("old pods are still ending"))]
    #[case::unavailable(json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 2}), Some("not all pods are available"))]
    fn a_deployment_says_what_it_waits_for(#[case] status: Value, #[case] expected: Option<&str>) {
        let object = json!({"metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status});
        assert_eq!(waits_for(WorkloadKind::Deployment, &object).as_deref(), expected);
    }

    #[test]
    fn a_stateful_set_on_delete_says_who_must_act() {
        let object = json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            "status": {"observedGeneration": 2, "currentRevision": "a", "updateRevision": "b", "availableReplicas": 2},
        });
        let text = waits_for(WorkloadKind::StatefulSet, &object).unwrap();
        assert_eq!(
            text,
            "not all pods run the new template; the strategy is OnDelete, so pods must be deleted by hand"
        );
    }
}
