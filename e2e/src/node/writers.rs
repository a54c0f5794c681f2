//! Who of several replicas wrote when, by the audit log. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath::plan::lease::DURATION;
use jiff::Timestamp;

use crate::audit::AuditEvent;

/// One process from its first write to its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Its name in the Lease
    pub who: String,
    /// Its first write, the Lease included
    pub from: Timestamp,
    /// Its last one
    pub to: Timestamp,
    /// Writes of objects
    pub writes: usize,
    /// The longest time between the last hold of the Lease and a write
    pub latest: Duration,
}

/// The name of a process in its user agent, `goldenpath/0.1.0 (goldenpath-5d8-x7_0123456789abcdef)`.
#[must_use]
pub fn writer(event: &AuditEvent) -> &str {
    event.user_agent.split(['(', ')']).nth(1).unwrap_or(&event.user_agent)
}

/// The terms of all that wrote, in order. A write that was refused counts as well: it was sent. A Lease that was refused
/// does not, since that is what it is for.
///
/// # Errors
/// When two wrote at a time, or one wrote without holding the Lease or after it had run out.
pub fn terms(mut events: Vec<AuditEvent>) -> Result<Vec<Term>> {
    events.sort_by_key(|event| event.time);
    let mut held: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut terms: BTreeMap<String, Term> = BTreeMap::new();
    for event in events.iter().filter(|event| event.is_write()) {
        let who = writer(event).to_owned();
        let is_lease = event.resource == "leases";
        if is_lease && event.code >= 300 {
            continue;
        }
        if is_lease {
            held.insert(who.clone(), event.time);
        }
        let Some(since) = held.get(&who).map(|held| event.time.duration_since(*held).unsigned_abs()) else {
            anyhow::bail!("{who} held no Lease and wrote: {} {} at {}", event.verb, event.uri, event.time);
        };
        ensure!(
            since <= DURATION,
            "{who} wrote {since:?} after it had held the Lease: {} {} at {}",
            event.verb,
            event.uri,
            event.time
        );
        let first = Term { who: who.clone(), from: event.time, to: event.time, writes: 0, latest: Duration::ZERO };
        let term = terms.entry(who).or_insert(first);
        (term.to, term.latest) = (event.time, term.latest.max(since));
        term.writes += usize::from(!is_lease);
    }
    let mut terms: Vec<Term> = terms.into_values().collect();
    terms.sort_by_key(|term| term.from);
    for pair in terms.windows(2) {
        ensure!(pair[0].to < pair[1].from, "two wrote at a time: {:?} and {:?}", pair[0], pair[1]);
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(who: &str, second: i64, resource: &str, code: u16) -> AuditEvent {
        AuditEvent {
            user: "system:serviceaccount:goldenpath-system:goldenpath".to_owned(),
            user_agent: format!("goldenpath/0.1.0 ({who})"),
            verb: "update".to_owned(),
            group: String::new(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            code,
            dry_run: false,
            uri: format!("/{resource}"),
            time: Timestamp::from_second(second).unwrap(),
        }
    }

    fn said(events: Vec<AuditEvent>) -> String {
        terms(events).unwrap_err().to_string()
    }

    #[test]
    fn one_after_the_other_may_write() {
        let events = vec![
            event("a_1", 0, "leases", 200),
            event("b_1", 1, "leases", 409),
            event("a_1", 5, "deployments", 503),
            event("b_1", 6, "leases", 200),
            event("b_1", 7, "deployments", 200),
            event("a_2", 20, "leases", 201),
        ];
        let terms = terms(events).unwrap();
        let found: Vec<_> = terms.iter().map(|term| (&*term.who, term.writes, term.latest.as_secs())).collect();
        assert_eq!(found, [("a_1", 1, 5), ("b_1", 1, 1), ("a_2", 0, 0)]);
    }

    #[test]
    fn two_at_a_time_are_found() {
        let events =
            vec![event("a_1", 0, "leases", 200), event("b_1", 2, "leases", 200), event("a_1", 3, "deployments", 409)];
        assert!(said(events).starts_with("two wrote at a time"));
    }

    #[test]
    fn a_write_after_the_lease_is_found() {
        let late = vec![event("a_1", 0, "leases", 200), event("a_1", 6, "deployments", 200)];
        assert!(said(late).starts_with("a_1 wrote 6s after"));
        let never = vec![event("a_1", 0, "leases", 409), event("a_1", 1, "deployments", 200)];
        assert!(said(never).starts_with("a_1 held no Lease"));
    }
}
