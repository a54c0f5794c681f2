//! From an event to `/metrics`: label patches at a steady rate, and how soon each shows on the page.
//!
//! Each event moves one unclaimed Deployment into the same team, so that the count of that team grows by one with every
//! event. A watch delivers in the order of resource versions: when the page says `k` more than before, the `k` events
//! with the lowest resource versions have arrived, and none later. So every event has its own latency although no page
//! names one.
//!
//! The page is read every 10 ms, which is what the latencies are too long by, at most, and which costs the operator the
//! processor time that [`Latency::cpu`] shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt, stream};
use goldenpath::api::labels;
use kube::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::fleet::{Fleet, team};
use super::process::usage;
use super::scrape::Page;
use super::stage::Stage;
use super::stats::{amount, percentile};
use super::writes::deployment;
use crate::Operator;

const SCRAPE: Duration = Duration::from_millis(10);
/// How long the last event may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Patches in flight; more would wait in the API server.
const IN_FLIGHT: usize = 64;
/// No common divisor with any fleet: steps of it visit every workload, neighbours far apart.
const STRIDE: usize = 7_919;

/// Percentiles of one run, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Percentiles {
    /// Median
    pub p50: f64,
    /// 99th percentile
    pub p99: f64,
}

/// One run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// Events
    pub events: usize,
    /// Events a second that were reached
    pub rate: f64,
    /// From sending the patch until the page shows it
    pub sent: Percentiles,
    /// From the answer to the patch until the page shows it
    pub answered: Percentiles,
    /// From the moment when a bare watch had the event until the page shows it
    pub delivered: Percentiles,
    /// Share of one core that the operator used meanwhile, scrapes included
    pub cpu: f64,
}

struct Event {
    resource_version: u64,
    sent: Instant,
    answered: Instant,
}

