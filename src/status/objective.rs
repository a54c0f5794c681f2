//! Whether services are as available as they are meant to be.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::service::{Evaluated, Outcome};
use super::{Finding, standing};
use crate::api::{ConditionType, GoldenPath, PlatformService, Reason, Reliability, WorkloadKind};
use crate::plan::availability::{PROVES, Sight, Watched, changes_at, look, sight};
use crate::plan::health::DEADLINE;
use crate::plan::service::{PathFacts, ServiceFacts};

/// The objective of a service: its own, or that of its path.
#[must_use]
pub fn objective(facts: &ServiceFacts) -> Option<&str> {
    let of_path = match &facts.path {
        PathFacts::Ready(route) => route.terms.objectives.as_ref(),
        _ => None,
    };
    let own = facts.service.spec.objectives.as_ref();
    own.and_then(|own| own.availability.as_deref()).or_else(|| of_path?.availability.as_deref())
}

/// The workloads of a service that are meant to have pods now.
#[must_use]
pub fn sights(facts: &ServiceFacts, outcomes: &[Outcome]) -> Vec<Sight> {
    let all = facts.workloads.iter().zip(outcomes);
    let seen = all.filter_map(|(workload, outcome)| match (&outcome.object, &outcome.blocker) {
        (Some(object), None) => sight(workload.target.kind, object),
        // it is gone: nobody can reach it
        (None, _) if workload.target.kind != WorkloadKind::CronJob => Some(Sight { up: false, since: None }),
        _ => None,
    });
    seen.collect()
}

/// How reliable a service is, after a look at its workloads.
#[must_use]
pub fn reliability(facts: &ServiceFacts, sights: &[Sight], now: Timestamp) -> Option<Reliability> {
    let before = facts.service.status.as_ref().and_then(|status| status.reliability.as_ref());
    look(before, sights, objective(facts), now)
}

/// Whether the objective of a service is met.
#[must_use]
pub fn objective_met(objective: &str, reliability: Option<&Reliability>, now: Timestamp) -> Finding {
    let Some(reliability) = reliability else {
        let text = format!("objective {objective} %: its workloads were not all available yet");
        return Finding::unknown(ConditionType::ObjectiveMet, Reason::ObjectiveUnknown, text);
    };
    let lasts = reliability.down_since.as_ref();
    let lasts = lasts.map_or_else(String::new, |since| format!("; not available since {}", since.0));
    let (share, since) = (&reliability.availability30d, reliability.since.0);
    judged(Watched::of(reliability, now), objective, &format!("{share} % since {since}{lasts}"))
}

fn judged(watched: Watched, objective: &str, what: &str) -> Finding {
    let condition = ConditionType::ObjectiveMet;
    match watched.meets(objective) {
        Some(true) => {
            let text = format!("availability {what}; objective {objective} %");
            Finding::good(condition, Reason::ObjectiveMet, text)
        }
        Some(false) => {
            let text = format!("availability {what} is below the objective of {objective} %");
            Finding::bad(condition, Reason::ObjectiveMissed, text)
        }
        None => {
            let text = format!("availability {what}; objective {objective} % is judged after a day");
            Finding::unknown(condition, Reason::ObjectiveUnknown, text)
        }
    }
}

/// When that may change by itself, or an outage has lasted so long that it counts as a failure.
#[must_use]
pub fn next_change(facts: &ServiceFacts, reliability: Option<&Reliability>, now: Timestamp) -> Option<Timestamp> {
    let reliability = reliability?;
    let judged = objective(facts).and_then(|objective| changes_at(reliability, objective, now));
    let counts = reliability.down_since.as_ref().and_then(|since| since.0.checked_add(DEADLINE).ok());
    judged.into_iter().chain(counts).filter(|at| *at > now).min()
}

/// Why a service that has rolled out with a revision, and was well before, is not well with it: it is not available, and
/// misses its objective by that outage, or is not for as long as a rollout may take. A rollout that is not over is judged by
/// its progress, and what the team has deployed since says nothing about the revision.
#[must_use]
pub fn outage(
    facts: &ServiceFacts,
    reliability: Option<&Reliability>,
    evaluated: &[&Evaluated],
    now: Timestamp,
) -> Option<String> {
    let reliability = reliability?;
    let since = reliability.down_since.as_ref()?.0;
    if evaluated.is_empty() || !evaluated.iter().all(|e| e.runs_exercised) {
        return None;
    }
    let without = Reliability { down_since: None, ..reliability.clone() };
    let below =
        |reliability: &Reliability, objective: &str| Watched::of(reliability, now).meets(objective) == Some(false);
    let missed = objective(facts).filter(|goal| below(reliability, goal) && !below(&without, goal));
    match missed {
        Some(objective) => Some(format!("not available since {since}, which misses the objective of {objective} %")),
        None => (now.duration_since(since) >= DEADLINE).then(|| format!("not available since {since}")),
    }
}

/// How available the services of a path are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathReliability {
    /// All of them together.
    pub watched: Watched,
    /// How many meet their objective, miss it, or cannot be judged yet.
    pub objectives: [u64; 3],
}

/// How available services are, by the path that they follow.
#[must_use]
pub fn by_path<'a>(
    services: impl Iterator<Item = &'a PlatformService>,
    now: Timestamp,
) -> BTreeMap<String, PathReliability> {
    let mut all: BTreeMap<String, PathReliability> = BTreeMap::new();
    for status in services.filter_map(|service| service.status.as_ref()) {
        let Some(followed) = &status.golden_path else { continue };
        let of_path = all.entry(followed.name.clone()).or_default();
        if let Some(reliability) = &status.reliability {
            let both = [of_path.watched, Watched::of(reliability, now)];
            of_path.watched = Watched::sum(both.into_iter());
        }
        let judged = standing(&status.conditions, ConditionType::ObjectiveMet);
        let place = judged.and_then(|(status, _)| ["True", "False", "Unknown"].iter().position(|s| *s == status));
        if let Some(count) = place.and_then(|place| of_path.objectives.get_mut(place)) {
            *count += 1;
        }
    }
    all
}

/// Whether all services of a path together are as available as the path is meant to be. Nothing where it has no objective.
#[must_use]
pub fn path_objective_met(path: &GoldenPath, services: &[&PlatformService], now: Timestamp) -> Option<Finding> {
    let objective = path.spec.objectives.as_ref()?.availability.as_deref()?;
    let known = services.iter().filter_map(|service| service.status.as_ref()?.reliability.as_ref());
    let all: Vec<Watched> = known.map(|reliability| Watched::of(reliability, now)).collect();
    let condition = ConditionType::ObjectiveMet;
    // the share itself changes all the time: it is a metric
    let (of, see) = (format!("the objective of {objective} %"), "goldenpath_availability_ratio says how available");
    if !all.iter().any(|one| one.lasted(PROVES)) {
        let text = format!("no service of the path was watched for a day, after which {of} is judged");
        return Some(Finding::unknown(condition, Reason::ObjectiveUnknown, text));
    }
    Some(if Watched::sum(all.into_iter()).meets(objective) == Some(false) {
        Finding::bad(condition, Reason::ObjectiveMissed, format!("its services together miss {of}; {see}"))
    } else {
        Finding::good(condition, Reason::ObjectiveMet, format!("its services together meet {of}; {see}"))
    })
}
