//! Each alert, fired once by a real operator into a real Prometheus, with hours that pass in seconds. All but one,
//! GoldenpathNobodyLeads: a replica that loses its Lease ends, so it takes two of them, and a Lease that neither can have.
//! `alerts::cases` has that as series.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind::Deployment;
use goldenpath::observability::alerts::{self, Clock};
use goldenpath_e2e::fault_proxy::{Action, Disturbance, Fault, FaultProxy, Refusal, Target, Verb};
use goldenpath_e2e::prometheus::{Prometheus, PrometheusOptions};
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, wait};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::deployers::objectives::{pods_are_ready, ten_days_ago};
use crate::deployers::waves::{PHASE, next, on_the_road, said};
use crate::deployers::{path, path_with, with};

/// A week is half a minute.
const CLOCK: u32 = 20_000;
/// Longer than that.
const PATIENCE: Duration = Duration::from_mins(2);

struct Stage<'a> {
    control_plane: &'a ControlPlane,
    proxy: FaultProxy,
    operator: Operator,
    prometheus: Prometheus,
    fired: Vec<&'static str>,
}

impl Stage<'_> {
    /// Waits until an alert fires about a path or a Deprecation, or about nothing named; its texts must have become sentences.
    async fn fires(&mut self, name: &'static str, what: &str) -> Result<()> {
        let about = |alert: &Value| {
            what.is_empty() || ["path", "deprecation", "name"].iter().any(|label| alert["labels"][*label] == what)
        };
        let alert = wait::until(&format!("{name} to fire about {what:?}"), PATIENCE, async || {
            let alerts = self.prometheus.alerts().await?;
            let mut of_name = alerts.iter().filter(|alert| alert["labels"]["alertname"] == name && about(alert));
            Ok(of_name.find(|alert| alert["state"] == "firing").cloned())
        })
        .await?;
        for text in ["summary", "description"] {
            let text = alert["annotations"][text].as_str().context("an alert without words")?;
            ensure!(!text.contains("{{") && !text.contains("<error") && !text.contains("<no value>"), "{text}");
        }
        println!("fired: {name}, {}: {}", alert["labels"]["severity"], alert["annotations"]["summary"]);
        self.fired.push(name);
        Ok(())
    }

    async fn is_over(&self, name: &str) -> Result<()> {
        wait::until(&format!("{name} to end"), PATIENCE, async || {
            let alerts = self.prometheus.alerts().await?;
            Ok((!alerts.iter().any(|alert| alert["labels"]["alertname"] == name)).then_some(()))
        })
        .await
    }

    /// Everybody is on the road: nothing fires, over a time in which everything could.
    async fn is_quiet(&self) -> Result<()> {
        wait::until("ten seconds of rules", PATIENCE, async || {
            let seen =
                self.prometheus.query("min(count_over_time(goldenpath_workload_adoption_ratio[12s])) >= 10").await?;
            Ok((!seen.is_empty()).then_some(()))
        })
        .await?;
        let firing = self.prometheus.query(r#"ALERTS{alertstate="firing"}"#).await?;
        ensure!(firing.is_empty(), "{firing:?}");
        println!("silent: all of them, while nothing is wrong");
        Ok(())
    }
}

#[tokio::test]
async fn alerts_fire_and_none_while_nothing_is_wrong() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let account = control_plane.install_goldenpath().await?;
    let proxy = FaultProxy::start(&control_plane).await?;
    let options = OperatorOptions { kubeconfig: proxy.kubeconfig(&account)?, ..OperatorOptions::default() };
    let operator = Operator::start(&control_plane, &options).await?;
    for name in ["left", "waves"] {
        control_plane.golden_path(&path(name, "100m", "128Mi")).await?;
    }
    let strict = path_with("strict", ("cpu", json!({"override": "Forbidden"})), json!({}));
    control_plane.golden_path(&strict).await?;
    let team = |path: &'static str, env: &'static str| on_the_road(&control_plane, Style::Apply, path, env);
    let (leaver, stayer, strict, waves) =
        futures::try_join!(team("left", "a"), team("left", "b"), team("strict", "c"), team("waves", "dev"))?;

    let clock = Clock::faster(CLOCK);
    let rules = Some(alerts::yaml(&alerts::recordings(), &alerts::alerts(clock))?);
    let options = PrometheusOptions { targets: vec![operator.port()], rules, lookback: None };
    let prometheus = Prometheus::start(&control_plane.folder().join("prometheus"), &options).await?;
    let mut stage = Stage { control_plane: &control_plane, proxy, operator, prometheus, fired: Vec::new() };
    stage.is_quiet().await?;
    of_adoption(&mut stage, &leaver, &stayer, strict).await?;
    closing(&mut stage, stayer.namespace.as_str()).await?;
    of_rollouts(&mut stage, waves).await?;
    closed(&mut stage, stayer.namespace.as_str()).await?;
    of_the_operator(&mut stage, &stayer).await?;

    let all: Vec<&str> = alerts::alerts(clock).iter().map(|alert| alert.name).collect();
    stage.fired.sort_unstable();
    let elsewhere = |name: &&&str| **name != "GoldenpathNobodyLeads";
    let missing: Vec<_> = all.iter().filter(|name| !stage.fired.contains(name)).filter(elsewhere).collect();
    ensure!(missing.is_empty(), "never fired: {missing:?}");
    println!("{} of {} alerts have fired", stage.fired.len(), all.len());
    Ok(())
}

