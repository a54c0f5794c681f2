//! `GoldenPath.spec.admission`: what the API server says about a workload at the moment when it is written.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Most entries of each part of a selector.
const MAX_ENTRIES: usize = 16;
/// What the API server takes as the value of a label.
const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

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

/// A selection of namespaces by their labels. An empty one selects all.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// matchLabels lists labels that a namespace must have, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "match_labels")]
    pub match_labels: BTreeMap<String, String>,

    /// matchExpressions lists conditions on the labels of a namespace, all of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// Each entry is one condition on a label.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)")
    .message("values: In and NotIn need at least one value, Exists and DoesNotExist take none"))]
pub struct SelectorRequirement {
    /// key is the name of the label.
    #[schemars(
        length(max = 317),
        regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub key: String,

    /// operator says how the label is compared with the values.
    pub operator: SelectorOperator,

    /// values lists the values for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 63), regex(pattern = LABEL_VALUE)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectorOperator {
    /// The label has one of the values.
    #[default]
    In,
    /// The label has none of the values, or is not there.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

fn match_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_ENTRIES,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
    })
}
