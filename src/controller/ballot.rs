//! What the election asks of the API server: each request with a deadline that leaves time for another one, and a right that
//! lacks is named as everywhere. What it says in Events is on the replica's own pod, and needs no leader.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::watcher;

use super::errors::lacking;
use crate::api::labels;
use crate::observability::Metrics;
use crate::plan::lease::DEADLINE;
use crate::plan::rights::Lacking;

/// A right that lacks is named again after this: an election asks for it every second or two.
const AGAIN: Duration = Duration::from_mins(1);

/// A right is named when it has lacked for so long: an API server that was just started knows no rights for a second or two.
const LASTS: Duration = Duration::from_secs(5);
/// A right that lacks after it has not for so long lacks anew.
const ANEW: Duration = Duration::from_secs(30);

/// Why a request came to nothing.
#[derive(Debug)]
pub struct Failed {
    /// What was asked, and the answer; of a right that lacks what to do.
    pub why: String,
    /// The code of the answer, if the server has given one: it may have another object than we know.
    pub code: Option<u16>,
    /// Whether a right lacks: nothing changes until somebody gives it.
    pub lacking: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Failed {
    /// No answer in time.
    #[must_use]
    pub fn silent(what: &str, deadline: Duration) -> Self {
        Self { why: format!("{what}: no answer within {deadline:?}"), code: None, lacking: false }
    }

    fn new(what: &str, error: &kube::Error, lacking: Option<&Lacking<'_>>) -> Self {
        let answer = lacking.map_or_else(|| error.to_string(), ToString::to_string);
        let code = if let kube::Error::Api(status) = error { Some(status.code) } else { None };
        Self { why: format!("{what}: {answer}"), code, lacking: lacking.is_some() }
    }
}

/// The requests of one replica. Clones share what it has said.
#[derive(Clone)]
pub struct Ballot {
    metrics: Metrics,
    recorder: Recorder,
    pod: ObjectReference,
    said: Arc<Mutex<Said>>,
}

impl Ballot {
    /// Of a replica with its name in the Lease, and the uid of its pod: without it `kubectl describe` does not find the Events.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics, namespace: &str, identity: &str, uid: Option<String>) -> Self {
        let reporter = Reporter { controller: labels::REPORTER.to_owned(), instance: None };
        let pod = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: identity.rsplit_once('_').map(|(pod, _)| pod.to_owned()),
            uid,
            ..ObjectReference::default()
        };
        Self { metrics, recorder: Recorder::new(client, reporter), pod, said: Arc::default() }
    }

    /// The answer, if it comes in time.
    pub async fn ask<T>(&self, what: &str, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failed> {
        match tokio::time::timeout(DEADLINE, request).await {
            Ok(answer) => answer.map_err(|error| self.failed(what, &error)),
            Err(_) => Err(Failed::silent(what, DEADLINE)),
        }
    }

    /// Why a watch has ended.
    pub fn unwatched(&self, what: &str, error: watcher::Error) -> Failed {
        use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
        match error {
            InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => self.failed(what, &error),
            WatchError(status) => self.failed(what, &kube::Error::Api(status)),
            NoResourceVersion => Failed { why: format!("{what}: {error}"), code: None, lacking: false },
        }
    }

    fn failed(&self, what: &str, error: &kube::Error) -> Failed {
        let lacking = lacking(error);
        if let Some(lacking) = &lacking {
            self.metrics.forbidden(lacking.verb, &lacking.resource());
            let text = lacking.to_string();
            if self.said.lock().unwrap_or_else(PoisonError::into_inner).is_new(&text, Instant::now()) {
                tracing::error!(error = text, "a right is missing");
                // beside: whoever renews a Lease has no time for it
                let ballot = self.clone();
                tokio::spawn(async move { ballot.say("Forbidden", text).await });
            }
        }
        Failed::new(what, error, lacking.as_ref())
    }

    /// Writes an Event on the pod.
    pub async fn say(&self, reason: &str, note: String) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Elect".to_owned(),
            secondary: None,
        };
        if let Ok(Err(error)) = tokio::time::timeout(DEADLINE, self.recorder.publish(&event, &self.pod)).await {
            tracing::warn!(%error, "an Event was not written");
        }
    }
}

/// What lacks, and when it was said. There are as many texts as the election uses rights.
#[derive(Default)]
struct Said(HashMap<String, Lack>);

struct Lack {
    since: Instant,
    last: Instant,
    said: Option<Instant>,
}

impl Said {
    /// That something lacks; whether it is to be said.
    fn is_new(&mut self, text: &str, now: Instant) -> bool {
        let lack = self.0.entry(text.to_owned()).or_insert(Lack { since: now, last: now, said: None });
        if now.duration_since(lack.last) > ANEW {
            lack.since = now;
        }
        lack.last = now;
        let is_new =
            now.duration_since(lack.since) >= LASTS && lack.said.is_none_or(|said| now.duration_since(said) >= AGAIN);
        if is_new {
            lack.said = Some(now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused(code: u16, message: &str) -> Failed {
        let error = kube::Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() }));
        Failed::new("list ValidatingAdmissionPolicy goldenpath-leader", &error, lacking(&error).as_ref())
    }

    #[test]
    fn a_right_that_lacks_is_named_with_its_fix_and_the_object() {
        let message = "validatingadmissionpolicies.admissionregistration.k8s.io is forbidden: User \
                       \"system:serviceaccount:goldenpath-system:goldenpath\" cannot list resource \
                       \"validatingadmissionpolicies\" in API group \"admissionregistration.k8s.io\" at the cluster scope";
        let failed = refused(403, message);
        let words = "list ValidatingAdmissionPolicy goldenpath-leader: the operator's account may not list \
                     validatingadmissionpolicies.admissionregistration.k8s.io at the cluster scope; give it back: `helm upgrade`";
        assert!(failed.why.starts_with(words) && failed.lacking, "{failed:?}");
        assert_eq!(failed.code, Some(403));
    }

    #[test]
    fn what_is_refused_for_another_reason_is_said_in_the_servers_words() {
        let failed = refused(409, "the object has been modified");
        assert!(failed.why.contains("goldenpath-leader: ") && failed.why.contains("has been modified"), "{failed}");
        assert_eq!((failed.code, failed.lacking), (Some(409), false));
        assert_eq!(Failed::silent("get Lease", DEADLINE).to_string(), "get Lease: no answer within 1.2s");
    }

    #[test]
    fn what_lacks_is_said_when_it_goes_on_and_again_after_a_while() {
        let (mut said, start) = (Said::default(), Instant::now());
        let mut at = |text: &str, seconds: u64| said.is_new(text, start + Duration::from_secs(seconds));
        assert!(!at("a", 0) && !at("a", 4), "a server that has just started");
        assert!(at("a", 5) && !at("b", 5), "each by itself");
        assert!(!at("a", 25) && !at("a", 45) && at("a", 65), "once a minute");
        assert!(!at("b", 60) && at("b", 66), "what was given back meanwhile lacks anew");
    }
}
