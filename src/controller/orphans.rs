//! Workloads that carry our labels and whose service is gone, or does not name them any more.
//!
//! No finalizer: a dead operator must not block the deletion of a namespace.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Api;
use kube::api::Patch;
use serde_json::{Value, json};

use super::context::Context;
use super::errors::Error;
use super::observe::workload_keys;
use super::requests::Write;
use crate::api::{PlatformService, WorkloadKind, labels};
use crate::fleet::WorkloadKey;
use crate::observability;
use crate::plan::service::{controller_of, label, our_labels};

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
    let Some(named) = named_workloads(namespace, &suspect.service, context).await? else { return Ok(()) };
    if !name.is_empty() {
        if let Some(object) = context.requests.workload(*kind, namespace, name).await? {
            release(&suspect.workload, &object, &suspect.service, &named, context).await?;
        }
        return Ok(());
    }
    let selector = format!("{}={}", labels::SERVICE, suspect.service);
    for kind in WorkloadKind::ALL {
        for mut object in context.requests.workloads(kind, Some(namespace), &selector, 500).await? {
            let name = object.pointer_mut("/metadata/name").map(Value::take);
            let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            let key = WorkloadKey { kind, namespace: namespace.clone(), name };
            release(&key, &object, &suspect.service, &named, context).await?;
        }
    }
    Ok(())
}

/// The workloads that the live service names: none when it is gone. Nothing when the server cannot tell.
async fn named_workloads(
    namespace: &str,
    service: &str,
    context: &Context,
) -> Result<Option<BTreeSet<WorkloadKey>>, Error> {
    let api: Api<PlatformService> = Api::namespaced(context.requests.client(), namespace);
    match context.requests.get(&api, service).await {
        Ok(Some(live)) => Ok(Some(workload_keys(&live).into_iter().collect())),
        // a 404 is the object's only when the kind is served: without the CRD every service would look deleted
        Ok(None) => {
            let all: Api<PlatformService> = Api::namespaced(context.requests.client(), namespace);
            match context.requests.list(&all, "goldenpath.dev/none=none").await {
                Ok(_) => Ok(Some(BTreeSet::new())),
                Err(error) if error.is_status(404) => Ok(None),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

async fn release(
    key: &WorkloadKey,
    object: &Value,
    service: &str,
    named: &BTreeSet<WorkloadKey>,
    context: &Context,
) -> Result<(), Error> {
    // another service that names it takes it over as it is
    if label(object, labels::SERVICE) != Some(service) || named.contains(key) || context.fleet.table().is_claimed(key) {
        return Ok(());
    }
    if controller_of(object).is_some() {
        return Ok(());
    }
    let Some(path) = label(object, labels::PATH) else { return Ok(()) };
    let release = labels::release_revision(path);
    if label(object, labels::REVISION) == Some(release.as_str()) {
        return Ok(()); // on its way out
    }
    let goodbye = if label(object, labels::ON_DELETE) == Some("Undo") {
        Patch::Merge(json!({"metadata": {"labels": {labels::REVISION: release}}}))
    } else {
        Patch::Json(serde_json::from_value(removal(object, service)).map_err(|source| Error::Serialisation {
            what: format!("{} {}/{}", key.kind, key.namespace, key.name),
            source,
        })?)
    };
    context.requests.patch_workload(key.kind, &key.namespace, &key.name, &goodbye, Write::Real).await?;
    tracing::info!(kind = %key.kind, namespace = key.namespace, name = key.name, service, "released");
    Ok(())
}

/// `test` + `remove`: a label that changed meanwhile stays.
fn removal(object: &Value, service: &str) -> Value {
    let pointer = |name: &str| format!("/metadata/labels/{}", name.replace('/', "~1"));
    let mut operations = vec![json!({"op": "test", "path": pointer(labels::SERVICE), "value": service})];
    operations.extend(our_labels(object).map(|name| json!({"op": "remove", "path": pointer(&name)})));
    json!(operations)
}
