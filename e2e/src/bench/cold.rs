//! Cold starts: the operator and kube-state-metrics, each alone with the API server.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::time::sleep;

use super::fleet::DEFAULTS;
use super::process::usage;
use super::scrape::{Page, Scrapes, scrapes};
use super::stage::Stage;
use super::stats::{amount, is};
use crate::guarded::Guarded;
use crate::{Operator, ports, programs};

/// How long a program may take to see the fleet.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a starting operator is asked whether it is done: the error of its times, at most.
const LOOK: Duration = Duration::from_millis(5);
/// The same for kube-state-metrics, whose answer is megabytes.
const RARE_LOOK: Duration = Duration::from_millis(250);

/// One cold start of a program that keeps running.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColdStart {
    /// Seconds from starting the program until every workload is seen and counted on `/metrics`
    pub counted: f64,
    /// Seconds of processor time until then
    pub cpu: f64,
    /// The most resident bytes until memory was steady
    pub peak: f64,
    /// Resident bytes when memory was steady
    pub steady: f64,
}

/// Starts an operator and watches it until it has seen everything; then waits until memory is steady. The second answer
/// is how many seconds after its start every claimed workload had its verdicts.
///
/// # Errors
/// When it ends, or does not see everything in time.
pub async fn operator(stage: &Stage, settle: Duration) -> Result<(Operator, ColdStart, f64)> {
    let started = Instant::now();
    let operator = Operator::spawn(stage.control_plane.folder(), &stage.operator_options())?;
    let workloads = amount(stage.workloads());
    let counted = seconds_until(operator.process(), started, LOOK, async || {
        // The short answer first: as long as a list is missing it says so.
        let (code, body) = operator.get("/readyz").await?;
        ensure!(code == 200, "/readyz says {code} {body}");
        let seen = Page::of(operator.port()).await?.sum("goldenpath_fleet_workloads", &[]);
        ensure!(is(seen, workloads), "it has counted {seen} of {workloads} workloads");
        Ok(())
    })
    .await?;
    let cpu = usage(operator.pid())?.cpu;
    let verdicts = amount(stage.fleet.claimed() * DEFAULTS);
    let evaluated = seconds_until(operator.process(), started, LOOK * 4, async || {
        let seen = Page::of(operator.port()).await?.sum("goldenpath_verdicts", &[]);
        ensure!(is(seen, verdicts), "it has {seen} of {verdicts} verdicts");
        Ok(())
    })
    .await?;
    sleep(settle).await;
    let then = usage(operator.pid())?;
    Ok((operator, ColdStart { counted, cpu, peak: then.peak, steady: then.resident }, evaluated))
}

/// Starts kube-state-metrics for the same four kinds and watches it until all of its pages' Deployments are there; then
/// waits until memory is steady, scrapes it `times` times and ends it.
///
/// # Errors
/// When it is not built, ends, or does not see everything in time.
pub async fn kube_state_metrics(stage: &Stage, settle: Duration, times: usize) -> Result<(ColdStart, Scrapes)> {
    let [port, telemetry] = ports::free()?;
    let mut command = Command::new(programs::kube_state_metrics()?);
    command
        .arg("--kubeconfig")
        .arg(&stage.kube_state_metrics)
        .arg("--resources=deployments,statefulsets,daemonsets,cronjobs")
        .args(["--host=127.0.0.1".to_owned(), format!("--port={port}")])
        .args(["--telemetry-host=127.0.0.1".to_owned(), format!("--telemetry-port={telemetry}")]);
    let started = Instant::now();
    let process = Guarded::spawn(&command, stage.control_plane.folder().join("kube-state-metrics.log"))?;
    let counted = seconds_until(&process, started, RARE_LOOK, async || {
        let listed = Page::of(telemetry).await?;
        let lists = ["resource=\"*v1.Deployment\"", "result=\"success\""];
        ensure!(listed.sum("kube_state_metrics_list_total", &lists) > 0.0, "it has not listed Deployments");
        let seen = Page::of(port).await?.count("kube_deployment_created");
        ensure!(seen == stage.workloads(), "it has {seen} of {} Deployments", stage.workloads());
        Ok(())
    })
    .await?;
    let cpu = usage(process.pid())?.cpu;
    sleep(settle).await;
    let then = usage(process.pid())?;
    let scraped = scrapes(port, times, RARE_LOOK).await?;
    Ok((ColdStart { counted, cpu, peak: then.peak, steady: then.resident }, scraped))
}

/// Seconds from `started` until `check` succeeds.
async fn seconds_until(
    process: &Guarded,
    started: Instant,
    pause: Duration,
    mut check: impl AsyncFnMut() -> Result<()>,
) -> Result<f64> {
    loop {
        let outcome = check().await;
        let passed = started.elapsed();
        match outcome {
            Ok(()) => return Ok(passed.as_secs_f64()),
            Err(error) if !process.is_alive() => {
                bail!("it ended by itself; the end of its log:\n{}\n{error:#}", process.tail())
            }
            Err(error) if passed > PATIENCE => {
                bail!("after {passed:?}: {error:#}; the end of its log:\n{}", process.tail())
            }
            Err(_) => sleep(pause).await,
        }
    }
}
