//! The driver of GoldenPaths: compile, prove, put in force, publish to services.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::beside::try_companions;
use super::context::{Context, GuardedPath, Published};
use super::errors::{Error, in_time};
use super::events::publish;
use super::feedback::{self, Outcome};
use super::in_force::in_force;
use super::policies::{self, Fills, OVERLAP, carried, ensure, installed, prune, unbound};
use super::revisions::{Kept, NotReady, canonical, kept};
use super::write_status::{say_undecodable, write_path};
use crate::api::{AdmissionLevel, ConditionType, GoldenPath, GoldenPathStatus, Reason, RolloutStatus, labels};
use crate::clock;
use crate::observability;
use crate::plan::companions;
use crate::plan::leaf::Road;
use crate::plan::revision::{Revision, check_default_for, check_retirement};
use crate::plan::route::{Engine, InForce};
use crate::plan::waves::next_change;
use crate::plan::wsjf;
use crate::policy::{Job, compile};
use crate::status::objective::path_objective_met;
use crate::status::path::{counts_on, degraded, exemptions, followers, invalid_exemption, next_end, rolled_out};
use crate::status::{Finding, merge, standing, without};

/// Old policies and revisions wait for the last workload that is labelled with them.
const PRUNE_AGAIN: Duration = Duration::from_mins(1);
/// Revisions that are kept although nobody follows them, where the path does not say how many.
const HISTORY_LIMIT: usize = 10;
/// Nothing watches policies; somebody who deletes a binding is noticed after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// How soon services are looked for again that have not been seen yet.
const SERVICES_COME: Duration = Duration::from_millis(250);

/// One pass over a path.
pub async fn reconcile(guarded: Arc<GuardedPath>, context: Arc<Context>) -> Result<Action, Error> {
    if context.waited_to_lead().await {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let name = kube::Resource::meta(&*guarded).name.clone().unwrap_or_default();
    let subject = observability::Subject { kind: "GoldenPath", namespace: None, name: &name };
    // boxed: the pass holds two compiled policies
    let pass = Box::pin(in_time(pass(&guarded, &name, &context)));
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
    context.deprecations.path_seen(name, Some(path));
    // those that have moved would look as if they were gone, and a wave would begin to soak anew
    if !context.sees_services() {
        return Ok(Action::requeue(SERVICES_COME));
    }
    let before = path.status.clone().unwrap_or_default();
    let now = clock::now();
    let (result, waits_for_workloads) = establish(path, now, context).await?;
    let (finding, in_force) = match result {
        Ok((in_force, rollout)) => {
            let good = || ready(&in_force);
            (invalid_exemption(path, &in_force.defaults).unwrap_or_else(good), Some((in_force, rollout)))
        }
        Err(NotReady { reason, mut message }) => {
            let last = last_good(reason, before.current_revision.as_deref(), path, now, context).await?;
            if let Some((last, _)) = &last {
                message = format!("{message}; services stay on revision {}", last.current.name);
            }
            (Finding::bad(ConditionType::Ready, reason, message), last)
        }
    };
    let (in_force, rollout) = in_force.map(|(in_force, rollout)| (Arc::new(in_force), rollout)).unzip();
    let current_revision = in_force.as_ref().map(|in_force| in_force.current.name.clone()).or(before.current_revision);
    let rollout = rollout.or(before.rollout);
    let published = in_force
        .as_ref()
        .map_or_else(|| Published::NotReady(finding.message.clone()), |in_force| Published::Ready(in_force.clone()));
    announce(name, published, context);
    // after services were told: whatever is wrong with feedback, the road goes on
    let (finding, waits_for_feedback) =
        with_feedback(path, finding, in_force.as_deref().map(|in_force| in_force.current.as_ref()), context).await?;
    if before.observed_generation != path.metadata.generation {
        // `defaultFor` is no part of a revision, and services without a path look at it; receivers live as long as we
        let _ = context.path_changed.unbounded_send(());
    }
    let reason = finding.reason;
    if reason != Reason::DefaultForTaken {
        wake_waiting(context);
    }
    let status = status(path, finding, current_revision, rollout, now, context);
    if counts_on(path.status.as_ref(), &status)
        && let Some(pause) = context.progress.wait(name, Instant::now())
    {
        return Ok(Action::requeue(pause));
    }
    if write_path(path, &status, context).await? {
        context.progress.written(name, Instant::now());
        publish(path, &before.conditions, &status.conditions, context).await;
    }
    // a proof that fails on a busy API server succeeds later
    let soon = waits_for_workloads || waits_for_feedback || reason == Reason::ProofFailed;
    Ok(Action::requeue(pause(path, &status, soon, now)))
}

/// What is in force, and who fills: a person has to know what the second engine costs.
fn ready(in_force: &InForce) -> Finding {
    let revision = &in_force.current.name;
    let (reason, text) = match in_force.engine {
        Engine::Policies => (Reason::Ready, format!("revision {revision} is proved and in force")),
        Engine::Fallback => {
            let text = format!(
                "revision {revision} is in force; the API server does not serve MutatingAdmissionPolicy v1 (Kubernetes \
                 1.36 and newer do), so the operator fills by itself, about a second behind a rollout of the team and as \
                 a second one: one more ReplicaSet where something was left open"
            );
            (Reason::FilledByOperator, text)
        }
    };
    Finding::good(ConditionType::Ready, reason, text)
}

/// The status of a path, but for its adoption, which has a writer of its own.
fn status(
    path: &GoldenPath,
    finding: Finding,
    current_revision: Option<String>,
    rollout: Option<RolloutStatus>,
    now: Timestamp,
    context: &Context,
) -> GoldenPathStatus {
    let before = path.status.clone().unwrap_or_default();
    let services = context.services.state();
    let services = followers(path, services.iter().filter_map(|service| service.0.as_ref().ok()));
    let exemptions = exemptions(path, &services, now);
    let mut findings = vec![finding, degraded(path, rollout.as_ref(), &services, &exemptions, now)];
    findings.extend(rollout.iter().flat_map(rolled_out));
    let mut conditions = before.conditions;
    match path_objective_met(path, &services, now) {
        Some(finding) => findings.push(finding),
        None => conditions = without(&conditions, ConditionType::ObjectiveMet),
    }
    GoldenPathStatus {
        observed_generation: path.metadata.generation,
        current_revision,
        adoption: before.adoption,
        rollout,
        exemptions,
        wsjf: path.spec.priority.as_ref().map(wsjf::shown),
        conditions: merge(&conditions, &findings, path.metadata.generation, now),
    }
}

/// Until the next look: exemptions end, risks become overdue and waves go on without an event.
fn pause(path: &GoldenPath, status: &GoldenPathStatus, soon: bool, now: Timestamp) -> Duration {
    let pause = if soon { PRUNE_AGAIN } else { LOOK_AGAIN };
    let spec = path.spec.rollout.clone().unwrap_or_default();
    let wave = status.rollout.as_ref().and_then(|rollout| next_change(&spec, rollout)).filter(|at| *at > now);
    let next = next_end(path, now).into_iter().chain(wave).min();
    let next = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    next.map_or(pause, |next| pause.min(next + Duration::from_secs(1)))
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
        Some(revision) if finding.good == Some(true) => feedback::establish(path, revision, context).await?,
        _ if matches!(finding.reason, Reason::DefaultForTaken | Reason::StageNotAdoptable) => {
            Outcome { not_ready: None, waiting: feedback::withdraw(&path.name_any(), context).await? }
        }
        _ => Outcome { not_ready: None, waiting: false },
    };
    let level = path.spec.admission_level();
    let finding = match outcome.not_ready {
        Some(NotReady { reason, message }) => {
            let message = format!("{}, its admission feedback is not: {message}", finding.message);
            Finding { good: Some(false), reason, message, ..finding }
        }
        None if finding.good == Some(true) && level != AdmissionLevel::Off => Finding {
            message: format!("{}, and so is its admission feedback, level {level:?}", finding.message),
            ..finding
        },
        None => finding,
    };
    Ok((finding, outcome.waiting))
}

