//! Adopting side by side with a null writer: the same services are created and the same patches sent, the dry run of each
//! workload, its labels and the statuses, by the same account, so many at a time; but the null writer reads nothing and
//! decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use goldenpath::api::{PlatformService, labels};
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

use super::fleet::{Fleet, PATH_YAML, name};
use super::scrape::Page;
use super::stage::Stage;
use super::stats::amount;
use super::writes::{create, deployment, each, merge, send};
use crate::audit::{AuditEvent, Mark};
use crate::wait;

/// Requests at a time: the operator's own bound on passes over services.
const CONCURRENCY: usize = 16;
/// How long it may take until all services are Ready.
const PATIENCE: Duration = Duration::from_mins(10);
/// No write of the operator for so long means that it is done.
const QUIET: Duration = Duration::from_secs(3);

/// What came out over all rounds.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    /// Seconds of the operator, from the first service created until the last is Ready, one a round
    pub operator: Vec<f64>,
    /// Seconds of the null writer, one a round
    pub null_writer: Vec<f64>,
    /// Seconds of these that it took to send the dry runs, one a round
    pub dry_runs: Vec<f64>,
    /// Requests of the operator in its last round by `verb resource`, dry runs apart
    pub requests: BTreeMap<String, usize>,
    /// How many requests of each round were answered by a conflict
    pub conflicts: Vec<f64>,
    /// How many writes each round had beyond one a workload and one a status: what loops writes again
    pub repeated: Vec<f64>,
}

/// One round of the operator.
struct Round {
    seconds: f64,
    requests: BTreeMap<String, usize>,
    conflicts: usize,
}

/// Rounds in alternating order. The last one is the operator's, so that the workloads are adopted afterwards.
///
/// # Errors
/// When something is refused or does not end in time.
pub async fn run(stage: &Stage, rounds: usize) -> Result<Adoption> {
    let mut result = Adoption::default();
    // Unmeasured: it proves the path, and shows what the null writer has to write.
    operator_round(stage).await.context("adopt for the first time")?;
    let sample = Sample::take(stage).await?;
    for round in 0..rounds {
        let operator_first = (rounds - round).is_multiple_of(2);
        for operators_turn in [operator_first, !operator_first] {
            reset(stage).await.context("undo the adoption")?;
            if operators_turn {
                let round = operator_round(stage).await?;
                result.operator.push(round.seconds);
                result.conflicts.push(amount(round.conflicts));
                result.repeated.push(amount(repeated(&stage.fleet, &round.requests)));
                result.requests = round.requests;
            } else {
                let (seconds, dry_runs) = null_round(stage, &sample).await?;
                result.null_writer.push(seconds);
                result.dry_runs.push(dry_runs);
            }
        }
        eprintln!(
            "bench: adopting, round {} of {rounds}: operator {:.1} s, null writer {:.1} s",
            round + 1,
            result.operator[round],
            result.null_writer[round]
        );
    }
    Ok(result)
}

/// Writes beyond one of each object. Events are none, and how far the path has come is written once a second at most.
fn repeated(fleet: &Fleet, requests: &BTreeMap<String, usize>) -> usize {
    let writes = |(request, count): (&String, &usize)| {
        let verb = request.split(' ').next().unwrap_or_default();
        let is_write = matches!(verb, "create" | "update" | "patch" | "delete") && !request.ends_with("(dry run)");
        let is_apart = matches!(request.as_str(), "create events" | "patch goldenpaths/status");
        if is_write && !is_apart { *count } else { 0 }
    };
    requests.iter().map(writes).sum::<usize>().saturating_sub(fleet.claimed() + fleet.services)
}

async fn operator_round(stage: &Stage) -> Result<Round> {
    let mut operator = stage.start_operator().await?;
    // Its status says Ready since the last operator; this one must have taken it up, too.
    stage.control_plane.golden_path(PATH_YAML).await?;
    wait::until("the operator to take up the path", PATIENCE, async || {
        let passes = ["kind=\"GoldenPath\"", "outcome=\"ok\""];
        let done = Page::of(operator.port()).await?.sum("goldenpath_reconcile_total", &passes);
        Ok((done > 0.0).then_some(()))
    })
    .await?;
    let mark = stage.control_plane.audit_mark()?;
    let started = Instant::now();
    let (created, ready) = tokio::join!(create_services(&stage.client, &stage.fleet), all_ready(stage));
    created?;
    ready?;
    let seconds = started.elapsed().as_secs_f64();
    let own = quiet(stage, mark).await?;
    operator.terminate().await?;
    let conflicts = own.iter().filter(|event| event.code == 409).count();
    Ok(Round { seconds, requests: by_verb(&own), conflicts })
}

async fn create_services(client: &Client, fleet: &Fleet) -> Result<()> {
    each(0..fleet.services, CONCURRENCY, async |index| {
        let service = fleet.service(index);
        let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
        let path = format!("/apis/goldenpath.dev/v1alpha1/namespaces/{namespace}/platformservices");
        create(client, &path, &service).await
    })
    .await
}

