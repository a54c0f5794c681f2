//! `make bench`: the operator on a fleet of thousands of workloads, side by side with clients that do nothing but the
//! unavoidable, on a real API server. Ratios to those are honest on any machine; seconds are not.
//!
//! ```text
//! prepare ─> stage ─> adoption ─> cold starts ─> idle ─> latency ─> waves ─> relists ─> deprecations ─> report
//! (fleet,    (etcd,    operator    null client    one     200 label           through    an operator
//!  kept in    API       and null    operator       last    patches             the fault  of their own
//!  a cache)   server)   writer      kube-state-    oper-   a second            proxy
//!                       in turn     metrics        ator
//! ```

pub mod adoption;
pub mod cold;
pub mod deprecations;
pub mod document;
pub mod fleet;
pub mod idle;
pub mod latency;
pub mod machine;
pub mod micro;
pub mod null_client;
pub mod prepare;
pub mod process;
pub mod relists;
pub mod report;
pub mod scrape;
pub mod stage;
pub mod stats;
pub mod table;
pub mod waves;
pub mod writes;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use deprecations::Deprecations;
use fleet::Fleet;
use report::{Results, Rounds};
use scrape::scrapes;
use stage::Stage;

use crate::Operator;

/// At most so many scrapes a round of kube-state-metrics, whose page is megabytes.
const FEW_SCRAPES: usize = 20;
/// Between two scrapes.
const SCRAPE_PAUSE: Duration = Duration::from_millis(50);
/// Events a second.
const RATE: u32 = 200;

/// So many workloads a service names where nobody says otherwise.
const WORKLOADS_OF_A_SERVICE: usize = 4;

/// What can be chosen about a run.
#[derive(clap::Args, Clone, Debug)]
pub struct Settings {
    /// Deployments on the cluster
    #[arg(long, default_value_t = 10_000)]
    pub workloads: usize,
    /// How many of them PlatformServices claim; a tenth of all at most
    #[arg(long, default_value_t = 1_000)]
    pub claimed: usize,
    /// Workloads that each of those PlatformServices names
    #[arg(long, default_value_t = WORKLOADS_OF_A_SERVICE)]
    pub per_service: usize,
    /// Rounds of every comparison
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Seconds until memory counts as steady
    #[arg(long, default_value_t = 60)]
    pub settle: u64,
    /// Seconds without a change, in which nothing may be written
    #[arg(long, default_value_t = 300)]
    pub idle: u64,
    /// Forced relists
    #[arg(long, default_value_t = 20)]
    pub relists: usize,
    /// Events a run of the latency measurement; fewer where the fleet has fewer unclaimed workloads
    #[arg(long, default_value_t = 2_000)]
    pub events: usize,
    /// Scrapes a round
    #[arg(long, default_value_t = 200)]
    pub scrapes: usize,
    /// Lines of the measurement without a cluster
    #[arg(long, default_value_t = 100_000)]
    pub lines: usize,
    /// Deprecations of what they measure
    #[arg(long, default_value_t = 50)]
    pub deprecations: usize,
    /// Measure Deprecations and nothing else
    #[arg(long)]
    pub only_deprecations: bool,
    /// Leave kube-state-metrics out
    #[arg(long)]
    pub without_kube_state_metrics: bool,
}

impl Settings {
    /// In what the fleet is not as usual.
    #[must_use]
    pub fn shape(&self) -> String {
        if self.per_service == WORKLOADS_OF_A_SERVICE {
            String::new()
        } else {
            format!("--per-service {}", self.per_service)
        }
    }

    /// The command of a run with these settings.
    #[must_use]
    pub fn command(&self) -> String {
        let mut flags = Vec::new();
        let mut flag = |name: &str, value: u64, default: u64| {
            flags.extend((value != default).then(|| format!("--{name} {value}")));
        };
        flag("claimed", self.claimed as u64, 1_000);
        flag("per-service", self.per_service as u64, WORKLOADS_OF_A_SERVICE as u64);
        flag("runs", self.runs as u64, 5);
        flag("settle", self.settle, 60);
        flag("idle", self.idle, 300);
        flag("relists", self.relists as u64, 20);
        flag("events", self.events as u64, 2_000);
        flag("scrapes", self.scrapes as u64, 200);
        flag("lines", self.lines as u64, 100_000);
        flag("deprecations", self.deprecations as u64, 50);
        flags.extend(self.only_deprecations.then(|| "--only-deprecations".to_owned()));
        flags.extend(self.without_kube_state_metrics.then(|| "--without-kube-state-metrics".to_owned()));
        let flags = if flags.is_empty() { String::new() } else { format!(" FLAGS='{}'", flags.join(" ")) };
        format!("make bench N={}{flags}", self.workloads)
    }
}

