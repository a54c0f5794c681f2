//! The driver of Deprecations: count, advance, enforce, tell.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;

use super::context::Context;
use super::deprecations::GuardedDeprecation;
use super::enforcement::{Enforcement, OVERLAP, enforce, is_lower, withdraw};
use super::errors::{Error, in_time};
use super::events::{publish, say};
use super::notices::{news, notified, until_reminder};
use super::proofs::{self, Answer};
use super::revisions::NotReady;
use super::write_status::{say_undecodable, write_deprecation};
use crate::api::{Deprecation, DeprecationMatch, DeprecationProgress, DeprecationStage, DeprecationStatus, Reason};
use crate::clock;
use crate::observability;
use crate::plan::consumers::{InSight, InvalidMatch};
use crate::plan::deprecation::notify::{News, unknown_receiver};
use crate::plan::deprecation::stage::content;
use crate::plan::deprecation::{Change, Facts, Left, PathFacts, Step, Why, advance};
use crate::plan::risks::next_due;
use crate::policy::Targets;
use crate::status::consumption::{left, progress};
use crate::status::deprecation::{Found, assess, waiting};
use crate::status::granted::used;

/// Nothing watches policies; somebody who deletes a binding is noticed after this at the latest.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// What waits for something of ours waits so long at the longest.
const SOON: Duration = Duration::from_secs(10);
/// How soon something is looked for again that comes by itself after a start.
const COMES: Duration = Duration::from_millis(250);
/// So long after a start a count is waited for.
const COUNTED_BY: Duration = Duration::from_secs(30);
/// A step that is due at once follows the one before after this: its status comes first.
const AT_ONCE: Duration = Duration::from_millis(50);

/// One pass over a Deprecation.
pub async fn reconcile(guarded: Arc<GuardedDeprecation>, context: Arc<Context>) -> Result<Action, Error> {
    if context.waited_to_lead().await {
        return Ok(Action::requeue(Duration::ZERO));
    }
    let name = kube::Resource::meta(&*guarded).name.clone().unwrap_or_default();
    let subject = observability::Subject { kind: "Deprecation", namespace: None, name: &name };
    let pass = Box::pin(in_time(pass(&guarded, &name, &context)));
    let action = observability::observe(subject, &context.metrics, pass).await?;
    context.deprecations.backoff.succeeded(&name);
    Ok(action)
}

async fn pass(guarded: &GuardedDeprecation, name: &str, context: &Arc<Context>) -> Result<Action, Error> {
    let deprecation = match &guarded.0 {
        Ok(deprecation) => context.deprecations.written.freshest(deprecation),
        Err(invalid) => {
            return say_undecodable::<Deprecation>(invalid, context).await.map(|()| Action::await_change());
        }
    };
    // before the first list every replacement would look as if it were gone
    if !context.listed.paths.initialized() {
        return waits(&deprecation, "the GoldenPaths have not been listed yet", context).await;
    }
    let invalid = want(&deprecation, context).await;
    let targets = context.deprecations.consumers.targets(name);
    if invalid.is_none() && targets.is_none() {
        return waits(&deprecation, "the API server has not said yet what it serves", context).await;
    }
    if is_edited(&deprecation) {
        context.deprecations.edited(name);
    }
    if !is_answered(&deprecation) {
        context.deprecations.consumers.count_again(); // by other exemptions, perhaps
    }
    let now = clock::now();
    let (sight, progress, left) = count(&deprecation, now, context);
    if waits_for_count(&deprecation, &sight, context) {
        return Ok(Action::requeue(COMES));
    }
    let facts = match path_of(&deprecation, context) {
        Ok(path) => Facts { path, left },
        Err(unreadable) => return waits(&deprecation, &unreadable, context).await,
    };
    let mut step = step(&deprecation, &facts, now);
    let ask = |targets| proofs::ask(&deprecation, &mut step, targets, sight.complete, context);
    let proofs = targets.as_ref().map(ask).unwrap_or_default();
    if proofs.waits && !is_lower(&deprecation, &step) {
        return Ok(Action::requeue(COMES)); // and woken when it is done; whoever is to be let through does not wait
    }
    let asked = Asked { targets: targets.as_ref(), invalid: invalid.as_ref(), proofs: &proofs };
    let enforcement = put_in_force(&deprecation, &step, &asked, now, context).await?;
    let news = news(&deprecation, &step, now, context);
    let found = Found {
        deprecation: &deprecation,
        step: &step,
        facts: &facts,
        invalid: invalid.as_ref(),
        sight: &sight,
        progress,
        unenforced: enforcement.not_ready.map(|not_ready| (not_ready.reason, not_ready.message)),
        unproved: proofs.failed(),
        notified: notified(&deprecation, news.as_ref(), now),
        unknown_receiver: unknown_receiver(&deprecation.spec, context.notices.names()),
    };
    let refused = found.unenforced.as_ref().is_some_and(|(reason, _)| *reason == Reason::ApiServerRefused);
    let status = assess(found, now);
    answer(&deprecation, status, &step, news, context).await?;
    if sight.complete {
        context.deprecations.told(name, sight.version);
    }
    let told = until_reminder(&deprecation, now).into_iter().chain(until_overdue(&deprecation, now));
    Ok(Action::requeue(told.fold(pause(&step, enforcement.waiting, refused, now), Duration::min)))
}

