//! What teams say of their path, and when they got where.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// feedback says how content the team is with its path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// score is how content the team is, from 1 (not at all) to 5 (very). The mean of a path is a metric.
    #[schemars(range(min = 1, max = 5))]
    pub score: i32,
    /// comment says why, for the people who own the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub comment: Option<String>,
}

/// milestones says when the service got where for the first time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Milestones {
    /// firstReadyAt is when the service was Ready for the first time and all of its workloads ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ready_at: Option<Time>,
}
