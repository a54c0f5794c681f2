//! What the policies of Deprecations cost a request: creations of one and the same object that are not stored, with no
//! policy, with those that do not match it, with one more that does, and with none again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::{All, CONCURRENCY, DEPLOYMENTS, NUMBERS, URL, delete, deprecation};
use crate::bench::fleet::Fleet;
use crate::bench::stage::Stage;
use crate::bench::stats::percentile;
use crate::bench::writes::{create, each};
use crate::wait;

/// Creations of each sort.
const SAMPLES: usize = 400;
/// The first ones warm up connection and caches.
const WARM: usize = 20;
const PATIENCE: Duration = Duration::from_mins(3);
const MATCHING: &str = "matching";
/// Ends in no number.
const PROBE: &str = "probe";

/// Medians of one round, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    /// Without any policy of a Deprecation: the mean of before and after
    pub without: f64,
    /// With those that do not match
    pub others: f64,
    /// With one more that matches
    pub matching: f64,
}

pub(super) async fn round(all: &All<'_>) -> Result<Admission> {
    let (stage, client) = (all.stage, &all.stage.client);
    let before = median(stage).await?;
    let soon = jiff::Timestamp::now() + Duration::from_secs(2);
    let warns = json!({"spec": {"timeline": {"warnAt": soon.strftime("%FT%TZ").to_string()}}});
    each(0..all.count, CONCURRENCY, async |n| all.merge(n, &warns).await).await?;
    wait::until("every Deprecation to warn", PATIENCE, async || {
        for n in 0..NUMBERS {
            let warned = warnings(stage, &format!("{PROBE}-{n:02}")).await?;
            ensure!(warned == 1, "{warned} warnings about number {n}");
        }
        Ok(Some(()))
    })
    .await?;
    let others = median(stage).await?;
    let mut one = deprecation(
        MATCHING,
        DEPLOYMENTS,
        &format!("object.metadata.name == '{PROBE}' && !('moved' in object.metadata.labels)"),
    );
    one["spec"]["timeline"] = warns["spec"]["timeline"].clone();
    create(client, URL, &one).await?;
    warned(stage, 1).await?;
    let matching = median(stage).await?;
    delete(stage, MATCHING).await?;
    warned(stage, 0).await?;
    each(0..all.count, CONCURRENCY, async |n| all.merge(n, &json!({"spec": {"timeline": null}})).await).await?;
    wait::until("the policies to go", PATIENCE, async || {
        let policies = ["get", "validatingadmissionpolicies", "-l", "goldenpath.dev/deprecation", "-o", "name"];
        let left = stage.control_plane.kubectl(policies).await?;
        ensure!(left.is_empty(), "{left}");
        let warned = warnings(stage, &format!("{PROBE}-00")).await?;
        ensure!(warned == 0, "{warned} warnings");
        Ok(Some(()))
    })
    .await?;
    let after = median(stage).await?;
    let admission = Admission { without: f64::midpoint(before, after), others, matching };
    super::say(&format!(
        "p50 of a creation in ms: {:.2} before, {:.2} with {} that do not match, {:.2} with one that does, {:.2} after",
        before * 1e3,
        others * 1e3,
        all.count,
        matching * 1e3,
        after * 1e3
    ));
    Ok(admission)
}

async fn warned(stage: &Stage, times: usize) -> Result<()> {
    wait::until(&format!("{times} warnings"), PATIENCE, async || {
        let warned = warnings(stage, PROBE).await?;
        ensure!(warned == times, "{warned}");
        Ok(Some(()))
    })
    .await
}

/// The median of so many creations, one after the other.
async fn median(stage: &Stage) -> Result<f64> {
    let mut times = Vec::with_capacity(SAMPLES);
    for n in 0..SAMPLES + WARM {
        let started = Instant::now();
        warnings(stage, PROBE).await?;
        if n >= WARM {
            times.push(started.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(percentile(&times, 50))
}

/// How many warnings Deprecations have for a creation, which is not stored.
async fn warnings(stage: &Stage, name: &str) -> Result<usize> {
    let body = serde_json::to_vec(&probe(&stage.fleet, name))?;
    let path =
        format!("/apis/apps/v1/namespaces/{}/deployments?dryRun=All&fieldManager=team", stage.fleet.namespace_of(0));
    let request = http::Request::post(path).header("content-type", "application/json").body(Body::from(body))?;
    let answer = stage.client.send(request).await.context("ask for a creation")?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    ensure!(head.status.is_success(), "{}: {}", head.status, String::from_utf8_lossy(&body));
    let is_ours = |value: &&http::HeaderValue| value.as_bytes().windows(16).any(|part| part == b"goldenpath-depr-");
    Ok(head.headers.get_all("warning").iter().filter(is_ours).count())
}

/// A workload of the fleet under another name.
fn probe(fleet: &Fleet, name: &str) -> Value {
    let mut object = fleet.manifest(0);
    object["metadata"]["name"] = json!(name);
    object
}