async fn of_adoption(stage: &mut Stage<'_>, leaver: &Team<'_>, stayer: &Team<'_>, mut strict: Team<'_>) -> Result<()> {
    leaver.asks_for("left", &json!({"mode": "Observe"})).await?;
    stage.fires("GoldenpathAdoptionFalling", "left").await?;

    stayer.asks_for("left", &json!({"objectives": {"availability": "100"}})).await?;
    ten_days_ago(stayer).await?;
    pods_are_ready(stayer, false).await?;
    stage.fires("GoldenpathObjectiveMissed", "left").await?;
    pods_are_ready(stayer, true).await?;

    let object = strict.object().await?;
    let own = with(&clean(&object), "containers.0.resources", json!({"requests": {"cpu": "1"}}));
    strict.deploys(&own).await?;
    stage.fires("GoldenpathConflict", "strict").await?;

    let end = Timestamp::now().checked_add(SignedDuration::from_hours(24 * 5))?;
    let exemption = json!([{
        "name": "batch", "namespace": strict.namespace, "service": NAME, "defaults": ["cpu"], "reason": "RISK-88",
        "approvedBy": "ana", "expiresAt": end.to_string(),
    }]);
    let patch = json!({"spec": {"exemptions": exemption}}).to_string();
    stage.control_plane.kubectl(["patch", "gp", "strict", "--type=merge", "-p", &patch]).await?;
    stage.fires("GoldenpathExemptionExpiring", "strict").await
}

/// What its team would deploy: the pods as they are described in the story, without what the API server knows.
fn clean(object: &Value) -> Value {
    let mut clean = crate::deployers::manifest(Deployment);
    clean["spec"]["progressDeadlineSeconds"] = object["spec"]["progressDeadlineSeconds"].clone();
    clean
}

const OLD: &str = "old-maps";

/// Something old has half a minute left, and nobody moves.
async fn closing(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    let end = Timestamp::now().checked_add(SignedDuration::from_secs(30))?;
    let expression = format!("object.metadata.namespace == '{namespace}' && object.metadata.name == 'old'");
    let old = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old", "namespace": namespace}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "old"}},
        "template": {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "app", "image": "old"}]}},
    }});
    let deprecation = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": OLD}, "spec": {
        "matches": [{
            "name": "name", "expression": expression,
            "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}],
        }],
        "gates": {"replacementStage": "None", "minReplacementAdopters": 0, "requireObjectiveMet": false, "minNotice": "0s"},
        "timeline": {"removeAt": end.to_string()},
    }});
    let both = json!({"apiVersion": "v1", "kind": "List", "items": [old, deprecation]});
    stage.control_plane.apply(&both.to_string()).await?;
    stage.fires("GoldenpathDeprecationAtRisk", OLD).await?;
    seen_to(stage).await
}

/// A risk of it becomes overdue by itself, and is over when its owner says so.
async fn seen_to(stage: &mut Stage<'_>) -> Result<()> {
    let due = Timestamp::now().checked_add(SignedDuration::from_secs(3))?.to_string();
    let register = async |state: &str| {
        let risks = json!([{
            "name": "ttl", "severity": "High", "probability": "Low", "owner": "net", "dueAt": due, "state": state,
        }]);
        let patch = json!({"spec": {"risks": risks}}).to_string();
        stage.control_plane.kubectl(["patch", "depr", OLD, "--type=merge", "-p", &patch]).await
    };
    register("Open").await?;
    stage.fires("GoldenpathRiskOverdue", OLD).await?;
    register("Mitigated").await?;
    stage.is_over("GoldenpathRiskOverdue").await
}

/// Its date has passed.
async fn closed(stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.fires("GoldenpathDeprecationStragglers", OLD).await?;
    stage.control_plane.kubectl(["delete", "deployment", "old", "-n", namespace]).await?;
    stage.is_over("GoldenpathDeprecationStragglers").await?;
    stage.fires("GoldenpathDeprecationNotRemoved", OLD).await
}

async fn of_rollouts(stage: &mut Stage<'_>, waves: Team<'_>) -> Result<()> {
    let change = async |rollout: Value| {
        let patch = json!({"spec": {"rollout": rollout}}).to_string();
        waves.control_plane.kubectl(["patch", "gp", "waves", "--type=merge", "-p", &patch]).await
    };
    // nobody deploys, so the wave waits for a week
    let revision = stage.control_plane.golden_path(&next("waves", |_| ())?).await?;
    said(stage.control_plane, "waves", PHASE, "Exercising").await?;
    stage.fires("GoldenpathRolloutStuck", "waves").await?;
    change(json!({"paused": true})).await?;
    stage.fires("GoldenpathRolloutWaitsForAPerson", "waves").await?;
    change(json!({"paused": false, "abort": {"revision": revision, "reason": "pods take a minute longer"}})).await?;
    stage.fires("GoldenpathWaveAborted", "waves").await?;
    stage.is_over("GoldenpathRolloutStuck").await
}

async fn of_the_operator(stage: &mut Stage<'_>, team: &Team<'_>) -> Result<()> {
    let fault = Fault::new(Target::of(Verb::Patch, "platformservices/status"), Action::Refuse(Refusal::INTERNAL_ERROR));
    let fault = stage.proxy.fault(fault);
    team.asks_for("left", &json!({"objectives": {"availability": "99"}})).await?;
    stage.fires("GoldenpathReconcileErrors", "").await?;
    drop(fault);
    stage.is_over("GoldenpathReconcileErrors").await?;

    let fault = stage.proxy.fault(Fault::new(Target::any("daemonsets"), Action::Close));
    let cut = Disturbance::Cut { after: 0 };
    wait::until("a watch to be cut", PATIENCE, async || {
        Ok((stage.proxy.disturb(&Target::watch("daemonsets"), &cut) > 0).then_some(()))
    })
    .await?;
    stage.fires("GoldenpathOperatorBlind", "").await?;
    drop(fault);
    stage.is_over("GoldenpathOperatorBlind").await?;

    stage.operator.kill().await?;
    stage.fires("GoldenpathOperatorDown", "").await
}
