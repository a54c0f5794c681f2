//! What is said of a value that a team has set: statuses, Events and logs are read by more people than the workload is.

use serde_json::{Value, json};

use crate::api::brief;

/// Parts of a pod in which people write secrets that belong into a Secret: variables, what a program is called with, headers
/// of probes, annotations.
const SECRETIVE: [&str; 6] = ["env", "args", "command", "annotations", "Probe", "lifecycle"];

/// The team's own value of a field as it may be shown; of some fields only that there is one.
#[must_use]
pub fn shown(field: &str, value: &Value) -> String {
    let words = field.split(['.', '[']);
    let is_secretive = words.into_iter().any(|word| SECRETIVE.iter().any(|part| word.ends_with(part)));
    if is_secretive { "the team's own".to_owned() } else { brief(value) }
}

/// Where one pod template first differs from another, and how: never with a value, since whole containers may differ.
#[must_use]
pub fn first_difference(expected: &Value, made: &Value) -> String {
    let operation = json_patch::diff(expected, made).0.first().map(|operation| json!(operation)).unwrap_or_default();
    let path = operation["path"].as_str().unwrap_or_default();
    let how = match operation["op"].as_str() {
        Some("add") => "is added",
        Some("remove") => "is not there",
        _ => "has another value",
    };
    format!("{path} {how}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::a_variable("spec.containers[app].env[name=TOKEN]", false)]
    #[case::the_value_of_one("spec.containers[app].env[TOKEN].value", false)]
    #[case::a_header("spec.containers[app].livenessProbe", false)]
    #[case::an_argument("spec.containers[app].args", false)]
    #[case::an_annotation("metadata.annotations[a]", false)]
    #[case::an_amount("spec.containers[app].resources.requests.cpu", true)]
    #[case::a_container_of_that_name("spec.containers[environment].image", true)]
    fn values_are_shown_where_nobody_writes_secrets(#[case] field: &str, #[case] is_shown: bool) {
        assert_eq!(shown(field, &json!("hidden")).contains("hidden"), is_shown);
    }

    fn of(env: &Value) -> Value {
        json!({"spec": {"containers": [{"name": "app", "env": env}]}})
    }

    #[rstest]
    #[case::a_variable(&json!([{"name": "T", "value": "hidden"}]), "/spec/containers/0/env/0/value has another value")]
    #[case::one_more(
        &json!([{"name": "T", "value": "road"}, {"name": "U", "value": "hidden"}]),
        "/spec/containers/0/env/1 is added"
    )]
    #[case::none(&json!([]), "/spec/containers/0/env/0 is not there")]
    fn a_difference_is_told_without_a_value(#[case] made: &Value, #[case] told: &str) {
        let expected = json!([{"name": "T", "value": "road"}]);
        assert_eq!(first_difference(&of(&expected), &of(made)), told);
        assert!(!first_difference(&of(made), &of(&expected)).contains("hidden"), "nor that of the other side");
    }
}
