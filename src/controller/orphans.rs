//! Workloads that carry our labels and whose service is gone, or does not name them any more.
//!
//! No finalizer: a dead operator must not block the deletion of a namespace.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::api::Patch;
use serde_json::{Value, json};

use super::context::Context;
use super::errors::Error;
use super::fallback::leave;
use super::make::taken_away;
use super::observe::workload_keys;
use super::requests::Write;
use crate::api::{PlatformService, WorkloadKind, labels};
use crate::fleet::WorkloadKey;
use crate::observability;
use crate::plan::fallback::forget;
use crate::plan::making::{hand_over, is_applied, is_left_alone, is_owned_by};
use crate::plan::metadata::{label, pointer};
use crate::plan::service::{controller_of, our_labels};
use crate::plan::template::{ObjectKey, is_kept};

/// A workload that may have lost its service. An empty workload name stands for all that are labelled with the service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Suspect {
    /// The workload.
    pub workload: WorkloadKey,
    /// The service that its label names.
    pub service: String,
}

impl Suspect {
    /// Every workload of a service.
    #[must_use]
    pub fn all_of(namespace: &str, service: &str) -> Self {
        let workload =
            WorkloadKey { kind: WorkloadKind::Deployment, namespace: namespace.to_owned(), name: String::new() };
        Self { workload, service: service.to_owned() }
    }
}

/// Looks at suspects one after the other, until the stream ends. A failed look comes again after a pause.
pub async fn watch_over(suspects: impl Stream<Item = Suspect>, context: Arc<Context>) {
    let mut suspects = std::pin::pin!(suspects);
    // as long as this replica follows, each once
    let first: HashSet<Suspect> = suspects.as_mut().take_until(context.leadership.begun()).collect().await;
    let mut suspects = futures::stream::iter(first).chain(suspects);
    while let Some(suspect) = suspects.next().await {
        let WorkloadKey { namespace, name, .. } = &suspect.workload;
        let subject = observability::Subject { kind: "Workload", namespace: Some(namespace), name };
        let key = format!("{suspect:?}");
        if observability::observe(subject, &context.metrics, look(&suspect, &context)).await.is_ok() {
            context.service_backoff.succeeded(&key);
            continue;
        }
        let (pause, again) = (context.service_backoff.failed(&key), context.orphans.clone());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = again.unbounded_send(suspect);
        });
    }
}

async fn look(suspect: &Suspect, context: &Context) -> Result<(), Error> {
    let WorkloadKey { kind, namespace, name } = &suspect.workload;
    // where the kind itself is not served nobody can tell
    let Some(owner) = Owner::read(namespace, &suspect.service, context).await? else { return Ok(()) };
    if !name.is_empty() {
        if let Some(object) = context.requests.workload(*kind, namespace, name, None).await? {
            release(&suspect.workload, &object, &owner, context).await?;
        }
        return Ok(());
    }
    let selector = format!("{}={}", labels::SERVICE, suspect.service);
    for kind in WorkloadKind::ALL {
        for mut object in context.requests.workloads(kind, Some(namespace), &selector, 500).await? {
            let name = object.pointer_mut("/metadata/name").map(Value::take);
            let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            let key = WorkloadKey { kind, namespace: namespace.clone(), name };
            release(&key, &object, &owner, context).await?;
        }
    }
    if owner.live.is_none() {
        hand_over_children(namespace, &owner.name, context).await?;
    }
    Ok(())
}

/// What was made beside the workloads of a service that is gone, and stays.
async fn hand_over_children(namespace: &str, service: &str, context: &Context) -> Result<(), Error> {
    for key in context.children.of(namespace, service) {
        let Some(object) = context.children.object(&key) else { continue };
        if is_applied(&object) && controller_of(&object).is_none() {
            let object = context.requests.patch_object(&key, hand_over(&object, &[])).await?;
            let _ = context.children.learn(&key, &object);
        }
    }
    Ok(())
}

/// The service that a workload's label names.
struct Owner {
    name: String,
    /// As it is now; nothing when it is gone.
    live: Option<PlatformService>,
}

