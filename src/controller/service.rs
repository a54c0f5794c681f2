//! The driver of PlatformServices: observe, plan, apply, write status.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use serde_json::json;

use super::apply::apply;
use super::context::{Context, GuardedService};
use super::errors::Error;
use super::events::publish;
use super::observe::{observe, workload_keys};
use super::orphans::Suspect;
use super::write_status::write_service;
use crate::api::{ConditionType, PlatformService, Reason};
use crate::observability;
use crate::plan::service::plan;
use crate::status::service::service_status;
use crate::status::{Finding, merge};

/// One pass over a service.
pub async fn reconcile(guarded: Arc<GuardedService>, context: Arc<Context>) -> Result<Action, Error> {
    let meta = kube::Resource::meta(&*guarded);
    let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let subject = observability::Subject { kind: "PlatformService", namespace: Some(&namespace), name: &name };
    observability::observe(subject, &context.metrics, pass(&guarded, &context)).await?;
    context.service_backoff.succeeded(&format!("{namespace}/{name}"));
    Ok(Action::await_change())
}

async fn pass(guarded: &GuardedService, context: &Context) -> Result<(), Error> {
    let service = match &guarded.0 {
        Ok(service) => current(service, context),
        Err(invalid) => return say_undecodable(invalid, context).await,
    };
    claim(&service, context);
    let facts = match observe(service.clone(), context).await {
        // after a start the path's own pass comes first, and wakes every service
        Err(Error::PathNotRead(_)) => return Ok(()),
        observed => observed?,
    };
    let outcomes = apply(&facts, plan(&facts), context).await?;
    let status = service_status(&facts, &outcomes, Timestamp::now());
    let conditions = status.conditions.clone();
    if write_service(&service, status, context).await? {
        let before = service.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        publish(&*service, before, &conditions, context).await;
    }
    Ok(())
}

/// The service with the newest status that is known, which may not have come back through the watch yet.
fn current(service: &PlatformService, context: &Context) -> Arc<PlatformService> {
    let mut service = service.clone();
    let (uid, version) = (service.uid().unwrap_or_default(), service.resource_version().unwrap_or_default());
    if let Some(status) = context.written.newer_than(&uid, &version) {
        service.status = Some(status);
    }
    Arc::new(service)
}

/// Registers the workloads that the service names, and hands over those that it does not name any more.
fn claim(service: &PlatformService, context: &Context) {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    context.claim(&namespace, &name, workload_keys(service));
    let observed = service.status.as_ref().and_then(|s| s.observed_generation);
    if observed != service.metadata.generation {
        let _ = context.orphans.unbounded_send(Suspect::all_of(&namespace, &name));
    }
}

async fn say_undecodable(invalid: &kube::core::error_boundary::InvalidObject, context: &Context) -> Result<(), Error> {
    let (namespace, name) = (invalid.metadata.namespace.clone().unwrap_or_default(), invalid.metadata.name.clone().unwrap_or_default());
    let text = format!("the stored object cannot be read: {}; apply it anew", invalid.error);
    let finding = Finding::bad(ConditionType::Ready, Reason::Undecodable, text);
    let conditions = merge(&[], &[finding], invalid.metadata.generation, Timestamp::UNIX_EPOCH);
    let api: kube::Api<kube::core::DynamicObject> =
        kube::Api::namespaced_with(context.requests.client(), &namespace, &kube::core::ApiResource::erase::<PlatformService>(&()));
    let object = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": name}, "status": {"conditions": conditions},
    });
    context.requests.apply_status(&api, &name, &object).await.map(|_| ())
}

/// The pause after a failed pass.
pub fn failed(guarded: &GuardedService, context: &Context) -> Action {
    let meta = kube::Resource::meta(guarded);
    let key = format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    Action::requeue(context.service_backoff.failed(&key))
}
