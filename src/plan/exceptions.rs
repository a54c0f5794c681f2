//! What a service does without: the team's overrides and the platform's exemptions, as they stand at one moment.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::revision::Revision;
use super::selector::selects;
use crate::api::{
    Exemption, ExemptionKind, ExemptionRequest, ExemptionSource, ExemptionState, ExemptionStatus, GoldenPath, Mode,
    Objectives, Override, PlatformService, RetiredVersion, Retirement, VerdictState,
};

/// An exemption is called expiring so long before its end.
const EXPIRING: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a path says beside its revisions: it holds for every revision at once, and moves no label by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// Who may do without what.
    pub exemptions: Vec<Exemption>,
    /// The farthest mode of a service.
    pub max_mode: Mode,
    /// Versions that end.
    pub retired_versions: Vec<RetiredVersion>,
    /// The end of the path.
    pub retirement: Option<Retirement>,
    /// How reliable its services are meant to be, where they do not say so themselves.
    pub objectives: Option<Objectives>,
    /// How many workloads may restart at the same time, where the path says so.
    pub max_concurrent_restarts: Option<i32>,
}

impl Terms {
    /// What a path says now.
    #[must_use]
    pub fn of(path: &GoldenPath) -> Self {
        let spec = &path.spec;
        Self {
            exemptions: spec.exemptions.clone(),
            max_mode: spec.max_mode,
            retired_versions: spec.retired_versions.clone(),
            retirement: spec.retirement.clone(),
            objectives: spec.objectives.clone(),
            max_concurrent_restarts: spec.rollout.as_ref().and_then(|rollout| rollout.max_concurrent_restarts),
        }
    }

    /// The end of a version, if it has one.
    #[must_use]
    pub fn end_of(&self, version: &str) -> Option<Timestamp> {
        self.retired_versions.iter().find(|retired| retired.version == version).map(|retired| retired.retire_at.0)
    }
}

/// Why a service does without a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Its team says so, and the path permits it.
    Override {
        /// Why.
        reason: String,
    },
    /// The platform team has granted it.
    Exemption {
        /// Name of the exemption in the path.
        name: String,
        /// Until when, why and by whom, in words.
        terms: String,
    },
}

/// All exceptions of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exceptions {
    /// By name of the default.
    pub by_default: BTreeMap<String, Exception>,
    /// Entries that mean nothing: field, value and the fix.
    pub invalid: Vec<String>,
    /// When the next of them begins or ends to hold.
    pub next_change: Option<Timestamp>,
}

impl Exceptions {
    /// The exception from a default.
    #[must_use]
    pub fn from(&self, default: &str) -> Option<&Exception> {
        self.by_default.get(default)
    }
}

/// A service and what its exceptions depend on.
#[derive(Clone, Copy)]
pub struct Claimant<'a> {
    /// The service.
    pub service: &'a PlatformService,
    /// Its namespace's object.
    pub namespace: &'a Value,
    /// The revision that it follows.
    pub revision: &'a Revision,
    /// What the path says beside its revisions.
    pub terms: &'a Terms,
}

/// The exceptions of a service at `now`. An exemption goes before the team's own override of the same default.
#[must_use]
pub fn exceptions(claimant: Claimant<'_>, now: Timestamp) -> Exceptions {
    let mut found = Exceptions::default();
    let mut ends = Vec::new();
    for entry in &claimant.service.spec.overrides {
        let (name, end) = (&entry.default, entry.expires_at.as_ref().map(|t| t.0));
        if let Some(text) = refusal(claimant.revision, name, end, now) {
            found.invalid.push(text);
        } else {
            ends.extend(end);
            let reason = Exception::Override { reason: entry.reason.clone() };
            found.by_default.insert(name.clone(), reason);
        }
    }
    for exemption in claimant.terms.exemptions.iter().filter(|e| covers(e, claimant) && e.expires_at.0 > now) {
        ends.extend(state_changes(exemption.expires_at.0, now)); // the status says that it is about to end
        for default in &exemption.defaults {
            let terms = in_words(exemption);
            found.by_default.insert(default.clone(), Exception::Exemption { name: exemption.name.clone(), terms });
        }
    }
    found.next_change = ends.into_iter().min();
    found
}

