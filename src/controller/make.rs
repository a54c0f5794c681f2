//! Make: the objects of a template, by server-side apply, and only when they differ in meaning from what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::apply::IN_FORCE;
use super::context::Context;
use super::errors::Error;
use super::requests::Write;
use crate::api::{Reason, WorkloadKind};
use crate::fleet::WorkloadKey;
use crate::plan::applied::difference;
use crate::plan::fallback::forget;
use crate::plan::making::{
    Making, conflict, hand_over, is_applied, is_kept_name, is_left_alone, is_ours, is_owned_by, service_taken,
};
use crate::plan::metadata::{is_ending, uid};
use crate::plan::route::{Engine, Route};
use crate::plan::service::{Blocker, PathFacts, ServiceFacts, WorkloadFacts};
use crate::plan::template::{Built, ObjectKey, Wanted, is_kept};
use crate::plan::verdict::has_gaps;

/// What came of it.
#[derive(Debug, Default)]
pub struct Made {
    /// The workload as it is now, where it was written or read.
    pub object: Option<Value>,
    /// It was born with the labels of adoption.
    pub labelled: bool,
    /// Why it was made without them.
    pub refused: Option<String>,
    /// What is not as the template says.
    pub unmade: Option<Blocker>,
}

/// Does to a workload what was decided. `live` is the object as the last write left it.
pub async fn make(
    facts: &ServiceFacts,
    workload: &WorkloadFacts,
    making: &Making,
    live: Option<&Value>,
    context: &Context,
) -> Result<Made, Error> {
    let site = Site { facts, workload, context };
    let built = workload.made.as_ref().and_then(|made| made.built.as_ref().ok());
    match (making, built, live) {
        (Making::HandOver, _, Some(object)) => {
            let key = site.key();
            let object = context.requests.patch_object(&key, hand_over(object, &[])).await?;
            site.learn(&object);
            Ok(Made { object: Some(object), ..Made::default() })
        }
        (Making::Create(labels), Some(built), _) => {
            let made = site.create(&built.workload, labels).await?;
            site.with_service(built, made).await
        }
        (Making::Keep, Some(built), Some(object)) => {
            let made = site.keep(&built.workload, object).await?;
            site.with_service(built, made).await
        }
        _ => Ok(Made::default()),
    }
}

/// One workload of a service.
struct Site<'a> {
    facts: &'a ServiceFacts,
    workload: &'a WorkloadFacts,
    context: &'a Context,
}

