//! What a path permits: verdicts on defaults that a team does without.

use super::exceptions::Exception;
use super::gaps::{Gap, Whose};
use super::revision::Rule;
use crate::api::{Override, VerdictState};

/// What is the case for a default that the service does without.
#[must_use]
pub fn excepted(exception: &Exception, gaps: &[&Gap<'_>]) -> (VerdictState, String) {
    let (state, text) = match exception {
        Exception::Exemption { name, terms } => (VerdictState::Exempt, format!("exemption {name}, {terms}")),
        Exception::Override { reason } => (VerdictState::Overridden, format!("overrides: {reason}")),
    };
    match gaps.iter().find(|gap| gap.whose == Whose::Roads) {
        Some(gap) => (state, format!("{text}; {} leaves with the team's next rollout", gap.field())),
        None => (state, text),
    }
}

/// A team that decided otherwise, and whether the path lets it.
#[must_use]
pub fn as_permitted(rule: &Rule, state: VerdictState, message: Option<String>) -> (VerdictState, Option<String>) {
    let fix = match rule.permission {
        _ if state != VerdictState::Overridden => return (state, message),
        Override::Allowed => return (state, message),
        Override::WithReason => "say why in spec.overrides, or remove it",
        Override::Forbidden => "the path forbids it: remove it, or ask with spec.exemptionRequests",
    };
    (VerdictState::Conflict, Some(format!("{}; {fix}", message.unwrap_or_default())))
}
