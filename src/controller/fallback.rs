//! The fallback engine's part that talks to the API server: read the workload anew, decide, write exactly that state.
//!
//! Nothing of it runs where the API server serves MutatingAdmissionPolicy `v1`, but for one write to each workload that
//! was filled before: what the engine held becomes nobody's, and a policy's to care for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::context::{Context, Published};
use super::errors::Error;
use super::requests::Write;
use super::revisions::kept;
use crate::api::{WorkloadKind, labels};
use crate::clock;
use crate::fleet::WorkloadKey;
use crate::plan::fallback::{Decision, Look, Seen, decide, forget};
use crate::plan::gaps::normalise;
use crate::plan::leaf::Road;
use crate::plan::making::Making;
use crate::plan::metadata::{label, uid};
use crate::plan::route::Engine;
use crate::plan::service::{Action, PathFacts, ServiceFacts, WorkloadFacts, WorkloadPlan, template, template_hash};
use crate::plan::template::ObjectKey;
use crate::status::service::Outcome;

/// More workloads than any cluster has; it only bounds the memory. What is forgotten waits for its next rollout.
const MAX_SEEN: usize = 1 << 18;
/// A team that writes all the time is not raced for longer.
const TRIES: usize = 3;
/// The pause after that.
const PAUSE: Duration = Duration::from_mins(1);

/// Which engine is at work, and what the second one remembers of workloads, by their uid.
#[derive(Default)]
pub struct Fallback {
    active: AtomicBool,
    seen: Mutex<HashMap<String, Seen>>,
}

impl Fallback {
    /// Who fills on this API server, as far as is known.
    pub fn engine(&self) -> Engine {
        if self.active.load(Ordering::Relaxed) { Engine::Fallback } else { Engine::Policies }
    }

    /// The API server was asked.
    pub fn choose(&self, engine: Engine) {
        self.active.store(engine == Engine::Fallback, Ordering::Relaxed);
    }

    fn of(&self, object: &Value) -> Option<Seen> {
        self.all().get(uid(object)).cloned()
    }

