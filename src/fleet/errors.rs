//! Why a watch fails, and why an object is skipped. The words are labels of metrics.

use std::time::Duration;

/// Why a watch failed. It begins again after a pause.
#[derive(thiserror::Error, Debug)]
pub enum WatchError {
    /// The version to follow from is too old: everything is listed again.
    #[error("the version to follow from has expired")]
    Expired,
    /// The server cannot stream lists.
    #[error("the API server does not stream lists")]
    NotStreamed,
    /// The API server answered with an error.
    #[error("the API server answered {code}: {message}")]
    Answer {
        /// HTTP status.
        code: u16,
        /// Its words.
        message: String,
    },
    /// The API server said nothing.
    #[error("the API server said nothing for {} s", .0.as_secs())]
    Timeout(Duration),
    /// A watch goes on after its time.
    #[error("the API server did not end the watch within {} s", .0.as_secs())]
    Overdue(Duration),
    /// No connection, or a lost one.
    #[error("connection: {0}")]
    Connection(std::io::Error),
    /// The stream ended in the middle.
    #[error("the answer ended in the middle")]
    Truncated,
    /// A list is older than what was seen.
    #[error("the list is of version {listed}, but {seen} was seen: this API server lags behind")]
    Behind {
        /// The version of the list.
        listed: u64,
        /// The newest version that was seen.
        seen: u64,
    },
}

impl WatchError {
    /// Whether only people can mend it: a right or a kind lacks.
    #[must_use]
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Answer { code: 403 | 404, .. })
    }

    /// The error that a `Status` tells.
    #[must_use]
    pub fn of_status(code: u16, message: String) -> Self {
        match code {
            410 => Self::Expired,
            422 | 400 if message.contains("sendInitialEvents") => Self::NotStreamed,
            _ => Self::Answer { code, message },
        }
    }

    /// The metric's label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "Expired",
            Self::NotStreamed => "NotStreamed",
            Self::Answer { code: 429, .. } => "TooManyRequests",
            Self::Answer { code: 401 | 403, .. } => "Forbidden",
            Self::Answer { code: 404, .. } => "NotFound",
            Self::Answer { code: 500.., .. } => "ServerError",
            Self::Answer { .. } => "Other",
            Self::Timeout(_) | Self::Overdue(_) => "Timeout",
            Self::Connection(_) => "Connection",
            Self::Truncated => "Truncated",
            Self::Behind { .. } => "Behind",
        }
    }
}

impl From<kube::Error> for WatchError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, status.message.clone()),
            other => Self::Connection(std::io::Error::other(crate::observability::outcome::chain(&other))),
        }
    }
}

/// Why an object is skipped. The watch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Its line is longer than any object can be.
    TooLarge,
    /// It is no JSON, or a field that the fleet reads has another type.
    Malformed,
    /// It has no name, no namespace where it needs one, or no version.
    NoName,
}

impl Skipped {
    /// The metric's label.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "TooLarge",
            Self::Malformed => "Malformed",
            Self::NoName => "NoName",
        }
    }
}