impl Owner {
    /// Reads the service. Nothing when the server cannot tell whether it is there.
    async fn read(namespace: &str, service: &str, context: &Context) -> Result<Option<Self>, Error> {
        let name = service.to_owned();
        let api: Api<PlatformService> = Api::namespaced(context.requests.client(), namespace);
        if let Some(live) = context.requests.get(&api, service).await? {
            return Ok(Some(Self { name, live: Some(live) }));
        }
        // a 404 is the object's only when the kind is served: without the CRD every service would look deleted
        match context.requests.list(&api, "goldenpath.dev/none=none").await {
            Ok(_) => Ok(Some(Self { name, live: None })),
            Err(error) if error.is_status(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn names(&self, key: &WorkloadKey) -> bool {
        self.live.as_ref().is_some_and(|live| workload_keys(live).contains(key))
    }
}

async fn release(key: &WorkloadKey, object: &Value, owner: &Owner, context: &Context) -> Result<(), Error> {
    // another service that names it takes it over as it is
    if owner.names(key) || context.fleet.table().is_claimed(key) {
        return Ok(());
    }
    if label(object, labels::TEMPLATE) == Some(&owner.name) && drop_made(key, object, owner, context).await? {
        return Ok(());
    }
    let Some(path) = label(object, labels::PATH) else { return Ok(()) };
    if label(object, labels::SERVICE) != Some(&owner.name) || controller_of(object).is_some() {
        return Ok(());
    }
    let release = labels::release_revision(path);
    if label(object, labels::REVISION) == Some(release.as_str()) {
        // on its way out
        if let Some(wait) = leave(key, object, context).await?.wait {
            let (again, suspect) =
                (context.orphans.clone(), Suspect { workload: key.clone(), service: owner.name.clone() });
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                let _ = again.unbounded_send(suspect); // the receiver lives as long as the process
            });
        }
        return Ok(());
    }
    let goodbye = if label(object, labels::ON_DELETE) == Some("Undo") {
        Patch::Merge(json!({"metadata": {"labels": {labels::REVISION: release}}}))
    } else {
        Patch::Json(serde_json::from_value(removal(object, &owner.name)).map_err(|source| Error::Serialisation {
            what: format!("{} {}/{}", key.kind, key.namespace, key.name),
            source,
        })?)
    };
    context.requests.patch_workload(key.kind, &key.namespace, &key.name, &goodbye, Write::Real).await?;
    tracing::info!(kind = %key.kind, namespace = key.namespace, name = key.name, service = owner.name, "released");
    Ok(())
}

/// What a template has made goes with its entry, or is handed over to the team as it is. With the service itself it is the
/// garbage collector that deletes it. The answer is whether there is nothing more to do.
async fn drop_made(key: &WorkloadKey, object: &Value, owner: &Owner, context: &Context) -> Result<bool, Error> {
    let place = ObjectKey::workload(key.kind, &key.namespace, &key.name);
    let is_its = owner.live.as_ref().is_some_and(|live| is_owned_by(object, live));
    match &owner.live {
        Some(live) if is_left_alone(live) => return Ok(true),
        Some(live) if is_its && !is_kept(&live.spec) => {
            taken_away(&place, object, context).await?;
            return Ok(true);
        }
        _ => {}
    }
    if !is_its && (controller_of(object).is_some() || !is_applied(object)) {
        return Ok(false);
    }
    let gone = [&labels::WORKLOAD_LABELS[..], &[labels::RELEASE]].concat();
    context.requests.patch_object(&place, hand_over(object, &gone)).await?;
    tracing::info!(%place, namespace = key.namespace, service = owner.name, "handed over");
    Ok(true)
}

/// `test` + `remove`: a label that changed meanwhile stays.
fn removal(object: &Value, service: &str) -> Value {
    let pointer = |name: &str| pointer(["metadata", "labels", name]);
    let mut operations = vec![json!({"op": "test", "path": pointer(labels::SERVICE), "value": service})];
    operations.extend(our_labels(object).map(|name| json!({"op": "remove", "path": pointer(&name)})));
    operations.extend(forget(object).into_iter().flatten());
    json!(operations)
}