/// What was in force before somebody wrote what cannot be compiled: a typo in a path disturbs no service.
async fn last_good(
    reason: Reason,
    current: Option<&str>,
    path: &GoldenPath,
    now: Timestamp,
    context: &Context,
) -> Result<Option<(InForce, RolloutStatus)>, Error> {
    let of_the_spec = [
        Reason::InvalidDefault,
        Reason::InvalidCheck,
        Reason::ProofFailed,
        Reason::DefaultForTaken,
        Reason::VersionReused,
        Reason::CyclicRetirement,
    ];
    let Some(current) = current.filter(|_| of_the_spec.contains(&reason)) else { return Ok(None) };
    let kept = kept(&path.name_any(), context).await?;
    Ok(kept.find(current).map(|revision| in_force(path, revision, &kept, now, context)))
}

/// Tells the services, if it is news.
fn announce(name: &str, published: Published, context: &Context) {
    if context.roads.publish(name, published) {
        context.kinds_wanted.notify_one();
        // the receiver lives as long as the process
        let _ = context.path_changed.unbounded_send(());
    }
}

/// What is in force, or why nothing is; and whether old policies have to wait.
async fn establish(
    path: &GoldenPath,
    now: Timestamp,
    context: &Context,
) -> Result<(Result<(InForce, RolloutStatus), NotReady>, bool), Error> {
    let draft = match draft(path, context) {
        Ok(draft) => draft,
        Err(not_ready) => return Ok((Err(not_ready), false)),
    };
    let engine = if policies::is_served(context).await? { Engine::Policies } else { Engine::Fallback };
    context.fallback.choose(engine);
    let name = path.name_any();
    let mut kept = kept(&name, context).await?;
    if let Some(not_ready) = reused(&draft, &kept, context).await? {
        return Ok((Err(not_ready), false));
    }
    let revision = match kept.find(&draft.name) {
        Some(revision) => revision.clone().in_the_words_of(draft),
        None => match first_try(path, draft, context).await? {
            Ok(revision) => kept.keep(revision, context).await?,
            Err(not_ready) => return Ok((Err(not_ready), false)),
        },
    };
    let (in_force, rollout) = in_force(path, &revision, &kept, now, context);
    let put = match engine {
        Engine::Policies => put_in_force(path, &in_force, context).await?,
        Engine::Fallback => Ok(false),
    };
    match put {
        Ok(waiting) => {
            let followed: Vec<&str> = in_force.revisions().map(|r| r.name.as_str()).collect();
            let limit = path.spec.revision_history_limit.map_or(HISTORY_LIMIT, |n| usize::try_from(n).unwrap_or(0));
            kept.forget(&followed, limit, context).await?;
            Ok((Ok((in_force, rollout)), waiting))
        }
        Err(not_ready) => Ok((Err(not_ready), false)),
    }
}

