//! The ways in which teams write workloads, as raw requests: the twin request must differ in nothing but the user.

use anyhow::Result;
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::road;
use http::{Method, Request};
use kube::Client;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::strategic;

/// Requests of this process.
pub static SENT: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Apply,
    Strategic,
    Merge,
    Json,
    Put,
}

/// A request on one workload.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: Verb,
    pub manager: &'static str,
    pub body: Value,
}

/// Where a workload lies.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: WorkloadKind,
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Team,
    /// The user that no policy acts on, save on CREATE and `fill`.
    Operator,
}

/// What the API server says.
#[derive(Clone, Debug)]
pub enum Answer {
    Accepted(Value),
    Refused(String),
}

impl Answer {
    pub fn accepted(&self) -> Option<&Value> {
        match self {
            Self::Accepted(object) => Some(object),
            Self::Refused(_) => None,
        }
    }
}

/// The workload as it is now.
pub async fn read(client: &Client, target: &Target) -> Result<Value> {
    let Target { kind, namespace, name } = target;
    let uri = format!("/apis/{}/namespaces/{namespace}/{}/{name}", kind.api_version(), kind.plural());
    Ok(client.request(Request::get(uri).body(Vec::new())?).await?)
}

pub async fn send(client: &Client, target: &Target, call: &Call, who: Who, dry: bool) -> Result<Answer> {
    let (method, content) = match call.verb {
        Verb::Create => (Method::POST, "application/json"),
        Verb::Put => (Method::PUT, "application/json"),
        Verb::Apply => (Method::PATCH, "application/apply-patch+yaml"),
        Verb::Strategic => (Method::PATCH, "application/strategic-merge-patch+json"),
        Verb::Json => (Method::PATCH, "application/json-patch+json"),
        Verb::Merge => (Method::PATCH, "application/merge-patch+json"),
    };
    let name = if call.verb == Verb::Create { String::new() } else { format!("/{}", target.name) };
    let dry = if dry { "&dryRun=All" } else { "" };
    let uri = format!(
        "/apis/{}/namespaces/{}/{}{name}?fieldManager={}{dry}",
        target.kind.api_version(),
        target.namespace,
        target.kind.plural(),
        call.manager
    );
    let mut request = Request::builder().method(method).uri(uri).header("content-type", content);
    if who == Who::Operator {
        request =
            request.header("impersonate-user", road::operator().username).header("impersonate-group", "system:masters");
    }
    SENT.fetch_add(1, Ordering::Relaxed);
    match client.request::<Value>(request.body(serde_json::to_vec(&call.body)?)?).await {
        Ok(object) => Ok(Answer::Accepted(object)),
        Err(kube::Error::Api(status)) => Ok(Answer::Refused(format!("{} {}", status.code, status.message))),
        Err(error) => Err(error.into()),
    }
}

/// What `kubectl edit` sends, or a controller.
pub fn by_hand_or_update(by_hand: bool, live: &Value, mut changed: Value) -> Call {
    if by_hand {
        let body = strategic::patch(live, &changed, live);
        return Call { verb: Verb::Strategic, manager: "kubectl-edit", body };
    }
    let metadata = changed["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("managedFields");
    Call { verb: Verb::Put, manager: "team", body: changed }
}
