//! The driver of PlatformServices: observe, plan, apply, write status.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::apply::apply;
use super::asked::with_exemptions;
use super::beside::{beside, is_in_sight};
use super::context::{Context, GuardedService};
use super::errors::{Error, in_time};
use super::events::publish;
use super::make::sweep;
use super::observe::{observe, workload_keys};
use super::orphans::Suspect;
use super::write_status::{say_undecodable, write_service};
use crate::api::{DeprecatedObject, Origin, PlatformService, PlatformServiceStatus, Reason, Reliability};
use crate::clock;
use crate::consumers::count::{MAX_FINDINGS, OldObject};
use crate::fleet::{Evaluation, FIRST_LIST};
use crate::observability;
use crate::plan::score::weights;
use crate::plan::service::{PathFacts, ServiceFacts, plan};
use crate::status::counts::{ServiceBucket, UNOWNED};
use crate::status::deprecated::{self, Deprecated};
use crate::status::experience::came_before;
use crate::status::objective::next_change;
use crate::status::service::{Assessment, Evaluated, Outcome, assess};

/// One pass over a service.
pub async fn reconcile(guarded: Arc<GuardedService>, context: Arc<Context>) -> Result<Action, Error> {
    if context.waited_to_lead().await {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let meta = kube::Resource::meta(&*guarded);
    let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let subject = observability::Subject { kind: "PlatformService", namespace: Some(&namespace), name: &name };
    observability::observe(subject, &context.metrics, Box::pin(in_time(pass(&guarded, &context)))).await
}

async fn pass(guarded: &GuardedService, context: &Context) -> Result<Action, Error> {
    let service = match &guarded.0 {
        Ok(service) => Arc::new(context.written.freshest(service)),
        Err(invalid) => {
            return say_undecodable::<PlatformService>(invalid, context).await.map(|()| Action::await_change());
        }
    };
    context.seed_claims();
    claim(&service, context);
    let now = clock::now();
    let facts = match observe(service.clone(), now, context).await {
        // after a start the path's own pass comes first, and wakes every service; so does the namespace when it is seen
        Err(Error::PathNotRead(_) | Error::NamespaceNotSeen(_)) => return Ok(Action::await_change()),
        // and so does the end of the list, if it comes
        Err(Error::WorkloadsNotListed(_)) => return Ok(Action::requeue(FIRST_LIST)),
        observed => observed?,
    };
    if !is_in_sight(&facts, context) {
        return Ok(Action::await_change()); // the first answer of each watch wakes every service
    }
    let mut outcomes = apply(&facts, plan(&facts), context).await?;
    sweep(&facts, context).await?;
    beside(&facts, &mut outcomes, context).await?;
    let refused = outcomes.iter().any(asks_again);
    let assessment = assess(&facts, &outcomes, now);
    count(&facts, &assessment, context);
    let fails_at = assessment.workloads.iter().flatten().filter_map(|evaluated| evaluated.fails_at).min();
    let status = with_deprecated(&service, assessment.status, now, context);
    let (status, exemption_changes) = with_exemptions(&service, &facts.namespace, status, now, context);
    let (conditions, reliability) = (status.conditions.clone(), status.reliability.clone());
    if write_service(&service, status, context).await? {
        let before = service.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        publish(&*service, before, &conditions, context).await;
        if let PathFacts::Ready(route) = &facts.path
            && route.rolls_out()
        {
            // the receiver lives as long as the process
            let _ = context.wake_path.unbounded_send(ObjectRef::new(&route.current.path));
        }
    }
    if refused {
        // whatever refuses, a quota or a policy of the cluster, changes without a word to us
        return Ok(failed(guarded, context));
    }
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    context.service_backoff.succeeded(&format!("{namespace}/{name}"));
    let next = next_look(&facts, reliability.as_ref(), now).into_iter().chain(fails_at).chain(exemption_changes).min();
    let wait = outcomes.iter().filter_map(|outcome| outcome.wait).min();
    Ok(again(next, wait, now))
}

/// A pass at that time, and at the latest after a pause.
fn again(next: Option<Timestamp>, pause: Option<Duration>, now: Timestamp) -> Action {
    // a timer of years would overflow; looking once a day costs nothing
    let until = |at: Timestamp| Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let bounded = |pause: Duration| pause.clamp(Duration::from_secs(1), Duration::from_hours(24));
    next.map(until).into_iter().chain(pause).min().map_or_else(Action::await_change, |p| Action::requeue(bounded(p)))
}

/// Exceptions and versions end without an event, and time alone can miss an objective.
fn next_look(facts: &ServiceFacts, reliability: Option<&Reliability>, now: Timestamp) -> Option<Timestamp> {
    let route = match &facts.path {
        PathFacts::Ready(route) => route.changes_at(now),
        _ => None,
    };
    let judged = next_change(facts, reliability, now);
    facts.exceptions.next_change.into_iter().chain(route).chain(judged).min()
}

/// Whatever refuses, a quota or a policy of the cluster, changes without a word to us, and so does a Service of somebody
/// else; a conflict over a field ends with a change of the object itself.
fn asks_again(outcome: &Outcome) -> bool {
    let unmade = outcome.unmade.as_ref().map(|unmade| unmade.reason);
    outcome.refused.is_some()
        || matches!(unmade, Some(Reason::ApiServerRefused | Reason::NameTaken))
        || outcome.companions.iter().any(|companion| companion.again)
}

/// Tells the fleet how far the service and its workloads are.
fn count(facts: &ServiceFacts, assessment: &Assessment, context: &Context) {
    let (service, spec) = (&facts.service, &facts.service.spec);
    let mut table = context.fleet.table();
    let path = match &facts.path {
        PathFacts::Ready(route) => Some(table.name(&route.revision.path)),
        _ => None,
    };
    let adoption = assessment.status.adoption.clone().unwrap_or_default();
    let bucket = ServiceBucket {
        path: path.clone(),
        team: table.name(assessment.status.team.as_deref().unwrap_or(UNOWNED)),
        state: adoption.state,
        mode: facts.mode(),
        origin: adoption.origin,
    };
    let (name, team) = (table.name(&service.name_any()), spec.team.as_deref().map(|team| table.name(team)));
    let mut found = Vec::with_capacity(facts.workloads.len());
    for ((workload, evaluated), key) in facts.workloads.iter().zip(&assessment.workloads).zip(workload_keys(service)) {
        if workload.claimed_by.is_some() {
            continue;
        }
        let none = Vec::new();
        let verdicts = evaluated.as_ref().map_or(&none, |e: &Evaluated| &e.verdicts);
        let evaluation = Evaluation {
            service: name.clone(),
            team: team.clone(),
            path: path.clone(),
            mode: facts.mode(),
            state: evaluated.as_ref().map(|e| e.status.state).unwrap_or_default(),
            weights: weights(verdicts),
            verdicts: verdicts.iter().map(|v| (table.name(&v.default), v.state)).collect(),
        };
        found.push((key, evaluation));
    }
    drop(table);
    context.fleet.evaluated(&(service.namespace().unwrap_or_default(), service.name_any()), bucket, found);
}

/// The status with what the service has that is deprecated; as it was where nobody has counted yet.
fn with_deprecated(
    service: &PlatformService,
    status: PlatformServiceStatus,
    now: Timestamp,
    context: &Context,
) -> PlatformServiceStatus {
    let namespace = service.namespace().unwrap_or_default();
    let Some((found, half_seen)) = context.deprecations.of_service(&(namespace.clone(), service.name_any())) else {
        return status;
    };
    let mut objects: Vec<DeprecatedObject> = Vec::new();
    for (deprecation, some) in &found.some {
        let Some(deprecation) = context.deprecations.get(deprecation) else { continue };
        let told = |object: &OldObject| {
            deprecated::told(&deprecation, &object.resource, &namespace, &object.name, &object.remedy)
        };
        objects.extend(some.iter().filter_map(told));
    }
    let seen = objects.len();
    let told_of = |deprecation: &String| objects.iter().any(|object| object.name == *deprecation);
    // what is planned is not told of, and so is not counted
    let total: u64 = found.totals.iter().filter(|(deprecation, _)| told_of(deprecation)).map(|(_, n)| n).sum();
    // of what cannot be seen whole stays what was told
    objects.extend(status.deprecations.iter().filter(|object| half_seen.contains(&object.name)).cloned());
    let kept = objects.len() - seen;
    let objects = deprecated::most_urgent(objects, MAX_FINDINGS);
    let total = i64::try_from(total).unwrap_or(i64::MAX).saturating_add(i64::try_from(kept).unwrap_or(0));
    let status = with_origin(service, status, &objects, context);
    let found = Deprecated { objects, total };
    deprecated::with(status, found, service.metadata.generation, now)
}

/// A team that comes when a deadline is known has not come by itself.
fn with_origin(
    service: &PlatformService,
    mut status: PlatformServiceStatus,
    objects: &[DeprecatedObject],
    context: &Context,
) -> PlatformServiceStatus {
    let created = service.metadata.creation_timestamp.as_ref().map(|created| created.0);
    let known = |object: &DeprecatedObject| context.deprecations.get(&object.name);
    if let Some(adoption) = status.adoption.as_mut().filter(|adoption| adoption.origin == Origin::Voluntary)
        && objects.iter().filter_map(known).any(|deprecation| came_before(&deprecation, created))
    {
        adoption.origin = Origin::Mandated;
    }
    status
}

/// Registers the workloads that the service names, and hands over those that it does not name any more.
fn claim(service: &PlatformService, context: &Context) {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    context.claim(&namespace, &name, &workload_keys(service));
    // one that is new has named nothing before: what is labelled with its name is a suspect by that label
    let observed = service.status.as_ref().and_then(|s| s.observed_generation);
    if observed != service.metadata.generation {
        context.deprecations.consumers.count_again();
    }
    if observed.is_some() && observed != service.metadata.generation {
        let _ = context.orphans.unbounded_send(Suspect::all_of(&namespace, &name));
    }
}

/// The pause after a failed pass.
pub fn failed(guarded: &GuardedService, context: &Context) -> Action {
    let meta = kube::Resource::meta(guarded);
    let key = format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    Action::requeue(context.service_backoff.failed(&key))
}
