//! Whether a workload has been rolled out since it came to its revision: a wave goes on when enough have.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::whole_second;
use crate::api::{WorkloadKind, WorkloadStatus};
use crate::plan::health::is_well;
use crate::plan::rollout::waits_for;
use crate::plan::service::template_hash;

/// How far the first rollout since a workload was labelled has come.
pub fn exercise(
    kind: WorkloadKind,
    object: &Value,
    labelled_template: Option<String>,
    before: Option<&WorkloadStatus>,
    now: Timestamp,
) -> WorkloadStatus {
    let none = WorkloadStatus { labelled_template, ..WorkloadStatus::default() };
    let Some(labelled) = &none.labelled_template else { return none };
    let before = before.filter(|before| before.labelled_template.as_ref() == Some(labelled));
    let hash = template_hash(kind, object);
    let changed = *labelled != hash;
    let complete = waits_for(kind, object).is_none();
    let rolling = changed && !complete;
    let since = before.and_then(|before| before.rolling_out_since.clone());
    let exercised = before.is_some_and(|before| before.exercised) || (changed && complete);
    let template = before.filter(|before| before.exercised).and_then(|before| before.exercised_template.clone());
    WorkloadStatus {
        healthy_before: before.map_or_else(|| Some(is_well(kind, object)), |before| before.healthy_before),
        exercised,
        exercised_template: exercised.then(|| template.unwrap_or(hash)),
        rolling_out_since: rolling.then(|| since.unwrap_or_else(|| whole_second(now))),
        ..none
    }
}
