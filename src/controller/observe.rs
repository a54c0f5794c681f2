//! Observe: everything that the plan for a service looks at.

use std::sync::Arc;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::context::{Context, Published};
use super::errors::Error;
use super::policies::{Fills, installed};
use super::revisions::kept;
use crate::api::{PlatformService, Workload, WorkloadRef, labels};
use crate::fleet::WorkloadKey;
use crate::plan::applied::replicas_matter;
use crate::plan::exceptions::{Claimant, Exceptions, exceptions};
use crate::plan::making::MadeFacts;
use crate::plan::metadata::label;
use crate::plan::revision::{Revision, claims_first};
use crate::plan::route::{Detour, Engine, Route, pin};
use crate::plan::service::{PathFacts, ServiceFacts, WorkloadFacts};
use crate::plan::switch::leaves;
use crate::plan::template::{ObjectKey, build};

/// The keys of the workloads that a service names.
pub fn workload_keys(service: &PlatformService) -> Vec<WorkloadKey> {
    let (namespace, service_name) = (service.namespace().unwrap_or_default(), service.name_any());
    let key = |w: &Workload| {
        let WorkloadRef { kind, name, .. } = w.target(&service_name);
        WorkloadKey { kind, namespace: namespace.clone(), name }
    };
    service.spec.workloads.iter().map(key).collect()
}

/// Reads what a pass over `service` needs: from the fleet, where it has been seen.
pub async fn observe(service: Arc<PlatformService>, now: Timestamp, context: &Context) -> Result<ServiceFacts, Error> {
    let namespace = service.namespace().unwrap_or_default();
    let object = context.fleet.table().namespace(&namespace).ok_or(Error::NamespaceNotSeen(namespace))?;
    let path = path_of(&service, &object, now, context)?;
    let keys = workload_keys(&service);
    if let Some(key) = keys.iter().find(|key| context.fleet.is_listing(key.kind)) {
        return Err(Error::WorkloadsNotListed(key.kind));
    }
    let exceptions = match &path {
        PathFacts::Ready(Route { revision, terms, .. }) => {
            exceptions(Claimant { service: &service, namespace: &object, revision, terms }, now)
        }
        _ => Exceptions::default(),
    };
    let mut workloads = Vec::with_capacity(service.spec.workloads.len());
    for (workload, key) in service.spec.workloads.iter().zip(keys) {
        let object = workload_of(&key, context).await?.map(trimmed);
        workloads.push(WorkloadFacts {
            made_up_path: match &object {
                Some(object) => has_made_up_path(object, &path, context).await?,
                None => false,
            },
            workload: workload.clone(),
            target: workload.target(&service.name_any()),
            made: made(&service, workload, object.as_ref(), context).await?,
            left: object.as_ref().and_then(|object| left(object, &path, context)),
            object,
            claimed_by: older_claim(&service, &key, context),
        });
    }
    Ok(ServiceFacts {
        service,
        namespace: object,
        operator_namespace: context.operator.namespace.clone(),
        path,
        exceptions,
        workloads,
    })
}

/// What is known about making a workload of its template.
async fn made(
    service: &PlatformService,
    workload: &Workload,
    live: Option<&Value>,
    context: &Context,
) -> Result<Option<MadeFacts>, Error> {
    let Some(template) = workload.template.as_ref().filter(|_| workload.reference.is_none()) else { return Ok(None) };
    let built = build(service, workload, template);
    let wanted = built.as_ref().ok().and_then(|built| built.service.as_ref());
    let beside = match wanted {
        Some(wanted) if context.children.has_templates() => context.children.object(&wanted.key),
        Some(wanted) => context.requests.object(&wanted.key).await?,
        None => None,
    };
    let autoscaled = match (&built, live) {
        (Ok(built), Some(live)) if replicas_matter(&built.workload, live) => {
            is_autoscaled(&built.workload.key, context).await?
        }
        _ => false,
    };
    Ok(Some(MadeFacts { built, service: beside, autoscaled }))
}

/// Whether an autoscaler of the namespace scales an object.
async fn is_autoscaled(key: &ObjectKey, context: &Context) -> Result<bool, Error> {
    let api: Api<HorizontalPodAutoscaler> = Api::namespaced(context.requests.client(), &key.namespace);
    let all = context.requests.list(&api, "").await?;
    let targets = all.iter().map(|autoscaler| &autoscaler.spec.scale_target_ref);
    Ok(targets.into_iter().any(|target| target.kind == key.kind && target.name == key.name))
}

