//! Gates: what must hold before anything is refused.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::{ConditionType, DeprecationSpec, DeprecationStage, Gate, GoldenPath, ReplacementStage, Stage};
use crate::plan::waves::length;

/// What the gates look at, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The path that `replacement.goldenPathRef` names; nothing where there is none of that name.
    pub path: Option<PathFacts>,
    /// Who still uses what is old; nothing as long as not everything was looked at.
    pub left: Option<Left>,
}

/// A replacing path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathFacts {
    /// Where it stands.
    pub stage: Stage,
    /// Services that have adopted it.
    pub adopters: i64,
    /// Workloads that have every default of it.
    pub adopted: i64,
    /// Workloads that could have.
    pub eligible: i64,
    /// Whether it is as available as it is meant to be; nothing where that is not known, or nobody has said how available.
    pub objective: Option<bool>,
}

impl PathFacts {
    /// What the status of a path says.
    #[must_use]
    pub fn of(path: &GoldenPath) -> Self {
        let status = path.status.as_ref();
        let adoption = status.and_then(|status| status.adoption.as_ref());
        let objective = ConditionType::ObjectiveMet.to_string();
        let objective = status.and_then(|status| status.conditions.iter().find(|c| c.type_ == objective));
        Self {
            stage: path.spec.stage,
            adopters: adoption.map_or(0, |adoption| adoption.services.adopted),
            adopted: adoption.map_or(0, |adoption| adoption.workloads.adopted),
            eligible: adoption.map_or(0, |adoption| adoption.workloads.eligible),
            objective: objective.and_then(|condition| match condition.status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            }),
        }
    }
}

/// Counts of what is old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Objects that are old and not exempt.
    pub remaining: i64,
    /// Objects that were, now or once.
    pub ever: i64,
}

/// A gate that is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which one.
    pub gate: Gate,
    /// Whether that is certain. What is not known holds a stage back, and lifts none that is in force: an operator that has
    /// just started knows little.
    pub known: bool,
    /// Field, value and what is missing.
    pub message: String,
}

/// When everybody has known for long enough, counted from when it was announced.
#[must_use]
pub fn notice_end(spec: &DeprecationSpec, announced: Timestamp) -> Timestamp {
    announced.checked_add(min_notice(spec)).unwrap_or(Timestamp::MAX)
}

/// The notice that is owed. What cannot be read is the longest there is: the schema lets nothing of that sort through.
#[must_use]
pub fn min_notice(spec: &DeprecationSpec) -> SignedDuration {
    length(Some(&spec.gates.min_notice)).unwrap_or(SignedDuration::MAX)
}

/// The gates that hold back `stage`, for which a Deprecation was announced at `announced`.
///
/// Only stages that refuse something, or take the old way away, have gates.
#[must_use]
pub fn closed(
    spec: &DeprecationSpec,
    stage: DeprecationStage,
    announced: Option<Timestamp>,
    facts: &Facts,
    now: Timestamp,
) -> Vec<Closed> {
    match stage {
        DeprecationStage::Planned | DeprecationStage::Announced | DeprecationStage::Warning => Vec::new(),
        DeprecationStage::Completed => completion(spec, facts),
        DeprecationStage::CreateBlocked | DeprecationStage::UpdateBlocked | DeprecationStage::Removed => {
            let mut closed = replacement(spec, facts);
            closed.extend(notice(spec, announced, now));
            // new ones are blocked so that what remains gets less: that does not wait for little to remain
            if stage != DeprecationStage::CreateBlocked {
                closed.extend(remaining(spec, facts));
            }
            closed
        }
    }
}

fn is_closed(gate: Gate, known: bool, message: String) -> Closed {
    Closed { gate, known, message }
}

