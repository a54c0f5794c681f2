//! `GoldenPath.spec.admission`: what the API server says about a workload at the moment when it is written.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selectors::NamespaceSelector;

/// What the API server says about a workload at the moment when it is written.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// level says what happens when a check does not hold: "Off" is silent, Warn answers with a warning, Deny refuses the
    /// request. Deny needs a path of stage Stable or Retiring, and what was so before a request is never refused. Write
    /// "Off" with its quotes, because YAML takes a bare Off for false.
    #[serde(default)]
    pub level: AdmissionLevel,

    /// failurePolicy says what happens when the API server cannot evaluate a check: Ignore lets the request pass in silence,
    /// Fail answers as level says.
    #[serde(default)]
    pub failure_policy: FailurePolicy,

    /// namespaceSelector selects by their labels the namespaces in which the API server speaks up. Without it, all do.
    /// The namespaces of the system and of the operator never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
}

/// What happens when a check does not hold.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdmissionLevel {
    /// Nothing.
    #[default]
    Off,
    /// Whoever writes the workload is warned.
    Warn,
    /// The request is refused.
    Deny,
}

/// What happens when a check cannot be evaluated.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The request passes in silence.
    #[default]
    Ignore,
    /// As if the check did not hold.
    Fail,
}
