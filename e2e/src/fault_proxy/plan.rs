//! The plan of faults: which request meets which fault. Pure: the same requests in the same order meet the same faults.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};

use super::request::{RequestInfo, Verb};

/// Which requests are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    verb: Option<Verb>,
    resource: Option<String>,
}

impl Target {
    /// Every request.
    #[must_use]
    pub fn all() -> Self {
        Self { verb: None, resource: None }
    }

    /// Requests of one verb about one resource, such as `patch` of `deployments/status`.
    #[must_use]
    pub fn of(verb: Verb, resource: &str) -> Self {
        Self { verb: Some(verb), resource: Some(resource.to_owned()) }
    }

    /// Every request about one resource.
    #[must_use]
    pub fn any(resource: &str) -> Self {
        Self { verb: None, resource: Some(resource.to_owned()) }
    }

    /// Watches of one resource.
    #[must_use]
    pub fn watch(resource: &str) -> Self {
        Self::of(Verb::Watch, resource)
    }

    /// Whether a request is meant.
    #[must_use]
    pub fn matches(&self, request: &RequestInfo) -> bool {
        self.verb.is_none_or(|verb| verb == request.verb)
            && self.resource.as_ref().is_none_or(|resource| *resource == request.resource)
    }
}

/// An answer of an API server that refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `reason` of the Status.
    pub reason: &'static str,
    /// Seconds in the header `Retry-After`, if it is sent.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// 410: the resourceVersion is too old.
    pub const EXPIRED: Self = Self { code: 410, reason: "Expired", retry_after: None };
    /// 429 without a hint when to come again.
    pub const TOO_MANY_REQUESTS: Self = Self { code: 429, reason: "TooManyRequests", retry_after: None };
    /// 403: the account lacks a right.
    pub const FORBIDDEN: Self = Self { code: 403, reason: "Forbidden", retry_after: None };
    /// 500.
    pub const INTERNAL_ERROR: Self = Self { code: 500, reason: "InternalError", retry_after: None };
    /// 503.
    pub const SERVICE_UNAVAILABLE: Self = Self { code: 503, reason: "ServiceUnavailable", retry_after: None };

    /// The same with `Retry-After`.
    #[must_use]
    pub const fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The Status object that an API server sends with it.
    #[must_use]
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": format!("{} by the plan of faults", self.reason),
            "reason": self.reason,
            "code": self.code,
        })
    }

    /// The same as the ERROR event of a watch that was answered 200 before.
    #[must_use]
    pub fn event(&self) -> String {
        json!({"type": "ERROR", "object": self.status()}).to_string()
    }
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is refused and does not reach the API server.
    Refuse(Refusal),
    /// It does not reach the API server, and is answered with this object: what no API server here would say.
    Answer(Value),
    /// The answer's header Date is so many seconds later than the API server says: its clock is ahead, or the client's behind.
    ShiftDate(i64),
    /// It does not reach the API server, and its connection stays open without an answer: half-open.
    Hang,
    /// It does not reach the API server, and its connection is closed without an answer.
    Close,
    /// The API server carries it out, and its connection is closed without an answer.
    DropReply,
    /// It is forwarded after a pause.
    Delay(Duration),
    /// So many bytes of the answer's body arrive, then the connection is closed without an end.
    Cut {
        /// Bytes that arrive.
        after: usize,
    },
    /// The answer's body arrives slowly.
    Drip {
        /// So many at a time.
        bytes: usize,
        /// Before each time.
        pause: Duration,
    },
}

/// A fault and the requests that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    target: Target,
    requests: Range<usize>,
    action: Action,
}

impl Fault {
    /// For every request of a kind, as long as the fault is in force.
    #[must_use]
    pub fn new(target: Target, action: Action) -> Self {
        Self { target, requests: 0..usize::MAX, action }
    }

