//! The status of a PlatformService, from facts and from what came of the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::counts::UNOWNED;
use super::exercise::exercise;
use super::experience::milestones;
use super::objective::{objective, objective_met, outage, reliability, sights};
use super::version::{followed, up_to_date};
use super::{Finding, merge, whole_second, without};
use crate::api::{
    Adoption, Category, ConditionType, DefaultStatus, ExemptionStatus, Mode, Origin, PlatformServiceStatus, Reason,
    State, VerdictState, WorkloadStatus, labels,
};
use crate::plan::companions::{CompanionVerdict, combine};
use crate::plan::deprecation::asked::{is_of_deprecation, with_others};
use crate::plan::exceptions::{Claimant, statuses};
use crate::plan::health::{Progress, progress};
use crate::plan::metadata::label;
use crate::plan::revision::Revision;
use crate::plan::rolled_back::{tell, went_back_from};
use crate::plan::route::{Engine, Route};
use crate::plan::score::{state, weights};
use crate::plan::service::{Blocker, PathFacts, ServiceFacts, WorkloadFacts, template_hash};
use crate::plan::switch::without_left;
use crate::plan::verdict::{MAX_MESSAGE, Standing, Subjected, Verdict, has_gaps, is_skipped, verdicts};

/// Most verdicts that a status lists.
const MAX_DEFAULTS: usize = 64;
/// Most field managers that a verdict lists.
const MAX_MANAGERS: usize = 8;

/// What came of the plan for one workload.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The object as it is now.
    pub object: Option<Value>,
    /// Why it could not be adopted.
    pub blocker: Option<Blocker>,
    /// What the API server answered when it refused.
    pub refused: Option<String>,
    /// What of a template is not in place, although the workload is there.
    pub unmade: Option<Blocker>,
    /// Why gaps stay open although it is labelled, where the operator itself fills.
    pub unfilled: Option<String>,
    /// It is to be filled, or to restart, and waits so long at the longest.
    pub wait: Option<Duration>,
    /// Labels were written just now.
    pub labelled: bool,
    /// What is the case beside the workload.
    pub companions: Vec<CompanionVerdict>,
}

/// One workload of a service, evaluated.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// As the status says it.
    pub status: WorkloadStatus,
    /// The verdict of every default.
    pub verdicts: Vec<Verdict>,
    /// Why the first rollout since it was labelled has failed, if it was well before that.
    pub failure: Option<String>,
    /// It runs the template with which it has rolled out first since it was labelled, and was well before that.
    pub runs_exercised: bool,
    /// When that rollout has failed, if nothing changes until then.
    pub fails_at: Option<Timestamp>,
}

/// What a pass found out about a service.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// The status that the service should have.
    pub status: PlatformServiceStatus,
    /// Its workloads, in the order of the spec. Nothing for one that is not there or not its own.
    pub workloads: Vec<Option<Evaluated>>,
}

/// Assesses a service.
#[must_use]
pub fn assess(facts: &ServiceFacts, outcomes: &[Outcome], now: Timestamp) -> Assessment {
    let workloads: Vec<Option<Evaluated>> =
        facts.workloads.iter().zip(outcomes).map(|(w, outcome)| evaluate(facts, w, outcome, now)).collect();
    let evaluated: Vec<&Evaluated> = workloads.iter().flatten().collect();
    Assessment { status: service_status(facts, outcomes, &evaluated, now), workloads }
}

/// The route of a service, if its path can be taken.
fn route_of(facts: &ServiceFacts) -> Option<&Route> {
    match &facts.path {
        PathFacts::Ready(route) => Some(route),
        _ => None,
    }
}

/// The revision that a service follows, if its path can be taken.
fn revision_of(facts: &ServiceFacts) -> Option<&Revision> {
    route_of(facts).map(|route| route.revision.as_ref())
}

/// The status of a service before, as far as it was of the revision that it follows now.
fn before_on<'a>(facts: &'a ServiceFacts, revision: &Revision) -> Option<&'a PlatformServiceStatus> {
    let before = facts.service.status.as_ref()?;
    (before.golden_path.as_ref()?.revision == revision.name).then_some(before)
}

