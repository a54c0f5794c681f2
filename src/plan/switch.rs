//! From one path to another in one rollout.
//!
//! The workload carries the labels of the new path, and [`labels::RELEASE`] with the name of the old one. In its team's next
//! rollout the old path's values go and the new one's come.

use std::borrow::Cow;

use serde_json::Value;

use super::gaps::{filled, gaps};
use super::leaf::Road;
use super::metadata::label;
use crate::api::{WorkloadKind, labels};

/// The workload as it is without the values of the path that it leaves. `left` has every leaf that that path ever filled.
#[must_use]
pub fn without_left<'a>(kind: WorkloadKind, object: &'a Value, left: Option<&Road>) -> Cow<'a, Value> {
    let Some(left) = left.filter(|_| label(object, labels::RELEASE).is_some()) else { return Cow::Borrowed(object) };
    let template = filled(kind, object, &gaps(kind, object, &left.release()));
    let mut without = object.clone();
    let place = kind.template_path().iter().try_fold(&mut without, |at, name| at.get_mut(name));
    if let Some(place) = place {
        *place = template;
    }
    Cow::Owned(without)
}

/// The path whose values a workload still has that is not, or not any more, that of its service.
#[must_use]
pub fn leaves<'a>(object: &'a Value, target: &str) -> Option<&'a str> {
    let path = label(object, labels::PATH)?;
    if path == target { label(object, labels::RELEASE).filter(|left| *left != target) } else { Some(path) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::plan::pod_template::road;

    fn workload(labels: &Value) -> Value {
        let container = json!({"name": "app", "workingDir": "/old"});
        json!({
            "metadata": {"labels": labels, "managedFields": [{"manager": "team", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"template": {"spec": {"containers": [container]}}}
        })
    }

    #[rstest]
    #[case::on_its_way(json!({labels::PATH: "new", labels::RELEASE: "old"}), false)]
    #[case::there(json!({labels::PATH: "new"}), true)]
    fn values_of_the_path_that_is_left_do_not_count(#[case] labels: Value, #[case] counts: bool) {
        let road = road(&json!({"spec": {"containers": [{"name": "*", "workingDir": "/old"}]}}));
        let object = workload(&labels);
        let seen = without_left(WorkloadKind::Deployment, &object, Some(&road));
        let dir = seen.pointer("/spec/template/spec/containers/0/workingDir");
        assert_eq!(dir.is_some(), counts, "{seen}");
        assert_eq!(*without_left(WorkloadKind::Deployment, &object, None), object);
    }

    #[rstest]
    #[case::elsewhere(json!({labels::PATH: "old"}), Some("old"))]
    #[case::on_its_way(json!({labels::PATH: "new", labels::RELEASE: "old"}), Some("old"))]
    #[case::turned_round(json!({labels::PATH: "old", labels::RELEASE: "new"}), Some("old"))]
    #[case::back_before_a_rollout(json!({labels::PATH: "new", labels::RELEASE: "new"}), None)]
    #[case::there(json!({labels::PATH: "new"}), None)]
    #[case::nowhere(json!({}), None)]
    fn a_workload_leaves_one_path_at_a_time(#[case] labels: Value, #[case] left: Option<&str>) {
        assert_eq!(leaves(&workload(&labels), "new"), left);
    }
}
