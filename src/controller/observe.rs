//! Observe: everything that the plan for a service looks at.

use std::sync::Arc;

use kube::ResourceExt;
use serde_json::Value;

use super::context::{Context, Published};
use super::errors::Error;
use super::policies::{Fills, installed};
use crate::api::{PlatformService, Workload, labels};
use crate::fleet::WorkloadKey;
use crate::plan::revision::claims_first;
use crate::plan::service::{PathFacts, ServiceFacts, WorkloadFacts, label};

/// The keys of the workloads that a service names.
pub fn workload_keys(service: &PlatformService) -> Vec<WorkloadKey> {
    let namespace = service.namespace().unwrap_or_default();
    let key = |w: &Workload| WorkloadKey {
        kind: w.reference.kind,
        namespace: namespace.clone(),
        name: w.reference.name.clone(),
    };
    service.spec.workloads.iter().map(key).collect()
}

/// Reads what a pass over `service` needs: from the fleet, where it has been seen.
pub async fn observe(service: Arc<PlatformService>, context: &Context) -> Result<ServiceFacts, Error> {
    let namespace = service.namespace().unwrap_or_default();
    let object = context.fleet.table().namespace(&namespace).ok_or(Error::NamespaceNotSeen(namespace))?;
    let path = path_of(&service, context)?;
    let mut workloads = Vec::with_capacity(service.spec.workloads.len());
    for (workload, key) in service.spec.workloads.iter().zip(workload_keys(&service)) {
        let object = workload_of(&key, context).await?.map(trimmed);
        workloads.push(WorkloadFacts {
            made_up_path: match &object {
                Some(object) => has_made_up_path(object, &path, context).await?,
                None => false,
            },
            workload: workload.clone(),
            object,
            claimed_by: older_claim(&service, &key, context),
        });
    }
    Ok(ServiceFacts {
        service,
        namespace: object,
        operator_namespace: context.operator.namespace.clone(),
        path,
        workloads,
    })
}

/// A workload as the fleet has seen it last. One that nobody named before is not kept: it is read once.
async fn workload_of(key: &WorkloadKey, context: &Context) -> Result<Option<Value>, Error> {
    let (seen, known) = {
        let table = context.fleet.table();
        (table.object(key), table.knows(key))
    };
    if seen.is_some() || (!known && context.fleet.has_listed(key.kind)) {
        return Ok(seen);
    }
    let read = context.requests.workload(key.kind, &key.namespace, &key.name).await?;
    if let Some(object) = &read {
        context.fleet.learn(key, object);
    }
    Ok(read)
}

/// Whether a workload's label names a path, other than the service's, that has no policies on the API server: its
/// release policy would be waited for for ever. A path that was deleted keeps its policies until the last workload left.
async fn has_made_up_path(object: &Value, path: &PathFacts, context: &Context) -> Result<bool, Error> {
    let (PathFacts::Ready(target), Some(named)) = (path, label(object, labels::PATH)) else { return Ok(false) };
    Ok(named != target.path && installed::<Fills>(named, context).await?.policies.is_empty())
}

/// Nothing looks at a workload's `status.conditions`; the rest of it is needed.
fn trimmed(mut object: Value) -> Value {
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("conditions");
    }
    object
}

fn path_of(service: &PlatformService, context: &Context) -> Result<PathFacts, Error> {
    let paths = context.paths.state();
    let readable = || paths.iter().filter_map(|p| p.0.as_ref().ok());
    let name = if let Some(reference) = &service.spec.golden_path_ref {
        reference.name.clone()
    } else {
        let kind = service.spec.workloads.first().map(|w| w.reference.kind).unwrap_or_default();
        let claiming = readable().filter(|p| p.spec.default_for.contains(&kind));
        let oldest = claiming.reduce(|a, b| if claims_first(&b.metadata, &a.metadata) { b } else { a });
        let Some(oldest) = oldest else { return Ok(PathFacts::NoDefault(kind)) };
        oldest.name_any()
    };
    if !paths.iter().any(|p| p.meta_name() == name) {
        return Ok(PathFacts::NotFound(name));
    }
    match context.roads.get(&name) {
        Some(Published::Ready(revision)) => Ok(PathFacts::Ready(revision)),
        Some(Published::NotReady(why)) => Ok(PathFacts::NotReady(name, why)),
        None => Err(Error::PathNotRead(name)),
    }
}

/// The name of a guarded object, readable or not.
trait MetaName {
    fn meta_name(&self) -> String;
}

impl<K: kube::Resource> MetaName for kube::core::DeserializeGuard<K> {
    fn meta_name(&self) -> String {
        match &self.0 {
            Ok(object) => object.meta().name.clone().unwrap_or_default(),
            Err(error) => error.metadata.name.clone().unwrap_or_default(),
        }
    }
}

fn older_claim(service: &PlatformService, key: &WorkloadKey, context: &Context) -> Option<String> {
    let mine = service.name_any();
    context.fleet.table().claiming(key).into_iter().filter(|name| *name != mine).find(|name| {
        let reference = kube::runtime::reflector::ObjectRef::new(name).within(&key.namespace);
        let other = context.services.get(&reference);
        let other = other.as_ref().and_then(|o| o.0.as_ref().ok());
        other
            .is_some_and(|other| workload_keys(other).contains(key) && claims_first(&other.metadata, &service.metadata))
    })
}
