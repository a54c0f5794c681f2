//! Which installation leads where there are two of them on one cluster.
//!
//! The replicas of an installation elect one by a Lease in their namespace, and two installations have two Leases. So whoever
//! leads also stands in the claim, of which there is one a cluster: it names the namespace whose Lease counts. It is written
//! once a term, after the Lease was taken, and only over the version that was read before: of two who take it one is refused.
//! For that each term writes something else: an object that a write leaves as it is keeps its version.

use std::fmt;
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::api::coordination::v1::LeaseSpec;
use kube::api::ObjectMeta;

use super::lease::{DURATION, duration};
use super::pod_template::is_dns_label;
use crate::api::{GROUP, labels};

/// Name of the object that carries the claim: a policy without a binding, which does nothing. Nobody but administrators and
/// the operator may write policies, while a Lease of any name is for everybody who may write in some namespace.
pub const NAME: &str = "goldenpath-leader";

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The namespace of its installation, where its Lease is.
    pub namespace: String,
    /// As in the Lease.
    pub identity: String,
    /// The version of the Lease in which it was taken: each term has another. Empty where an older operator took it.
    pub term: String,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the installation in namespace {}", self.identity, self.namespace)
    }
}

impl Claim {
    /// As it stands in the annotation.
    #[must_use]
    pub fn value(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.identity, self.term)
    }

    /// Out of the annotation. What is no claim is none, and is written over: the Lease of what is no namespace cannot be looked
    /// at, so nobody would ever lead.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (namespace, rest) = value.split_once('/').filter(|(namespace, _)| is_dns_label(namespace))?;
        let (identity, term) = rest.rsplit_once('/').unwrap_or((rest, ""));
        let claim = Self { namespace: namespace.to_owned(), identity: identity.to_owned(), term: term.to_owned() };
        Some(claim).filter(|claim| !claim.identity.is_empty())
    }

    /// The object that carries it.
    #[must_use]
    pub fn policy(&self) -> ValidatingAdmissionPolicy {
        let rule = NamedRuleWithOperations {
            api_groups: Some(vec![GROUP.to_owned()]),
            api_versions: Some(vec!["v1alpha1".to_owned()]),
            operations: Some(vec!["CREATE".to_owned()]),
            resources: Some(vec!["goldenpaths".to_owned()]),
            ..NamedRuleWithOperations::default()
        };
        let nothing = Validation {
            expression: "true".to_owned(),
            message: Some(format!("A note in annotation {}; without a binding it does nothing.", labels::LEADER)),
            ..Validation::default()
        };
        ValidatingAdmissionPolicy {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                annotations: Some([(labels::LEADER.to_owned(), self.value())].into()),
                ..ObjectMeta::default()
            },
            spec: Some(ValidatingAdmissionPolicySpec {
                failure_policy: Some("Ignore".to_owned()),
                match_constraints: Some(MatchResources {
                    resource_rules: Some(vec![rule]),
                    ..MatchResources::default()
                }),
                validations: Some(vec![nothing]),
                ..ValidatingAdmissionPolicySpec::default()
            }),
            ..ValidatingAdmissionPolicy::default()
        }
    }

    /// What is wrong and what to do, for whoever installed the second.
    #[must_use]
    pub fn refusal(&self) -> String {
        format!(
            "goldenpath is led by {self}, and a cluster has one: uninstall one of the two. This one writes nothing; it leads \
             when the other has been gone for {DURATION:?}"
        )
    }
}

/// Another installation that has the claim, as its Lease was seen.
#[derive(Debug)]
pub struct Rival {
    /// Its claim.
    pub claim: Claim,
    lease: Option<LeaseSpec>,
    since: Instant,
}

impl Rival {
    /// Looks at the Lease of whoever has the claim, and says how long it still counts if nobody changes it. It has to stand
    /// still for a whole duration whatever it says: one that was just left may be taken by the next replica over there, and
    /// of one that is not there nobody knows for how long.
    #[must_use]
    pub fn look(last: Option<Self>, claim: Claim, lease: Option<LeaseSpec>, now: Instant) -> (Self, Duration) {
        let since = match last {
            Some(last) if last.claim.namespace == claim.namespace && last.lease == lease => last.since,
            _ => now,
        };
        let counts = lease.as_ref().map_or(DURATION, duration).max(DURATION);
        (Self { claim, lease, since }, (since + counts).saturating_duration_since(now))
    }
}

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod tests;
