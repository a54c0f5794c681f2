//! The decorator around every reconcile pass: one log line, one count, one duration.

use std::error::Error;
use std::fmt::Write;
use std::time::Instant;

use super::Metrics;

/// An error with a name from a closed set: the same word is the Event's reason and the metric's label.
pub trait Reason {
    /// The `PascalCase` name of the error's variant. It must not contain values, they belong into the message.
    fn reason(&self) -> &'static str;
}

/// The object that a pass is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// Its kind, also the metrics' label.
    pub kind: &'static str,
    /// Its namespace, `None` when the kind is cluster-scoped. Logged, never a label.
    pub namespace: Option<&'a str>,
    /// Its name. Logged, never a label.
    pub name: &'a str,
}

/// Runs one reconcile pass: counts and times it, and logs its error, which nobody else needs to do then.
///
/// The result passes through untouched, so backoff and Events stay decisions of the caller.
pub async fn observe<T, E: Error + Reason>(
    subject: Subject<'_>,
    metrics: &Metrics,
    pass: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let started = Instant::now();
    let result = pass.await;
    let took = started.elapsed();
    let Subject { kind, namespace, name } = subject;
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) => {
            let reason = error.reason();
            tracing::error!(kind, namespace, name, reason, error = chain(error), "reconcile failed");
            reason
        }
    };
    metrics.reconciled(kind, outcome, took);
    result
}

/// The message of an error and of all its causes. A cause that its parent quotes already is not repeated: many crates,
/// kube among them, put the source into their own message as well.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            let _ = write!(text, ": {message}"); // writing to a String cannot fail
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::logs::tests::Lines;
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("ConfigMap web cannot be applied")]
        ApplyFailed(#[source] std::io::Error),
        #[error("the answer cannot be read: {0}")]
        AnswerUnreadable(#[source] std::io::Error),
    }

    impl Reason for Failure {
        fn reason(&self) -> &'static str {
            match self {
                Self::ApplyFailed(_) => "ApplyFailed",
                Self::AnswerUnreadable(_) => "AnswerUnreadable",
            }
        }
    }

    const WEB: Subject<'_> = Subject { kind: "PlatformService", namespace: Some("shop"), name: "web" };

    fn apply_failed() -> Failure {
        Failure::ApplyFailed(std::io::Error::other("connection refused"))
    }

    fn counted(metrics: &Metrics) -> Vec<String> {
        let text = metrics.encode().unwrap();
        let whole = |line: &&str| line.starts_with("goldenpath_reconcile_total") || line.contains("seconds_count");
        text.lines().filter(whole).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_good_pass_counts_as_ok_and_logs_nothing() {
        let (lines, _guard) = Lines::capture("trace");
        let metrics = Metrics::new().unwrap();
        let result = observe(WEB, &metrics, async { Ok::<_, Failure>(5) }).await;
        assert_eq!(result.unwrap(), 5);
        assert_eq!(
            counted(&metrics),
            [
                r#"goldenpath_reconcile_duration_seconds_count{kind="PlatformService"} 1"#,
                r#"goldenpath_reconcile_total{kind="PlatformService",outcome="ok"} 1"#,
            ]
        );
        assert!(lines.parsed().is_empty());
    }

    #[tokio::test]
    async fn a_failed_pass_counts_its_reason() {
        let metrics = Metrics::new().unwrap();
        let result = observe(WEB, &metrics, async { Err::<(), _>(apply_failed()) }).await;
        assert!(matches!(result, Err(Failure::ApplyFailed(_))));
        assert_eq!(
            counted(&metrics),
            [
                r#"goldenpath_reconcile_duration_seconds_count{kind="PlatformService"} 1"#,
                r#"goldenpath_reconcile_total{kind="PlatformService",outcome="ApplyFailed"} 1"#,
            ]
        );
    }

    #[tokio::test]
    async fn a_failed_pass_logs_one_line_that_names_the_object() {
        let (lines, _guard) = Lines::capture("info");
        let metrics = Metrics::new().unwrap();
        let _ = observe(WEB, &metrics, async { Err::<(), _>(apply_failed()) }).await;
        let mut parsed = lines.parsed();
        for line in &mut parsed {
            line.as_object_mut().unwrap().remove("timestamp");
        }
        let expected = json!({
            "level": "ERROR", "message": "reconcile failed", "target": "goldenpath::observability::outcome",
            "kind": "PlatformService", "namespace": "shop", "name": "web",
            "reason": "ApplyFailed", "error": "ConfigMap web cannot be applied: connection refused",
        });
        assert_eq!(parsed, [expected]);
    }

    #[tokio::test]
    async fn a_cluster_scoped_object_is_logged_without_namespace() {
        let (lines, _guard) = Lines::capture("info");
        let path = Subject { kind: "GoldenPath", namespace: None, name: "web-service" };
        let _ = observe(path, &Metrics::new().unwrap(), async { Err::<(), _>(apply_failed()) }).await;
        assert_eq!(lines.parsed()[0].get("namespace"), None);
    }

    #[test]
    fn a_cause_that_is_quoted_already_is_not_repeated() {
        let error = Failure::AnswerUnreadable(std::io::Error::other("connection refused"));
        assert_eq!(chain(&error), "the answer cannot be read: connection refused");
    }
}
