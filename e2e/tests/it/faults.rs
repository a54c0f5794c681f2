//! Faults between the operator and the API server. Every story has an operator of its own behind a proxy of its own;
//! they share a control plane, on which nobody else is, so that the whole fleet can be counted again.
//!
//! Nothing is claimed here: what is counted are workloads without a service, by the team of their namespace.

mod blind;
mod hostile;
mod order;
mod outages;
mod proxy;
mod random;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath_e2e::fault_proxy::{Disturbance, FaultProxy, Target};
use goldenpath_e2e::story::workloads;
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, concurrency, wait};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long the end of a fault may take to be seen: the longest pause between two tries is 30 s.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a fault may stay unseen.
const NOTICED: Duration = Duration::from_secs(35);
/// How long an event may take from the API server to `/metrics` while other stories keep two cores busy.
const SOON: Duration = Duration::from_secs(3);
/// The kind whose watch is broken in most stories.
const BROKEN: &str = "deployments";

/// The control plane of these stories.
struct Cluster {
    control_plane: ControlPlane,
    /// The operator's account.
    kubeconfig: PathBuf,
}

impl Cluster {
    async fn shared() -> &'static Self {
        static CLUSTER: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
        let start = async || {
            let control_plane = ControlPlane::start(Options::default()).await?;
            let kubeconfig = control_plane.install_goldenpath().await?;
            anyhow::Ok(Self { control_plane, kubeconfig })
        };
        concurrency::shared(&CLUSTER, start).await.unwrap()
    }
}

/// An operator behind a proxy, and a team whose workloads it counts.
struct Fleet {
    // Fields end in this order: an operator that outlived its proxy would log noise.
    operator: Operator,
    proxy: FaultProxy,
    client: Client,
    namespace: String,
    team: String,
}

impl Fleet {
    /// With the account that an installation has.
    async fn new() -> Self {
        let cluster = Cluster::shared().await;
        Self::of(&cluster.control_plane, &cluster.kubeconfig).await
    }

    async fn of(control_plane: &ControlPlane, kubeconfig: &Path) -> Self {
        static TEAMS: AtomicU32 = AtomicU32::new(1);
        let team = format!("team-{}", TEAMS.fetch_add(1, Ordering::Relaxed));
        let namespace = control_plane.namespace_with("faults", &[("goldenpath.dev/team", &team)]).await.unwrap();
        let proxy = FaultProxy::start(control_plane).await.unwrap();
        let options =
            OperatorOptions { kubeconfig: proxy.kubeconfig(kubeconfig).unwrap(), ..OperatorOptions::default() };
        let operator = Operator::start(control_plane, &options).await.unwrap();
        Self { operator, proxy, client: control_plane.client().await.unwrap(), namespace, team }
    }

    fn api(&self, kind: WorkloadKind) -> Api<DynamicObject> {
        workloads(&self.client, kind, &self.namespace)
    }

    /// Makes a workload, past the proxy.
    async fn create(&self, kind: WorkloadKind, name: &str) -> DynamicObject {
        let object = serde_json::from_value(workload(kind, &self.namespace, name)).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap()
    }

    /// Deletes a workload, past the proxy.
    async fn delete(&self, kind: WorkloadKind, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Makes Deployments and waits until they are counted.
    async fn with_deployments(&self, names: &[&str]) {
        for name in names {
            self.create(WorkloadKind::Deployment, name).await;
        }
        self.counts(WorkloadKind::Deployment, names.len()).await;
    }

    /// The sum of the series of a metric that have these labels.
    async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        sum(&self.operator.metrics().await?, name, labels)
    }

    /// How many workloads of the team the operator counts.
    async fn counted(&self, kind: WorkloadKind) -> Result<f64> {
        self.metric("goldenpath_unclaimed_workloads", &[("team", &self.team), ("kind", &kind.to_string())]).await
    }

    /// Waits until the operator counts so many workloads of the team.
    async fn counts(&self, kind: WorkloadKind, expected: usize) {
        self.counts_within(kind, expected, PATIENCE).await.unwrap();
    }

    async fn counts_within(&self, kind: WorkloadKind, expected: usize, limit: Duration) -> Result<Duration> {
        let started = Instant::now();
        wait::until(&format!("{expected} {kind}s of {} to be counted", self.team), limit, async || {
            let counted = self.counted(kind).await?;
            ensure!(same(counted, expected), "{counted}");
            Ok(Some(started.elapsed()))
        })
        .await
    }

    /// Failures of one watch so far, of one reason or of all.
    async fn failures(&self, resource: &str, reason: Option<&str>) -> Result<f64> {
        let labels: Vec<_> =
            [("resource", resource)].into_iter().chain(reason.map(|reason| ("reason", reason))).collect();
        self.metric("goldenpath_fleet_watch_errors_total", &labels).await
    }

    /// How long a watch has been without contact.
    async fn blind(&self, resource: &str) -> f64 {
        self.metric("goldenpath_fleet_blind_seconds", &[("resource", resource)]).await.unwrap()
    }

