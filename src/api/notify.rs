//! Whom a Deprecation tells, and how often.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeprecationStage;

/// notify says how those are told who still use what is old: whenever the stage changes, and again and again.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Notify {
    /// every is how often they are told again, such as 168h. Without it, only when the stage changes. Times are counted from a
    /// Monday, 08:00 UTC, so that Deprecations with the same time come in one digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s')").message(
        "every: people are told every 10s at most; choose a longer time, such as 168h"))]
    pub every: Option<String>,
    /// events says whether each PlatformService that has something old gets an Event.
    #[serde(default = "super::deprecation::yes")]
    pub events: bool,
    /// receivers lists by name who gets a digest for each team that has something old. They are configured where the operator
    /// is installed; the address of one never stands in an object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub receivers: Vec<String>,
}

/// When people were told last. It is written before they are, so that nobody is told twice.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// at is when that was.
    pub at: Time,
    /// stage is the stage that they were told of.
    pub stage: DeprecationStage,
}
