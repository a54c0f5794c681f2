//! Write status: only when it differs in meaning.

use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::context::Context;
use super::errors::Error;
use crate::api::{GoldenPath, GoldenPathStatus, PlatformService, PlatformServiceStatus};

/// Writes a service's status, unless the same is there already.
pub async fn write_service(service: &PlatformService, status: PlatformServiceStatus, context: &Context) -> Result<bool, Error> {
    if service.status.as_ref() == Some(&status) {
        return Ok(false);
    }
    let api: Api<PlatformService> =
        Api::namespaced(context.requests.client(), service.namespace().as_deref().unwrap_or_default());
    let answer = write(&api, &service.name_any(), &status, context).await?;
    let uid = service.uid().unwrap_or_default();
    context.written.keep(&uid, answer.resource_version().as_deref().unwrap_or_default(), status);
    Ok(true)
}

/// Writes a path's status, unless the same is there already.
pub async fn write_path(path: &GoldenPath, status: &GoldenPathStatus, context: &Context) -> Result<bool, Error> {
    if path.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let api: Api<GoldenPath> = Api::all(context.requests.client());
    write(&api, &path.name_any(), status, context).await?;
    Ok(true)
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
