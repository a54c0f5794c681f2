//! The driver of GoldenPaths: compile, prove, put in force, publish to services.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::context::{Context, GuardedPath, Published};
use super::errors::Error;
use super::events::publish;
use super::feedback::{self, Outcome};
use super::policies::{self, Fills, carried, ensure, installed, prune, unbound};
use super::revisions::{NotReady, canonical, kept};
use super::write_status::{say_undecodable, write_path};
use crate::api::{AdmissionLevel, ConditionType, GoldenPath, GoldenPathStatus, Reason, labels};
use crate::observability;
use crate::plan::revision::{Revision, check_default_for};
use crate::policy::compile;
use crate::status::{Finding, merge, standing};

/// Old policies and revisions wait for the last workload that is labelled with them.
const PRUNE_AGAIN: Duration = Duration::from_mins(1);
/// Nothing watches policies; somebody who deletes a binding is noticed after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// One pass over a path.
pub async fn reconcile(guarded: Arc<GuardedPath>, context: Arc<Context>) -> Result<Action, Error> {
    let name = kube::Resource::meta(&*guarded).name.clone().unwrap_or_default();
    let subject = observability::Subject { kind: "GoldenPath", namespace: None, name: &name };
    // boxed: the pass holds two compiled policies
    let pass = Box::pin(pass(&guarded, &name, &context));
    let action = observability::observe(subject, &context.metrics, pass).await?;
    context.path_backoff.succeeded(&name);
    Ok(action)
}

async fn pass(guarded: &GuardedPath, name: &str, context: &Context) -> Result<Action, Error> {
    let path = match &guarded.0 {
        Ok(path) => path,
        Err(invalid) => {
            announce(name, Published::NotReady(format!("it cannot be read: {}", invalid.error)), context);
            return say_undecodable::<GoldenPath>(invalid, context).await.map(|()| Action::await_change());
        }
    };
    let before = path.status.clone().unwrap_or_default();
    let (result, waits_for_workloads) = establish(path, context).await?;
    let (finding, in_force) = match result {
        Ok(revision) => {
            let text = format!("revision {} is proved and in force", revision.name);
            (Finding::good(ConditionType::Ready, Reason::Ready, text), Some(revision))
        }
        Err(NotReady { reason, mut message }) => {
            let last = last_good(reason, before.current_revision.as_deref(), name, context).await?;
            if let Some(last) = &last {
                message = format!("{message}; services stay on revision {}", last.name);
            }
            (Finding::bad(ConditionType::Ready, reason, message), last)
        }
    };
    let in_force = in_force.map(Arc::new);
    let current_revision = in_force.as_ref().map(|r| r.name.clone()).or(before.current_revision);
    let published =
        in_force.as_ref().map_or_else(|| Published::NotReady(finding.message.clone()), |r| Published::Ready(r.clone()));
    announce(name, published, context);
    // after services were told: whatever is wrong with feedback, the road goes on
    let (finding, waits_for_feedback) = with_feedback(path, finding, in_force.as_deref(), context).await?;
    if before.observed_generation != path.metadata.generation {
        // `defaultFor` is no part of a revision, and services without a path look at it; receivers live as long as we
        let _ = context.path_changed.unbounded_send(());
    }
    let finding_reason = finding.reason;
    if finding_reason != Reason::DefaultForTaken {
        wake_waiting(context);
    }
    let status = GoldenPathStatus {
        observed_generation: path.metadata.generation,
        current_revision,
        adoption: before.adoption.clone(),
        conditions: merge(&before.conditions, &[finding], path.metadata.generation, Timestamp::now()),
    };
    if write_path(path, &status, context).await? {
        publish(path, &before.conditions, &status.conditions, context).await;
    }
    // a proof that fails on a busy API server succeeds later
    let again = waits_for_workloads || waits_for_feedback || finding_reason == Reason::ProofFailed;
    Ok(Action::requeue(if again { PRUNE_AGAIN } else { LOOK_AGAIN }))
}

/// The finding with what became of the path's admission feedback; and whether old feedback has to wait.
///
/// A path that cannot be compiled keeps the feedback that was in force, one that nobody takes by default any more does not.
async fn with_feedback(
    path: &GoldenPath,
    finding: Finding,
    in_force: Option<&Revision>,
    context: &Context,
) -> Result<(Finding, bool), Error> {
    let outcome = match in_force {
        Some(revision) if finding.good => feedback::establish(path, revision, context).await?,
        _ if matches!(finding.reason, Reason::DefaultForTaken | Reason::StageNotAdoptable) => {
            Outcome { not_ready: None, waiting: feedback::withdraw(&path.name_any(), context).await? }
        }
        _ => Outcome { not_ready: None, waiting: false },
    };
    let level = path.spec.admission_level();
    let finding = match outcome.not_ready {
        Some(NotReady { reason, message }) => {
            let message = format!("{}, its admission feedback is not: {message}", finding.message);
            Finding { good: false, reason, message, ..finding }
        }
        None if finding.good && level != AdmissionLevel::Off => Finding {
            message: format!("{}, and so is its admission feedback, level {level:?}", finding.message),
            ..finding
        },
        None => finding,
    };
    Ok((finding, outcome.waiting))
}

