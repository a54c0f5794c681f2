//! How much of what a Deprecation matches is in sight, and what is not.

use super::resolve::{Served, Unresolved};

/// Why a Deprecation does not see everything.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// The operator may not read a resource. The text has the rule to add.
    #[error(
        "the operator may not read {resource}; add it to readRules of the chart, or make a ClusterRole with the label \
         goldenpath.dev/aggregate-to-reader: \"true\" and the rule {{apiGroups: \
         [\"{group}\"], resources: [{plural}], verbs: [list, watch]}}",
        group = resource.group,
        plural = resource.plural
    )]
    Forbidden {
        /// The resource.
        resource: Served,
    },
    /// A rule asks for something that cannot be looked at.
    #[error("matches[{entry}].resourceRules: {why}")]
    Unresolved {
        /// Name of the entry.
        entry: String,
        /// What and why.
        why: Unresolved,
    },
    /// A watch fails.
    #[error("{resource} cannot be watched: {message}")]
    Blind {
        /// The resource.
        resource: Served,
        /// What the API server says.
        message: String,
    },
    /// An expression fails on some objects.
    #[error(
        "matches[{entry}].expression fails on some objects, which do not count as old, such as {object}: {message}; ask with \
         has() first"
    )]
    Unevaluable {
        /// Name of the entry.
        entry: String,
        /// One of the objects.
        object: String,
        /// The words of the error.
        message: String,
    },
    /// The fix is no way out for some objects.
    #[error(
        "replacement.fix does not apply to {count} of the objects that are left, such as {object}: {why}; correct the fix, or \
         split the Deprecation so that each part has its own"
    )]
    FixDoesNotApply {
        /// How many.
        count: u64,
        /// One of the objects.
        object: String,
        /// Why not.
        why: String,
    },
}

/// How much of what a Deprecation matches is in sight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InSight {
    /// Every object has been seen that can be.
    pub complete: bool,
    /// What cannot.
    pub problems: Vec<Problem>,
    /// Changes with the entries: counts before and after cannot be compared.
    pub version: u64,
}

impl InSight {
    /// Whether the count tells all that is left. What the API server does not serve may be back in a moment, or be misspelt:
    /// only when the old way is removed is its kind expected to be gone.
    #[must_use]
    pub fn tells_all(&self, removed: bool) -> bool {
        let unserved = self.problems.iter().any(|problem| matches!(problem, Problem::Unresolved { .. }));
        self.complete && (removed || !unserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_gone_only_when_the_old_way_is_removed() {
        let why = Unresolved::NotServed { resource: "routes of route.openshift.io".into() };
        let gone = Problem::Unresolved { entry: "routes".into(), why };
        let sight = |complete, problems| InSight { complete, problems, version: 1 };
        assert!(sight(true, Vec::new()).tells_all(false));
        assert!(!sight(true, vec![gone.clone()]).tells_all(false));
        assert!(sight(true, vec![gone.clone()]).tells_all(true));
        assert!(!sight(false, vec![gone]).tells_all(true));
    }
}
