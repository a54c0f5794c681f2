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