/// Why an override means nothing.
fn refusal(revision: &Revision, default: &str, end: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let (path, field) = (&revision.path, format!("overrides[{default}]"));
    let Some(rule) = revision.rules.iter().find(|rule| rule.name == default) else {
        let names: Vec<&str> = revision.rules.iter().map(|rule| rule.name.as_str()).collect();
        return Some(format!(
            "{field}: GoldenPath {path} has no such default, it has {}; remove the entry",
            names.join(", ")
        ));
    };
    if rule.permission == Override::Forbidden {
        return Some(format!(
            "{field}: GoldenPath {path} forbids it; remove the entry and ask with exemptionRequests, or ask its owner"
        ));
    }
    let end = end.filter(|end| *end <= now)?;
    Some(format!(
        "{field}.expiresAt: {end} is past, so the default applies again; remove the entry or set a later time"
    ))
}

/// Whether an exemption is meant for a service, expired or not.
#[must_use]
pub fn covers(exemption: &Exemption, claimant: Claimant<'_>) -> bool {
    let metadata = &claimant.service.metadata;
    let is = |wanted: &Option<String>, name: &Option<String>| wanted.is_none() || wanted == name;
    let selector = exemption.namespace_selector.as_ref();
    is(&exemption.namespace, &metadata.namespace)
        && is(&exemption.service, &metadata.name)
        && selector.is_none_or(|selector| selects(selector, claimant.namespace))
}

fn in_words(exemption: &Exemption) -> String {
    granted_in_words(&exemption.approved_by, exemption.expires_at.0, &exemption.reason)
}

/// What the status of a service says about its exemptions: first its requests, then what it has without asking.
///
/// `verdicts` are those of its workloads: an exemption that none of them needs can be given back.
#[must_use]
pub fn statuses(claimant: Claimant<'_>, verdicts: &[(&str, VerdictState)], now: Timestamp) -> Vec<ExemptionStatus> {
    let path = &claimant.revision.path;
    let granted: Vec<&Exemption> = claimant.terms.exemptions.iter().filter(|e| covers(e, claimant)).collect();
    let mut asked_for = Vec::new();
    let mut all = Vec::new();
    let requests = &claimant.service.spec.exemption_requests;
    for request in requests.iter().filter(|request| request.subject.kind == ExemptionKind::GoldenPath) {
        let ours = request.subject.name == *path;
        let grants: Vec<&&Exemption> = granted.iter().filter(|e| ours && answers(e, request)).collect();
        asked_for.extend(grants.iter().map(|e| e.name.as_str()));
        let newest = grants.into_iter().max_by_key(|e| e.expires_at.0);
        all.push(match newest {
            Some(grant) => ExemptionStatus { name: request.name.clone(), ..status(grant, path, verdicts, now) },
            None => ExemptionStatus {
                name: request.name.clone(),
                source: source(&request.subject.name),
                message: Some(if ours {
                    format!("not granted yet; the owner of GoldenPath {path} grants it in spec.exemptions")
                } else {
                    format!("this service follows GoldenPath {path}, not {}", request.subject.name)
                }),
                ..ExemptionStatus::default()
            },
        });
    }
    let taken = |name: &String| requests.iter().any(|request| request.name == *name);
    let unasked = granted.iter().filter(|e| !asked_for.contains(&e.name.as_str()) && !taken(&e.name));
    all.extend(unasked.map(|exemption| status(exemption, path, verdicts, now)));
    all
}

fn source(path: &str) -> ExemptionSource {
    ExemptionSource { kind: ExemptionKind::GoldenPath, name: path.to_owned() }
}

/// The state of an exemption that is granted.
#[must_use]
pub fn state_of(end: Timestamp, needed: bool, now: Timestamp) -> ExemptionState {
    match end.checked_sub(EXPIRING) {
        _ if end <= now => ExemptionState::Expired,
        _ if !needed => ExemptionState::Unused,
        Ok(soon) if soon > now => ExemptionState::Granted,
        _ => ExemptionState::Expiring,
    }
}

