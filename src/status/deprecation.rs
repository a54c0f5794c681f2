//! What the status of a Deprecation says.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;

use super::consumption::on_track;
use super::granted::degraded;
use super::{Finding, merge};
use crate::api::{
    ConditionType, Deprecation, DeprecationProgress, DeprecationStage, DeprecationStatus, Gate, Notified, Reason,
};
use crate::plan::consumers::{InSight, InvalidMatch, Problem};
use crate::plan::deprecation::{Closed, Facts, Level, Step, closed, level};
use crate::plan::wsjf;

/// Problems that are told at once; the others follow when these are solved.
const MAX_PROBLEMS: usize = 3;

/// What a pass over a Deprecation has found.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The Deprecation as it was before.
    pub deprecation: &'a Deprecation,
    /// The stage, and what comes next.
    pub step: &'a Step,
    /// What the gates were asked about.
    pub facts: &'a Facts,
    /// An entry that cannot be compiled.
    pub invalid: Option<&'a InvalidMatch>,
    /// What can be seen of what it matches.
    pub sight: &'a InSight,
    /// The last count.
    pub progress: DeprecationProgress,
    /// Why the API server does not do what the stage says.
    pub unenforced: Option<(Reason, String)>,
    /// Entries that the API server does not see as they are counted, so that nothing can be put in force for them.
    pub unproved: Option<String>,
    /// When people were told last.
    pub notified: Option<Notified>,
    /// A receiver that there is none of.
    pub unknown_receiver: Option<String>,
}

/// The status after a pass.
#[must_use]
pub fn assess(found: Found<'_>, now: Timestamp) -> DeprecationStatus {
    let Found { deprecation, step, progress, .. } = &found;
    let findings = [
        ready(&found),
        replacement_ready(&found, now),
        enforced(&found),
        on_track(&deprecation.spec, step.stage, progress, now),
        completed(step),
        degraded(&deprecation.spec, progress, now),
    ];
    let before = deprecation.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let generation = deprecation.metadata.generation;
    let wsjf = deprecation.spec.priority.as_ref().map(wsjf::shown);
    DeprecationStatus {
        observed_generation: generation,
        stage: step.stage,
        stages: step.stages.clone(),
        matches: step.matches.clone(),
        brownouts: step.brownouts.clone(),
        next: step.next.clone(),
        conditions: merge(before, &findings, generation, now),
        notified: found.notified,
        wsjf,
        progress: found.progress,
    }
}

/// The status while a pass waits for something: as it was, and why it is not newer.
#[must_use]
pub fn waiting(deprecation: &Deprecation, what: &str, now: Timestamp) -> DeprecationStatus {
    let before = deprecation.status.clone().unwrap_or_default();
    let finding = Finding::unknown(ConditionType::Ready, Reason::Waiting, what);
    let conditions = merge(&before.conditions, &[finding], deprecation.metadata.generation, now);
    DeprecationStatus { conditions, ..before }
}

fn ready(found: &Found<'_>) -> Finding {
    let bad = |reason, text: String| Finding::bad(ConditionType::Ready, reason, text);
    if let Some(invalid) = found.invalid {
        return bad(Reason::InvalidMatch, format!("{invalid}; what was matched before is matched still"));
    }
    if let Some(unproved) = &found.unproved {
        return bad(Reason::ProofFailed, unproved.clone());
    }
    let InSight { complete, problems, .. } = found.sight;
    let rank = |problem: &Problem| match problem {
        Problem::Forbidden { .. } => (0, Reason::ResourceForbidden),
        Problem::Unresolved { .. } => (1, Reason::ResourceNotServed),
        Problem::Blind { .. } => (2, Reason::ApiServerRefused),
        Problem::Unevaluable { .. } => (3, Reason::Unevaluable),
        Problem::FixDoesNotApply { .. } => (4, Reason::FixDoesNotApply),
    };
    let mut ranked: Vec<_> = problems.iter().map(|problem| (rank(problem), problem.to_string())).collect();
    ranked.sort_by_key(|((rank, _), _)| *rank);
    if let Some(((_, reason), _)) = ranked.first() {
        let more = ranked.len().saturating_sub(MAX_PROBLEMS);
        let mut texts: Vec<&str> = ranked.iter().take(MAX_PROBLEMS).map(|(_, text)| text.as_str()).collect();
        let more = format!("and {more} more");
        if ranked.len() > MAX_PROBLEMS {
            texts.push(&more);
        }
        return bad(*reason, texts.join("; "));
    }
    if let Some(unknown) = &found.unknown_receiver {
        return bad(Reason::ReceiverNotFound, unknown.clone());
    }
    if !complete {
        let text = "the objects that it matches are being listed";
        return Finding::unknown(ConditionType::Ready, Reason::NotCounted, text);
    }
    Finding::good(ConditionType::Ready, Reason::Ready, "everything that it matches is in sight")
}

