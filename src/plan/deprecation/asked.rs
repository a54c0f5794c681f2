//! What a service is exempt from, of what is deprecated: what it asked for, and what it has without asking.
//!
//! Requests stand in the team's object and grants in the platform's, as for paths.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::api::{
    DeprecationExemption, DeprecationOwner, ExemptionKind, ExemptionRequest, ExemptionSource, ExemptionState,
    ExemptionStatus, PlatformService,
};
use crate::plan::exceptions::{granted_in_words, state_changes, state_of};
use crate::plan::selector::selects;

/// Most exemptions that a status lists.
const MAX_EXEMPTIONS: usize = 64;

/// A service that may be exempt.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The service, with its status.
    pub service: &'a PlatformService,
    /// Its namespace's object.
    pub namespace: &'a Value,
}

/// A Deprecation, as far as one service is concerned.
#[derive(Clone, Debug)]
pub struct Granting {
    /// Its name.
    pub name: String,
    /// Whom to ask.
    pub owner: Option<DeprecationOwner>,
    /// What it grants.
    pub exemptions: Vec<DeprecationExemption>,
    /// How many objects of the service lean on its exemptions; nothing where not everything is in sight.
    pub exempt: Option<u64>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// For the status of the service.
    pub statuses: Vec<ExemptionStatus>,
    /// When one of them changes by itself.
    pub next_change: Option<Timestamp>,
}

/// Whether a request or an exemption is about a Deprecation.
#[must_use]
pub fn is_of_deprecation(exemption: &ExemptionStatus) -> bool {
    exemption.source.kind == ExemptionKind::Deprecation
}

/// One list of both sorts. The API server takes each name once, and nobody chose the names of two that were not asked for
/// with an eye on each other: the second is called after its Deprecation, too.
#[must_use]
pub fn with_others(
    mut all: Vec<ExemptionStatus>,
    others: impl IntoIterator<Item = ExemptionStatus>,
) -> Vec<ExemptionStatus> {
    for other in others {
        let is_free = |name: &str| all.iter().all(|status| status.name != name);
        let full: String = format!("{}-{}", other.source.name, other.name).chars().take(63).collect();
        let free = [other.name.clone(), full].into_iter().find(|name| is_free(name));
        all.extend(free.map(|name| ExemptionStatus { name, ..other }));
    }
    all.truncate(MAX_EXEMPTIONS);
    all
}

/// What became of the requests of a service, and what it has without asking: of `all` Deprecations, at `now`.
#[must_use]
pub fn asked(asking: Asking<'_>, all: &[Granting], now: Timestamp) -> Asked {
    let requests = &asking.service.spec.exemption_requests;
    let ours: Vec<&ExemptionRequest> =
        requests.iter().filter(|request| request.subject.kind == ExemptionKind::Deprecation).collect();
    let mut found = Asked::default();
    let mut changes = Vec::new();
    for request in &ours {
        let granting = all.iter().find(|granting| granting.name == request.subject.name);
        let grant = granting.and_then(|granting| Some((granting, newest(granting, asking)?)));
        found.statuses.push(match grant {
            Some((granting, grant)) => {
                changes.extend(state_changes(grant.expires_at.0, now));
                ExemptionStatus { name: request.name.clone(), ..status(granting, grant, asking, now) }
            }
            None => waiting(request, granting),
        });
    }
    for granting in all {
        let name = granting.name.clone();
        let is_asked = ours.iter().any(|request| request.subject.name == name);
        let Some(grant) = newest(granting, asking).filter(|_| !is_asked) else { continue };
        // one for a whole namespace says nothing about a service that has nothing old
        let concerns = grant.service.is_some() || granting.exempt.is_some_and(|n| n > 0) || has_had(asking, &name);
        if concerns && grant.expires_at.0 > now {
            changes.extend(state_changes(grant.expires_at.0, now));
            found.statuses.push(status(granting, grant, asking, now));
        }
    }
    let taken = |name: &str| requests.iter().any(|request| request.name == name);
    let (asked, unasked): (Vec<_>, Vec<_>) = found.statuses.into_iter().partition(|status| taken(&status.name));
    found.statuses = asked.into_iter().chain(unasked).collect();
    found.next_change = changes.into_iter().min();
    found
}