impl Site<'_> {
    fn key(&self) -> ObjectKey {
        let namespace = self.facts.service.metadata.namespace.as_deref().unwrap_or_default();
        ObjectKey::workload(self.workload.target.kind, namespace, &self.workload.target.name)
    }

    fn entry(&self) -> &str {
        &self.workload.workload.name
    }

    /// The next look at the workload is not older than this.
    fn learn(&self, object: &Value) {
        let ObjectKey { namespace, name, .. } = self.key();
        self.context.fleet.learn(&WorkloadKey { kind: self.workload.target.kind, namespace, name }, object);
    }

    fn unmade(&self, key: &ObjectKey, message: &str) -> Made {
        Made { unmade: Some(refused(key, self.entry(), message)), ..Made::default() }
    }

    /// Makes a workload that is not there. The fleet may be behind, and what somebody else has just made under that name
    /// is not to be touched: so it is asked for first, and nothing is forced.
    async fn create(&self, wanted: &Wanted, labels: &BTreeMap<String, String>) -> Result<Made, Error> {
        if let Some(object) = self.context.requests.object(&wanted.key).await? {
            self.learn(&object);
            if is_ours(&object, &self.facts.service) {
                return self.keep(wanted, &object).await;
            }
            return Ok(self.taken(&wanted.key));
        }
        let mut object = wanted.object.clone();
        for (name, value) in labels {
            object["metadata"]["labels"][name] = json!(value);
        }
        let kind = self.workload.target.kind;
        let mut refused = None;
        if !labels.is_empty()
            && let Err(message) = self.comes_out_filled(kind, &wanted.key, &object).await?
        {
            // without the defaults it may be welcome; if it is not, the answer to that is the one that counts
            refused = Some(format!("the API server refuses the workload with the defaults: {message}"));
            object = wanted.object.clone();
        }
        match self.context.requests.apply_object(&wanted.key, &object, false, Write::Real).await {
            Ok(object) => {
                self.learn(&object);
                let labelled = refused.is_none() && !labels.is_empty();
                Ok(Made { object: Some(object), labelled, refused, unmade: None })
            }
            Err(error) if error.is_status(409) => Ok(self.taken(&wanted.key)),
            Err(error) => error.refusal().map(|message| self.unmade(&wanted.key, &message)).ok_or(error),
        }
    }

    fn taken(&self, key: &ObjectKey) -> Made {
        // the next pass finds it in the fleet and says so in full
        let message = format!("workloads[{}]: {key} exists, and was not made by this PlatformService", self.entry());
        Made { unmade: Some(Blocker { reason: Reason::NameTaken, message }), ..Made::default() }
    }

    /// Waits until the API server fills a workload when it is made, since a policy that comes a moment later would cost a
    /// rollout. `Err` is its refusal.
    async fn comes_out_filled(
        &self,
        kind: WorkloadKind,
        key: &ObjectKey,
        object: &Value,
    ) -> Result<Result<(), String>, Error> {
        let PathFacts::Ready(Route { revision, engine: Engine::Policies, .. }) = &self.facts.path else {
            return Ok(Ok(())); // filled by the operator, once it is there
        };
        let started = tokio::time::Instant::now();
        loop {
            match self.context.requests.apply_object(key, object, false, Write::DryRun).await {
                // a policy that is late fills when it is asked to, by one rollout; the service does not wait for that
                Ok(answer) if !has_gaps(kind, &answer, revision) || started.elapsed() > IN_FORCE => return Ok(Ok(())),
                Ok(_) => tokio::time::sleep(Duration::from_millis(250)).await,
                Err(error) => return error.refusal().map(Err).ok_or(error),
            }
        }
    }

    /// Keeps a workload as its template says.
    async fn keep(&self, wanted: &Wanted, live: &Value) -> Result<Made, Error> {
        let autoscaled = self.workload.made.as_ref().is_some_and(|made| made.autoscaled);
        let Kept { object, unmade } = keep(wanted, live, autoscaled, self.entry(), self.context).await?;
        if let Some(object) = &object {
            self.learn(object);
        }
        Ok(Made { object, unmade, ..Made::default() })
    }

    /// Makes and keeps the Service beside a workload that is there.
    async fn with_service(&self, built: &Built, made: Made) -> Result<Made, Error> {
        let Some(wanted) = &built.service else { return Ok(made) };
        if made.unmade.as_ref().is_some_and(|b| b.reason != Reason::FieldConflict) {
            return Ok(made);
        }
        let seen = self.workload.made.as_ref().and_then(|made| made.service.clone());
        let live = match seen {
            Some(live) => Some(live),
            None => self.context.requests.object(&wanted.key).await?,
        };
        let kept = match &live {
            Some(live) if !is_ours(live, &self.facts.service) => {
                Kept { object: None, unmade: Some(service_taken(&wanted.key, self.entry())) }
            }
            // a Service cannot become headless or cease to be; it goes, and is made anew when it is gone
            Some(live) if is_headless(live) != is_headless(&wanted.object) => {
                taken_away(&wanted.key, live, self.context).await?;
                Kept::default()
            }
            live => ensure(wanted, live.as_ref(), self.entry(), self.context).await?,
        };
        if let Some(object) = &kept.object {
            let _ = self.context.children.learn(&wanted.key, object);
        }
        Ok(Made { unmade: made.unmade.or(kept.unmade), ..made })
    }
}

fn is_headless(service: &Value) -> bool {
    service.pointer("/spec/clusterIP").is_some_and(|address| address == "None")
}

/// What came of keeping an object.
#[derive(Debug, Default)]
pub struct Kept {
    /// The object, if it was written.
    pub object: Option<Value>,
    /// What is not as it should be.
    pub unmade: Option<Blocker>,
}