/// Prepares the fleet and measures everything.
///
/// # Errors
/// When something is refused, ends by itself or does not come in time: a benchmark has no half results.
pub async fn run(settings: &Settings) -> Result<Results> {
    ensure!(settings.runs > 0, "--runs: at least 1");
    ensure!((1..=100).contains(&settings.deprecations), "--deprecations: 1 to 100");
    ensure!(settings.relists > 0, "--relists: at least 1");
    ensure!(settings.per_service > 0, "--per-service: at least 1");
    let fleet = Fleet::new(settings.workloads, settings.claimed, settings.per_service);
    ensure!(fleet.services > 0, "--workloads: at least 40, of which a tenth can be claimed, four a service");
    let stage = Stage::set(fleet).await?;
    let settle = Duration::from_secs(settings.settle);
    let adoption = adoption::run(&stage, settings.runs).await.context("adopt")?;
    let (mut rounds, mut operator) = (Rounds::default(), None);
    for round in 0..settings.runs {
        operator = cold_round(&stage, settings, round, &mut rounds).await.context("start cold")?;
    }
    let mut operator = operator.context("no operator is left of the last round")?;
    say(&format!("nothing changes for {} s", settings.idle));
    let idle = idle::run(&stage, &operator, Duration::from_secs(settings.idle)).await.context("be idle")?;
    let mut latency = Vec::with_capacity(settings.runs);
    for run in 0..settings.runs {
        let one = latency::run(&stage, &operator, settings.events, RATE, run).await.context("follow events")?;
        say(&format!("{} events: p99 {:.1} ms from the answer to /metrics", one.events, one.answered.p99 * 1e3));
        latency.push(one);
    }
    say("the path changes, in four waves");
    let waves = waves::run(&stage).await.context("change the path")?;
    operator.terminate().await?;
    say(&format!("{} relists", settings.relists));
    let relists = relists::run(&stage, settings.relists, settle).await.context("list again")?;
    say("the inner loops, without a cluster");
    let micro = (0..settings.runs).map(|_| micro::measure(settings.lines)).collect::<Result<_>>()?;
    let deprecations = old_objects(&stage, settings).await?;
    Ok(Results { fleet, rounds, adoption, idle, latency, waves, relists, micro, deprecations })
}

/// Prepares the fleet and measures Deprecations alone.
///
/// # Errors
/// As [`run`].
pub async fn run_deprecations(settings: &Settings) -> Result<Deprecations> {
    ensure!(settings.runs > 0, "--runs: at least 1");
    ensure!((1..=100).contains(&settings.deprecations), "--deprecations: 1 to 100");
    let fleet = Fleet::new(settings.workloads, settings.claimed, settings.per_service.max(1));
    old_objects(&Stage::set(fleet).await?, settings).await
}

async fn old_objects(stage: &Stage, settings: &Settings) -> Result<Deprecations> {
    say(&format!("{} Deprecations", settings.deprecations));
    let settle = Duration::from_secs(settings.settle);
    deprecations::run(stage, settings.deprecations, settings.runs, settle).await.context("measure Deprecations")
}

/// One round of cold starts. Each has the API server to itself; who begins changes from round to round. The operator of
/// the last round, in which it begins last, is left running.
async fn cold_round(stage: &Stage, settings: &Settings, round: usize, rounds: &mut Rounds) -> Result<Option<Operator>> {
    let settle = Duration::from_secs(settings.settle);
    let mut left = None;
    let mut order = [Contender::NullClient, Contender::KubeStateMetrics, Contender::Operator];
    // Rotated, and as it stands in the last round.
    order.rotate_left((settings.runs - 1 - round) % 3);
    for contender in order {
        match contender {
            Contender::NullClient => {
                let run = null_client::run(&stage.null_client).await.context("run the null client")?;
                say(&format!("round {}: null client {:.2} s", round + 1, run.took.as_secs_f64()));
                rounds.null_client.push(run);
            }
            Contender::Operator => {
                let (mut operator, run, evaluated) = cold::operator(stage, settle).await.context("run the operator")?;
                say(&format!(
                    "round {}: operator {:.2} s, {:.1} MiB",
                    round + 1,
                    run.counted,
                    run.steady / 1_048_576.0
                ));
                rounds.scrapes.push(scrapes(operator.port(), settings.scrapes, SCRAPE_PAUSE).await?);
                rounds.operator.push(run);
                rounds.evaluated.push(evaluated);
                if round + 1 == settings.runs {
                    left = Some(operator);
                } else {
                    operator.terminate().await?;
                }
            }
            Contender::KubeStateMetrics if settings.without_kube_state_metrics => {}
            Contender::KubeStateMetrics => {
                let run = cold::kube_state_metrics(stage, settle, settings.scrapes.min(FEW_SCRAPES))
                    .await
                    .context("run kube-state-metrics")?;
                let (seconds, memory) = (run.0.counted, run.0.steady / 1_048_576.0);
                say(&format!("round {}: kube-state-metrics {seconds:.2} s, {memory:.1} MiB", round + 1));
                rounds.kube_state_metrics.push(run);
            }
        }
    }
    Ok(left)
}

#[derive(Clone, Copy, Debug)]
enum Contender {
    NullClient,
    Operator,
    KubeStateMetrics,
}

fn say(text: &str) {
    eprintln!("bench: {text}");
}