/// Of a Deprecation that is not all in sight, what the service had stays.
fn has_had(asking: Asking<'_>, deprecation: &str) -> bool {
    before(asking, deprecation).is_some_and(|status| status.exemption.is_some())
}

fn before<'a>(asking: Asking<'a>, deprecation: &str) -> Option<&'a ExemptionStatus> {
    let all = asking.service.status.iter().flat_map(|status| &status.exemptions);
    all.filter(|status| is_of_deprecation(status)).find(|status| status.source.name == deprecation)
}

/// The exemption for a service that lasts longest, ended or not.
fn newest<'a>(granting: &'a Granting, asking: Asking<'_>) -> Option<&'a DeprecationExemption> {
    let all = granting.exemptions.iter();
    all.filter(|exemption| covers(exemption, asking)).max_by_key(|exemption| exemption.expires_at.0)
}

fn covers(exemption: &DeprecationExemption, asking: Asking<'_>) -> bool {
    let metadata = &asking.service.metadata;
    let is = |wanted: &Option<String>, name: &Option<String>| wanted.is_none() || wanted == name;
    let selector = exemption.namespace_selector.as_ref();
    is(&exemption.namespace, &metadata.namespace)
        && is(&exemption.service, &metadata.name)
        && selector.is_none_or(|selector| selects(selector, asking.namespace))
}

fn status(granting: &Granting, grant: &DeprecationExemption, asking: Asking<'_>, now: Timestamp) -> ExemptionStatus {
    let name = granting.name.clone();
    let was_unused = || before(asking, &name).is_some_and(|status| status.state == ExemptionState::Unused);
    let needed = granting.exempt.map_or_else(|| !was_unused(), |objects| objects > 0);
    ExemptionStatus {
        name: grant.name.clone(),
        source: source(&name),
        state: state_of(grant.expires_at.0, needed, now),
        exemption: Some(grant.name.clone()),
        expires_at: Some(grant.expires_at.clone()),
        message: Some(granted_in_words(&grant.approved_by, grant.expires_at.0, &grant.reason)),
    }
}

fn source(deprecation: &str) -> ExemptionSource {
    ExemptionSource { kind: ExemptionKind::Deprecation, name: deprecation.to_owned() }
}