    /// Only for the `number`-th request of the kind since the fault came into force; the first is number 1.
    #[must_use]
    pub fn nth(self, number: usize) -> Self {
        self.between(number, number)
    }

    /// Only for requests number `first` to `last` of the kind, both included; the first is number 1.
    #[must_use]
    pub fn between(self, first: usize, last: usize) -> Self {
        Self { requests: first.saturating_sub(1)..last, ..self }
    }
}

/// Faults in force.
#[derive(Debug, Default)]
pub(super) struct Plan {
    entries: Vec<Entry>,
    added: usize,
}

#[derive(Debug)]
struct Entry {
    id: usize,
    fault: Fault,
    seen: usize,
    met: usize,
}

impl Plan {
    /// Puts a fault in force; the answer identifies it.
    pub fn add(&mut self, fault: Fault) -> usize {
        self.added += 1;
        self.entries.push(Entry { id: self.added, fault, seen: 0, met: 0 });
        self.added
    }

    /// Ends a fault.
    pub fn remove(&mut self, id: usize) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// How many requests have met a fault.
    pub fn met(&self, id: usize) -> usize {
        self.entries.iter().find(|entry| entry.id == id).map_or(0, |entry| entry.met)
    }

    /// What happens to a request. Every fault counts it; the oldest one that is for it acts.
    pub fn meet(&mut self, request: &RequestInfo) -> Option<Action> {
        let mut action = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.fault.target.matches(request)) {
            let acts = entry.fault.requests.contains(&entry.seen);
            entry.seen += 1;
            if acts && action.is_none() {
                entry.met += 1;
                action = Some(entry.fault.action.clone());
            }
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;

    fn list(resource: &str) -> RequestInfo {
        RequestInfo::new(&Method::GET, &format!("/apis/apps/v1/{resource}").parse::<Uri>().unwrap())
    }

    fn met(plan: &mut Plan, resource: &str, times: usize) -> Vec<bool> {
        (0..times).map(|_| plan.meet(&list(resource)).is_some()).collect()
    }

    #[test]
    fn a_fault_meets_its_verb_and_resource_alone() {
        let mut plan = Plan::default();
        plan.add(Fault::new(Target::of(Verb::List, "deployments"), Action::Close));
        assert_eq!(plan.meet(&list("deployments")), Some(Action::Close));
        assert_eq!(plan.meet(&list("statefulsets")), None);
        assert_eq!(plan.meet(&RequestInfo { verb: Verb::Watch, ..list("deployments") }), None);
    }

    #[test]
    fn nth_counts_from_one_and_only_its_own_kind() {
        let mut plan = Plan::default();
        plan.add(Fault::new(Target::any("deployments"), Action::Close).nth(2));
        assert_eq!(met(&mut plan, "statefulsets", 2), [false, false]);
        assert_eq!(met(&mut plan, "deployments", 3), [false, true, false]);
    }

    #[test]
    fn between_includes_both_ends() {
        let mut plan = Plan::default();
        plan.add(Fault::new(Target::all(), Action::Close).between(2, 3));
        assert_eq!(met(&mut plan, "deployments", 4), [false, true, true, false]);
    }

    #[test]
    fn the_oldest_of_two_faults_acts_and_both_count() {
        let mut plan = Plan::default();
        let first = plan.add(Fault::new(Target::all(), Action::Close).nth(1));
        let second = plan.add(Fault::new(Target::all(), Action::Hang).between(1, 2));
        let request = list("deployments");
        assert_eq!([plan.meet(&request), plan.meet(&request)], [Some(Action::Close), Some(Action::Hang)]);
        assert_eq!([plan.met(first), plan.met(second)], [1, 1]);
    }

    #[test]
    fn an_ended_fault_meets_nothing() {
        let mut plan = Plan::default();
        let id = plan.add(Fault::new(Target::all(), Action::Close));
        plan.remove(id);
        assert_eq!(plan.meet(&list("deployments")), None);
    }
}
