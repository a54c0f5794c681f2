//! What is said of a value that a team has set: statuses, Events and logs are read by more people than the workload is.

use serde_json::Value;

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
}
