//! Exemptions of a Deprecation: what the platform team grants, and how it is used.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExemptionState, NamespaceSelector};

/// Each entry is an exemption that the platform team grants.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaceSelector) || has(self.namespace)").message(Message::Expression(
    "'exemption ' + self.name + ' says for nobody; give it a namespace or a namespaceSelector'".into())))]
#[x_kube(validation = Rule::new("!has(self.service) || has(self.namespace)").message(Message::Expression(
    "'exemption ' + self.name + ' names service ' + self.service + ' of no namespace; add the namespace'".into())))]
// what comes later than our own clock can tell would be no date at all
#[x_kube(validation = Rule::new("self.expiresAt < timestamp('9999-12-30T00:00:00Z')").message(Message::Expression(
    "'expiresAt of exemption ' + self.name + ' comes after the year 9999 ends; choose an earlier one'".into())))]
pub struct DeprecationExemption {
    /// name is what the exemption is called, and must be unique within the Deprecation.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// namespace is the namespace whose objects are exempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// service narrows the exemption to the objects of one PlatformService of that namespace: those that have its name in
    /// the label goldenpath.dev/service, which adopted workloads have, or that were made for it. A manifest that creates an
    /// object anew needs that label itself: the operator puts it on only afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub service: Option<String>,
    /// namespaceSelector selects namespaces by their labels. With a namespace both must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,
    /// reason says why, such as the number of the risk that was accepted.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
    /// approvedBy is the person who decided.
    #[schemars(length(min = 1, max = 63))]
    pub approved_by: String,
    /// expiresAt ends the exemption.
    pub expires_at: Time,
}

/// Each entry is an exemption of the Deprecation, as it is used.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct UsedExemption {
    /// name is the name of the exemption in the spec.
    #[schemars(length(max = 63))]
    pub name: String,
    /// state says whether it is in force, about to end, ended or not needed by anything.
    pub state: ExemptionState,
    /// objects counts the objects that are old and lean on it.
    pub objects: i64,
}