/// A version that somebody follows with another content stays what it is.
async fn reused(draft: &Revision, kept: &Kept, context: &Context) -> Result<Option<NotReady>, Error> {
    let Some(version) = &draft.version else { return Ok(None) };
    for other in kept.all().filter(|r| r.version.as_ref() == Some(version) && r.name != draft.name) {
        if policies::in_use(&other.name, context).await? {
            let message = format!(
                "version: workloads follow other defaults under {version} already (revision {}); \
                 write a new version, or take the change back",
                other.name
            );
            return Ok(Some(NotReady { reason: Reason::VersionReused, message }));
        }
    }
    Ok(None)
}

/// Proves and binds the policies of everything that services may follow, and the two with which workloads leave the path;
/// removes what nothing needs any more. The answer is whether something of that has to wait.
async fn put_in_force(
    path: &GoldenPath,
    in_force: &InForce,
    context: &Context,
) -> Result<Result<bool, NotReady>, Error> {
    let name = path.name_any();
    let serialisation = |source| Error::Serialisation { what: format!("GoldenPath {name}"), source };
    let policy = |revision: &str, road: Road, job: Job| {
        let compiled = compile(&name, revision, &road, job, &context.operator).map_err(serialisation)?;
        Ok((compiled, road))
    };
    let release = in_force.current.road.release();
    let compiled: Vec<_> = in_force
        .revisions()
        .map(|revision| policy(&revision.name, revision.road.clone(), Job::Fill))
        .chain([policy(&labels::release_revision(&name), release.clone(), Job::Release)])
        .chain([policy(&labels::switch_revision(&name), release, Job::Switch)])
        .collect::<Result<_, Error>>()?;
    let before = installed::<Fills>(&name, context).await?;
    if let Some(not_ready) = unbound(path, &before) {
        return Ok(Err(not_ready));
    }
    for (policy, road) in &compiled {
        if let Some(not_ready) = ensure(policy, road, path, &before, context).await? {
            return Ok(Err(not_ready));
        }
    }
    let wanted: Vec<&str> = compiled.iter().map(|(policy, _)| policy.name()).collect();
    Ok(Ok(prune(&wanted, &before, OVERLAP, context).await?))
}

/// What the API server makes of a draft that it has not seen before.
async fn first_try(path: &GoldenPath, draft: Revision, context: &Context) -> Result<Result<Revision, NotReady>, Error> {
    match try_companions(path, context).await? {
        Some(not_ready) => Ok(Err(not_ready)),
        None => canonical(draft, context).await,
    }
}

fn draft(path: &GoldenPath, context: &Context) -> Result<Revision, NotReady> {
    let paths = context.paths.state();
    let others: Vec<&GoldenPath> = paths.iter().filter_map(|path| path.0.as_ref().ok()).collect();
    companions::check(path, &context.allowed)
        .map_err(|invalid| NotReady { reason: Reason::InvalidDefault, message: invalid.to_string() })?;
    check_default_for(path, &others)
        .and_then(|()| check_retirement(path, &others))
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
    context.progress.forget(name);
    context.deprecations.path_seen(name, None);
    wake_waiting(context);
    let _ = context.path_changed.unbounded_send(());
    feedback::withdraw(name, context).await?;
    for label in [labels::PATH, labels::RELEASE] {
        if carried(&format!("{label}={name}"), context).await? {
            return Ok(false);
        }
    }
    let left = installed::<Fills>(name, context).await?;
    prune(&[], &left, OVERLAP, context).await.map(|waiting| !waiting)
}

/// The pause after a failed pass.
pub fn failed(guarded: &GuardedPath, context: &Context) -> Action {
    let name = kube::Resource::meta(guarded).name.clone().unwrap_or_default();
    Action::requeue(context.path_backoff.failed(&name))
}