fn replacement_ready(found: &Found<'_>, now: Timestamp) -> Finding {
    let about_it = |closed: &Closed| {
        matches!(
            closed.gate,
            Gate::ReplacementStage
                | Gate::MinReplacementAdopters
                | Gate::MinReplacementAdoptionPercent
                | Gate::RequireObjectiveMet
        )
    };
    let spec = &found.deprecation.spec;
    let all = closed(spec, DeprecationStage::CreateBlocked, None, found.facts, now);
    let closed: Vec<Closed> = all.into_iter().filter(about_it).collect();
    let text = closed.iter().map(|closed| closed.message.as_str()).collect::<Vec<_>>().join("; ");
    match closed.iter().find(|closed| closed.known).or(closed.first()) {
        Some(gate) if gate.known => Finding::bad(ConditionType::ReplacementReady, Reason::ReplacementNotReady, text),
        Some(_) => Finding::unknown(ConditionType::ReplacementReady, Reason::ObjectiveUnknown, text),
        None => {
            let text = "every gate about the replacement is open";
            Finding::good(ConditionType::ReplacementReady, Reason::ReplacementReady, text)
        }
    }
}

fn enforced(found: &Found<'_>) -> Finding {
    if let Some((reason, text)) = &found.unenforced {
        return Finding::bad(ConditionType::Enforced, *reason, text.clone());
    }
    let Found { deprecation, step, .. } = found;
    let good = |reason, text: String| Finding::good(ConditionType::Enforced, reason, text);
    let held = match &step.next {
        Some(next) if !step.held.is_empty() => {
            let texts: Vec<&str> = step.held.iter().map(|closed| closed.message.as_str()).collect();
            format!("; {:?} is held: {}", next.stage, texts.join("; "))
        }
        _ => String::new(),
    };
    let does = match level(&deprecation.spec.timeline, step.stage) {
        Level::Silent => {
            let text = format!("stage {:?} asks the API server for nothing{held}", step.stage);
            return good(Reason::NothingToEnforce, text);
        }
        Level::Warn => "warns of what is old",
        Level::DenyCreate => "refuses new objects that are old",
        Level::DenyUpdate => "refuses new objects that are old, and changes of old ones",
    };
    good(Reason::Enforced, format!("stage {:?}: the API server {does}{}{held}", step.stage, less(found)))
}

/// Entries about which less is done than the stage says.
fn less(found: &Found<'_>) -> String {
    let Found { deprecation, step, sight, .. } = found;
    let denies = level(&deprecation.spec.timeline, step.stage) > Level::Warn;
    let owed = step.matches.iter().filter(|entry| denies && !entry.noticed);
    let owed = owed.map(|entry| format!("; match {} only warns until its notice is over", entry.name));
    let unseen = sight.problems.iter().filter_map(|problem| match problem {
        Problem::Unresolved { entry, .. } => Some(format!("; match {entry} has resources that are not served")),
        _ => None,
    });
    owed.chain(unseen).collect::<BTreeSet<_>>().into_iter().collect()
}