fn service_status(
    facts: &ServiceFacts,
    outcomes: &[Outcome],
    evaluated: &[&Evaluated],
    now: Timestamp,
) -> PlatformServiceStatus {
    let before = facts.service.status.clone().unwrap_or_default();
    let revision = revision_of(facts);
    let route = route_of(facts);
    let mut findings = vec![ready(facts, outcomes, revision), adopted(evaluated, facts), conflicted(evaluated)];
    findings.extend(route.map(|route| up_to_date(route, &facts.service, now)));
    let sights = sights(facts, outcomes);
    let reliability = reliability(facts, &sights, now);
    findings.extend(objective(facts).map(|objective| objective_met(objective, reliability.as_ref(), now)));
    let outage = outage(facts, reliability.as_ref(), evaluated, now);
    let (has_objective, conditions) = (objective(facts).is_some(), before.conditions.clone());
    let conditions = if has_objective { conditions } else { without(&conditions, ConditionType::ObjectiveMet) };
    let adoption = adoption(facts, &before, evaluated, now);
    let defaults = default_statuses(evaluated);
    let conditions = merge(&conditions, &findings, facts.service.metadata.generation, now);
    PlatformServiceStatus {
        observed_generation: facts.service.metadata.generation,
        team: Some(team(facts)),
        // what it followed stays on show while the path is away
        golden_path: match route {
            Some(route) => Some(followed(&before, route, evaluated, outage)),
            None => before.golden_path.clone(),
        },
        adoption: Some(adoption),
        defaults_total: Some(i64::try_from(defaults.len()).unwrap_or(i64::MAX)),
        defaults: defaults.into_iter().take(MAX_DEFAULTS).collect(),
        workloads: evaluated.iter().map(|e| e.status.clone()).collect(),
        exemptions: exemptions(facts, &before, evaluated, now),
        milestones: milestones(&before, &conditions, reliability.as_ref(), !sights.is_empty()),
        reliability,
        conditions,
        deprecations: before.deprecations,
        deprecations_total: before.deprecations_total,
        folded: None,
    }
}

/// What is exempt from the path; what is exempt from Deprecations stays until it is counted.
fn exemptions(
    facts: &ServiceFacts,
    before: &PlatformServiceStatus,
    evaluated: &[&Evaluated],
    now: Timestamp,
) -> Vec<ExemptionStatus> {
    let of_path = route_of(facts).map(|Route { revision, terms, .. }| {
        let claimant = Claimant { service: &facts.service, namespace: &facts.namespace, revision, terms };
        let verdicts: Vec<(&str, VerdictState)> =
            evaluated.iter().flat_map(|e| &e.verdicts).map(|v| (v.default.as_str(), v.state)).collect();
        statuses(claimant, &verdicts, now)
    });
    with_others(of_path.unwrap_or_default(), before.exemptions.iter().filter(|e| is_of_deprecation(e)).cloned())
}

