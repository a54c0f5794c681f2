//! Who does without a default: what teams decide themselves, what they ask for, and what the platform team grants.
//!
//! Requests stand in the team's object and grants in the platform's, so that RBAC is the approval.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selectors::NamespaceSelector;

/// Each entry names a default that the service does without.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DefaultOverride {
    /// default is the name of the default in the path.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub default: String,
    /// action says what to do instead. Skip leaves the fields to the team: values that the path filled leave with the next
    /// rollout.
    #[serde(default)]
    pub action: OverrideAction,
    /// reason says why, for the platform team and for whoever has the service next.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// expiresAt ends the override. Without it the override stays until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What to do instead of a default.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverrideAction {
    /// Leave the fields to the team.
    #[default]
    Skip,
}

/// Each entry asks for an exemption.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExemptionRequest {
    /// name is what the request is called, and must be unique within the service.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// for names what the service asks to be exempt from.
    #[serde(rename = "for")]
    pub subject: ExemptionSubject,
    /// reason says why the service needs it.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// until is the time until which the exemption is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// What an exemption is asked from.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.kind == 'GoldenPath' || !has(self.defaults) || self.defaults.size() == 0").message(
    Message::Expression("'defaults: only a GoldenPath has defaults, and ' + self.name + ' is a Deprecation; leave defaults out'"
        .into())))]
pub struct ExemptionSubject {
    /// kind is the kind of the object that would have to grant it.
    pub kind: ExemptionKind,
    /// name is the name of that object.
    #[schemars(length(max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// defaults lists the defaults that the request is about; without it, it is about all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 40)))]
    pub defaults: Vec<String>,
}

/// Kinds that grant exemptions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExemptionKind {
    /// From defaults of a path.
    #[default]
    GoldenPath,
    /// From what a Deprecation warns of and refuses.
    Deprecation,
}

/// Each entry is an exemption that the platform team grants.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaceSelector) || has(self.namespace)").message(Message::Expression(
    "'exemption ' + self.name + ' says for nobody; give it a namespace or a namespaceSelector'".into())))]
#[x_kube(validation = Rule::new("!has(self.service) || has(self.namespace)").message(Message::Expression(
    "'exemption ' + self.name + ' names service ' + self.service + ' of no namespace; add the namespace'".into())))]
pub struct Exemption {
    /// name is what the exemption is called, and must be unique within the path.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// namespace is the namespace whose services are exempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// service narrows the exemption to one PlatformService of that namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service: Option<String>,
    /// namespaceSelector selects namespaces by their labels. With a namespace both must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// defaults lists the defaults that are granted.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 40)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub defaults: Vec<String>,
    /// reason says why, such as the number of the risk that was accepted.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// approvedBy is the person who decided.
    #[schemars(length(min = 1, max = 63))]
    pub approved_by: String,
    /// expiresAt ends the exemption: an exemption without an end is another path.
    pub expires_at: Time,
}

/// Each entry is an exemption of this service: one that it asked for, or one that is in force.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExemptionStatus {
    /// name is the name of the request, or of the exemption where nobody asked.
    #[schemars(length(max = 63))]
    pub name: String,
    /// for names the object that grants it, or would have to.
    #[serde(default, rename = "for")]
    pub source: ExemptionSource,
    /// state says what became of it.
    pub state: ExemptionState,
    /// exemption is the name of the entry of that object that grants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub exemption: Option<String>,
    /// expiresAt is when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// message says who granted it and why, or what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// An object that grants exemptions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExemptionSource {
    /// kind is its kind.
    pub kind: ExemptionKind,
    /// name is its name.
    #[schemars(length(max = 63))]
    pub name: String,
}

/// Each entry is an exemption of the path, as it is used.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedExemption {
    /// name is the name of the exemption in the spec.
    #[schemars(length(max = 63))]
    pub name: String,
    /// state says whether it is in force, about to end, ended or not needed by anybody.
    pub state: ExemptionState,
    /// services counts the services that lean on it.
    pub services: i64,
}

/// What became of an exemption.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExemptionState {
    /// Asked for, and not granted.
    #[default]
    Requested,
    /// In force.
    Granted,
    /// In force, and ends within two weeks.
    Expiring,
    /// It has ended.
    Expired,
    /// In force, and not needed: the service has every default that it is about, or nothing that is old. It can be given back.
    Unused,
}