fn completed(step: &Step) -> Finding {
    if step.stage == DeprecationStage::Completed {
        let text = "the old way is gone, and nobody uses it";
        return Finding::good(ConditionType::Completed, Reason::Completed, text);
    }
    let text = format!("stage {:?}: the old way is not gone yet, or some use it still", step.stage);
    Finding::bad(ConditionType::Completed, Reason::InProgress, text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::plan::consumers::{Served, Unresolved};
    use crate::plan::deprecation::advance;

    fn deprecation(more: &serde_json::Value) -> Deprecation {
        let mut spec = json!({"matches": [{"name": "class",
            "resourceRules": [{"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"]}]}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut deprecation = Deprecation::new("ing", serde_json::from_value(spec).unwrap());
        deprecation.metadata.generation = Some(3);
        deprecation
    }

    fn now() -> Timestamp {
        "2026-11-26T12:00:00Z".parse().unwrap()
    }

    /// Status, reason and message of each condition, for a Deprecation in its first pass.
    fn conditions(deprecation: &Deprecation, sight: &InSight) -> Vec<(String, String, String)> {
        let (facts, status) = (Facts::default(), deprecation.status.as_ref());
        let step = advance(&deprecation.spec, now(), status, &facts, now());
        let found = Found {
            deprecation,
            step: &step,
            facts: &facts,
            invalid: None,
            sight,
            progress: DeprecationProgress::default(),
            unenforced: None,
            unproved: None,
            notified: None,
            unknown_receiver: None,
        };
        let status = assess(found.clone(), now());
        assert_eq!(assess(found, now()), status, "the same twice is the same");
        assert!(status.conditions.iter().all(|c| c.observed_generation == Some(3)));
        status.conditions.into_iter().map(|c| (format!("{} {}", c.type_, c.status), c.reason, c.message)).collect()
    }

    fn ingresses() -> Served {
        let (group, version, plural) = ("networking.k8s.io".to_owned(), "v1".to_owned(), "ingresses".to_owned());
        Served { group, version, plural, kind: "Ingress".into(), watchable: true, preferred: true }
    }

    #[test]
    fn a_new_one_says_what_it_waits_for() {
        let all = conditions(&deprecation(&json!({})), &InSight::default());
        let heads: Vec<(&str, &str)> = all.iter().map(|(head, reason, _)| (head.as_str(), reason.as_str())).collect();
        let expected = [
            ("Ready Unknown", "NotCounted"),
            ("ReplacementReady False", "ReplacementNotReady"),
            ("Enforced True", "NothingToEnforce"),
            ("OnTrack True", "NoDate"),
            ("Completed False", "InProgress"),
            ("Degraded False", "Healthy"),
        ];
        assert_eq!(heads, expected);
    }

    #[test]
    fn who_waits_says_for_what_and_changes_nothing_else() {
        let mut waits = deprecation(&json!({}));
        let before = DeprecationStatus { stage: DeprecationStage::Warning, ..DeprecationStatus::default() };
        waits.status = Some(before.clone());
        let status = waiting(&waits, "GoldenPath x cannot be read", now());
        let [condition] = &status.conditions[..] else { unreachable!("{status:?}") };
        let told = (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str());
        assert_eq!(told, ("Ready", "Unknown", "Waiting"));
        assert_eq!(DeprecationStatus { conditions: Vec::new(), ..status.clone() }, before);
        waits.status = Some(status.clone());
        assert_eq!(waiting(&waits, "GoldenPath x cannot be read", now()), status, "the same is no change");
    }

    #[rstest]
    #[case::forbidden(
        Problem::Forbidden { resource: ingresses() },
        "ResourceForbidden",
        "{apiGroups: [\"networking.k8s.io\"], resources: [ingresses], verbs: [list, watch]}"
    )]
    #[case::not_served(
        Problem::Unresolved { entry: "class".into(), why: Unresolved::NotServed { resource: "x of y".into() } },
        "ResourceNotServed",
        "matches[class].resourceRules: the API server does not serve x of y"
    )]
    #[case::unevaluable(
        Problem::Unevaluable { entry: "class".into(), object: "ingress/shop/a".into(), message: "no such key: x".into() },
        "Unevaluable",
        "such as ingress/shop/a: no such key: x; ask with has() first"
    )]
    fn what_is_not_in_sight_is_named_with_the_fix(#[case] problem: Problem, #[case] reason: &str, #[case] words: &str) {
        let sight = InSight { complete: true, problems: vec![problem], version: 1 };
        let all = conditions(&deprecation(&json!({})), &sight);
        assert_eq!((all[0].0.as_str(), all[0].1.as_str()), ("Ready False", reason));
        assert!(all[0].2.contains(words), "{}", all[0].2);
    }

    #[test]
    fn an_entry_that_could_not_be_proved_is_told_before_its_stage_comes() {
        let (deprecation, sight) = (deprecation(&json!({})), InSight { complete: true, ..InSight::default() });
        let facts = Facts::default();
        let step = advance(&deprecation.spec, now(), None, &facts, now());
        let found = Found {
            deprecation: &deprecation,
            step: &step,
            facts: &facts,
            invalid: None,
            sight: &sight,
            progress: DeprecationProgress::default(),
            unenforced: None,
            unproved: Some("matches[class] is wrong".to_owned()),
            notified: None,
            unknown_receiver: None,
        };
        let status = assess(found, now());
        let told = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_).map(|c| c.reason.as_str());
        assert_eq!((told("Ready"), told("Enforced")), (Some("ProofFailed"), Some("NothingToEnforce")));
    }

    #[test]
    fn many_problems_are_told_a_few_at_a_time() {
        let problem = |n: u8| Problem::Blind { resource: ingresses(), message: format!("problem {n}") };
        let sight = InSight { complete: false, problems: (0..5).map(problem).collect(), version: 1 };
        let all = conditions(&deprecation(&json!({})), &sight);
        assert!(all[0].2.contains("problem 2; and 2 more"), "{}", all[0].2);
    }
}
