//! `PlatformService.status.deprecations`: what a service has that is deprecated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeprecationStage;

/// Each entry is an object of the service that is deprecated.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeprecatedObject {
    /// name is the name of the Deprecation.
    #[schemars(length(max = 63))]
    pub name: String,
    /// stage is the stage of the Deprecation.
    pub stage: DeprecationStage,
    /// deadline is when the object can no longer be changed without being moved, or else when the old way goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// object is the object, such as ingress/checkout.
    #[schemars(length(max = 317))]
    pub object: String,
    /// fix is what to do: a command that makes the object a new one, or where the way is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub fix: Option<String>,
}