fn step(deprecation: &Deprecation, facts: &Facts, now: Timestamp) -> Step {
    let created = deprecation.creation_timestamp().map_or(now, |created| created.0);
    advance(&deprecation.spec, created, deprecation.status.as_ref(), facts, now)
}

/// What the entries of a Deprecation come to.
struct Asked<'a> {
    /// Their resources.
    targets: Option<&'a Targets>,
    /// One that cannot be compiled.
    invalid: Option<&'a InvalidMatch>,
    proofs: &'a Answer,
}

/// Puts a stage in force. What an entry refused stays while it cannot be compiled.
async fn put_in_force(
    deprecation: &Deprecation,
    step: &Step,
    asked: &Asked<'_>,
    now: Timestamp,
    context: &Context,
) -> Result<Enforcement, Error> {
    let mut enforcement = Enforcement::default();
    let Asked { targets, invalid, proofs } = asked;
    if let Some(targets) = targets {
        enforcement = enforce(deprecation, step, targets, invalid.is_some(), proofs, now, context).await?;
    } else if is_lower(deprecation, step) {
        withdraw(&deprecation.name_any(), context).await?;
    }
    if let Some(invalid) = invalid {
        enforcement.not_ready = Some(not_compiled(invalid));
    }
    Ok(enforcement)
}

/// Writes the status, and says what is new in it.
async fn answer(
    deprecation: &Deprecation,
    status: DeprecationStatus,
    step: &Step,
    news: Option<News>,
    context: &Context,
) -> Result<(), Error> {
    let (before, conditions) = (deprecation.status.clone().unwrap_or_default(), status.conditions.clone());
    if write_deprecation(deprecation, status, context).await? {
        tell(deprecation, step, context).await;
        publish(deprecation, &before.conditions, &conditions, context).await;
        if let Some(news) = news {
            context.notices.tell(news); // after it is written that they were told: a restart tells nobody twice
        }
    }
    Ok(())
}

/// After a start the status stands until what it tells has been counted again: it would be written twice, first to say that
/// nothing is known, and then what it says already. What cannot be seen is said at once, and a list that does not come is
/// not waited for.
fn waits_for_count(deprecation: &Deprecation, sight: &InSight, context: &Context) -> bool {
    let starts = context.leadership.leads_for() < COUNTED_BY;
    starts && is_answered(deprecation) && !sight.complete && sight.problems.is_empty()
}

/// Whether the status was written about the spec as it is.
fn is_answered(deprecation: &Deprecation) -> bool {
    let observed = deprecation.status.as_ref().and_then(|status| status.observed_generation);
    observed == deprecation.metadata.generation
}

/// Something that a pass needs is not there. After a start it comes by itself, and later nobody would know why nothing happens.
async fn waits(deprecation: &Deprecation, what: &str, context: &Context) -> Result<Action, Error> {
    if context.leadership.leads_for() < COUNTED_BY {
        return Ok(Action::requeue(COMES));
    }
    write_deprecation(deprecation, waiting(deprecation, what, clock::now()), context).await?;
    Ok(Action::requeue(SOON))
}

/// What is in force stays while an entry cannot be compiled: a typo opens no door, and closes none. A door that is to open
/// for another reason does.
fn not_compiled(invalid: &InvalidMatch) -> NotReady {
    let message = format!("{invalid}; what this entry refused before is refused still, and nothing more");
    NotReady { reason: Reason::InvalidMatch, message }
}

/// Has what it matches watched. An expression is compiled on a thread, which the task of all controllers does not wait for.
async fn want(deprecation: &Deprecation, context: &Context) -> Option<InvalidMatch> {
    let (consumers, name) = (context.deprecations.consumers.clone(), deprecation.name_any());
    let fix = deprecation.spec.replacement.as_ref().and_then(|replacement| replacement.fix.clone());
    let matches = deprecation.spec.matches.clone();
    let wanted =
        tokio::task::spawn_blocking(move || consumers.want(&name, &matches, fix.as_ref().map(|fix| &fix.patch)));
    wanted.await.ok()?.err()
}

