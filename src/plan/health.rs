//! Whether a workload is well, as far as its own status tells.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::rollout::waits_for;
use crate::api::WorkloadKind;

/// A rollout that takes longer has failed, where the kind knows no deadline of its own: the default of a Deployment's
/// `progressDeadlineSeconds`.
pub const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// Whether everything that the workload asks for runs.
#[must_use]
pub fn is_well(kind: WorkloadKind, object: &Value) -> bool {
    waits_for(kind, object).is_none() && stalled(object).is_none()
}

/// Why a rollout that is under way since then has failed; nothing while it may still succeed.
#[must_use]
pub fn failure(kind: WorkloadKind, object: &Value, since: Option<Timestamp>, now: Timestamp) -> Option<String> {
    if let Some(message) = stalled(object) {
        return Some(message);
    }
    let wait = waits_for(kind, object)?;
    let is_paused = object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true);
    let overdue = kind != WorkloadKind::Deployment && now.duration_since(since?) >= DEADLINE;
    (overdue && !is_paused).then(|| format!("the rollout is not over after {} minutes: {wait}", DEADLINE.as_mins()))
}

/// The Deployment controller gave the rollout up.
fn stalled(object: &Value) -> Option<String> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let text = |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).map(ToOwned::to_owned);
    let found = conditions.iter().find(|condition| {
        text(condition, "type").as_deref() == Some("Progressing")
            && text(condition, "status").as_deref() == Some("False")
    })?;
    let reason = text(found, "reason").unwrap_or_default();
    (reason == "ProgressDeadlineExceeded")
        .then(|| format!("ProgressDeadlineExceeded: {}", text(found, "message").unwrap_or_default()))
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

    #[rstest]
    #[case::done(WorkloadKind::Deployment, object(2, None), 99, None)]
    #[case::under_way(WorkloadKind::Deployment, object(1, None), 99, None)]
    #[case::given_up(
        WorkloadKind::Deployment,
        object(1, Some("ProgressDeadlineExceeded")),
        1,
        Some("ProgressDeadlineExceeded: stuck")
    )]
    #[case::paused_by_somebody(WorkloadKind::Deployment, object(1, Some("DeploymentPaused")), 1, None)]
    #[case::early(WorkloadKind::StatefulSet, object(1, None), 9, None)]
    #[case::late(
        WorkloadKind::StatefulSet,
        object(1, None),
        10,
        Some("the rollout is not over after 10 minutes: not all pods run the new template")
    )]
    fn a_rollout_fails_by_its_deadline(
        #[case] kind: WorkloadKind,
        #[case] object: Value,
        #[case] minutes: i64,
        #[case] expected: Option<&str>,
    ) {
        let (since, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(minutes * 60).unwrap());
        assert_eq!(failure(kind, &object, Some(since), now).as_deref(), expected);
    }
}
