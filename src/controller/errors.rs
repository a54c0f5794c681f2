//! What can go wrong in a pass. The variant's name is the Event's reason and the metric's label.

use std::time::Duration;

use super::passes::Pass;
use crate::api::WorkloadKind;
use crate::observability::Reason;
use crate::plan::rights::Lacking;

/// The longest pass. Each request has its own deadline, so a pass comes here only by a fault of ours, or when it writes
/// hundreds of workloads on a server that hardly answers; then the next pass goes on where this one stopped.
pub const LONGEST: Duration = Duration::from_mins(10);

/// Gives a pass up that hangs: what it holds is let go of, and the object gets its next pass after a pause.
pub async fn in_time<T>(pass: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let _running = Pass::begin();
    tokio::time::timeout(LONGEST, pass).await.unwrap_or(Err(Error::Stuck(LONGEST)))
}

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
    /// The pass did not come to its end.
    #[error("the pass was not done after {0:?} and is given up")]
    Stuck(Duration),
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
                    let lacking = Lacking::parse(&status.message).map(|lacking| lacking.to_string());
                    Some(lacking.unwrap_or_else(|| status.message.clone()))
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

    /// The right that the account lacks, if that is the answer.
    #[must_use]
    pub fn lacking(&self) -> Option<Lacking<'_>> {
        if let Self::ApiServer { source, .. } = self { lacking(source) } else { None }
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

/// The right that the account lacks, if the API server says so.
#[must_use]
pub fn lacking(error: &kube::Error) -> Option<Lacking<'_>> {
    match error {
        kube::Error::Api(status) if status.code == 403 => Lacking::parse(&status.message),
        _ => None,
    }
}

impl Reason for Error {
    fn reason(&self) -> &'static str {
        match self {
            Self::ApiServer { .. } if self.lacking().is_some() => "Forbidden",
            Self::ApiServer { .. } => "ApiServer",
            Self::Timeout { .. } => "Timeout",
            Self::Serialisation { .. } => "Serialisation",
            Self::PathNotRead(_) => "PathNotRead",
            Self::NamespaceNotSeen(_) => "NamespaceNotSeen",
            Self::WorkloadsNotListed(_) => "WorkloadsNotListed",
            Self::Stuck(_) => "Stuck",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_hangs_is_given_up_and_one_that_is_slow_is_not() {
        let slow = async {
            tokio::time::sleep(LONGEST * 9 / 10).await;
            Ok(1)
        };
        assert_eq!(in_time(slow).await.unwrap(), 1);
        let stuck = in_time(std::future::pending::<Result<(), _>>()).await.unwrap_err();
        assert_eq!(
            (stuck.reason(), stuck.to_string().as_str()),
            ("Stuck", "the pass was not done after 600s and is given up")
        );
    }
}