/// Until a watch has shown every service Ready.
async fn all_ready(stage: &Stage) -> Result<()> {
    let services: Api<PlatformService> = Api::all(stage.client.clone());
    let mut changes = std::pin::pin!(watcher(services, watcher::Config::default()).applied_objects());
    let mut ready = BTreeSet::new();
    let watched = async {
        while ready.len() < stage.fleet.services {
            let service = changes.try_next().await?.context("the watch ended")?;
            let status = service.status.as_ref();
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
            if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                ready.insert(service.name_any());
            }
        }
        anyhow::Ok(())
    };
    let outcome = tokio::time::timeout(PATIENCE, watched).await;
    outcome.with_context(|| format!("{} of {} services are Ready", ready.len(), stage.fleet.services))?
}

/// Waits until the operator writes no more; what it has asked for since the mark.
///
/// # Errors
/// When it goes on writing, or the audit log cannot be read.
pub async fn quiet(stage: &Stage, mark: Mark) -> Result<Vec<AuditEvent>> {
    let user = Stage::operator_user();
    stage.control_plane.is_still(QUIET, PATIENCE, |event| event.user == user && event.is_write()).await?;
    let mut own = stage.control_plane.audit_since(mark)?;
    own.retain(|event| event.user == user);
    Ok(own)
}

/// Requests by verb and resource.
fn by_verb(events: &[AuditEvent]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let dry = if event.dry_run { " (dry run)" } else { "" };
        let slash = if event.subresource.is_empty() { "" } else { "/" };
        *counts.entry(format!("{} {}{slash}{}{dry}", event.verb, event.resource, event.subresource)).or_default() += 1;
    }
    counts
}

/// What the operator wrote, to be written again.
struct Sample {
    labels: Vec<(usize, Value)>,
    statuses: Vec<(String, Value)>,
}

impl Sample {
    async fn take(stage: &Stage) -> Result<Self> {
        let mut claimed = Vec::with_capacity(stage.fleet.claimed());
        for workload in (0..stage.fleet.workloads).filter(|workload| stage.fleet.service_of(*workload).is_some()) {
            let request = http::Request::get(deployment(&stage.fleet, workload, "")).body(Vec::new())?;
            let object: Value = stage.client.request(request).await?;
            let mut found = Map::new();
            for label in labels::WORKLOAD_LABELS {
                if let Some(value) = object["metadata"]["labels"].get(label) {
                    found.insert(label.to_owned(), value.clone());
                }
            }
            ensure!(found.contains_key(labels::SERVICE), "{} is Ready and not labelled", name(workload));
            claimed.push((workload, json!({"metadata": {"uid": object["metadata"]["uid"], "labels": found}})));
        }
        let services: Api<PlatformService> = Api::all(stage.client.clone());
        let services = services.list(&ListParams::default()).await?;
        let statuses = services.iter().map(|s| (service_path(s), json!({"status": s.status}))).collect();
        Ok(Self { labels: claimed, statuses })
    }
}

fn service_path(service: &PlatformService) -> String {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    format!("/apis/goldenpath.dev/v1alpha1/namespaces/{namespace}/platformservices/{name}")
}

/// Seconds that the null writer takes, and how many of them for the dry runs.
async fn null_round(stage: &Stage, sample: &Sample) -> Result<(f64, f64)> {
    // The operator's account: the policies of the path treat it like the operator's own writes.
    let client = stage.operator_client().await?;
    let patched = async |workload: usize, patch: &Value, query: &str| {
        let query = format!("?fieldManager=goldenpath-operator{query}");
        merge(&client, &deployment(&stage.fleet, workload, &query), patch).await
    };
    let started = Instant::now();
    create_services(&stage.client, &stage.fleet).await?;
    let asked = Instant::now();
    each(&sample.labels, CONCURRENCY, async |(workload, patch)| {
        let mut patch = patch.clone();
        patch["metadata"]["annotations"] = json!({labels::FILL: "dry-run"});
        patched(*workload, &patch, "&dryRun=All").await
    })
    .await?;
    let dry_runs = asked.elapsed().as_secs_f64();
    each(&sample.labels, CONCURRENCY, async |(workload, patch)| patched(*workload, patch, "").await).await?;
    each(&sample.statuses, CONCURRENCY, async |(path, patch)| {
        merge(&client, &format!("{path}/status?fieldManager=goldenpath-operator"), patch).await
    })
    .await?;
    Ok((started.elapsed().as_secs_f64(), dry_runs))
}

/// As before the first service: only the operator's account can take its labels away, from anybody else the API server
/// takes it for a mistake and puts them back.
async fn reset(stage: &Stage) -> Result<()> {
    let client = stage.operator_client().await?;
    let services: Api<PlatformService> = Api::all(stage.client.clone());
    let services = services.list(&ListParams::default()).await?;
    each(&services.items, CONCURRENCY, async |service| {
        send(&stage.client, http::Method::DELETE, &service_path(service), "application/json", &json!({})).await
    })
    .await?;
    let gone: Map<String, Value> =
        labels::WORKLOAD_LABELS.map(|label| (label.to_owned(), Value::Null)).into_iter().collect();
    let gone = json!({"metadata": {"labels": gone}});
    let claimed = (0..stage.fleet.workloads).filter(|workload| stage.fleet.service_of(*workload).is_some());
    each(claimed, CONCURRENCY, async |workload| merge(&client, &deployment(&stage.fleet, workload, ""), &gone).await)
        .await
}