    /// Waits until the operator says that a watch has failed for a reason; at most [`NOTICED`].
    async fn notices(&self, resource: &str, reason: &str) -> Duration {
        let started = Instant::now();
        let failed = async || Ok((self.failures(resource, Some(reason)).await? > 0.0).then(|| started.elapsed()));
        let what = format!("the watch of {resource} to have failed with {reason}");
        wait::until(&what, NOTICED, failed).await.unwrap()
    }

    /// Does something to the running watch of a resource. Between two watches there is none for a moment.
    async fn disturb(&self, resource: &str, disturbance: Disturbance) {
        let target = Target::watch(resource);
        let disturbed = async || Ok((self.proxy.disturb(&target, &disturbance) > 0).then_some(()));
        wait::until(&format!("a running watch of {resource}"), PATIENCE, disturbed).await.unwrap();
    }

    /// Puts a line into the running watch of a resource.
    async fn tell(&self, resource: &str, line: impl Into<Vec<u8>>) {
        self.disturb(resource, Disturbance::Line(line.into())).await;
    }

    /// The watches of all other kinds go on: a new workload of each is counted soon.
    async fn others_go_on(&self) {
        for kind in WorkloadKind::ALL.into_iter().filter(|kind| kind.plural() != BROKEN) {
            self.create(kind, "meanwhile").await;
            let took = self.counts_within(kind, 1, SOON).await.unwrap();
            println!(
                "{kind} counted after {took:?}, the watch of {BROKEN} is blind for {} s",
                self.blind(BROKEN).await
            );
        }
    }

    /// Waits until all that is counted equals what the API server has.
    async fn equals_a_recount(&self) {
        wait::until("the counts to equal a recount", PATIENCE, async || {
            let text = self.operator.metrics().await?;
            for kind in WorkloadKind::ALL {
                let name = kind.to_string();
                let all = count(&Api::all_with(self.client.clone(), &resource(kind))).await?;
                let watched = sum(&text, "goldenpath_fleet_workloads", &[("kind", &name)])?;
                ensure!(same(watched, all), "{watched} {kind}s are watched, there are {all}");
                let own = count(&self.api(kind)).await?;
                let labels = [("team", self.team.as_str()), ("kind", name.as_str())];
                let counted = sum(&text, "goldenpath_unclaimed_workloads", &labels)?;
                ensure!(same(counted, own), "{counted} {kind}s of {} are counted, it has {own}", self.team);
            }
            Ok(Some(()))
        })
        .await
        .unwrap();
    }
}

async fn count(api: &Api<DynamicObject>) -> Result<usize> {
    Ok(api.list_metadata(&ListParams::default()).await?.items.len())
}

fn resource(kind: WorkloadKind) -> kube::core::ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap();
    let of = kube::core::GroupVersionKind::gvk(group, version, &kind.to_string());
    kube::core::ApiResource::from_gvk_with_plural(&of, kind.plural())
}

/// Whether a sample is this number. Samples are whole numbers far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn same(sample: f64, expected: usize) -> bool {
    (sample - expected as f64).abs() < 0.5
}

/// The sum of the series of a metric that have these labels; 0 when there is none.
fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let mut sum = 0.0;
    for line in text.lines() {
        let Some(series) = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' '])) else { continue };
        let has = |(label, value): &(&str, &str)| {
            let pair = format!("{label}=\"{value}\"");
            series.contains(&format!("{{{pair}")) || series.contains(&format!(",{pair}"))
        };
        if labels.iter().all(has) {
            let value = series.rsplit(' ').next().unwrap_or_default();
            sum += value.parse::<f64>().with_context(|| format!("parse the sample {line}"))?;
        }
    }
    Ok(sum)
}

/// A workload that runs nothing.
fn workload(kind: WorkloadKind, namespace: &str, name: &str) -> Value {
    let mut template = json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}], "nodeSelector": {"no": "such-node"}},
    });
    let spec = match kind {
        WorkloadKind::CronJob => {
            template["spec"]["restartPolicy"] = json!("Never");
            json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": template}}})
        }
        WorkloadKind::DaemonSet => json!({"selector": {"matchLabels": {"app": name}}, "template": template}),
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => {
            json!({"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template})
        }
    };
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

/// A line of a watch.
fn event(of: &str, object: &Value) -> String {
    json!({"type": of, "object": object}).to_string()
}

#[test]
fn samples_are_summed_over_the_labels_that_are_not_asked_for() {
    let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"4\"} 5\na{xx=\"1\"} 7\nab{x=\"1\"} 9\nc 11\n";
    assert!(same(sum(text, "a", &[("x", "1")]).unwrap(), 8));
    assert!(same(sum(text, "a", &[("x", "1"), ("y", "4")]).unwrap(), 5));
    assert!(same(sum(text, "c", &[]).unwrap(), 11));
    assert!(same(sum(text, "d", &[]).unwrap(), 0));
}
