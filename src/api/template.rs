//! `PlatformService.spec.workloads[].template`: a workload that the operator makes for a team that has none yet.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::WorkloadKind;

/// What to run. Everything that it leaves open is the path's to fill.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.schedule) && has(self.kind))").message(
    "a template with a schedule makes a CronJob: leave kind out, or schedule"))]
#[x_kube(validation = Rule::new("!(has(self.schedule) && has(self.port))").message(
    "a template with a schedule makes a CronJob, which answers no requests: leave port out, or schedule"))]
#[x_kube(validation = Rule::new("!(has(self.schedule) && has(self.replicas))").message(
    "a template with a schedule makes a CronJob, which has no replicas: leave replicas out, or schedule"))]
pub struct WorkloadTemplate {
    /// kind is the kind of workload to make, Deployment when it is left out. With a schedule it is a CronJob, and kind
    /// must be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TemplateKind>,

    /// image is the container image to run.
    #[schemars(length(max = 512), regex(pattern = r"^\S+$"))]
    pub image: String,

    /// port is the port that the container answers requests on. A Service of the workload's name with the same port is
    /// made beside it; for a StatefulSet that Service is headless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,

    /// schedule makes a CronJob of the workload, such as "*/10 * * * *" for every ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub schedule: Option<String>,

    /// command replaces the entrypoint of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,

    /// args are the arguments of the entrypoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 4096)))]
    pub args: Vec<String>,

    /// env lists environment variables of the container, in the shape of a pod's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "env")]
    pub env: Vec<Map<String, Value>>,

    /// envFrom lists ConfigMaps and Secrets whose keys become environment variables, in the shape of a pod's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "env_from")]
    pub env_from: Vec<Map<String, Value>>,

    /// replicas is the number of pods. Without it, it is left to the API server, to an autoscaler and to kubectl scale;
    /// an autoscaler that is there has the last word in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// resources are the requests and limits of the container, in the shape of a pod's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fields_of_a_pod")]
    pub resources: Option<Map<String, Value>>,

    /// probes tell Kubernetes how to see that the container has started, can answer and is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,

    /// patch changes any other field of the generated workload. It has the shape of that workload and is merged into it:
    /// objects field by field, lists of named things such as containers by name (the container is called as the entry
    /// of workloads is), other lists are replaced, and null takes a field out. The selector, the labels that it matches,
    /// serviceName, and names cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "patch")]
    pub patch: Option<Map<String, Value>>,
}

/// A kind of workload that can be made. CronJobs come from a schedule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateKind {
    /// Pods that can stand in for each other.
    #[default]
    Deployment,
    /// Pods with names of their own, one after the other.
    StatefulSet,
}

/// Probes of the container, each in the shape of a pod's.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// startup says when the container has started. The other probes wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fields_of_a_pod")]
    pub startup: Option<Map<String, Value>>,
    /// readiness says whether the container can answer requests now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fields_of_a_pod")]
    pub readiness: Option<Map<String, Value>>,
    /// liveness says whether the container has to be restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fields_of_a_pod")]
    pub liveness: Option<Map<String, Value>>,
}

impl WorkloadTemplate {
    /// The kind of workload that it makes.
    #[must_use]
    pub fn makes(&self) -> WorkloadKind {
        match self.kind {
            _ if self.schedule.is_some() => WorkloadKind::CronJob,
            Some(TemplateKind::StatefulSet) => WorkloadKind::StatefulSet,
            Some(TemplateKind::Deployment) | None => WorkloadKind::Deployment,
        }
    }
}

/// What a pod's own schema says better than a copy of it here: the API server answers with the field and the value that
/// it refuses, whatever its version.
fn fields_of_a_pod(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A value that is a number or a boolean is the mistake that everybody makes; it is refused here, with its place.
fn env(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 256,
        "items": {
            "description": "Each entry is one environment variable.",
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {
                    "description": "name is the name of the variable, and must be unique in the list.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 253,
                },
                "value": {
                    "description": "value is the text that the variable has. Put numbers in quotes.",
                    "type": "string",
                    "maxLength": 8192,
                },
            },
            "x-kubernetes-preserve-unknown-fields": true,
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

fn env_from(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {
            "description": "Each entry names one ConfigMap or Secret.",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
        },
    })
}

/// What can be said about a selector without reading the rest is said here; the operator answers for all other fields.
fn patch(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "spec": {
                "description": "spec has the fields of the workload's spec that are to be changed.",
                "type": "object",
                "properties": {
                    "selector": {
                        "description": "selector cannot be changed, because the API server allows no other one later.",
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": true,
                    },
                },
                "x-kubernetes-preserve-unknown-fields": true,
                "x-kubernetes-validations": [{
                    "rule": "!has(self.selector)",
                    "message": "patch.spec.selector cannot be changed: the selector of a workload is set once and for ever",
                }],
            },
        },
        "x-kubernetes-preserve-unknown-fields": true,
    })
}
