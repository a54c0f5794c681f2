//! Forced relists: the watch of Deployments is told `410 Gone`, as after a compaction, again and again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process::{reset_peak, usage};
use super::scrape::Page;
use super::stage::Stage;
use super::stats::{amount, is};
use crate::fault_proxy::{Disturbance, FaultProxy, Refusal, Target};
use crate::{Operator, OperatorOptions, wait};

const PATIENCE: Duration = Duration::from_mins(2);
const DEPLOYMENTS: &str = "deployments";

/// Memory of an operator before, during and after relists, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Relists {
    /// How many
    pub times: usize,
    /// Resident when memory was steady, before the first
    pub before: f64,
    /// The most resident from the first to the last
    pub peak: f64,
    /// Resident after the first
    pub after_first: f64,
    /// Resident after the last
    pub after_last: f64,
    /// Seconds that one took, from the 410 until everything was counted again, on average
    pub seconds: f64,
}

/// Runs an operator whose requests go through a proxy, and tells its watch to start again so many times.
///
/// # Errors
/// When the operator does not list again in time.
pub async fn run(stage: &Stage, times: usize, settle: Duration) -> Result<Relists> {
    let proxy = FaultProxy::start(&stage.control_plane).await?;
    let options = OperatorOptions { kubeconfig: proxy.kubeconfig(&stage.operator)?, ..stage.operator_options() };
    let operator = Operator::start(&stage.control_plane, &options).await?;
    tokio::time::sleep(settle).await;
    let before = usage(operator.pid())?.resident;
    reset_peak(operator.pid())?;
    let (mut after_first, started) = (before, Instant::now());
    for time in 0..times {
        relist(stage, &proxy, &operator).await.with_context(|| format!("relist {} of {times}", time + 1))?;
        if time == 0 {
            after_first = usage(operator.pid())?.resident;
        }
    }
    let seconds = started.elapsed().as_secs_f64() / amount(times);
    let after = usage(operator.pid())?;
    Ok(Relists { times, before, peak: after.peak, after_first, after_last: after.resident, seconds })
}

async fn relist(stage: &Stage, proxy: &FaultProxy, operator: &Operator) -> Result<()> {
    let begun = lists(operator).await?;
    // A watch that has just ended by itself is back in a moment.
    wait::until("a watch to disturb", PATIENCE, async || {
        let gone = Disturbance::Line(Refusal::EXPIRED.event().into_bytes());
        Ok((proxy.disturb(&Target::watch(DEPLOYMENTS), &gone) > 0).then_some(()))
    })
    .await?;
    wait::until("the operator to list again", PATIENCE, async || {
        ensure!(lists(operator).await? > begun, "it has not begun");
        // The list is done when the operator follows the changes since.
        let asked = proxy.exchanges(&Target::watch(DEPLOYMENTS));
        let last = asked.last().context("the operator does not come through the proxy")?;
        ensure!(!last.request.query.contains("sendInitialEvents=true"), "it is listing");
        let seen = Page::of(operator.port()).await?.sum("goldenpath_fleet_workloads", &[]);
        ensure!(is(seen, amount(stage.workloads())), "{seen} workloads");
        Ok(Some(()))
    })
    .await
}

async fn lists(operator: &Operator) -> Result<f64> {
    Ok(Page::of(operator.port()).await?.sum("goldenpath_fleet_relists_total", &["resource=\"deployments\""]))
}
