//! A migration of three months, played in a minute on a real control plane: ten teams, of which most come, some come late, one
//! only looks, two never begin, and not everything goes well.
//!
//! It is what dashboards and queries are tried on, so it brings about everything that they ask for.

mod history;
mod teams;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind::{CronJob, Deployment, StatefulSet};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

pub use history::{History, ONE, TWO};

use crate::{ControlPlane, Operator, wait};
use teams::{TEAMS, Team};

/// How long the history is that it leaves.
const WEEKS: Duration = Duration::from_hours(13 * 7 * 24);
/// The Deprecation of the story.
pub const OLD_IMAGES: &str = "images-before-1-2";
/// How often the same counts must be seen to be believed.
const SAME: usize = 3;

/// Plays it from a control plane with the chart and nothing else.
pub struct Migration<'a> {
    control_plane: &'a ControlPlane,
    operator: &'a Operator,
    history: History,
}

impl<'a> Migration<'a> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(control_plane: &'a ControlPlane, operator: &'a Operator) -> Self {
        Self { control_plane, operator, history: History::default() }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    /// When a step is refused, or does not end.
    pub async fn play(mut self) -> Result<History> {
        self.apply(TEAMS.iter().map(Team::namespace)).await?;
        self.apply(TEAMS.iter().flat_map(|team| team.runs(0))).await?;
        self.child_of_an_operator("data").await?;
        self.paths("1").await?;
        self.passes(3).await?;
        let (begin, rest) = TEAMS.split_at(8);
        let mut before: Option<&Team> = None;
        for (number, team) in begin.iter().enumerate() {
            // growth wants to see it first
            let mode = if team.name == "growth" { "Observe" } else { "Default" };
            self.apply(team.names_them(mode).into_iter().filter(|service| !is_left_out(service))).await?;
            self.passes(1).await?;
            // the teams deploy in their own time: this one today, the one before once more
            self.apply(team.runs(1)).await?;
            if let Some(before) = before.replace(team) {
                self.apply(before.runs(2)).await?;
            }
            self.passes(2).await?;
            if number == 2 {
                // who comes from now on knows that the old images go
                self.closes_the_old_way().await?;
            }
            if number == 4 {
                self.trouble(begin).await?;
            }
        }
        // somebody else's deploys change nothing
        self.apply(rest.iter().flat_map(|team| team.runs(1))).await?;
        // old objects are counted every few seconds only: four of data and two of support are left
        let counted = "--for=jsonpath={.status.consumers.remaining}=6";
        self.control_plane.kubectl(["wait", counted, &format!("depr/{OLD_IMAGES}"), "--timeout=60s"]).await?;
        self.passes(1).await?;
        Ok(self.history)
    }

