//! `GoldenPath.spec.defaults[].resources`: objects beside workloads.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Each entry is one object, made beside every workload of the services that take the path.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Companion {
    /// apiVersion is the API version of the object, such as policy/v1.
    #[schemars(length(max = 128), regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?$"))]
    pub api_version: String,
    /// kind is the kind of the object. PodDisruptionBudget, HorizontalPodAutoscaler, NetworkPolicy, Service and
    /// ServiceMonitor are always possible, others where whoever installed the operator allowed them.
    #[schemars(length(max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// spec is the spec of the object. Its selector, or the reference to what it scales, is filled in from the workload.
    #[schemars(schema_with = "spec")]
    pub spec: Map<String, Value>,
}

/// The kind's own schema says more than a copy of it here: the path is tried on the API server before it is in force.
fn spec(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