fn evaluate(facts: &ServiceFacts, workload: &WorkloadFacts, outcome: &Outcome, now: Timestamp) -> Option<Evaluated> {
    let revision = revision_of(facts)?;
    let object = outcome.object.as_ref().filter(|_| outcome.blocker.is_none())?;
    let (name, kind) = (&workload.workload.name, workload.target.kind);
    let before = before_on(facts, revision).and_then(|s| s.workloads.iter().find(|w| w.name == *name));
    let hash = template_hash(kind, object);
    // what the path that it leaves has filled is gone with the rollout that brings this path's values
    let seen = without_left(kind, object, workload.left.as_ref().map(|revision| &revision.road));
    let ours = label(object, labels::REVISION) == Some(revision.name.as_str());
    // after a break-glass nothing comes back before the next rollout, so that rollout is counted from there
    let anew = outcome.labelled || is_skipped(object);
    let labelled_template = ours
        .then(|| before.and_then(|b| b.labelled_template.clone()).filter(|_| !anew).unwrap_or_else(|| hash.clone()));
    let standing = if let Some(message) = &outcome.refused {
        Standing::NotLabelled(message.clone())
    } else if ours && is_skipped(object) {
        Standing::BrokenGlass
    } else if let Some(why) = outcome.unfilled.as_ref().filter(|_| ours) {
        Standing::Unfilled(why.clone())
    } else if ours && route_of(facts).is_some_and(|route| route.engine == Engine::Fallback) {
        Standing::Adopted // what was missed comes with the next rollout
    } else if ours {
        let changed = labelled_template.as_ref() != Some(&hash);
        if changed && has_gaps(kind, &seen, revision) { Standing::NotFilled } else { Standing::Adopted }
    } else if label(object, labels::PATH).is_some() {
        Standing::Leaving
    } else if facts.mode() == Mode::Observe {
        Standing::Observed
    } else if facts.service.spec.suspend {
        Standing::NotLabelled("suspend: true, so the workload is not labelled".to_owned())
    } else {
        Standing::Adopted
    };
    let subject = Subjected { kind, object: &seen, namespace: &facts.namespace };
    let verdicts = verdicts(subject, revision, &standing, &facts.exceptions);
    let mut verdicts = combine(verdicts, &outcome.companions, revision);
    if let Some((from, cause)) = went_back_from(&facts.service, route_of(facts)?) {
        tell(&mut verdicts, revision, from, cause);
    }
    let status = WorkloadStatus {
        name: name.clone(),
        kind,
        object: workload.target.name.clone(),
        state: state(&verdicts, &standing, before.map(|b| b.state)),
        score: weights(&verdicts).score(),
        ..exercise(kind, object, labelled_template, before, now)
    };
    // a rollout that was complete once has proved itself, and what was broken before proves nothing
    let proves = status.rolling_out_since.is_some() && !status.exercised && status.healthy_before == Some(true);
    let since = status.rolling_out_since.as_ref().map(|since| since.0);
    let (failure, fails_at) = match progress(kind, object, since, now) {
        _ if !proves => (None, None),
        Progress::Over => (None, None),
        Progress::UnderWay(until) => (None, until),
        Progress::Failed(message) => (Some(message), None),
    };
    let runs_exercised = status.healthy_before == Some(true) && status.exercised_template.as_ref() == Some(&hash);
    Some(Evaluated { status, verdicts, failure, runs_exercised, fails_at })
}

fn team(facts: &ServiceFacts) -> String {
    let declared = facts.service.spec.team.clone();
    let of_workload = || {
        let mut objects = facts.workloads.iter().filter_map(|w| w.object.as_ref());
        objects.find_map(|o| label(o, labels::TEAM).map(ToOwned::to_owned))
    };
    let of_namespace = || label(&facts.namespace, labels::TEAM).map(ToOwned::to_owned);
    declared.or_else(of_workload).or_else(of_namespace).unwrap_or_else(|| UNOWNED.to_owned())
}

fn adoption(
    facts: &ServiceFacts,
    before: &PlatformServiceStatus,
    evaluated: &[&Evaluated],
    now: Timestamp,
) -> Adoption {
    let order = [State::Drifted, State::Migrating, State::Observing, State::Adopted, State::Exempt];
    let state = order.into_iter().find(|s| evaluated.iter().any(|e| e.status.state == *s)).unwrap_or_default();
    let was = before.adoption.clone().unwrap_or_default();
    // what came first says it, whatever is added later
    let made = before.adoption.is_none() && facts.workloads.iter().any(|w| w.made.is_some());
    Adoption {
        state,
        origin: if made { Origin::Greenfield } else { was.origin },
        score: weights(evaluated.iter().flat_map(|e| &e.verdicts)).score(),
        adopted_at: was.adopted_at.or_else(|| (state == State::Adopted).then(|| whole_second(now))),
    }
}

fn default_statuses(evaluated: &[&Evaluated]) -> Vec<DefaultStatus> {
    let mut all: Vec<DefaultStatus> = evaluated
        .iter()
        .flat_map(|e| e.verdicts.iter().map(move |v| (e, v)))
        .map(|(e, verdict)| DefaultStatus {
            name: verdict.default.clone(),
            workload: e.status.name.clone(),
            state: verdict.state,
            owner: verdict.owner,
            field_managers: verdict.managers.iter().take(MAX_MANAGERS).cloned().collect(),
            message: verdict.message.as_ref().map(|m| m.chars().take(MAX_MESSAGE).collect()),
        })
        .collect();
    all.sort_by(|a, b| (a.state, &a.workload, &a.name).cmp(&(b.state, &b.workload, &b.name)));
    all
}

