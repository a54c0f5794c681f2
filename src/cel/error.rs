//! What can be wrong with a check, in words for the engineer who wrote it.

use thiserror::Error;

/// Why a check could not be compiled or evaluated.
///
/// The text is shown in a status field: it names the offending part and what to do about it. Every variant but
/// [`TooCostly`](Self::TooCostly) and [`Failed`](Self::Failed) is found by [`Check::compile`](super::Check::compile),
/// before any object is looked at.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CheckError {
    /// The source is longer than we are willing to parse.
    #[error("the expression has {length} characters, at most {max} are allowed; split it into several checks")]
    TooLong {
        /// Characters in the source.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The source is no CEL, or an API server would refuse it.
    #[error("the expression does not compile: {message}")]
    DoesNotCompile {
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// A variable, field or function that a check cannot use.
    #[error("the expression uses `{name}`, which a check does not know; {known}")]
    UnknownReference {
        /// The name as written.
        name: String,
        /// What could be meant instead.
        known: String,
    },
    /// Brackets, operators or macros are nested too deeply.
    #[error("{what} are nested {depth} deep, at most {max} are allowed; split the expression into several checks")]
    TooDeep {
        /// What is nested: brackets, operators or loops.
        what: &'static str,
        /// The depth at which we stopped.
        depth: usize,
        /// The limit.
        max: usize,
    },
    /// A check must say yes or no.
    #[error("a check must be true or false, but this expression is {found}")]
    NotBoolean {
        /// The type found, and for a bare field how to make it a bool.
        found: String,
    },
    /// The object is too large for this expression.
    #[error(
        "the expression needs more than {max} steps on this object; loop over fewer lists inside one another, or build smaller values"
    )]
    TooCostly {
        /// The limit.
        max: u64,
    },
    /// The expression stopped with an error, such as a missing field.
    #[error("the expression cannot be evaluated on this object: {message}")]
    Failed {
        /// What happened, and how to guard against it.
        message: String,
    },
}

/// Characters of one part of an error text; it ends up in a status field, and may quote the check or the object.
const MAX_TEXT: usize = 300;

impl CheckError {
    /// This error with its texts cut to a length that fits into a status.
    pub(super) fn shortened(mut self) -> Self {
        let texts: &mut [&mut String] = match &mut self {
            Self::DoesNotCompile { message } | Self::Failed { message } => &mut [message],
            Self::UnknownReference { name, known } => &mut [name, known],
            Self::NotBoolean { found } => &mut [found],
            Self::TooLong { .. } | Self::TooDeep { .. } | Self::TooCostly { .. } => &mut [],
        };
        for text in texts {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
                text.push_str("..");
            }
        }
        self
    }
}
