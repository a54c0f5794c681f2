//! When an installation can be used.

use std::time::Duration;

use anyhow::{Context, Result};
use goldenpath::api::crds::all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition;
use kube::{Api, ResourceExt};

use crate::control_plane::ControlPlane;
use crate::wait;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until every kind of the definitions is established and served.
///
/// # Errors
/// When the API server does not serve one in time.
pub async fn crds_served(control_plane: &ControlPlane) -> Result<()> {
    let client = control_plane.client().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in all() {
        let name = crd.name_any();
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource(&crd)?);
        wait::until(&format!("{name} to be served"), TIMEOUT, async || {
            let found = definitions.get_opt(&name).await?;
            if !is_crd_established().matches_object(found.as_ref()) {
                return Ok(None);
            }
            // The condition is set before the server that carries it out has seen it.
            objects.list(&ListParams::default().limit(1)).await?;
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

fn resource(crd: &CustomResourceDefinition) -> Result<ApiResource> {
    let version = crd.spec.versions.first().context("a definition without versions")?;
    let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &crd.spec.names.kind);
    Ok(ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural))
}