fn ready(facts: &ServiceFacts, outcomes: &[Outcome], revision: Option<&Revision>) -> Finding {
    let bad = |reason, message: String| Finding::bad(ConditionType::Ready, reason, message);
    let blocked: Vec<&Blocker> = outcomes.iter().filter_map(|o| o.blocker.as_ref()).collect();
    if let Some(first) = blocked.first() {
        let more = if blocked.len() > 1 { format!(" (and {} more)", blocked.len() - 1) } else { String::new() };
        return bad(first.reason, format!("{}{more}", first.message));
    }
    match &facts.path {
        PathFacts::NotFound(name) => {
            return bad(
                Reason::PathNotFound,
                format!("goldenPathRef.name: GoldenPath {name} does not exist; see kubectl get goldenpaths"),
            );
        }
        PathFacts::NoDefault(kind) => {
            let text = format!("no GoldenPath names {kind} in defaultFor; set goldenPathRef, or ask the platform team");
            return bad(Reason::NoDefaultPath, text);
        }
        PathFacts::NotReady(name, why) => {
            return bad(Reason::PathNotReady, format!("GoldenPath {name} cannot be taken yet: {why}"));
        }
        PathFacts::VersionNotFound(name, version, kept) => {
            let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
            let text = format!("goldenPathRef.version: GoldenPath {name} keeps no version {version}; it has {kept}");
            return bad(Reason::VersionNotFound, text);
        }
        PathFacts::Ready(_) => {}
    }
    let names = || facts.workloads.iter().zip(outcomes);
    if let Some((workload, refused)) = names().find_map(|(w, o)| Some((w, o.refused.as_ref()?))) {
        return bad(Reason::ApiServerRefused, format!("workloads[{}]: {refused}", workload.workload.name));
    }
    if let Some(unmade) = outcomes.iter().find_map(|o| o.unmade.as_ref()) {
        return bad(unmade.reason, unmade.message.clone());
    }
    if let Some(first) = facts.exceptions.invalid.first() {
        let more = facts.exceptions.invalid.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        return bad(Reason::InvalidOverride, format!("{first}{more}"));
    }
    if facts.service.spec.suspend {
        let text = "suspend: true, nothing is written for this service; filled values stay";
        return Finding::good(ConditionType::Ready, Reason::Suspended, text);
    }
    let (count, path) = (facts.workloads.len(), revision.map(|r| r.path.as_str()).unwrap_or_default());
    let noun = if count == 1 { "workload follows" } else { "workloads follow" };
    let capped = if facts.mode() == facts.service.spec.mode {
        String::new()
    } else {
        let limit = match route_of(facts) {
            Some(route) if route.terms.max_mode > facts.mode() => "Kubernetes below 1.36 allows for",
            _ => "its maxMode",
        };
        format!("; mode {:?} is more than {limit}, so it is {:?}", facts.service.spec.mode, facts.mode())
    };
    Finding::good(ConditionType::Ready, Reason::Ready, format!("{count} {noun} GoldenPath {path}{capped}"))
}

/// Who decided otherwise than the path permits, field by field.
fn conflicted(evaluated: &[&Evaluated]) -> Finding {
    let conflicts: Vec<(&Evaluated, &Verdict)> = evaluated
        .iter()
        .flat_map(|e| e.verdicts.iter().map(move |v| (*e, v)))
        .filter(|(_, v)| v.state == VerdictState::Conflict)
        .collect();
    let Some((workload, first)) = conflicts.first() else {
        let text = "nothing that the team decided is against the path";
        return Finding::good(ConditionType::Conflicted, Reason::NoConflict, text);
    };
    let who = if first.managers.is_empty() { String::new() } else { format!(" (by {})", first.managers.join(", ")) };
    let more = if conflicts.len() > 1 { format!(" (and {} more)", conflicts.len() - 1) } else { String::new() };
    let what = first.message.clone().unwrap_or_default();
    let text = format!("workloads[{}]: {}{who}: {what}{more}", workload.status.name, first.default);
    Finding::bad(ConditionType::Conflicted, Reason::Conflicted, text)
}

