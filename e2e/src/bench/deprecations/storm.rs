//! Thousands of old objects at once: how often a status is written meanwhile, and whether it is right at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{CONCURRENCY, LOOK, PATIENCE, URL, delete, deprecation};
use crate::bench::scrape::Page;
use crate::bench::stage::Stage;
use crate::bench::stats::{amount, is};
use crate::bench::writes::{create, each};
use crate::installed::{ACCOUNT, NAMESPACE as OPERATOR};
use crate::{Operator, wait};

/// Deprecations that the objects are old by.
const DEPRECATIONS: usize = 5;
const NAMESPACE: &str = "storm";
/// The operator counts every five seconds: after this it has counted once more.
const AFTER: Duration = Duration::from_secs(7);
/// A write that comes early by less was not early: a status takes longer to be written one time than another.
const TOLERANCE: f64 = 0.2;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Storm {
    /// Objects
    pub objects: usize,
    /// Seconds in which they were created
    pub created: f64,
    /// Seconds from the first one until all were counted on `/metrics`
    pub counted: f64,
    /// Writes to the status of each Deprecation, the most of all
    pub writes: usize,
    /// The most of these within five seconds
    pub within_five_seconds: usize,
    /// By how many objects the statuses are wrong at the end, all together
    pub wrong: usize,
}

/// Creates so many old objects as fast as the API server takes them.
pub(super) async fn run(stage: &Stage, operator: &Operator, objects: usize) -> Result<Storm> {
    stage.control_plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": readable()}).to_string()).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    stage.control_plane.apply(&namespace.to_string()).await?;
    let expression =
        "has(object.metadata.labels) && 'storm' in object.metadata.labels && !('moved' in object.metadata.labels)";
    for n in 0..DEPRECATIONS {
        create(&stage.client, URL, &deprecation(&name(n), ("", "configmaps"), expression)).await?;
    }
    ready(stage).await?;
    tokio::time::sleep(AFTER).await; // what was written about their beginning is over
    let (mark, started) = (stage.control_plane.audit_mark()?, Instant::now());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let counting = counted(operator, objects, started);
    let creating = async {
        each(0..objects, CONCURRENCY * 2, async |n| create(&stage.client, &path, &config_map(n)).await).await?;
        anyhow::Ok(started.elapsed().as_secs_f64())
    };
    let (created, counted) = tokio::try_join!(creating, counting)?;
    tokio::time::sleep(AFTER).await;
    let user = Stage::operator_user();
    let mut times = BTreeMap::<String, Vec<jiff::Timestamp>>::new();
    for event in stage.control_plane.audit_since(mark)? {
        if event.user == user && event.is_write() && event.resource == "deprecations" {
            times.entry(event.name).or_default().push(event.time);
        }
    }
    let mut wrong = 0;
    for n in 0..DEPRECATIONS {
        let text = stage.control_plane.kubectl(["get", "deprecation", &name(n), "-o", "json"]).await?;
        let status = serde_json::from_str::<Value>(&text)?["status"]["consumers"]["objects"].as_u64().unwrap_or(0);
        wrong += usize::try_from(status)?.abs_diff(objects);
        delete(stage, &name(n)).await?;
    }
    let storm = Storm {
        objects,
        created,
        counted,
        writes: times.values().map(Vec::len).max().unwrap_or(0),
        within_five_seconds: times.values().map(|times| crowd(times)).max().unwrap_or(0),
        wrong,
    };
    super::say(&format!("{storm:?}"));
    Ok(storm)
}

/// The most writes within five seconds.
fn crowd(times: &[jiff::Timestamp]) -> usize {
    let mut times = times.to_vec();
    times.sort_unstable();
    let within = |first: &jiff::Timestamp| {
        let soon = |time: &&jiff::Timestamp| {
            let since = time.duration_since(*first).as_secs_f64();
            (0.0..5.0 - TOLERANCE).contains(&since)
        };
        times.iter().filter(soon).count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

async fn counted(operator: &Operator, objects: usize, started: Instant) -> Result<f64> {
    loop {
        let page = Page::of(operator.port()).await?;
        let label = |n| format!("deprecation=\"{}\"", name(n));
        let seen: Vec<f64> =
            (0..DEPRECATIONS).map(|n| page.sum("goldenpath_deprecated_objects", &[&label(n)])).collect();
        if seen.iter().all(|seen| is(*seen, amount(objects))) {
            return Ok(started.elapsed().as_secs_f64());
        }
        ensure!(started.elapsed() < PATIENCE, "{seen:?} old objects are counted, and {objects} are there");
        tokio::time::sleep(LOOK).await;
    }
}

async fn ready(stage: &Stage) -> Result<()> {
    wait::until("the Deprecations of the storm to be Ready", PATIENCE, async || {
        for n in 0..DEPRECATIONS {
            let query = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let text = stage.control_plane.kubectl(["get", "deprecation", &name(n), "-o", query]).await?;
            ensure!(text == "True", "{}: {text}", name(n));
        }
        Ok(Some(()))
    })
    .await
}

fn name(n: usize) -> String {
    format!("storm-{n}")
}

fn config_map(n: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": format!("storm-{n:06}"), "namespace": NAMESPACE, "labels": {"storm": "yes"}},
        "data": {"settings": "level: info"},
    })
}

/// What an administrator lets the operator read. By a binding of its own: nobody runs here who aggregates roles.
fn readable() -> [Value; 2] {
    let (group, name) = ("rbac.authorization.k8s.io", "bench-configmaps");
    [
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
        }),
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": OPERATOR}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_that_are_five_seconds_apart_are_no_crowd() {
        let at = |tenths: i64| jiff::Timestamp::from_millisecond(tenths * 100).unwrap();
        assert_eq!(crowd(&[]), 0);
        assert_eq!(crowd(&[at(0), at(49), at(100)]), 1);
        assert_eq!(crowd(&[at(90), at(0), at(45), at(89)]), 3);
    }
}
