//! A changed path that reaches its services in four waves: what the operator writes in each step, and how often a workload
//! rolls out.
//!
//! No controller runs beside the API server, so the bench is the teams and the Deployment controller: when a wave has moved, it
//! changes the template of every workload of the wave and says of each that it has rolled out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::adoption::quiet;
use super::fleet::{Fleet, PATH, PATH_YAML, name};
use super::stage::Stage;
use super::writes::{deployment, each, merge};
use crate::audit::AuditEvent;
use crate::wait;

/// Requests of the teams at a time.
const CONCURRENCY: usize = 16;
const PATIENCE: Duration = Duration::from_mins(10);
/// Names of the waves, and the share of the services that is in each or in an earlier one.
const WAVES: [(&str, u8); 4] = [("first", 10), ("second", 40), ("third", 70), ("fourth", 100)];

/// One wave.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name
    pub wave: &'static str,
    /// Services that moved
    pub services: usize,
    /// Their workloads
    pub workloads: usize,
    /// Writes of the operator while they moved, Events left out
    pub writes: usize,
    /// How many of those were about the path: its status, and policies that nothing needs any more
    pub of_path: usize,
    /// Seconds from the promotion to the last of those writes
    pub seconds: f64,
    /// Writes of the operator while the teams rolled out
    pub while_rolling_out: usize,
}

