//! Write status: only when it differs in meaning.

use k8s_openapi::jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::context::Context;
use super::errors::Error;
use super::slim::folded;
use crate::api::{
    ConditionType, Deprecation, DeprecationStatus, GoldenPath, GoldenPathStatus, PlatformService,
    PlatformServiceStatus, Reason,
};
use crate::status::{Finding, merge};

/// Writes a service's status, unless the same is there already.
pub async fn write_service(
    service: &PlatformService,
    status: PlatformServiceStatus,
    context: &Context,
) -> Result<bool, Error> {
    let kept = folded(status.clone());
    if service.status.as_ref() == Some(&kept) {
        return Ok(false);
    }
    let api: Api<PlatformService> =
        Api::namespaced(context.requests.client(), service.namespace().as_deref().unwrap_or_default());
    let answer = write(&api, &service.name_any(), &status, context).await?;
    let uid = service.uid().unwrap_or_default();
    context.written.keep(&uid, answer.resource_version().as_deref().unwrap_or_default(), kept);
    Ok(true)
}

/// Writes a path's status, unless the same is there already.
pub async fn write_path(path: &GoldenPath, status: &GoldenPathStatus, context: &Context) -> Result<bool, Error> {
    if path.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let api: Api<GoldenPath> = Api::all(context.requests.client());
    // adoption has a writer of its own, and what is left out of an apply stays
    let status = GoldenPathStatus { adoption: None, ..status.clone() };
    write(&api, &path.name_any(), &status, context).await?;
    Ok(true)
}

/// Writes a Deprecation's status, unless the same is there already.
pub async fn write_deprecation(
    deprecation: &Deprecation,
    status: DeprecationStatus,
    context: &Context,
) -> Result<bool, Error> {
    if deprecation.status.as_ref() == Some(&status) {
        return Ok(false);
    }
    let api: Api<Deprecation> = Api::all(context.requests.client());
    let answer = write(&api, &deprecation.name_any(), &status, context).await?;
    let uid = deprecation.uid().unwrap_or_default();
    context.deprecations.written.keep(&uid, answer.resource_version().as_deref().unwrap_or_default(), status);
    Ok(true)
}

/// Says on an object of ours that it cannot be read.
///
/// By a merge patch: for a server-side apply the server itself would have to read the object by its schema, and an entry
/// of `workloads` without a name, stored before names were required, makes it answer 500 for ever.
pub async fn say_undecodable<K>(invalid: &InvalidObject, context: &Context) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let metadata = &invalid.metadata;
    let text = format!("the stored object cannot be read: {}; apply it anew", invalid.error);
    let finding = Finding::bad(ConditionType::Ready, Reason::Undecodable, text);
    // a fixed time, so that the same answer is the same status
    let since = metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |created| created.0);
    let conditions = merge(&[], &[finding], metadata.generation, since);
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(context.requests.client(), namespace, &kind),
        None => Api::all_with(context.requests.client(), &kind),
    };
    let status = json!({"status": {"conditions": conditions}});
    context.requests.merge_status(&api, metadata.name.as_deref().unwrap_or_default(), &status).await.map(drop)
}

async fn write<K, S>(api: &Api<K>, name: &str, status: &S, context: &Context) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize,
{
    let object = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    context.requests.apply_status(api, name, &object).await
}
