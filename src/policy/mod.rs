//! Policies: a road compiled into literal admission objects for the API server.
//!
//! One MutatingAdmissionPolicy a revision and one release policy a path, each with a single JSONPatch mutation: all or
//! nothing, in order. And where a path asks for it, ValidatingAdmissionPolicies with its checks; and those that warn of what a
//! Deprecation matches, or refuse it. No parameters: a policy
//! whose parameter kind is missing fails closed.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/>, KEP-3962.

mod cel_text;
mod compile;
mod deprecation;
mod feedback;
#[cfg(test)]
mod golden;
mod guard_text;
mod leaves;
mod lists;
mod metadata;
mod names;
mod remnants;
mod requests;

pub use compile::{COMPILER_VERSION, Compiled, Job, Operator, PROOF_SUFFIX, compile, is_newer, proof};
pub use deprecation::{
    Proof as MatchProof, Sample, Targets, Verdict, deprecation, is_to_prove, refused, seen_by, unproved,
};
pub use feedback::{Feedback, Proof, feedback};
