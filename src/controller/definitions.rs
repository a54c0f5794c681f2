//! Waits until the API server is one that this program was built for, with the definitions that it was built with.

use std::time::Duration;

use http::Request;
use kube::{Client, Resource};

use super::api_server::ApiServer;
use super::requests::DEADLINE;
use crate::api::{GoldenPath, crds};
use crate::observability::Gate;
use crate::plan::api_server::too_old;
use crate::plan::definitions::{Needed, Served, wrong};

/// Pause between two looks. The API server shows a definition a second or two after it was applied.
const PAUSE: Duration = Duration::from_secs(1);

/// Resolves when the API server is new enough; until then the gate says what it is. Its chart does not begin there, but manifests
/// that were rendered elsewhere do.
pub async fn wait_for_version(api_server: &ApiServer, gate: &Gate) {
    loop {
        match api_server.version().await {
            Ok(version) => match version.as_ref().and_then(too_old) {
                None => return,
                Some(wrong) => gate.set_not_ready(wrong),
            },
            Err(why) => gate.set_not_ready(format!("the API server does not say its version: {why}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Resolves when they are there; until then the gate says what is not. An API server that shows nobody its definitions, or not to
/// us, is believed to have them: the watches say the rest.
pub async fn wait_for_definitions(client: &Client, gate: &Gate) {
    let needed = needed();
    loop {
        match tokio::time::timeout(DEADLINE, served(client)).await {
            Ok(Ok(served)) => match wrong(&needed, &served) {
                None => break,
                Some(wrong) => gate.set_not_ready(wrong),
            },
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                tracing::warn!(
                    error = status.message,
                    "the definitions cannot be looked at; they are taken for current"
                );
                break;
            }
            Ok(Err(error)) => gate.set_not_ready(format!("the API server does not show its definitions: {error}")),
            Err(_) => gate.set_not_ready("the API server does not answer"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    gate.set_ready();
}

async fn served(client: &Client) -> Result<Served, kube::Error> {
    let path = format!("/openapi/v3/apis/{}/{}", GoldenPath::group(&()), GoldenPath::version(&()));
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request(request).await {
        // no definition of the group at all
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Served::default()),
        other => other,
    }
}

/// What the types of this program need.
fn needed() -> Vec<Needed> {
    let kinds = crds::all().into_iter().filter_map(|crd| {
        let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        Needed::new(&crd.spec.names.kind, serde_json::to_value(schema).ok()?).ok()
    });
    kinds.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_needed() {
        let kinds: Vec<String> = needed().into_iter().map(|needed| needed.kind).collect();
        assert_eq!(kinds, ["Deprecation", "GoldenPath", "PlatformService"]);
    }
}
