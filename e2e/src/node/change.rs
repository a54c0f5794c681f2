//! What goes on while faults happen: a path that changes in waves, and a Deprecation that goes from stage to stage. Each step
//! is asked for as a person would, and asked for again where the API server does not answer.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::PAUSE;
use crate::{ControlPlane, wait};

/// A rollout has no more waves than that; later steps bring new services only.
const WAVES: usize = 16;
/// How long a step may take: the restart of an API server, and the end of a lease.
const PATIENCE: Duration = Duration::from_mins(2);

/// One change of a path and of a Deprecation, all of whose objects bear its name.
pub struct Change<'a> {
    plane: &'a ControlPlane,
    /// Its name
    pub run: &'static str,
    waves: usize,
    /// The revision that everybody has at first, and the one that everybody gets
    pub revisions: [String; 2],
}

impl<'a> Change<'a> {
    /// A path of version 2 of which no wave has moved yet, and a Deprecation that is only announced.
    ///
    /// # Errors
    /// When it does not come about.
    pub async fn prepare(plane: &'a ControlPlane, run: &'static str, steps: usize) -> Result<Self> {
        let waves = steps.min(WAVES);
        let first = plane.golden_path(&path(run, None).to_string()).await?;
        let mut change = Self { plane, run, waves, revisions: [first, String::new()] };
        let (mut objects, mut services) = (vec![deprecation(run)], Vec::new());
        let mut add = |namespace: &str, labels: &Value, names: &[String], old: bool| {
            let metadata = json!({"name": namespace, "labels": labels});
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
            objects.extend(names.iter().map(|name| deployment(namespace, name, old)));
            services.extend(names.iter().filter(|_| old).map(|name| service(run, namespace, name)));
        };
        for wave in 0..waves {
            let name = format!("{run}-{wave}");
            add(&name, &json!({"run": run, "wave": name}), &["one", "two"].map(str::to_owned), true);
        }
        let late: Vec<String> = (0..steps).map(late).collect();
        add(&format!("{run}-late"), &json!({"run": run}), &late, false);
        change.apply(&objects).await?;
        change.observed(2 * waves + steps).await?;
        change.apply(&services).await?;
        change.follow(&change.revisions[0], 2 * waves).await?;
        change.revisions[1] = plane.golden_path(&path(run, Some(waves)).to_string()).await?;
        ensure!(change.revisions[0] != change.revisions[1], "the path has not changed");
        change.stage("Announced").await?;
        change.remaining().await?;
        Ok(change)
    }

    /// Asks for a step: a new service, which the answer names, the next wave, and at two of the steps a stage.
    ///
    /// # Errors
    /// When the API server takes none of it for long.
    pub async fn ask(&self, step: usize) -> Result<()> {
        self.apply(&[service(self.run, &format!("{}-late", self.run), &late(step))]).await?;
        if step < self.waves {
            self.promote(&format!("wave-{step}")).await?;
        }
        let past = |field: &str, day: &str| json!({"spec": {"timeline": {field: format!("2026-01-{day}T00:00:00Z")}}});
        match step {
            1 => self.patch("deprecation", &past("warnAt", "02")).await,
            2 => self.patch("deprecation", &past("blockCreateAt", "03")).await,
            _ => Ok(()),
        }
    }

