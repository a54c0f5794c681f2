//! Watches of workloads: metadata only, nothing kept. Each kind has a watch, a backoff and a readiness gate of its own,
//! since a kind that fails must not slow the others.
//!
//! The fleet will take this module's place; the rest of the controller sees only [`Touched`].

use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::context::WorkloadKey;
use crate::api::{WorkloadKind, labels};
use crate::observability::{Gate, Health};

/// A workload that was added, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Which.
    pub workload: WorkloadKey,
    /// The service that its label names.
    pub service: Option<String>,
}

/// Sends every touched workload of every kind, for ever.
pub async fn watch_workloads(client: Client, health: Health, out: UnboundedSender<Touched>) {
    let gate = |kind: WorkloadKind| health.gate(format!("watch/{}", kind.plural()));
    tokio::join!(
        watch::<Deployment>(client.clone(), WorkloadKind::Deployment, gate(WorkloadKind::Deployment), out.clone()),
        watch::<StatefulSet>(client.clone(), WorkloadKind::StatefulSet, gate(WorkloadKind::StatefulSet), out.clone()),
        watch::<DaemonSet>(client.clone(), WorkloadKind::DaemonSet, gate(WorkloadKind::DaemonSet), out.clone()),
        watch::<CronJob>(client.clone(), WorkloadKind::CronJob, gate(WorkloadKind::CronJob), out.clone()),
    );
}

async fn watch<K>(client: Client, kind: WorkloadKind, gate: Gate, out: UnboundedSender<Touched>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + 'static,
{
    gate.set_not_ready("not listed yet");
    // a watch that hangs half-open is noticed after its timeout, which is 290 s unless said otherwise
    let config = watcher::Config::default().timeout(25).page_size(500);
    let stream = watcher(Api::<PartialObjectMeta<K>>::all(client), config).default_backoff();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let object = match event {
            Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object) | watcher::Event::InitApply(object)) => {
                object
            }
            Ok(watcher::Event::InitDone) => {
                gate.set_ready();
                continue;
            }
            Ok(watcher::Event::Init) => continue,
            Err(error) => {
                tracing::warn!(%kind, %error, "a watch failed");
                continue;
            }
        };
        let workload = WorkloadKey { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() };
        let service = object.labels().get(labels::SERVICE).cloned();
        if out.unbounded_send(Touched { workload, service }).is_err() {
            return;
        }
    }
}

/// Services change in bursts when a path does: one look at all of them is enough.
pub const PATH_DEBOUNCE: Duration = Duration::from_millis(100);
