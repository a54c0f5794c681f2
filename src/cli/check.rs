//! `goldenpath check`: whether an installation works, for `helm test` and for people.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep};

use super::deadline::{Failure, within};
use crate::api::{ConditionType, GoldenPath};
use crate::plan::lease::{NAME, RENEW_EVERY, holder};

/// For how long an installation may take to have a leader, and as long again to look at its paths: it may be a moment old.
const PATIENCE: Duration = Duration::from_secs(30);
/// Deadline of one request.
const DEADLINE: Duration = Duration::from_secs(5);

/// What does not work.
#[derive(thiserror::Error, Debug)]
pub enum CheckError {
    /// No configuration to reach a cluster with.
    #[error("no cluster: set KUBECONFIG, or run in a pod")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The API server refuses a request, or does not answer.
    #[error("{what}")]
    ApiServer {
        /// What was tried.
        what: String,
        /// The answer.
        #[source]
        source: Failure,
    },
    /// The Lease is not renewed.
    #[error("no operator leads: nobody has renewed Lease {lease} for {} s; do its pods run, and what do they log?", PATIENCE.as_secs())]
    NobodyLeads {
        /// Its namespace and name.
        lease: String,
    },
    /// Paths without a word of the operator.
    #[error("{leader} leads, and has not looked at GoldenPath {names} for {} s; its log says why", PATIENCE.as_secs())]
    Unseen {
        /// Who leads.
        leader: String,
        /// The paths.
        names: String,
    },
}

/// Looks until somebody leads and every path has been looked at, and says what it sees.
///
/// A path that is not Ready is said, and no failure: it is somebody's to mend, and no installation is broken by it.
pub async fn check(namespace: &str) -> Result<(), CheckError> {
    let config = kube::Config::infer().await.map_err(CheckError::NoCluster)?;
    let client = Client::try_from(config).map_err(|error| failed("reach the API server", Box::new(error).into()))?;
    // each from its own beginning: paths are looked at by whoever has begun to lead
    let leader = leader(&Api::namespaced(client.clone(), namespace), namespace, Instant::now() + PATIENCE).await?;
    println!("{leader} leads");
    for (name, said) in paths(&Api::all(client), &leader, Instant::now() + PATIENCE).await? {
        println!("GoldenPath {name}: {said}");
    }
    Ok(())
}

/// Who renews the Lease while we look: the times in it are of another machine's clock.
async fn leader(api: &Api<Lease>, namespace: &str, end: Instant) -> Result<String, CheckError> {
    let what = format!("get Lease {namespace}/{NAME}");
    let mut first = None;
    loop {
        let lease = asked(&what, api.get_opt(NAME)).await?.and_then(|lease| lease.spec).unwrap_or_default();
        if let Some(who) = holder(&lease) {
            if first.get_or_insert_with(|| lease.clone()) != &lease {
                return Ok(who.to_owned());
            }
        } else {
            first = None;
        }
        if Instant::now() > end {
            return Err(CheckError::NobodyLeads { lease: format!("{namespace}/{NAME}") });
        }
        sleep(RENEW_EVERY / 4).await;
    }
}

/// What the operator says of each path, once it has looked at all as they are.
async fn paths(api: &Api<GoldenPath>, leader: &str, end: Instant) -> Result<Vec<(String, String)>, CheckError> {
    loop {
        let paths = asked("list GoldenPaths", api.list(&ListParams::default())).await?;
        let said: Vec<_> = paths.iter().map(|path| (path.name_any(), ready(path))).collect();
        let unseen: Vec<String> =
            said.iter().filter(|(_, said)| said.is_none()).map(|(name, _)| name.clone()).collect();
        if unseen.is_empty() {
            return Ok(said.into_iter().filter_map(|(name, said)| Some((name, said?))).collect());
        }
        if Instant::now() > end {
            return Err(CheckError::Unseen { leader: leader.to_owned(), names: unseen.join(", ") });
        }
        sleep(RENEW_EVERY / 4).await;
    }
}

/// Its condition Ready, if that is about the path as it is.
fn ready(path: &GoldenPath) -> Option<String> {
    let conditions = &path.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.to_string())?;
    let is_current = ready.observed_generation == path.metadata.generation;
    let said = if ready.status == "True" {
        "Ready".to_owned()
    } else {
        format!("not Ready, {}: {}", ready.reason, ready.message)
    };
    is_current.then_some(said)
}

async fn asked<T>(what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, CheckError> {
    within(DEADLINE, request).await.map_err(|source| failed(what, source))
}

fn failed(what: &str, source: Failure) -> CheckError {
    CheckError::ApiServer { what: what.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(generation: i64, condition: &serde_json::Value) -> Option<String> {
        let path = json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath",
            "metadata": {"name": "web", "generation": generation}, "spec": {"defaults": []},
            "status": {"conditions": [condition]},
        });
        ready(&serde_json::from_value(path).unwrap())
    }

    #[test]
    fn a_condition_of_an_older_generation_says_nothing() {
        let condition = |status: &str| {
            json!({
                "type": "Ready", "status": status, "reason": "Why", "message": "what to do", "observedGeneration": 2,
                "lastTransitionTime": "2026-11-27T00:00:00Z",
            })
        };
        assert_eq!(said(3, &condition("True")), None);
        assert_eq!(said(2, &condition("True")).as_deref(), Some("Ready"));
        assert_eq!(said(2, &condition("False")).as_deref(), Some("not Ready, Why: what to do"));
    }
}
