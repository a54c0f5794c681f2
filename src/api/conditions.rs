//! Condition types and their reasons, spelled once.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator};
use serde_json::json;

/// Most conditions of an object: ours and those of others.
const MAX_CONDITIONS: usize = 32;

/// Schema of a list of conditions, with the limits of Kubernetes' own; the generated type of a condition has none.
pub fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut list = generator.subschema_for::<Vec<Condition>>();
    list.insert("maxItems".to_owned(), json!(MAX_CONDITIONS));
    for (field, limit) in [("message", 32_768), ("reason", 1024), ("type", 316)] {
        if let Some(field) = list.pointer_mut(&format!("/items/properties/{field}")) {
            field["maxLength"] = json!(limit);
        }
    }
    if let Some(status) = list.pointer_mut("/items/properties/status") {
        status["enum"] = json!(["True", "False", "Unknown"]);
    }
    list
}

/// Types of conditions. `True` is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The object is understood and everything it asks for is done or under way.
    Ready,
    /// Every default of the path is in place on every workload of the service.
    Adopted,
}

/// Why a condition is as it is. The name is the text in the status, in Events and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Everything is as it should be.
    Ready,
    /// The service's path does not exist.
    PathNotFound,
    /// The service names no path, and no path names its workloads' kind in `defaultFor`.
    NoDefaultPath,
    /// The path exists and cannot be used yet; its own status says why.
    PathNotReady,
    /// A workload that the service names does not exist (yet).
    WorkloadNotFound,
    /// Another, older PlatformService has claimed the workload.
    WorkloadClaimed,
    /// The workload belongs to another controller, which would undo or repeat whatever is done to it.
    WorkloadManaged,
    /// The namespace is excluded: nothing in it is ever touched.
    NamespaceExcluded,
    /// The stored object cannot be read as this version of the kind.
    Undecodable,
    /// The API server refused a request.
    ApiServerRefused,
    /// `suspend: true`: the operator writes nothing for this service.
    Suspended,

    /// A `podTemplate` names a field that does not exist, cannot be filled or has a wrong value.
    InvalidDefault,
    /// A `check` is not a boolean CEL expression within the limits.
    InvalidCheck,
    /// The path asks for admission feedback that it cannot have, or that the API server refuses.
    InvalidAdmission,
    /// An older path already claims a kind in `defaultFor`.
    DefaultForTaken,
    /// The stage says that the path cannot be adopted.
    StageNotAdoptable,
    /// The compiled policy is being proved on the API server.
    Proving,
    /// The compiled policy does not do what it should; nobody is adopted onto it.
    ProofFailed,
    /// A person deleted the policy binding; it stays deleted until the path is resumed.
    BindingDeleted,
    /// A newer operator wrote the policies; this one leaves them alone.
    NewerCompiler,
    /// The API server does not serve MutatingAdmissionPolicy `v1` (Kubernetes 1.36 and newer do).
    ServerTooOld,

    /// No verdict yet.
    NotStarted,
    /// `mode: Observe`: verdicts only.
    Observing,
    /// Some defaults wait for a rollout or are missing.
    Migrating,
    /// Nothing is missing.
    Adopted,
    /// Was adopted on this revision and is not any more.
    Drifted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