/// What the last count says, for the status and for the gates.
fn count(deprecation: &Deprecation, now: Timestamp, context: &Context) -> (InSight, DeprecationProgress, Option<Left>) {
    let name = deprecation.name_any();
    let before = deprecation.status.as_ref().map(|status| &status.progress);
    let (mut sight, tally) = context.deprecations.counted(&name);
    let Some(tally) = tally else { return (sight, before.cloned().unwrap_or_default(), None) };
    let anew = context.deprecations.is_anew(&name, sight.version);
    let progress =
        DeprecationProgress { exemptions: used(&deprecation.spec, &tally, now), ..progress(before, &tally, anew, now) };
    let left = left(&progress, &sight, deprecation.spec.removed);
    sight.problems.extend(tally.problems());
    (sight, progress, left)
}

/// What the gates ask about the replacing path: nothing where there is none of that name. What was known last counts where
/// the path cannot be read; an error where nothing ever was, since a path that nobody can read is not a path that is gone.
fn path_of(deprecation: &Deprecation, context: &Context) -> Result<Option<PathFacts>, String> {
    let named = deprecation.spec.replacement.as_ref().and_then(|replacement| replacement.golden_path_ref.as_ref());
    let Some(named) = named else { return Ok(None) };
    let Some(path) = context.paths.get(&ObjectRef::new(&named.name)) else { return Ok(None) };
    match &path.0 {
        Ok(path) => Ok(Some(PathFacts::of(path))),
        Err(invalid) => {
            let unreadable = || {
                let (name, error) = (&named.name, &invalid.error);
                format!("GoldenPath {name}, which the gates ask about, cannot be read: {error}; apply it anew")
            };
            context.deprecations.path(&named.name).map(Some).ok_or_else(unreadable)
        }
    }
}

/// Whether an entry was edited since the status was written.
fn is_edited(deprecation: &Deprecation) -> bool {
    let announced = deprecation.status.as_ref().map(|status| status.matches.as_slice()).unwrap_or_default();
    let same = |entry: &DeprecationMatch| {
        announced.iter().any(|announced| announced.name == entry.name && announced.content == content(entry))
    };
    let matches = &deprecation.spec.matches;
    !announced.is_empty() && (announced.len() != matches.len() || !matches.iter().all(same))
}

/// Says that the stage has changed: on the Deprecation itself, and to the services that have something old.
async fn tell(deprecation: &Deprecation, step: &Step, context: &Context) {
    let Some(Change { from, to, why }) = &step.change else { return };
    let (type_, why) = match why {
        Why::Due => (EventType::Normal, due(*to).to_owned()),
        Why::DateMoved => (EventType::Normal, "its date was moved".to_owned()),
        Why::InUseAgain => (EventType::Warning, "it is in use again".to_owned()),
        Why::GateClosed(closed) => {
            let texts: Vec<&str> = closed.iter().map(|closed| closed.message.as_str()).collect();
            (EventType::Warning, texts.join("; "))
        }
    };
    let note = format!("stage {from:?} -> {to:?}: {why}");
    say(deprecation, type_, &format!("{to:?}"), "ChangeStage", note, context).await;
    for (namespace, name) in context.deprecations.services_of(&deprecation.name_any()) {
        context.wake_service(&namespace, &name);
    }
}

/// What has come.
fn due(stage: DeprecationStage) -> &'static str {
    match stage {
        DeprecationStage::Planned | DeprecationStage::Announced => "it is due",
        DeprecationStage::Completed => "removed is set, and nobody is left",
        _ => "its date has come, and its gates are open",
    }
}

fn pause(step: &Step, waiting: bool, refused: bool, now: Timestamp) -> Duration {
    let pause = match (waiting, refused) {
        (true, _) => OVERLAP.unsigned_abs(),
        (false, true) => SOON,
        (false, false) => LOOK_AGAIN,
    };
    let next = step.next_change.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    next.map_or(pause, |next| pause.min(next).max(AT_ONCE))
}

/// Until a risk becomes overdue, which no event says.
fn until_overdue(deprecation: &Deprecation, now: Timestamp) -> Option<Duration> {
    next_due(&deprecation.spec.risks, now).and_then(|due| Duration::try_from(due.duration_since(now)).ok())
}

/// A Deprecation that is gone: nothing is refused any more, and its services are told.
pub async fn gone(name: &str, context: &Context) -> Result<(), Error> {
    let services = context.deprecations.services_of(name);
    context.deprecations.forget(name);
    for (namespace, name) in services {
        context.wake_service(&namespace, &name);
    }
    withdraw(name, context).await
}

/// The pause after a failed pass.
pub fn failed(guarded: &GuardedDeprecation, context: &Context) -> Action {
    let name = kube::Resource::meta(guarded).name.clone().unwrap_or_default();
    Action::requeue(context.deprecations.backoff.failed(&name))
}