/// Makes an object beside a workload, or keeps it.
pub async fn ensure(wanted: &Wanted, live: Option<&Value>, entry: &str, context: &Context) -> Result<Kept, Error> {
    match live {
        // it ends, and is made anew when it is gone
        Some(live) if is_ending(live) => Ok(Kept::default()),
        Some(live) => keep(wanted, live, false, entry, context).await,
        None => match context.requests.apply_object(&wanted.key, &wanted.object, false, Write::Real).await {
            Ok(object) => Ok(Kept { object: Some(object), unmade: None }),
            Err(error) if error.is_status(409) => {
                Ok(Kept { object: None, unmade: Some(service_taken(&wanted.key, entry)) })
            }
            Err(error) => unkept(error, &wanted.key, entry),
        },
    }
}

/// Applies what differs.
async fn keep(wanted: &Wanted, live: &Value, autoscaled: bool, entry: &str, context: &Context) -> Result<Kept, Error> {
    let found = difference(wanted, live, &context.put_backs.of(live), autoscaled);
    let unmade = conflict(&wanted.key, entry, &found.contested);
    let Some(apply) = found.apply else { return Ok(Kept { object: None, unmade }) };
    if let Some(operations) = forget(live) {
        // what was filled in a container that goes would keep it there, without an image
        context.requests.patch_object(&wanted.key, json!(operations)).await?;
    }
    match context.requests.apply_object(&wanted.key, &apply, true, Write::Real).await {
        Ok(object) => {
            context.put_backs.remember(live, &wanted.hash, found.puts_back);
            Ok(Kept { object: Some(object), unmade })
        }
        Err(error) => unkept(error, &wanted.key, entry),
    }
}

/// What an error means: a refusal is said in the status, anything else is tried again.
fn unkept(error: Error, key: &ObjectKey, entry: &str) -> Result<Kept, Error> {
    let message = error.refusal().ok_or(error)?;
    Ok(Kept { object: None, unmade: Some(refused(key, entry, &message)) })
}

fn refused(key: &ObjectKey, entry: &str, message: &str) -> Blocker {
    let message = format!("workloads[{entry}]: {key}: the API server refuses it: {message}");
    Blocker { reason: Reason::ApiServerRefused, message }
}

/// Deletes an object beside a workload that nothing asks for any more.
pub async fn taken_away(key: &ObjectKey, object: &Value, context: &Context) -> Result<(), Error> {
    if !is_ending(object) {
        context.requests.delete_object(key, uid(object)).await?;
        tracing::info!(%key, namespace = key.namespace, "deleted what nothing asks for any more");
    }
    Ok(())
}

/// Takes away what was made beside workloads and is not wanted any more: deleted where it goes with its service, handed
/// over where it stays.
pub async fn sweep(facts: &ServiceFacts, context: &Context) -> Result<(), Error> {
    let service = &facts.service;
    let (namespace, name) = (
        service.metadata.namespace.as_deref().unwrap_or_default(),
        service.metadata.name.as_deref().unwrap_or_default(),
    );
    if is_left_alone(service) {
        return Ok(());
    }
    for key in context.children.of(namespace, name) {
        if facts.workloads.iter().any(|workload| wants(workload, &key)) {
            continue;
        }
        let Some(object) = context.children.object(&key).filter(|object| is_ours(object, service)) else { continue };
        let stays = is_kept(&service.spec) || facts.workloads.iter().any(|w| is_kept_name(w, &key.name));
        if !stays {
            taken_away(&key, &object, context).await?;
        } else if is_applied(&object) || is_owned_by(&object, service) {
            let object = context.requests.patch_object(&key, hand_over(&object, &[])).await?;
            let _ = context.children.learn(&key, &object);
        }
    }
    Ok(())
}

/// Whether a workload's template makes an object, or may make it once its template is valid.
fn wants(workload: &WorkloadFacts, key: &ObjectKey) -> bool {
    let Some(made) = &workload.made else { return false };
    match &made.built {
        Ok(built) => built.service.as_ref().is_some_and(|service| service.key == *key),
        Err(_) => workload.target.name == key.name,
    }
}