/// A request that nobody has granted.
fn waiting(request: &ExemptionRequest, granting: Option<&Granting>) -> ExemptionStatus {
    let name = &request.subject.name;
    let message = match granting {
        None => format!("there is no Deprecation {name}; see kubectl get deprecations, or remove the request"),
        Some(granting) => {
            let owner = granting.owner.clone().unwrap_or_default();
            let who = owner.team.unwrap_or_else(|| "its owner".to_owned());
            let at = owner.contact.map(|contact| format!(" at {contact}")).unwrap_or_default();
            format!("not granted yet; {who}{at} grants it in spec.exemptions of Deprecation {name}")
        }
    };
    ExemptionStatus {
        name: request.name.clone(),
        source: source(name),
        message: Some(message),
        ..ExemptionStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-12-01T00:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn granting(exemptions: &Value, exempt: Option<u64>) -> Granting {
        let owner = serde_json::from_value(json!({"team": "platform", "contact": "#paved-road"})).unwrap();
        let exemptions = serde_json::from_value(exemptions.clone()).unwrap();
        Granting { name: "ing".to_owned(), owner: Some(owner), exemptions, exempt }
    }

    fn grant(name: &str, until: &str, more: &Value) -> Value {
        let mut grant =
            json!({"name": name, "namespace": "shop", "reason": "RISK-91", "approvedBy": "ana", "expiresAt": until});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        grant
    }

    fn service(requests: &Value) -> PlatformService {
        serde_json::from_value(json!({"metadata": {"name": "checkout", "namespace": "shop"},
            "spec": {"workloads": [], "exemptionRequests": requests}}))
        .unwrap()
    }

    fn request() -> Value {
        json!([{"name": "ip", "for": {"kind": "Deprecation", "name": "ing"}, "reason": "vendor IP allow list"},
            {"name": "cpu", "for": {"kind": "GoldenPath", "name": "ing"}, "reason": "bursts"}])
    }

    fn found(service: &PlatformService, all: &[Granting]) -> Asked {
        let namespace = json!({"metadata": {"labels": {"team": "ml"}}});
        asked(Asking { service, namespace: &namespace }, all, now())
    }

    const LATE: &str = "2027-08-01T00:00:00Z";

    #[rstest]
    #[case::nobody_answered(json!([]), Some(1), ExemptionState::Requested, "not granted yet; platform at #paved-road grants it")]
    #[case::for_another_service(
        json!([grant("a", LATE, &json!({"service": "cart"}))]), Some(0), ExemptionState::Requested, "not granted yet")]
    #[case::for_another_namespace(
        json!([grant("a", LATE, &json!({"namespace": "bank"}))]), Some(0), ExemptionState::Requested, "not granted yet")]
    #[case::for_other_labels(
        json!([grant("a", LATE, &json!({"namespaceSelector": {"matchLabels": {"team": "web"}}}))]), Some(0),
        ExemptionState::Requested, "not granted yet")]
    #[case::granted(json!([grant("a", LATE, &json!({}))]), Some(1), ExemptionState::Granted, "granted by ana until 2027-08-01")]
    #[case::ends_soon(
        json!([grant("a", "2026-12-05T00:00:00Z", &json!({}))]), Some(1), ExemptionState::Expiring, "granted by ana")]
    #[case::ended(json!([grant("a", NOW, &json!({}))]), Some(0), ExemptionState::Expired, "granted by ana")]
    #[case::prolonged(
        json!([grant("a", NOW, &json!({})), grant("b", LATE, &json!({}))]), Some(1), ExemptionState::Granted, "until 2027")]
    #[case::not_needed(json!([grant("a", LATE, &json!({}))]), Some(0), ExemptionState::Unused, "granted by ana")]
    #[case::not_in_sight(json!([grant("a", LATE, &json!({}))]), None, ExemptionState::Granted, "granted by ana")]
    fn a_request_says_what_became_of_it(
        #[case] grants: Value,
        #[case] exempt: Option<u64>,
        #[case] state: ExemptionState,
        #[case] words: &str,
    ) {
        let all = found(&service(&request()), &[granting(&grants, exempt)]).statuses;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!((all[0].name.as_str(), all[0].state, all[0].source.name.as_str()), ("ip", state, "ing"));
        assert!(all[0].message.as_ref().unwrap().contains(words), "{all:?}");
    }

    #[test]
    fn what_is_asked_of_nobody_says_so() {
        let all = found(&service(&request()), &[]).statuses;
        assert!(all[0].message.as_ref().unwrap().starts_with("there is no Deprecation ing"), "{all:?}");
    }

    #[rstest]
    #[case::used(json!({}), Some(2), true)]
    #[case::of_the_namespace_and_nothing_old(json!({}), Some(0), false)]
    #[case::by_name(json!({"service": "checkout"}), Some(0), true)]
    #[case::nobody_sees(json!({}), None, false)]
    fn what_nobody_asked_for_is_told_to_whom_it_concerns(
        #[case] more: Value,
        #[case] exempt: Option<u64>,
        #[case] told: bool,
    ) {
        let all = found(&service(&json!([])), &[granting(&json!([grant("a", LATE, &more)]), exempt)]);
        assert_eq!(all.statuses.len(), usize::from(told), "{all:?}");
        let warned = "2027-07-18T00:00:00Z".parse().unwrap();
        assert_eq!(all.next_change, told.then_some(warned), "the state changes two weeks before the end");
    }

    #[test]
    fn names_are_there_once() {
        let status = |name: &str| ExemptionStatus { name: name.into(), source: source("ing"), ..Default::default() };
        let names = |all: Vec<ExemptionStatus>| all.into_iter().map(|status| status.name).collect::<Vec<_>>();
        let all = with_others(vec![status("a")], [status("a"), status("b"), status("a")]);
        assert_eq!(names(all), ["a", "ing-a", "b"]);
    }
}