/// A workload as the fleet has seen it last. One that nobody named before is not kept: it is read once.
async fn workload_of(key: &WorkloadKey, context: &Context) -> Result<Option<Value>, Error> {
    let (seen, version) = {
        let table = context.fleet.table();
        (table.object(key), table.version(key))
    };
    if seen.is_some() || (version.is_none() && context.fleet.has_listed(key.kind)) {
        return Ok(seen);
    }
    let read = context.requests.workload(key.kind, &key.namespace, &key.name, version).await?;
    if let Some(object) = &read {
        context.fleet.learn(key, object);
    }
    Ok(read)
}

/// Whether a workload's label names a path, other than the service's, that nothing is kept of on the API server: its
/// release policy would be waited for for ever. A path that was deleted keeps its policies until the last workload left.
async fn has_made_up_path(object: &Value, path: &PathFacts, context: &Context) -> Result<bool, Error> {
    let (PathFacts::Ready(route), Some(named)) = (path, label(object, labels::PATH)) else { return Ok(false) };
    if named == route.revision.path {
        return Ok(false);
    }
    Ok(match route.engine {
        Engine::Policies => installed::<Fills>(named, context).await?.policies.is_empty(),
        Engine::Fallback => kept(named, context).await?.all().next().is_none(),
    })
}

/// What the path has filled that a workload leaves for another one, where both can be had in one rollout: the operator that
/// fills by itself takes two.
fn left(object: &Value, path: &PathFacts, context: &Context) -> Option<Arc<Revision>> {
    let PathFacts::Ready(Route { engine: Engine::Policies, revision, .. }) = path else { return None };
    match context.roads.get(leaves(object, &revision.path)?)? {
        Published::Ready(in_force) => Some(in_force.current.clone()),
        Published::NotReady(_) => None,
    }
}

/// Of a workload's `status.conditions` only `Progressing` and `Available` are looked at.
fn trimmed(mut object: Value) -> Value {
    if let Some(conditions) = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition["type"] == "Progressing" || condition["type"] == "Available");
    }
    object
}

fn path_of(
    service: &PlatformService,
    namespace: &Value,
    now: Timestamp,
    context: &Context,
) -> Result<PathFacts, Error> {
    // before the first list every path would look deleted, and what follows it would be released
    if !context.listed.paths.initialized() {
        return Err(Error::PathNotRead("the first".to_owned()));
    }
    let paths = context.paths.state();
    let readable = || paths.iter().filter_map(|p| p.0.as_ref().ok());
    let name = if let Some(reference) = &service.spec.golden_path_ref {
        reference.name.clone()
    } else {
        let kind = service.spec.workloads.first().map(|w| w.target("").kind).unwrap_or_default();
        let claiming = readable().filter(|p| p.spec.default_for.contains(&kind));
        let oldest = claiming.reduce(|a, b| if claims_first(&b.metadata, &a.metadata) { b } else { a });
        let Some(oldest) = oldest else { return Ok(PathFacts::NoDefault(kind)) };
        oldest.name_any()
    };
    let Some(path) = paths.iter().find(|p| p.name_any() == name) else { return Ok(PathFacts::NotFound(name)) };
    let orders = path.0.as_ref().ok().and_then(|path| path.spec.rollout.as_ref());
    match context.roads.get(&name) {
        Some(Published::Ready(in_force)) => Ok(match Route::of(&in_force.obeying(orders), service, namespace, now) {
            Ok(route) => PathFacts::Ready(route),
            Err(detour) => {
                let version = pin(service).unwrap_or_default().to_owned();
                if detour == Detour::NotKept {
                    return Ok(PathFacts::VersionNotFound(name, version, in_force.versions.clone()));
                }
                // the receiver lives as long as the process
                let _ = context.wake_path.unbounded_send(ObjectRef::new(&name));
                PathFacts::NotReady(name, format!("version {version} is being put in force"))
            }
        }),
        Some(Published::NotReady(why)) => Ok(PathFacts::NotReady(name, why)),
        None => Err(Error::PathNotRead(name)),
    }
}

fn older_claim(service: &PlatformService, key: &WorkloadKey, context: &Context) -> Option<String> {
    let mine = service.name_any();
    context.fleet.table().claiming(key).into_iter().filter(|name| *name != mine).find(|name| {
        let reference = ObjectRef::new(name).within(&key.namespace);
        let other = context.services.get(&reference);
        let other = other.as_ref().and_then(|o| o.0.as_ref().ok());
        other
            .is_some_and(|other| workload_keys(other).contains(key) && claims_first(&other.metadata, &service.metadata))
    })
}