    /// A StatefulSet that belongs to the object of another operator, here a ConfigMap.
    async fn child_of_an_operator(&self, namespace: &str) -> Result<()> {
        let owner =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "events", "namespace": namespace}});
        self.apply([owner]).await?;
        let uid = ["get", "configmap", "events", "-n", namespace, "-o", "jsonpath={.metadata.uid}"];
        let uid = self.control_plane.kubectl(uid).await?;
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "events", "uid": uid, "controller": true});
        let Some(team) = TEAMS.iter().find(|team| team.name == namespace) else { return Ok(()) };
        let mut child = team.workload(StatefulSet, "events-db", 0, &json!({}));
        child["metadata"]["ownerReferences"] = json!([owner]);
        self.apply([child]).await
    }

    /// What does not go well.
    async fn trouble(&mut self, teams: &[Team]) -> Result<()> {
        let [search, identity, _, _, payments, ..] = teams else { anyhow::bail!("there are too few teams") };
        // forbidden by the path, once from a service that was on the road
        let links = json!({"enableServiceLinks": true});
        self.apply([
            payments.workload(Deployment, "payment-api", 3, &links),
            identity.workload(Deployment, "token-service", 3, &links),
        ])
        .await?;
        // off the road, one deploy finds no node
        if let Some(logistics) = TEAMS.iter().find(|team| team.name == "logistics") {
            let mut lost = logistics.workload(Deployment, "routing", 1, &json!({"nodeSelector": {"no": "node"}}));
            lost["spec"]["progressDeadlineSeconds"] = json!(2);
            self.apply([lost]).await?;
        }
        self.passes(1).await?;
        self.unavailable(search, "search-api").await?;
        // a second version, of which one team sees the first wave
        self.paths("2").await?;
        self.passes(1).await?;
        self.apply([search.workload(Deployment, "indexer", 3, &json!({}))]).await
    }

    /// Images from before version 1.2 are to go in two months. The weeks before, in which some went, are told: without them
    /// there is no forecast.
    async fn closes_the_old_way(&self) -> Result<()> {
        let in_days = |days: i64| Timestamp::now().checked_add(SignedDuration::from_hours(24 * days));
        let images = json!(["registry.example.com/*:1.0.*", "registry.example.com/*:1.1.*"]);
        self.apply([json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": OLD_IMAGES},
            "spec": {
                "title": "Images from before 1.2",
                "matches": [{
                    "name": "image", "images": images, "resourceRules": [
                        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"]},
                        {"apiGroups": ["batch"], "resources": ["cronjobs"]},
                    ],
                }],
                "gates": {"replacementStage": "None", "minReplacementAdopters": 0, "requireObjectiveMet": false},
                "maxExemptPercent": 50,
                "priority": {"businessValue": 5, "timeCriticality": 8, "riskReduction": 8, "jobSize": 5},
                "risks": [
                    {
                        "name": "mirror", "severity": "High", "probability": "Low", "owner": "platform",
                        "dueAt": in_days(20)?.to_string(),
                    },
                    {
                        "name": "archive", "severity": "Medium", "probability": "Medium", "owner": "data",
                        "dueAt": in_days(-2)?.to_string(),
                    },
                ],
                "timeline": {"warnAt": in_days(30)?.to_string(), "removeAt": in_days(60)?.to_string()},
                "exemptions": [{
                    "name": "depot", "namespace": "logistics", "reason": "RISK-91", "approvedBy": "ana",
                    "expiresAt": in_days(200)?.to_string(),
                }],
            },
        })])
        .await?;
        let deprecation = format!("depr/{OLD_IMAGES}");
        let counted = "--for=jsonpath={.status.consumers.exempt}=5";
        self.control_plane.kubectl(["wait", counted, &deprecation, "--timeout=60s"]).await?;
        let weeks_ago = |weeks: i64| -> Result<String> {
            let date = Timestamp::now().to_zoned(TimeZone::UTC).date().checked_sub(weeks.weeks())?;
            let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days())?;
            Ok(monday.to_string())
        };
        let history = json!([
            {"date": weeks_ago(6)?, "remaining": 40}, {"date": weeks_ago(3)?, "remaining": 36},
            {"date": weeks_ago(0)?, "remaining": 31},
        ]);
        let patch = json!({"status": {"history": history}}).to_string();
        let patch = ["patch", &deprecation, "--subresource=status", "--type=merge", "-p", &patch];
        // a write of the operator at the same time would put the weeks into another order
        wait::until("a forecast", Duration::from_mins(1), async || {
            self.control_plane.kubectl(patch).await?;
            let forecast = "--for=jsonpath={.status.forecast.completeBy}";
            self.control_plane.kubectl(["wait", forecast, &deprecation, "--timeout=3s"]).await.map(Some)
        })
        .await
        .map(drop)
    }

    /// The paths; the second version of one of them comes in waves.
    async fn paths(&self, version: &str) -> Result<()> {
        let waves = json!([{
            "name": "canary", "namespaceSelector": {"matchLabels": {"goldenpath.dev/team": "search"}},
            "minExercised": 3, "soak": "24h",
        }]);
        let cpu = if version == "1" { "50m" } else { "100m" };
        let mut web = path("web-service", version, &json!([Deployment]), cpu);
        web["spec"]["rollout"] = json!({"waves": waves});
        web["spec"]["objectives"] = json!({"availability": "99.99"});
        web["spec"]["exemptions"] =
            json!([exemption("reports", "data", "reports", 9)?, exemption("push", "mobile", "push-sender", 200)?,]);
        self.control_plane.golden_path(&web.to_string()).await?;
        if version == "1" {
            let worker = path("worker", version, &json!([StatefulSet, "DaemonSet"]), "200m");
            self.control_plane.golden_path(&worker.to_string()).await?;
            self.control_plane.golden_path(&path("cron", version, &json!([CronJob]), "20m").to_string()).await?;
        }
        Ok(())
    }

    /// A service that is watched for ten days, promises never to be away, and loses its pods.
    async fn unavailable(&self, team: &Team, name: &str) -> Result<()> {
        let promise = json!({"spec": {"objectives": {"availability": "100"}}}).to_string();
        self.control_plane.kubectl(["patch", "psvc", name, "-n", team.name, "--type=merge", "-p", &promise]).await?;
        let since = Timestamp::now().checked_sub(SignedDuration::from_hours(240))?;
        let since = json!({"status": {"reliability": {"since": since.to_string()}}}).to_string();
        let patch = ["patch", "psvc", name, "-n", team.name, "--subresource=status", "--type=merge", "-p", &since];
        self.control_plane.kubectl(patch).await?;
        let selector = format!("app={name}");
        let pods = ["get", "pods", "-n", team.name, "-l", &selector, "-o", "name"];
        let down = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}).to_string();
        for pod in self.control_plane.kubectl(pods).await?.lines() {
            let patch = ["patch", pod, "-n", team.name, "--subresource=status", "-p", &down];
            self.control_plane.kubectl(patch).await?;
        }
        let missed = r#"{.status.conditions[?(@.type=="ObjectiveMet")].status}"#;
        self.control_plane.expect(team.name, &format!("psvc/{name}"), missed, "False").await
    }

    async fn apply(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        let items: Vec<Value> = objects.into_iter().collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.control_plane.apply(&list.to_string()).await.map(drop)
    }

    /// Waits until the operator has counted what was done, and lets so much time pass in the history.
    async fn passes(&mut self, times: usize) -> Result<()> {
        let seen = Mutex::new((String::new(), 0));
        let what = "the operator to have counted everything";
        wait::until(what, Duration::from_mins(1), async || {
            let counts = gauges(&self.operator.metrics().await?);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let times = if seen.0 == counts { seen.1 + 1 } else { 0 };
            *seen = (counts, times);
            ensure!(times >= SAME, "the counts still change");
            Ok(Some(()))
        })
        .await?;
        for _ in 0..times {
            self.history.take(self.operator).await.context("the history")?;
        }
        Ok(())
    }
}