    /// Waits until a step is done.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn done(&self, step: usize) -> Result<()> {
        // each wave is two services, and each step one that is of no wave, and follows the old revision until the end
        self.follow(&self.revisions[1], 2 * (step + 1).min(self.waves)).await?;
        self.follow(&self.revisions[0], 2 * (self.waves - (step + 1).min(self.waves)) + step + 1).await?;
        match step {
            0 => self.stage("Announced").await,
            1 => self.stage("Warning").await,
            _ => self.stage("CreateBlocked").await,
        }
    }

    /// Lets the rest move.
    ///
    /// # Errors
    /// When it does not.
    pub async fn finish(&self, steps: usize) -> Result<()> {
        self.promote("rest").await?;
        self.follow(&self.revisions[1], 2 * self.waves + steps).await?;
        self.remaining().await?;
        let name = format!("goldenpath/{}", self.run);
        self.plane.expect("", &name, "{.status.rollout.phase} {.status.rollout.pending}", "Complete 0").await
    }

    async fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        wait::until("the API server to take what is asked for", PATIENCE, async || {
            self.plane.apply(&list).await.map(Some)
        })
        .await
        .map(drop)
    }

    /// Waits until so many workloads have been seen by their controller: before, they are not well.
    async fn observed(&self, count: usize) -> Result<()> {
        wait::until("the workloads to be observed", PATIENCE, async || {
            let query = "jsonpath={range .items[*]}{.metadata.namespace} {.status.observedGeneration}{\"\\n\"}{end}";
            let text = self.plane.kubectl(["get", "deployments", "-A", "-o", query]).await?;
            let found = text.lines().filter(|line| line.starts_with(self.run) && line.ends_with(" 1")).count();
            ensure!(found == count, "{found} of {count}");
            Ok(Some(()))
        })
        .await
    }

    async fn promote(&self, wave: &str) -> Result<()> {
        let promotion = json!({"revision": self.revisions[1], "wave": wave});
        self.patch("goldenpath", &json!({"spec": {"rollout": {"promote": promotion}}})).await
    }

    async fn patch(&self, kind: &str, patch: &Value) -> Result<()> {
        wait::until("the API server to take a patch", PATIENCE, async || {
            let words = ["patch", kind, self.run, "--type=merge", "-p", &patch.to_string()];
            self.plane.kubectl(words).await.map(Some)
        })
        .await
        .map(drop)
    }

    /// Waits until the Deprecation counts those that are old: all along all that a wave has.
    async fn remaining(&self) -> Result<()> {
        let name = format!("deprecation/{}", self.run);
        self.plane.expect("", &name, "{.status.consumers.remaining}", &(2 * self.waves).to_string()).await
    }

    /// Waits until so many workloads bear a revision.
    async fn follow(&self, revision: &str, count: usize) -> Result<()> {
        wait::until(&format!("{count} workloads of {} to follow {revision}", self.run), PATIENCE, async || {
            let selector = format!("goldenpath.dev/revision={revision}");
            let query = ["get", "deployments", "-A", "-l", &selector, "-o", "name"];
            let found = self.plane.kubectl(query).await?.lines().count();
            ensure!(found == count, "{found} do");
            Ok(Some(()))
        })
        .await
    }

    async fn stage(&self, stage: &str) -> Result<()> {
        wait::until(&format!("stage {stage}"), PATIENCE, async || {
            let query = ["get", "deprecation", self.run, "-o", "jsonpath={.status.stage}"];
            let now = self.plane.kubectl(query).await?;
            ensure!(now == stage, "{now}");
            Ok(Some(()))
        })
        .await
    }
}

/// A workload of which nothing runs; old by the Deprecation, or not.
fn deployment(namespace: &str, name: &str, old: bool) -> Value {
    let labels = json!({"app": name});
    let annotations = if old { json!({"example.com/old": "yes"}) } else { json!({}) };
    let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": PAUSE}]}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod},
    })
}

fn service(path: &str, namespace: &str, name: &str) -> Value {
    let workload = json!({"name": "app", "ref": {"kind": "Deployment", "name": name}});
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"goldenPathRef": {"name": path}, "workloads": [workload]},
    })
}

/// Name of the service that a step brings.
#[must_use]
pub fn late(step: usize) -> String {
    format!("late-{step}")
}

fn path(run: &str, waves: Option<usize>) -> Value {
    let wave = |wave| {
        let selector = json!({"matchLabels": {"wave": format!("{run}-{wave}")}});
        json!({"name": format!("wave-{wave}"), "namespaceSelector": selector, "approval": "Required"})
    };
    let links = json!({"name": "links", "podTemplate": {"spec": {"enableServiceLinks": false}}});
    let token = json!({"name": "token", "podTemplate": {"spec": {"automountServiceAccountToken": false}}});
    let (version, defaults) = if waves.is_some() { ("2", vec![links, token]) } else { ("1", vec![links]) };
    let mut spec = json!({"version": version, "stage": "Stable", "defaults": defaults});
    if let Some(waves) = waves {
        spec["rollout"] = json!({"waves": (0..waves).map(wave).collect::<Vec<_>>()});
    }
    json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": run}, "spec": spec})
}

fn deprecation(run: &str) -> Value {
    let matched = json!({
        "name": "annotation",
        "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}],
        "namespaceSelector": {"matchLabels": {"run": run}},
        "expression": "object.metadata.?annotations[?'example.com/old'].hasValue()",
    });
    let gates = json!({"replacementStage": "None", "requireObjectiveMet": false, "minReplacementAdopters": 0, "minNotice": "1s"});
    let timeline = json!({"announceAt": "2026-01-01T00:00:00Z"});
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": run},
        "spec": {
            "title": "An old annotation", "owner": {"team": "platform"}, "matches": [matched], "gates": gates,
            "replacement": {"guideURL": "https://docs.example.com/annotation"}, "timeline": timeline,
        },
    })
}