/// The gates about the path that comes instead.
fn replacement(spec: &DeprecationSpec, facts: &Facts) -> Vec<Closed> {
    let gates = &spec.gates;
    let named = spec.replacement.as_ref().and_then(|replacement| replacement.golden_path_ref.as_ref());
    let Some(named) = named else {
        let needs = gates.replacement_stage != ReplacementStage::None;
        let message = "replacement.goldenPathRef: no path is named; name one, or set gates.replacementStage: None";
        return needs.then(|| is_closed(Gate::ReplacementStage, true, message.to_owned())).into_iter().collect();
    };
    let name = &named.name;
    let Some(path) = facts.path else {
        let message = format!("replacement.goldenPathRef: there is no GoldenPath {name}; create it");
        return vec![is_closed(Gate::ReplacementStage, true, message)];
    };
    let mut closed = Vec::new();
    if !far_enough(path.stage, gates.replacement_stage) {
        let (is, needs) = (path.stage, gates.replacement_stage);
        let message = format!("gates.replacementStage: GoldenPath {name} is {is:?}, and must be {needs:?}");
        closed.push(is_closed(Gate::ReplacementStage, true, message));
    }
    let needed = i64::from(gates.min_replacement_adopters);
    if path.adopters < needed {
        let has = path.adopters;
        let message = format!(
            "gates.minReplacementAdopters: {has} services have adopted GoldenPath {name}, and {needed} are needed"
        );
        closed.push(is_closed(Gate::MinReplacementAdopters, true, message));
    }
    if let Some(percent) = gates.min_replacement_adoption_percent
        && path.adopted * 100 < i64::from(percent) * path.eligible.max(1)
    {
        let (adopted, eligible) = (path.adopted, path.eligible);
        let message = format!(
            "gates.minReplacementAdoptionPercent: {adopted} of {eligible} workloads are on GoldenPath {name}, \
             and {percent} percent are needed"
        );
        closed.push(is_closed(Gate::MinReplacementAdoptionPercent, true, message));
    }
    if gates.require_objective_met && path.objective != Some(true) {
        let message = match path.objective {
            None => format!(
                "gates.requireObjectiveMet: whether GoldenPath {name} meets its objective is not known; give it \
                 objectives and services, or set requireObjectiveMet: false"
            ),
            Some(_) => format!("gates.requireObjectiveMet: GoldenPath {name} misses its objective"),
        };
        closed.push(is_closed(Gate::RequireObjectiveMet, path.objective.is_some(), message));
    }
    closed
}

/// A path that ends is no place to send people to.
fn far_enough(stage: Stage, needed: ReplacementStage) -> bool {
    match needed {
        ReplacementStage::None => true,
        ReplacementStage::Preview => matches!(stage, Stage::Preview | Stage::Stable),
        ReplacementStage::Stable => stage == Stage::Stable,
    }
}

fn notice(spec: &DeprecationSpec, announced: Option<Timestamp>, now: Timestamp) -> Option<Closed> {
    let notice = &spec.gates.min_notice;
    let message = match announced {
        None => format!("gates.minNotice: not announced yet, and {notice} of notice are owed"),
        Some(announced) => {
            let end = notice_end(spec, announced);
            if end <= now {
                return None;
            }
            format!("gates.minNotice: announced at {announced}, and {notice} of notice are owed until {end}")
        }
    };
    Some(is_closed(Gate::MinNotice, true, message))
}

fn remaining(spec: &DeprecationSpec, facts: &Facts) -> Option<Closed> {
    let percent = spec.gates.max_remaining_percent?;
    let Some(Left { remaining, ever }) = facts.left else {
        let message = "gates.maxRemainingPercent: how much is left is not known yet".to_owned();
        return Some(is_closed(Gate::MaxRemainingPercent, false, message));
    };
    (remaining * 100 > i64::from(percent) * ever).then(|| {
        let message =
            format!("gates.maxRemainingPercent: {remaining} of {ever} objects are left, and {percent} percent may be");
        is_closed(Gate::MaxRemainingPercent, true, message)
    })
}

/// What is missing to the end: nobody is left, and the old way itself is gone.
fn completion(spec: &DeprecationSpec, facts: &Facts) -> Vec<Closed> {
    let remaining = match facts.left {
        None => Some(is_closed(Gate::Remaining, false, "how much is left is not known yet".to_owned())),
        Some(Left { remaining: 0, .. }) => None,
        Some(Left { remaining, .. }) => {
            Some(is_closed(Gate::Remaining, true, format!("{remaining} objects are old still")))
        }
    };
    let removed = (!spec.removed).then(|| {
        let message = "removed: false; remove the old way and set removed: true".to_owned();
        is_closed(Gate::Removed, true, message)
    });
    remaining.into_iter().chain(removed).collect()
}