/// What a team has forgotten to name.
fn is_left_out(service: &Value) -> bool {
    service["metadata"]["name"] == "warehouse-loader"
}

/// Teams that deploy, one after the other, for a time: what an operator at work exports of itself.
///
/// # Errors
/// When a deploy is refused.
pub async fn busy(control_plane: &ControlPlane, time: Duration) -> Result<()> {
    let started = tokio::time::Instant::now();
    // those of whom nothing else is to be seen
    let teams = TEAMS.iter().filter(|team| ["checkout", "mobile", "catalog"].contains(&team.name)).cycle();
    for (version, team) in (10..).zip(teams).take_while(|_| started.elapsed() < time) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": team.runs(version)});
        control_plane.apply(&list.to_string()).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    Ok(())
}

/// What does not change by itself.
fn gauges(metrics: &str) -> String {
    let steady = [
        "goldenpath_workloads",
        "goldenpath_services",
        "goldenpath_verdicts",
        "goldenpath_rollout_services",
        "goldenpath_deprecated_objects",
    ];
    metrics.lines().filter(|line| steady.iter().any(|name| line.starts_with(name))).collect::<Vec<_>>().join("\n")
}

fn exemption(name: &str, namespace: &str, service: &str, days: i64) -> Result<Value> {
    let end = Timestamp::now().checked_add(SignedDuration::from_hours(24 * days))?;
    Ok(json!({
        "name": name, "namespace": namespace, "service": service, "defaults": ["requests"],
        "reason": "RISK-88", "approvedBy": "ana", "expiresAt": end.to_string(),
    }))
}

/// A path that fills two values, forbids to override one of them, and checks for a third.
fn path(name: &str, version: &str, kinds: &Value, cpu: &str) -> Value {
    let requests = json!({"containers": [{"name": "*", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}]});
    let latest = "variables.template.spec.containers.all(c, !c.image.endsWith(':latest'))";
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": name},
        "spec": {
            "stage": "Stable", "version": version, "defaultFor": kinds,
            "defaults": [
                {"name": "requests", "weight": 10, "category": "Cost", "podTemplate": {"spec": requests}},
                {
                    "name": "service-links", "weight": 3, "category": "Security", "override": "Forbidden",
                    "podTemplate": {"spec": {"enableServiceLinks": false}},
                },
                {"name": "image-tag", "weight": 5, "category": "Reliability", "check": latest},
            ],
        },
    })
}