/// The revision that was in force before somebody wrote what cannot be compiled: a typo in a path disturbs no service.
async fn last_good(
    reason: Reason,
    current: Option<&str>,
    path: &str,
    context: &Context,
) -> Result<Option<Revision>, Error> {
    let of_the_spec = [Reason::InvalidDefault, Reason::InvalidCheck, Reason::ProofFailed, Reason::DefaultForTaken];
    let Some(current) = current.filter(|_| of_the_spec.contains(&reason)) else { return Ok(None) };
    let kept = kept(path, context).await?;
    Ok(kept.find(current).map(|revision| Revision { road: kept.road(revision), ..revision.clone() }))
}

/// Tells the services, if it is news.
fn announce(name: &str, published: Published, context: &Context) {
    if context.roads.publish(name, published) {
        // the receiver lives as long as the process
        let _ = context.path_changed.unbounded_send(());
    }
}

/// The revision in force, or why there is none; and whether old policies have to wait.
async fn establish(path: &GoldenPath, context: &Context) -> Result<(Result<Revision, NotReady>, bool), Error> {
    let draft = match draft(path, context) {
        Ok(draft) => draft,
        Err(not_ready) => return Ok((Err(not_ready), false)),
    };
    if !policies::is_served(context).await? {
        let message =
            "the API server does not serve MutatingAdmissionPolicy v1; Kubernetes 1.36 and newer do".to_owned();
        return Ok((Err(NotReady { reason: Reason::ServerTooOld, message }), false));
    }
    let name = path.name_any();
    let mut kept = kept(&name, context).await?;
    let mut revision = match kept.find(&draft.name) {
        Some(revision) => revision.clone().in_the_words_of(draft),
        None => match canonical(draft, context).await? {
            Ok(revision) => kept.keep(revision, context).await?,
            Err(not_ready) => return Ok((Err(not_ready), false)),
        },
    };
    revision.road = kept.road(&revision);
    let serialisation = |source| Error::Serialisation { what: format!("GoldenPath {name}"), source };
    let release = labels::release_revision(&name);
    let compiled = [
        (
            compile(&name, &revision.name, &revision.road, false, &context.operator).map_err(serialisation)?,
            revision.road.clone(),
        ),
        (
            compile(&name, &release, &revision.road.release(), true, &context.operator).map_err(serialisation)?,
            revision.road.release(),
        ),
    ];
    let before = installed::<Fills>(&name, context).await?;
    if let Some(not_ready) = unbound(path, &before) {
        return Ok((Err(not_ready), false));
    }
    for (policy, road) in &compiled {
        if let Some(not_ready) = ensure(policy, road, path, &before, context).await? {
            return Ok((Err(not_ready), false));
        }
    }
    let wanted: Vec<&str> = compiled.iter().map(|(policy, _)| policy.name()).collect();
    let after = installed::<Fills>(&name, context).await?;
    let waiting = prune(&wanted, &after, Timestamp::now().as_second(), context).await?;
    Ok((Ok(revision), waiting))
}

fn draft(path: &GoldenPath, context: &Context) -> Result<Revision, NotReady> {
    let others: Vec<Arc<GoldenPath>> =
        context.paths.state().iter().filter_map(|p| p.0.as_ref().ok().map(|p| Arc::new(p.clone()))).collect();
    check_default_for(path, &others)
        .and_then(|()| Revision::draft(path))
        .map_err(|invalid| NotReady { reason: invalid.reason(), message: invalid.to_string() })
}

/// Paths that wait for an older one to give up a kind look again. Those that wait wake nobody, or two would wake each
/// other for ever.
fn wake_waiting(context: &Context) {
    for path in context.paths.state().iter().filter_map(|p| p.0.as_ref().ok()) {
        let conditions = path.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        let taken = Reason::DefaultForTaken.to_string();
        if standing(conditions, ConditionType::Ready).is_some_and(|(_, reason)| reason == taken) {
            let _ = context.wake_path.unbounded_send(ObjectRef::new(&path.name_any()));
        }
    }
}

/// A path that is gone: what it left is removed once no workload carries its label.
pub async fn gone(name: &str, context: &Context) -> Result<bool, Error> {
    context.roads.forget(name);
    wake_waiting(context);
    let _ = context.path_changed.unbounded_send(());
    feedback::withdraw(name, context).await?;
    if carried(&format!("{}={name}", labels::PATH), context).await? {
        return Ok(false);
    }
    let left = installed::<Fills>(name, context).await?;
    prune(&[], &left, Timestamp::now().as_second(), context).await.map(|waiting| !waiting)
}

/// The pause after a failed pass.
pub fn failed(guarded: &GuardedPath, context: &Context) -> Action {
    let name = kube::Resource::meta(guarded).name.clone().unwrap_or_default();
    Action::requeue(context.path_backoff.failed(&name))
}