impl Step {
    /// Writes beyond one a workload, one status a service, and those about the path.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.writes.saturating_sub(self.workloads + self.services + self.of_path)
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Waves {
    /// One a wave
    pub steps: Vec<Step>,
    /// The most rollouts that a workload had, of which its team asked for one
    pub rollouts: i64,
}

/// Changes the path of a fleet that is adopted, with its operator running.
///
/// # Errors
/// When a wave does not move or pass in time, or a service is in none.
pub async fn run(stage: &Stage) -> Result<Waves> {
    let before = generations(stage).await?;
    let mark = stage.control_plane.audit_mark()?;
    let revision = stage.control_plane.golden_path(&changed()?).await?;
    quiet(stage, mark).await?; // every service says that it waits for its wave
    let mut steps = Vec::with_capacity(WAVES.len());
    for (wave, _) in WAVES {
        let step = step(stage, &revision, wave).await.with_context(|| format!("wave {wave}"))?;
        eprintln!(
            "bench: wave {wave}: {} services of {} workloads moved by {} writes in {:.1} s",
            step.services, step.workloads, step.writes, step.seconds
        );
        steps.push(step);
    }
    // of a small fleet nobody may be in the last wave, and one that selects nobody waits for a person
    promote(stage, &revision, "rest").await?;
    phase(stage, "Complete", |_, phase| phase == "Complete").await?;
    let moved: usize = steps.iter().map(|step| step.services).sum();
    ensure!(moved == stage.fleet.services, "{moved} of {} services have moved", stage.fleet.services);
    let after = generations(stage).await?;
    let rollouts = after.iter().map(|(name, generation)| generation - before.get(name).unwrap_or(&0)).max();
    Ok(Waves { steps, rollouts: rollouts.context("nobody is claimed")? })
}

/// The next version of the path: one value is another, and the waves wait for a word each.
fn changed() -> Result<String> {
    let mut path: Value = serde_saphyr::from_str(PATH_YAML)?;
    path["spec"]["version"] = json!("2026.12");
    let cpu = path.pointer_mut("/spec/defaults/0/podTemplate/spec/containers/0/resources/requests/cpu");
    *cpu.context("the first default of the path fills no request")? = json!("150m");
    let wave = |(name, percent): (&str, u8)| json!({"name": name, "percent": percent, "approval": "Required"});
    path["spec"]["rollout"] = json!({"abortOnFailurePercent": 1, "waves": WAVES.map(wave)});
    Ok(path.to_string())
}

async fn step(stage: &Stage, revision: &str, wave: &'static str) -> Result<Step> {
    let mark = stage.control_plane.audit_mark()?;
    let promoted = jiff::Timestamp::now();
    promote(stage, revision, wave).await?;
    phase(stage, wave, |at, _| at == wave).await?;
    let writes = writes(quiet(stage, mark).await?);
    let names: BTreeSet<String> =
        writes.iter().filter(|event| event.resource == "deployments").map(|event| event.name.clone()).collect();
    let moved: Vec<usize> = (0..stage.fleet.workloads).filter(|workload| names.contains(&name(*workload))).collect();
    let services: BTreeSet<usize> = moved.iter().filter_map(|workload| stage.fleet.service_of(*workload)).collect();
    let last = writes.iter().map(|event| event.time).max().unwrap_or(promoted);

    let mark = stage.control_plane.audit_mark()?;
    roll_out(stage, &moved, wave).await?;
    let later = self::writes(quiet(stage, mark).await?);
    Ok(Step {
        wave,
        services: services.len(),
        workloads: moved.len(),
        writes: writes.len(),
        of_path: writes.iter().filter(|e| !matches!(e.resource.as_str(), "deployments" | "platformservices")).count(),
        seconds: last.duration_since(promoted).as_secs_f64(),
        while_rolling_out: later.len(),
    })
}

async fn promote(stage: &Stage, revision: &str, wave: &str) -> Result<()> {
    let promotion = json!({"spec": {"rollout": {"promote": {"revision": revision, "wave": wave}}}});
    merge(&stage.client, &format!("/apis/goldenpath.dev/v1alpha1/goldenpaths/{PATH}"), &promotion).await
}

/// What was stored, or refused, about objects.
fn writes(mut events: Vec<AuditEvent>) -> Vec<AuditEvent> {
    events.retain(AuditEvent::is_write_of_objects);
    events
}

/// Waits until the path's rollout is there.
async fn phase(stage: &Stage, what: &str, is: impl Fn(&str, &str) -> bool) -> Result<()> {
    wait::until(&format!("the rollout to be at {what}"), PATIENCE, async || {
        let query = "jsonpath={.status.rollout.wave}/{.status.rollout.phase} {.status.rollout.waitingFor}";
        let text = stage.control_plane.kubectl(["get", "goldenpath", PATH, "-o", query]).await?;
        let (wave, rest) = text.split_once('/').unwrap_or_default();
        let phase = rest.split(' ').next().unwrap_or_default();
        ensure!(is(wave, phase), "{text}");
        Ok(Some(()))
    })
    .await
}

/// The teams deploy, and the Deployment controller says that it is done.
async fn roll_out(stage: &Stage, workloads: &[usize], wave: &str) -> Result<()> {
    let Stage { client, fleet, .. } = stage;
    let template = json!({"spec": {"template": {"metadata": {"annotations": {"docs.example.com/deployed": wave}}}}});
    each(workloads, CONCURRENCY, async |workload| {
        let path = deployment(fleet, *workload, "?fieldManager=kubectl-client-side-apply");
        merge(client, &path, &template).await
    })
    .await?;
    let generations = generations(stage).await?;
    let started = Instant::now();
    each(workloads, CONCURRENCY, async |workload| {
        let path = deployment(fleet, *workload, "/status?fieldManager=kube-controller-manager");
        let status = json!({"status": {"observedGeneration": generations.get(&name(*workload))}});
        merge(client, &path, &status).await
    })
    .await?;
    eprintln!("bench: {} workloads rolled out in {:.1} s", workloads.len(), started.elapsed().as_secs_f64());
    Ok(())
}

/// The generation of every claimed workload.
async fn generations(stage: &Stage) -> Result<BTreeMap<String, i64>> {
    let fleet: &Fleet = &stage.fleet;
    let claimed: Vec<usize> = (0..fleet.workloads).filter(|workload| fleet.service_of(*workload).is_some()).collect();
    let mut generations = BTreeMap::new();
    for workload in claimed {
        let request = http::Request::get(deployment(fleet, workload, "")).body(Vec::new())?;
        let object: Value = stage.client.request(request).await?;
        let generation = object["metadata"]["generation"].as_i64().context("a Deployment without a generation")?;
        generations.insert(name(workload), generation);
    }
    Ok(generations)
}
