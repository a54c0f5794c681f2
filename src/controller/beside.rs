//! Beside: the objects that a path asks for with each workload of a service, made, kept, and taken away again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::children::Sight;
use super::context::Context;
use super::errors::Error;
use super::make::{ensure, taken_away};
use super::requests::Write;
use super::revisions::NotReady;
use crate::api::{Companion, GoldenPath, Mode, Reason, VerdictState, labels};
use crate::plan::companions::{
    Beside, CompanionKind, CompanionVerdict, Companionship, Other, decide, is_skipped, probe,
};
use crate::plan::making::{is_left_alone, is_owned_by};
use crate::plan::probe::NAME as PROBE;

use crate::plan::metadata::label;
use crate::plan::revision::{Revision, Rule};
use crate::plan::service::{PathFacts, ServiceFacts, WorkloadFacts};
use crate::plan::template::{ObjectKey, Wanted};
use crate::status::service::Outcome;

/// Whether everything that the service's path asks for can be looked at. A pass waits for the first answer of each watch,
/// or it would take what it has not seen for missing.
pub fn is_in_sight(facts: &ServiceFacts, context: &Context) -> bool {
    let PathFacts::Ready(route) = &facts.path else { return true };
    let kinds = route.revision.rules.iter().flat_map(|rule| &rule.resources).filter_map(|c| context.allowed.find(c));
    kinds.into_iter().all(|kind| {
        let services = CompanionKind::service();
        let seen = |kind: &CompanionKind| context.children.sight(&kind.api_version, &kind.kind).is_some();
        seen(kind) && (!kind.selects_services() || seen(&services))
    })
}

/// Makes and keeps the companions of every workload, says what is the case, and takes away those that nothing asks for.
pub async fn beside(facts: &ServiceFacts, outcomes: &mut [Outcome], context: &Context) -> Result<(), Error> {
    let service = &facts.service;
    if let PathFacts::Ready(route) = &facts.path {
        let mut kept = BTreeSet::new();
        for (workload, outcome) in facts.workloads.iter().zip(outcomes) {
            if let Outcome { object: Some(object), blocker: None, companions, .. } = outcome {
                let side = Side { facts, workload, object, revision: &route.revision, context };
                *companions = side.companions(&mut kept).await?;
            }
        }
        return sweep(facts, &kept, context).await;
    }
    // a path that cannot be used for a while keeps what it has; one that is deleted does not
    let deleted = matches!(facts.path, PathFacts::NotFound(_)) && !service.spec.suspend;
    if deleted { sweep(facts, &BTreeSet::new(), context).await } else { Ok(()) }
}

/// Deletes companions that nothing asks for any more.
async fn sweep(facts: &ServiceFacts, kept: &BTreeSet<ObjectKey>, context: &Context) -> Result<(), Error> {
    let service = &facts.service;
    if is_left_alone(service) {
        return Ok(());
    }
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    for key in context.children.companions_of(namespace, name).into_iter().filter(|key| !kept.contains(key)) {
        let object = context.children.object(&key).filter(|object| is_owned_by(object, service));
        if let Some(object) = object {
            taken_away(&key, &object, context).await?;
        }
    }
    Ok(())
}

/// One workload, beside which companions stand.
struct Side<'a> {
    facts: &'a ServiceFacts,
    workload: &'a WorkloadFacts,
    object: &'a Value,
    revision: &'a Revision,
    context: &'a Context,
}

