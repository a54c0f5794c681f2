//! Requests of commands that do one thing after the other: each has a deadline.

use std::time::Duration;

use tokio::time::timeout;

/// Deadline of one request. kube has none of its own.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a request has no answer of use.
#[derive(thiserror::Error, Debug)]
pub enum Failure {
    /// The server's answer.
    #[error(transparent)]
    Kube(#[from] Box<kube::Error>),
    /// None.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl Failure {
    /// Whether the server has answered with a code.
    #[must_use]
    pub fn is_status(&self, code: u16) -> bool {
        matches!(self, Self::Kube(error) if matches!(error.as_ref(), kube::Error::Api(status) if status.code == code))
    }
}

/// The answer, if it comes in time.
pub async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    within(DEADLINE, request).await
}

/// As [`in_time`], where it has to be sooner or may be later.
pub async fn within<T>(
    deadline: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match timeout(deadline, request).await {
        Ok(answer) => answer.map_err(|error| Failure::Kube(Box::new(error))),
        Err(_) => Err(Failure::Timeout(deadline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_silent_is_not_waited_for() {
        let failure = in_time(std::future::pending::<Result<(), _>>()).await.unwrap_err();
        assert_eq!(failure.to_string(), "no answer within 10 s");
        assert!(!failure.is_status(404));
    }
}
