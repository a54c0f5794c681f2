//! What can go wrong in a pass. The variant's name is the Event's reason and the metric's label.

use crate::api::WorkloadKind;
use crate::observability::Reason;

/// A failed pass: it is tried again with growing pauses.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The API server answered with an error that is not an answer to the question.
    #[error("{verb} {what}")]
    ApiServer {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        what: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{verb} {what}: no answer within {seconds} s")]
    Timeout {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        what: String,
        /// The deadline.
        seconds: u64,
    },
    /// An object could not be written as JSON, or read from it.
    #[error("{what} cannot be read or written as JSON")]
    Serialisation {
        /// Which object.
        what: String,
        /// The parser's words.
        #[source]
        source: serde_json::Error,
    },
    /// The path that this service follows is still being read; its own pass triggers this one again.
    #[error("GoldenPath {0} has not been read yet")]
    PathNotRead(String),
    /// The namespace has not been seen yet; it triggers the pass again when it is.
    #[error("namespace {0} has not been seen yet")]
    NamespaceNotSeen(String),
    /// The workloads of that kind are being listed; the end of the list triggers the pass again.
    #[error("{0:?} are still being listed")]
    WorkloadsNotListed(WorkloadKind),
}

/// What the API server says in answers of code 500 that are about the request.
const OF_THE_REQUEST: [&str; 3] = ["too large", "failed to create typed patch object", "failed to convert new object"];

impl Error {
    /// The API server's answer, if it refused the request as such: no retry makes it accept.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        match self {
            Self::ApiServer { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if matches!(status.code, 400 | 403 | 405 | 413 | 422) => {
                    Some(status.message.clone())
                }
                // etcd refuses what is too large, and the API server passes that on as its own failure; so it does with
                // a field that does not exist or has another type, in a server-side apply
                kube::Error::Api(status)
                    if status.code == 500 && OF_THE_REQUEST.iter().any(|t| status.message.contains(t)) =>
                {
                    Some(status.message.clone())
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What the API server says of a write to an object that is another by now, or a field that somebody else holds.
    #[must_use]
    pub fn conflict(&self) -> Option<&str> {
        match self {
            Self::ApiServer { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => Some(&status.message),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the object was not there.
    #[must_use]
    pub fn is_status(&self, code: u16) -> bool {
        matches!(self, Self::ApiServer { source, .. } if matches!(source.as_ref(), kube::Error::Api(s) if s.code == code))
    }
}

impl Reason for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::ApiServer { .. } => "ApiServer",
            Self::Timeout { .. } => "Timeout",
            Self::Serialisation { .. } => "Serialisation",
            Self::PathNotRead(_) => "PathNotRead",
            Self::NamespaceNotSeen(_) => "NamespaceNotSeen",
            Self::WorkloadsNotListed(_) => "WorkloadsNotListed",
        }
    }
}