impl Side<'_> {
    fn target(&self) -> Beside<'_> {
        Beside {
            service: &self.facts.service,
            entry: &self.workload.workload.name,
            target: &self.workload.target,
            object: self.object,
        }
    }

    async fn companions(&self, kept: &mut BTreeSet<ObjectKey>) -> Result<Vec<CompanionVerdict>, Error> {
        let mut verdicts = Vec::new();
        let mut made = BTreeSet::new();
        for rule in self.revision.rules.iter().filter(|rule| !is_skipped(self.object, &rule.name)) {
            for companion in &rule.resources {
                if let Some((state, why)) = self.stands_off() {
                    if state == VerdictState::PendingRollout
                        && let Some(kind) = self.context.allowed.find(companion)
                    {
                        kept.insert(self.target().key(kind, &rule.name)); // it stays until the workload moves on
                    }
                    verdicts.push(verdict(rule, state, Some(why)));
                } else if made.insert((&companion.api_version, &companion.kind)) {
                    verdicts.push(self.companion(rule, companion, kept).await?);
                } else {
                    let text = format!("another default makes a {} for it", companion.kind);
                    verdicts.push(verdict(rule, VerdictState::SatisfiedByTeam, Some(text)));
                }
            }
        }
        Ok(verdicts)
    }

    /// Why nothing is made beside the workload: it is not on the revision.
    fn stands_off(&self) -> Option<(VerdictState, String)> {
        if self.facts.mode() == Mode::Observe {
            return Some((VerdictState::Missing, "mode: Observe makes nothing beside the workload".to_owned()));
        }
        let (path, revision) = (label(self.object, labels::PATH), label(self.object, labels::REVISION));
        if revision == Some(self.revision.name.as_str()) {
            return None;
        }
        let leaving = labels::release_revision(&self.revision.path);
        if path == Some(&self.revision.path) && revision != Some(&leaving) {
            return Some((
                VerdictState::PendingRollout,
                "the workload follows an older revision of the path".to_owned(),
            ));
        }
        Some((VerdictState::Missing, "the workload does not follow the path".to_owned()))
    }

    async fn companion(
        &self,
        rule: &Rule,
        companion: &Companion,
        kept: &mut BTreeSet<ObjectKey>,
    ) -> Result<CompanionVerdict, Error> {
        let missing = |why: String| verdict(rule, VerdictState::Missing, Some(why));
        let Some(kind) = self.context.allowed.find(companion) else {
            return Ok(missing(format!("{} of {} is not allowed any more", companion.kind, companion.api_version)));
        };
        if let Some(Sight::Blind(why)) = self.context.children.sight(&kind.api_version, &kind.kind) {
            return Ok(missing(format!("{} of {}: {why}", kind.kind, kind.api_version)));
        }
        let beside = self.target();
        let key = beside.key(kind, &rule.name);
        let since = self.context.children.since(&key);
        let (others, services) = (self.others(kind), self.services(kind));
        let found = decide(beside, &rule.name, companion, kind, (&others, &services), since.as_deref());
        Ok(match found {
            Companionship::Covered(name) => {
                let text = format!("{} {name} covers its pods", kind.kind);
                verdict(rule, VerdictState::SatisfiedByTeam, Some(text))
            }
            Companionship::Moot(text) => verdict(rule, VerdictState::SatisfiedByTeam, Some(text)),
            Companionship::Impossible(why) => missing(why),
            Companionship::Wanted(wanted) => {
                kept.insert(key);
                self.keep(rule, &wanted).await?
            }
        })
    }

    fn others(&self, kind: &CompanionKind) -> Vec<Other> {
        let service = &self.facts.service.metadata;
        let but = (service.name.as_deref().unwrap_or_default(), self.workload.workload.name.as_str());
        self.context.children.others(kind, service.namespace.as_deref().unwrap_or_default(), Some(but))
    }

    /// The namespace's Services, where the kind selects them.
    fn services(&self, kind: &CompanionKind) -> Vec<Other> {
        if !kind.selects_services() {
            return Vec::new();
        }
        let namespace = self.facts.service.metadata.namespace.as_deref().unwrap_or_default();
        self.context.children.others(&CompanionKind::service(), namespace, None)
    }

    /// Makes a companion, or keeps it as the path says.
    async fn keep(&self, rule: &Rule, wanted: &Wanted) -> Result<CompanionVerdict, Error> {
        let children = &self.context.children;
        let live = children.object(&wanted.key);
        let foreign = children.is_foreign(&wanted.key)
            || live.as_ref().is_some_and(|live| !is_owned_by(live, &self.facts.service));
        if foreign {
            let text = format!("{} exists, covers other pods, and is not ours; rename or delete it", wanted.key);
            return Ok(verdict(rule, VerdictState::Missing, Some(text)));
        }
        if self.facts.service.spec.suspend {
            let text = live.is_none().then(|| "suspend: true, so nothing is made beside the workload".to_owned());
            let state = if live.is_some() { VerdictState::Applied } else { VerdictState::Missing };
            return Ok(verdict(rule, state, text));
        }
        if self.facts.service.metadata.deletion_timestamp.is_some() {
            return Ok(verdict(rule, VerdictState::Applied, None));
        }
        let entry = &self.workload.workload.name;
        let kept = ensure(wanted, live.as_ref(), entry, self.context).await?;
        if let Some(object) = &kept.object {
            let _ = children.learn(&wanted.key, object);
        }
        let Some(unmade) = kept.unmade else { return Ok(verdict(rule, VerdictState::Applied, None)) };
        let again = unmade.reason != Reason::FieldConflict;
        Ok(CompanionVerdict { again, ..verdict(rule, VerdictState::Missing, Some(unmade.message)) })
    }
}

fn verdict(rule: &Rule, state: VerdictState, message: Option<String>) -> CompanionVerdict {
    CompanionVerdict { default: rule.name.clone(), state, message, again: false }
}

/// Tries what a path asks for on the API server, before the path is in force: the answer is what it refuses. A kind that
/// is not served may be served later.
pub async fn try_companions(path: &GoldenPath, context: &Context) -> Result<Option<NotReady>, Error> {
    for default in &path.spec.defaults {
        for companion in &default.resources {
            let Some(kind) = context.allowed.find(companion) else { continue };
            let (key, object) = probe(companion, kind, &context.operator.namespace, PROBE);
            match context.requests.apply_object(&key, &object, false, Write::DryRun).await {
                Ok(_) => {}
                Err(error) if error.is_status(404) => {}
                Err(error) => {
                    let Some(message) = error.refusal() else { return Err(error) };
                    let field = format!("defaults[{}].resources[{}].spec", default.name, companion.kind);
                    let message = format!("{field}: the API server refuses it: {message}");
                    return Ok(Some(NotReady { reason: Reason::InvalidDefault, message }));
                }
            }
        }
    }
    Ok(None)
}