/// Sends `events` events, `rate` a second, into the team number `team_number`.
///
/// # Errors
/// When a patch is refused, or an event never shows.
pub async fn run(stage: &Stage, operator: &Operator, events: usize, rate: u32, team_number: usize) -> Result<Latency> {
    let chosen = choose(&stage.fleet, events, team_number);
    let total = chosen.len();
    let label = format!("team=\"{}\"", team(team_number));
    let count = async || anyhow::Ok(Page::of(operator.port()).await?.sum("goldenpath_unclaimed_workloads", &[&label]));
    let (before, cpu) = (count().await?, usage(operator.pid())?.cpu);
    let watch = Watch::open(&stage.client).await?;
    let started = Instant::now();
    let sending = send_all(stage, &chosen, rate, team_number);
    let showing = async {
        let mut shown = Vec::with_capacity(total);
        let mut tick = interval(SCRAPE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shown.len() < total {
            tick.tick().await;
            let now = count().await? - before;
            let at = Instant::now();
            ensure!(now <= amount(total), "{now} workloads joined the team, and {total} were sent: who else writes?");
            while amount(shown.len()) < now {
                shown.push(at);
            }
        }
        anyhow::Ok(shown)
    };
    let last = Duration::from_secs_f64(amount(total) / f64::from(rate)) + PATIENCE;
    let (mut sent, shown, delivered) = tokio::try_join!(
        sending,
        async { timeout(last, showing).await.context("not every event shows on the page")? },
        async { timeout(last, watch.deliveries(total)).await.context("a watch has not delivered every event")? },
    )?;
    let took = started.elapsed().as_secs_f64();
    let cpu = (usage(operator.pid())?.cpu - cpu) / took;
    sent.sort_by_key(|event| event.resource_version);
    let first_to_last = sent.iter().map(|e| e.answered).max().map_or(took, |at| (at - started).as_secs_f64());
    let pairs = || sent.iter().zip(&shown);
    let since = |at: &Instant, then: Instant| at.saturating_duration_since(then).as_secs_f64();
    let deliveries = pairs().filter_map(|(e, at)| Some(since(at, *delivered.get(&e.resource_version)?)));
    Ok(Latency {
        events: total,
        rate: amount(total) / first_to_last,
        sent: percentiles(pairs().map(|(e, at)| since(at, e.sent))),
        answered: percentiles(pairs().map(|(e, at)| since(at, e.answered))),
        delivered: percentiles(deliveries),
        cpu,
    })
}

fn percentiles(values: impl Iterator<Item = f64>) -> Percentiles {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    Percentiles { p50: percentile(&sorted, 50), p99: percentile(&sorted, 99) }
}

/// Unclaimed workloads that are in another team so far, in an order that jumps over the fleet.
fn choose(fleet: &Fleet, events: usize, team_number: usize) -> Vec<usize> {
    let target = team(team_number);
    (0..fleet.workloads)
        .map(|step| step * STRIDE % fleet.workloads)
        .filter(|workload| fleet.service_of(*workload).is_none() && team(workload % fleet.namespaces) != target)
        .take(events)
        .collect()
}

/// At fixed times, whether the answers come or not: a generator that waits for them would go easy on a slow moment.
async fn send_all(stage: &Stage, chosen: &[usize], rate: u32, team_number: usize) -> Result<Vec<Event>> {
    let body = Arc::new(serde_json::to_vec(&json!({"metadata": {"labels": {labels::TEAM: team(team_number)}}}))?);
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let first = Instant::now();
    let mut tasks = Vec::with_capacity(chosen.len());
    for (index, workload) in chosen.iter().enumerate() {
        sleep_until(first + Duration::from_secs(1) * u32::try_from(index)? / rate).await;
        let (client, body, permit) = (stage.client.clone(), body.clone(), in_flight.clone().acquire_owned().await?);
        let path = deployment(&stage.fleet, *workload, "");
        tasks.push(tokio::spawn(async move {
            let event = patch_one(&client, &path, body.to_vec()).await;
            drop(permit);
            event
        }));
    }
    stream::iter(tasks).then(async |task| task.await?).try_collect().await
}

async fn patch_one(client: &Client, path: &str, body: Vec<u8>) -> Result<Event> {
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json").body(body)?;
    let sent = Instant::now();
    let answer = client.request_text(request).await.with_context(|| format!("patch {path}"))?;
    let answered = Instant::now();
    let Object { metadata } = serde_json::from_str(&answer)?;
    Ok(Event { resource_version: metadata.resource_version.parse()?, sent, answered })
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "resourceVersion")]
    resource_version: String,
}

#[derive(Deserialize)]
struct WatchEvent {
    object: Object,
}

/// A watch that does nothing but look at the clock.
struct Watch {
    client: Client,
    since: String,
}

impl Watch {
    /// From now on.
    async fn open(client: &Client) -> Result<Self> {
        let request = http::Request::get("/apis/apps/v1/deployments?limit=1").body(Vec::new())?;
        let Object { metadata } = serde_json::from_str(&client.request_text(request).await?)?;
        Ok(Self { client: client.clone(), since: metadata.resource_version })
    }

    /// When each of the next changes came, by resource version.
    async fn deliveries(&self, changes: usize) -> Result<BTreeMap<u64, Instant>> {
        let path = format!("/apis/apps/v1/deployments?watch=true&resourceVersion={}", self.since);
        let stream = self.client.request_stream(http::Request::get(path).body(Vec::new())?).await?;
        let mut lines = Box::pin(stream).lines();
        let mut seen = BTreeMap::new();
        while seen.len() < changes {
            let line = lines.try_next().await?.context("the watch ended")?;
            let at = Instant::now();
            let WatchEvent { object } = serde_json::from_str(&line).with_context(|| format!("parse {line}"))?;
            seen.insert(object.metadata.resource_version.parse()?, at);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn events_go_to_unclaimed_workloads_of_other_teams_each_once() {
        let fleet = Fleet::new(1_000, 100, 4);
        let chosen = choose(&fleet, 5_000, 7);
        assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), chosen.len());
        assert!(chosen.iter().all(|w| fleet.service_of(*w).is_none() && team(w % fleet.namespaces) != team(7)));
        // All but the claimed ones and the two of a hundred namespaces that are of the team already.
        assert!(chosen.len() > 850, "{}", chosen.len());
    }
}