/// When the state of an exemption changes by itself.
pub fn state_changes(end: Timestamp, now: Timestamp) -> impl Iterator<Item = Timestamp> {
    [end.checked_sub(EXPIRING).ok(), Some(end)].into_iter().flatten().filter(move |at| *at > now)
}

/// Who granted an exemption, until when, and why.
#[must_use]
pub fn granted_in_words(approved_by: &str, end: Timestamp, reason: &str) -> String {
    format!("granted by {approved_by} until {end}: {reason}")
}

/// Whether an exemption grants all that a request asks for.
fn answers(exemption: &Exemption, request: &ExemptionRequest) -> bool {
    !request.subject.defaults.is_empty() && request.subject.defaults.iter().all(|d| exemption.defaults.contains(d))
        || request.subject.defaults.is_empty() && exemption.name == request.name
}

fn status(exemption: &Exemption, path: &str, verdicts: &[(&str, VerdictState)], now: Timestamp) -> ExemptionStatus {
    let needed = verdicts.iter().any(|(default, state)| {
        *state == VerdictState::Exempt && exemption.defaults.iter().any(|granted| granted == default)
    });
    ExemptionStatus {
        name: exemption.name.clone(),
        source: source(path),
        state: state_of(exemption.expires_at.0, needed, now),
        exemption: Some(exemption.name.clone()),
        expires_at: Some(exemption.expires_at.clone()),
        message: Some(in_words(exemption)),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::{
        DefaultOverride, ExemptionSubject, GoldenPath, GoldenPathSpec, NamespaceSelector, PathDefault,
        PlatformServiceSpec,
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-12-01T00:00:00Z")
    }

    fn exemption(until: &str) -> Exemption {
        Exemption {
            name: "batch".into(),
            namespace: Some("shop".into()),
            defaults: vec!["non-root".into()],
            reason: "RISK-88".into(),
            approved_by: "ana".into(),
            expires_at: Time(at(until)),
            service: None,
            namespace_selector: None,
        }
    }

    fn revision() -> Revision {
        let default = |name: &str, permission| PathDefault {
            name: name.into(),
            permission,
            check: Some("true".into()),
            ..PathDefault::default()
        };
        let defaults = vec![default("requests", Override::Allowed), default("non-root", Override::Forbidden)];
        Revision::draft(&GoldenPath::new("web", GoldenPathSpec { defaults, ..GoldenPathSpec::default() })).unwrap()
    }

    fn service(overrides: &[(&str, Option<&str>)]) -> PlatformService {
        let entry = |(default, end): &(&str, Option<&str>)| DefaultOverride {
            default: (*default).to_owned(),
            reason: "because".into(),
            expires_at: end.map(|end| Time(at(end))),
            ..DefaultOverride::default()
        };
        let overrides = overrides.iter().map(entry).collect();
        let mut service = PlatformService::new("cart", PlatformServiceSpec { overrides, ..Default::default() });
        service.metadata.namespace = Some("shop".into());
        service
    }

    fn found(service: &PlatformService, exemptions: Vec<Exemption>) -> Exceptions {
        let namespace = json!({"metadata": {"labels": {"team": "ml"}}});
        let terms = Terms { exemptions, ..Terms::default() };
        let claimant = Claimant { service, namespace: &namespace, revision: &revision(), terms: &terms };
        exceptions(claimant, now())
    }

    #[rstest]
    #[case::permitted("requests", None, None)]
    #[case::for_a_while("requests", Some("2027-01-01T00:00:00Z"), None)]
    #[case::expired(
        "requests",
        Some("2026-11-01T00:00:00Z"),
        Some("overrides[requests].expiresAt: 2026-11-01T00:00:00Z is past")
    )]
    #[case::forbidden("non-root", None, Some("overrides[non-root]: GoldenPath web forbids it"))]
    #[case::unknown(
        "probes",
        None,
        Some("overrides[probes]: GoldenPath web has no such default, it has requests, non-root")
    )]
    fn a_team_overrides_what_the_path_permits(
        #[case] default: &str,
        #[case] end: Option<&str>,
        #[case] refused: Option<&str>,
    ) {
        let found = found(&service(&[(default, end)]), Vec::new());
        assert_eq!(found.from(default).is_some(), refused.is_none());
        assert_eq!(found.invalid.len(), usize::from(refused.is_some()));
        assert!(found.invalid.iter().all(|text| text.starts_with(refused.unwrap_or_default())), "{found:?}");
        assert_eq!(found.next_change, end.filter(|_| refused.is_none()).map(at));
    }

    #[rstest]
    #[case::namespace(exemption("2027-06-01T00:00:00Z"), true)]
    #[case::ended(exemption("2026-11-01T00:00:00Z"), false)]
    #[case::other_namespace(Exemption { namespace: Some("bank".into()), ..exemption("2027-06-01T00:00:00Z") }, false)]
    #[case::service(Exemption { service: Some("cart".into()), ..exemption("2027-06-01T00:00:00Z") }, true)]
    #[case::other_service(Exemption { service: Some("api".into()), ..exemption("2027-06-01T00:00:00Z") }, false)]
    #[case::selected(selecting("ml"), true)]
    #[case::not_selected(selecting("web"), false)]
    fn an_exemption_holds_for_whom_it_names(#[case] exemption: Exemption, #[case] holds: bool) {
        let found = found(&service(&[]), vec![exemption]);
        assert_eq!(found.from("non-root").is_some(), holds);
    }

    fn selecting(team: &str) -> Exemption {
        let labels = [("team".to_owned(), team.to_owned())].into();
        let selector = NamespaceSelector { match_labels: labels, ..NamespaceSelector::default() };
        Exemption { namespace: None, namespace_selector: Some(selector), ..exemption("2027-06-01T00:00:00Z") }
    }

    #[test]
    fn the_next_change_is_the_warning_before_an_end() {
        let found = found(&service(&[]), vec![exemption("2027-06-15T00:00:00Z")]);
        assert_eq!(found.next_change, Some(at("2027-06-01T00:00:00Z")));
    }

    #[rstest]
    #[case::nobody_answered(&[], VerdictState::Missing, ExemptionState::Requested)]
    #[case::granted(&["2027-06-01T00:00:00Z"], VerdictState::Exempt, ExemptionState::Granted)]
    #[case::ends_soon(&["2026-12-05T00:00:00Z"], VerdictState::Exempt, ExemptionState::Expiring)]
    #[case::ended(&["2026-11-05T00:00:00Z"], VerdictState::Missing, ExemptionState::Expired)]
    #[case::not_needed(&["2027-06-01T00:00:00Z"], VerdictState::SatisfiedByTeam, ExemptionState::Unused)]
    #[case::prolonged(&["2026-11-05T00:00:00Z", "2027-06-01T00:00:00Z"], VerdictState::Exempt, ExemptionState::Granted)]
    fn a_request_says_what_became_of_it(
        #[case] grants: &[&str],
        #[case] verdict: VerdictState,
        #[case] state: ExemptionState,
    ) {
        let subject = ExemptionSubject { name: "web".into(), defaults: vec!["non-root".into()], ..Default::default() };
        let request = ExemptionRequest { name: "root".into(), subject, reason: "legacy".into(), until: None };
        let mut service = service(&[]);
        service.spec.exemption_requests = vec![request];
        let exemptions = grants.iter().map(|until| exemption(until)).collect();
        let terms = Terms { exemptions, ..Terms::default() };
        let claimant = Claimant { service: &service, namespace: &json!({}), revision: &revision(), terms: &terms };
        let statuses = statuses(claimant, &[("non-root", verdict)], now());
        assert_eq!((statuses.len(), statuses[0].name.as_str(), statuses[0].state), (1, "root", state));
    }

    #[test]
    fn what_nobody_asked_for_is_shown_too() {
        let terms = Terms { exemptions: vec![exemption("2027-06-01T00:00:00Z")], ..Terms::default() };
        let service = service(&[]);
        let claimant = Claimant { service: &service, namespace: &json!({}), revision: &revision(), terms: &terms };
        let statuses = statuses(claimant, &[("non-root", VerdictState::Exempt)], now());
        assert_eq!(statuses[0].message.as_deref(), Some("granted by ana until 2027-06-01T00:00:00Z: RISK-88"));
    }
}