    fn remember(&self, object: &Value, seen: Seen) {
        let mut all = self.all();
        if all.len() >= MAX_SEEN {
            all.clear();
        }
        all.insert(uid(object).to_owned(), seen);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a workload is to become.
struct Order<'a> {
    key: &'a WorkloadKey,
    road: &'a Road,
    leaves: bool,
    asked: Option<&'a str>,
    labelled: Option<&'a str>,
}

impl<'a> Order<'a> {
    fn look(&'a self, object: &'a Value, seen: Option<&'a Seen>) -> Look<'a> {
        let Order { key, road, leaves, asked, labelled } = *self;
        Look { kind: key.kind, object, road, leaves, asked, labelled, seen, now: clock::now() }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Followed {
    /// The workload, if it was read or written.
    pub object: Option<Value>,
    /// Why gaps stay open.
    pub why: Option<String>,
    /// When to look again, although nothing changes.
    pub wait: Option<Duration>,
}

/// Does to a workload of a service what no policy does on this API server.
pub async fn follow(
    key: &WorkloadKey,
    facts: &ServiceFacts,
    workload: &WorkloadFacts,
    plan: &WorkloadPlan,
    outcome: &mut Outcome,
    context: &Context,
) -> Result<(), Error> {
    let Some(object) = outcome.object.clone().filter(|_| outcome.blocker.is_none()) else { return Ok(()) };
    if facts.service.spec.suspend {
        return Ok(());
    }
    if context.fallback.engine() == Engine::Policies {
        outcome.object = give_up(key, &object, context).await?.or(outcome.object.take());
        return Ok(());
    }
    let Some(revision) = label(&object, labels::REVISION) else { return Ok(()) };
    let followed = match &facts.path {
        PathFacts::Ready(route) if route.revision.name == revision => {
            let before = facts.service.status.iter().flat_map(|status| &status.workloads);
            let before = before.into_iter().find(|status| status.name == workload.workload.name);
            let asked = match (&plan.action, &plan.making) {
                (Action::Fill(asked), _) => Some(asked.as_str()),
                (Action::Restart(asked), _) if outcome.wait.is_none() => Some(asked.as_str()),
                (_, Making::Create(_)) => Some(revision), // nothing runs yet
                _ => None,
            };
            let labelled = before.and_then(|status| status.labelled_template.as_deref());
            let order = Order { key, road: &route.revision.road, leaves: false, asked, labelled };
            // labels that `kubectl replace` drops are put back and not new
            if matches!(plan.action, Action::Adopt(_)) && labelled.is_none() {
                // what was there before it was adopted waits for the next rollout
                context.fallback.remember(&object, Seen::settled(&order.look(&object, None), None));
                return Ok(());
            }
            carry_out(&order, object.clone(), context).await?
        }
        _ => leave(key, &object, context).await?,
    };
    outcome.unfilled = followed.why;
    outcome.wait = followed.wait.or(outcome.wait);
    outcome.object = followed.object.or(outcome.object.take());
    Ok(())
}

/// Takes what is the road's out of a workload whose label says that it leaves, with its team's next rollout.
pub async fn leave(key: &WorkloadKey, object: &Value, context: &Context) -> Result<Followed, Error> {
    let path = label(object, labels::PATH).unwrap_or_default();
    let leaves = label(object, labels::REVISION) == Some(labels::release_revision(path).as_str());
    let is_old =
        context.fallback.of(object).is_some_and(|seen| seen.holds.is_none() && !seen.is_news(key.kind, object));
    if context.fallback.engine() == Engine::Policies || !leaves || is_old {
        return Ok(Followed::default());
    }
    let road = if let Some(Published::Ready(in_force)) = context.roads.get(path) {
        in_force.current.road.release()
    } else {
        // a path that is gone leaves its revisions
        let kept = kept(path, context).await?;
        kept.all().next().map(|newest| kept.road(newest).release()).unwrap_or_default()
    };
    let order = Order { key, road: &road, leaves: true, asked: None, labelled: None };
    carry_out(&order, object.clone(), context).await
}

async fn carry_out(order: &Order<'_>, object: Value, context: &Context) -> Result<Followed, Error> {
    let place = ObjectKey::workload(order.key.kind, &order.key.namespace, &order.key.name);
    let (mut object, mut is_read, mut conflict) = (object, false, None);
    let mut tries = 0;
    while tries < TRIES {
        let seen = context.fallback.of(&object);
        let look = order.look(&object, seen.as_ref());
        let why = seen.as_ref().and_then(|seen| seen.why.clone());
        match decide(&look) {
            Decision::Settled(why) => {
                if !seen.as_ref().is_some_and(|seen| seen.stands(&look, why.as_deref())) {
                    context.fallback.remember(&object, Seen::settled(&look, why.clone()));
                }
                return Ok(Followed { object: is_read.then_some(object), why, wait: None });
            }
            Decision::Wait(pause) => {
                let wait = Duration::try_from(pause).ok();
                return Ok(Followed { object: is_read.then_some(object), why, wait });
            }
            Decision::Hold(pause) => {
                context.fallback.remember(&object, Seen::holding(&look));
                let wait = Duration::try_from(pause).ok();
                return Ok(Followed { object: is_read.then_some(object), why, wait });
            }
            // the fleet may be a moment behind, and what is written belongs to one state
            _ if !is_read => {}
            write => {
                tries += 1;
                match carry(&write, &look, order, &place, context).await? {
                    Carried::Done(followed) => return Ok(followed),
                    Carried::Missed(why) => conflict = why,
                }
            }
        }
        let Some(live) = context.requests.object(&place).await? else { return Ok(Followed::default()) };
        if label(&live, labels::REVISION) != label(&object, labels::REVISION) {
            return Ok(Followed::default());
        }
        (object, is_read) = (live, true);
    }
    let seen = context.fallback.of(&object).unwrap_or_default();
    context.fallback.remember(&object, Seen { wrote: Some(clock::now()), why: conflict.clone(), ..seen });
    Ok(Followed { object: Some(object), why: conflict, wait: Some(PAUSE) })
}

/// What came of one write.
enum Carried {
    /// It is done, or refused as such.
    Done(Followed),
    /// The workload is another by now, or somebody else holds a field.
    Missed(Option<String>),
}

async fn carry(
    write: &Decision,
    look: &Look<'_>,
    order: &Order<'_>,
    place: &ObjectKey,
    context: &Context,
) -> Result<Carried, Error> {
    let (answer, expected) = match write {
        Decision::Apply { body, expected } => (context.requests.claim(place, body, Write::Real).await, Some(expected)),
        Decision::Patch(operations) => (context.requests.patch_object(place, operations.clone()).await, None),
        Decision::Settled(_) | Decision::Wait(_) | Decision::Hold(_) => return Ok(Carried::Missed(None)),
    };
    let mut done = Seen::settled(look, None);
    done.wrote = Some(look.now);
    done.asked = order.asked.map(ToOwned::to_owned).or(done.asked);
    let error = match answer {
        Ok(written) => {
            tracing::info!(%place, namespace = place.namespace, leaves = order.leaves, "followed a rollout");
            context.fleet.learn(order.key, &written);
            let mut made = template(order.key.kind, &written).clone();
            normalise(&mut made);
            // else somebody wrote in the same moment, and it is looked at again
            if expected.is_none_or(|expected| *expected == made) {
                done.template = template_hash(order.key.kind, &written);
            }
            context.fallback.remember(look.object, done);
            return Ok(Carried::Done(Followed { object: Some(written), ..Followed::default() }));
        }
        Err(error) => error,
    };
    if let Some(message) = error.conflict() {
        return Ok(Carried::Missed(Some(message.to_owned())));
    }
    let Some(message) = error.refusal() else { return Err(error) };
    // a patch of what is not there any more is answered like any wrong request
    let live = context.requests.object(place).await?;
    let is_same =
        |live: &Value| !done.is_news(look.kind, live) && forget(live) == forget(look.object) && write.is_for(live);
    if !live.as_ref().is_some_and(is_same) {
        return Ok(Carried::Missed(None));
    }
    let why = format!("the API server refuses the workload with the defaults: {message}");
    context.fallback.remember(look.object, Seen { why: Some(why.clone()), ..done });
    Ok(Carried::Done(Followed { object: live, why: Some(why), wait: None }))
}

/// What the engine held becomes nobody's; nothing else changes.
pub async fn give_up(key: &WorkloadKey, object: &Value, context: &Context) -> Result<Option<Value>, Error> {
    let Some(operations) = forget(object) else { return Ok(None) };
    let place = ObjectKey::workload(key.kind, &key.namespace, &key.name);
    let written = context.requests.patch_object(&place, json!(operations)).await?;
    context.fleet.learn(key, &written);
    Ok(Some(written))
}

/// Asks the API server what it would make of the workload if it were filled now.
pub async fn try_out(kind: WorkloadKind, object: &Value, road: &Road, context: &Context) -> Result<Value, Error> {
    let look = Look {
        kind,
        object,
        road,
        leaves: false,
        asked: Some("dry-run"),
        labelled: None,
        seen: None,
        now: clock::now(),
    };
    let Decision::Apply { body, .. } = decide(&look) else { return Ok(object.clone()) };
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    let place = ObjectKey::workload(kind, &text("namespace"), &text("name"));
    context.requests.claim(&place, &body, Write::DryRun).await
}
