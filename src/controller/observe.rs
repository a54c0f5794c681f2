//! Observe: everything that the plan for a service looks at.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::context::{Context, Published, WorkloadKey};
use super::errors::Error;
use crate::api::{PlatformService, Workload};
use crate::plan::revision::claims_first;
use crate::plan::service::{PathFacts, ServiceFacts, WorkloadFacts};

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

/// Reads what a pass over `service` needs.
pub async fn observe(service: Arc<PlatformService>, context: &Context) -> Result<ServiceFacts, Error> {
    let namespace = service.namespace().unwrap_or_default();
    let api: Api<Namespace> = Api::all(context.requests.client());
    let object = context.requests.get(&api, &namespace).await?;
    let object = serde_json::to_value(object).map_err(|source| Error::Serialisation { what: "namespace".into(), source })?;
    let path = path_of(&service, context)?;
    let mut workloads = Vec::with_capacity(service.spec.workloads.len());
    for (workload, key) in service.spec.workloads.iter().zip(workload_keys(&service)) {
        workloads.push(WorkloadFacts {
            workload: workload.clone(),
            object: context.requests.workload(key.kind, &key.namespace, &key.name).await?.map(trimmed),
            claimed_by: older_claim(&service, &key, context),
        });
    }
    Ok(ServiceFacts { service, namespace: object, operator_namespace: context.operator.namespace.clone(), path, workloads })
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
    context.claims.of(key).into_iter().filter(|name| *name != mine).find(|name| {
        let reference = kube::runtime::reflector::ObjectRef::new(name).within(&key.namespace);
        let other = context.services.get(&reference);
        let other = other.as_ref().and_then(|o| o.0.as_ref().ok());
        other.is_some_and(|other| {
            workload_keys(other).contains(key) && claims_first(&other.metadata, &service.metadata)
        })
    })
}