fn adopted(evaluated: &[&Evaluated], facts: &ServiceFacts) -> Finding {
    if evaluated.is_empty() {
        return Finding::bad(ConditionType::Adopted, Reason::NotStarted, "no workload has been evaluated");
    }
    let states: Vec<State> = evaluated.iter().map(|e| e.status.state).collect();
    let text = summary(evaluated, facts.workloads.len());
    if evaluated.len() == facts.workloads.len() && states.iter().all(|s| *s == State::Exempt) {
        let text = "an exemption covers every default of the path";
        return Finding::bad(ConditionType::Adopted, Reason::Exempt, text);
    }
    if evaluated.len() == facts.workloads.len() && states.iter().all(|s| matches!(s, State::Adopted | State::Exempt)) {
        return Finding::good(ConditionType::Adopted, Reason::Adopted, text);
    }
    if states.contains(&State::Drifted) {
        Finding::bad(ConditionType::Adopted, Reason::Drifted, text)
    } else if states.contains(&State::Migrating) || states.contains(&State::Adopted) {
        Finding::bad(ConditionType::Adopted, Reason::Migrating, text)
    } else {
        let why = match facts.mode() {
            Mode::Observe => "mode: Observe, nothing is filled",
            Mode::Default | Mode::Enforce => "the road's values leave with the team's next rollout",
        };
        Finding::bad(ConditionType::Adopted, Reason::Observing, format!("{why}; {text}"))
    }
}

/// Verdicts in numbers: `9 of 12 defaults are in place, 1 is overridden, 2 wait for a rollout`, and the first that is
/// missing with its reason.
fn summary(evaluated: &[&Evaluated], workloads: usize) -> String {
    let all = || evaluated.iter().flat_map(|e| &e.verdicts);
    let count = |states: &[VerdictState]| all().filter(|v| states.contains(&v.state)).count();
    let are = |n: usize| if n == 1 { "is" } else { "are" };
    let (total, good) = (all().count(), count(&[VerdictState::Applied, VerdictState::SatisfiedByTeam]));
    let mut parts = vec![format!("{good} of {total} defaults {} in place", are(good))];
    match count(&[VerdictState::Overridden]) {
        0 => {}
        n => parts.push(format!("{n} {} overridden", are(n))),
    }
    match count(&[VerdictState::Exempt]) {
        0 => {}
        n => parts.push(format!("{n} {} exempt", are(n))),
    }
    match count(&[VerdictState::Conflict]) {
        0 => {}
        1 => parts.push("1 is against the path".to_owned()),
        n => parts.push(format!("{n} are against the path")),
    }
    match count(&[VerdictState::RolledBack]) {
        0 => {}
        n => parts.push(format!("{n} went back with a revision")),
    }
    match count(&[VerdictState::PendingRollout]) {
        0 => {}
        1 => parts.push("1 waits for a rollout".to_owned()),
        n => parts.push(format!("{n} wait for a rollout")),
    }
    if let Some(first) = all().find(|v| v.state == VerdictState::Missing) {
        let n = count(&[VerdictState::Missing]);
        let kinds = by_category(all().filter(|v| v.state == VerdictState::Missing));
        let why = first.message.as_deref().unwrap_or_default();
        parts.push(format!("{n} {} missing{kinds}, first {}: {why}", are(n), first.default));
    }
    if evaluated.len() < workloads {
        parts.push(format!("{} of {workloads} workloads {} evaluated", evaluated.len(), are(evaluated.len())));
    }
    parts.join(", ")
}

/// " (2 Reliability, 1 Security)": whom it concerns, where the path says so.
fn by_category<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> String {
    let mut counts: BTreeMap<Category, usize> = BTreeMap::new();
    verdicts.filter_map(|v| v.category).for_each(|category| *counts.entry(category).or_default() += 1);
    let parts: Vec<String> = counts.iter().map(|(category, count)| format!("{count} {category:?}")).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(category: Option<Category>) -> Verdict {
        Verdict {
            default: "d".into(),
            state: VerdictState::Missing,
            weight: 1,
            in_template: true,
            owner: None,
            category,
            managers: Vec::new(),
            message: None,
        }
    }

    #[test]
    fn what_is_missing_is_counted_by_category() {
        let some = [Some(Category::Security), Some(Category::Reliability), None, Some(Category::Security)].map(missing);
        assert_eq!(by_category(some.iter()), " (1 Reliability, 2 Security)");
        assert_eq!(by_category([missing(None)].iter()), "");
    }
}
