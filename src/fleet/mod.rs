//! The fleet: every workload of the cluster, claimed or not, for the price of a digest each.
//!
//! ```text
//!  watch (one a resource) ── lines ── decode ──> table ──> counts ──> /metrics, GoldenPath.status.adoption
//!                                                  │
//!                                                  └── touched: a workload that a service names, or that carries our labels
//! ```
//!
//! A store of typed Deployments would take 50 kB an object and double on every relist; a row of the table takes about
//! 140 bytes. The whole object is kept, compressed, only for workloads that a service names.

mod claims;
pub mod decode;
mod delivery;
pub mod deploys;
pub mod errors;
mod health;
mod kept;
mod lines;
pub mod metrics;
mod resource;
mod rows;
mod services;
mod sink;
mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use kube::Client;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use claims::{ServiceKey, WorkloadKey};
use decode::Slim;
use deploys::{Moment, Tally};
use errors::Skipped;
pub use health::Contact;
pub use kept::Kept;
use metrics::WatchMetrics;
pub use resource::Resource;
pub use rows::{Evaluation, Names};
use sink::FleetSink;
pub use table::Table;
pub use watch::{Sink, Watch, pauses};

use crate::api::WorkloadKind;
use crate::clock;
use crate::observability::Health;
use crate::status::counts::{Counts, ServiceBucket};

/// Something that passes over services may have to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A workload was added, changed or deleted, and a service names it or its label names a service.
    Workload {
        /// Which.
        workload: WorkloadKey,
        /// The service that its label names.
        service: Option<String>,
        /// That service has made it, and owns it.
        made: bool,
    },
    /// A namespace was added or changed.
    Namespace(String),
}

/// The fleet. Clones share it.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

/// The longest that services wait for the first list of a kind: 100,000 workloads take a quarter of that.
pub const FIRST_LIST: Duration = Duration::from_secs(30);

struct Shared {
    since: Instant,
    table: Mutex<Table>,
    touched: UnboundedSender<Touched>,
    changed: Notify,
    metrics: WatchMetrics,
}

impl Fleet {
    /// An empty one, which sends what was touched.
    #[must_use]
    pub fn new(operator_namespace: &str, touched: UnboundedSender<Touched>, metrics: WatchMetrics) -> Self {
        let table = Mutex::new(Table::new(operator_namespace));
        Self(Arc::new(Shared { since: Instant::now(), table, touched, changed: Notify::new(), metrics }))
    }

    /// Watches everything, for ever.
    pub async fn watch(&self, client: Client, contacts: &[Contact]) {
        let watch = |contact: &Contact| {
            let sink = FleetSink { fleet: self.clone(), contact: contact.clone() };
            let watch = Watch::new(sink, client.clone());
            // a task each: the decoding of one must not wait for another
            tokio::spawn(watch.run())
        };
        let watches: Vec<_> = contacts.iter().map(watch).collect();
        let _ended = EndWithUs(watches.iter().map(tokio::task::JoinHandle::abort_handle).collect());
        health::watch_over(contacts).await;
    }

    /// One contact for each resource, with its gate.
    #[must_use]
    pub fn contacts(health: &Health) -> Vec<Contact> {
        Resource::ALL.into_iter().map(|resource| Contact::new(resource, health)).collect()
    }

    /// The table, for a moment.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts, the sizes of the table, and the deploys of workloads off the road and on it.
    #[must_use]
    pub fn snapshot(&self) -> (Counts, ([usize; 4], usize), [Tally; 2]) {
        let table = self.table();
        (table.counts().clone(), table.sizes(), table.deploys().tallies().clone())
    }

    /// Resolves after the next change of anything.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Registers what a service names, see [`Table::claim`].
    #[must_use]
    pub fn claim(&self, service: &ServiceKey, workloads: &[WorkloadKey]) -> Vec<WorkloadKey> {
        let dropped = self.table().claim(service, workloads);
        self.0.changed.notify_one();
        dropped
    }

    /// Takes in what a pass over a service found, see [`Table::evaluated`].
    pub fn evaluated(&self, service: &ServiceKey, bucket: ServiceBucket, found: Vec<(WorkloadKey, Evaluation)>) {
        self.table().evaluated(service, bucket, found);
        self.0.changed.notify_one();
    }

    /// Whether every workload of a kind has been seen.
    #[must_use]
    pub fn has_listed(&self, kind: WorkloadKind) -> bool {
        self.table().has_listed(kind)
    }

    /// Whether the first list of a kind is still on its way, which services wait for: to read their workloads one by one
    /// meanwhile takes longer, and holds up the list. One that does not come is not waited for.
    #[must_use]
    pub fn is_listing(&self, kind: WorkloadKind) -> bool {
        self.0.since.elapsed() < FIRST_LIST && !self.has_listed(kind)
    }

    /// Takes in a workload that somebody has read or written, so that the next look at it is not older than that.
    pub fn learn(&self, key: &WorkloadKey, object: &Value) {
        let Ok(raw) = serde_json::value::to_raw_value(object) else { return };
        let Ok(slim) = serde_json::from_str::<Slim<'_>>(raw.get()) else { return };
        let Some(version) = slim.version() else { return };
        let mut table = self.table();
        table.see(key.kind, &slim, version, self.moment());
        table.keep(key, version, Kept::new(&raw));
    }

    fn moment(&self) -> Moment {
        // tenths of seconds of thirteen years
        let uptime = u32::try_from(self.0.since.elapsed().as_millis() / 100).unwrap_or(u32::MAX);
        Moment { uptime, wall: clock::now() }
    }

    fn metrics(&self) -> &WatchMetrics {
        &self.0.metrics
    }

    fn begin(&self, resource: Resource) {
        match resource {
            Resource::Workloads(kind) => self.table().begin(kind),
            Resource::Namespaces => self.table().begin_namespaces(),
        }
    }

    /// An object was added, changed or listed.
    fn see(&self, resource: Resource, slim: &Slim<'_>, kept: impl FnOnce() -> Option<Kept>) {
        let named = !slim.metadata.name.is_empty();
        let (Some(version), true) = (slim.version(), named) else { return self.skip(resource, Skipped::NoName) };
        let Resource::Workloads(kind) = resource else {
            if self.table().see_namespace(slim, version, kept) {
                self.touched(Touched::Namespace(slim.metadata.name.to_string()));
            }
            return;
        };
        if slim.metadata.namespace.is_empty() {
            return self.skip(resource, Skipped::NoName);
        }
        let change = self.table().see(kind, slim, version, self.moment());
        if !change.news {
            return;
        }
        self.0.changed.notify_one();
        let made = slim.made_for();
        let service = slim.service().or(made).map(ToOwned::to_owned);
        let made = made.is_some();
        if !change.claimed && service.is_none() {
            return;
        }
        let (namespace, name) = (slim.metadata.namespace.to_string(), slim.metadata.name.to_string());
        let workload = WorkloadKey { kind, namespace, name };
        if change.claimed
            && let Some(kept) = kept()
        {
            self.table().keep(&workload, version, kept);
        }
        let known = |service: &String| self.table().claiming(&workload).contains(service);
        if change.claimed && self.is_listing(kind) && service.as_ref().is_none_or(known) {
            return; // the end of the list wakes its services
        }
        self.touched(Touched::Workload { workload, service, made });
    }

    fn remove(&self, resource: Resource, slim: &Slim<'_>) {
        let Some(version) = slim.version() else { return self.skip(resource, Skipped::NoName) };
        let (namespace, name) = (slim.metadata.namespace.to_string(), slim.metadata.name.to_string());
        match resource {
            Resource::Namespaces => self.table().remove_namespace(&name, version),
            Resource::Workloads(kind) => {
                let workload = WorkloadKey { kind, namespace, name };
                let claimed = self.table().is_claimed(&workload);
                if self.table().remove(workload.clone(), version) && claimed {
                    self.touched(Touched::Workload { workload, service: None, made: false });
                }
            }
        }
        self.0.changed.notify_one();
    }

    /// A list is complete.
    fn complete(&self, resource: Resource, version: u64) {
        match resource {
            Resource::Namespaces => self.table().sweep_namespaces(version),
            Resource::Workloads(kind) => {
                let first = !self.has_listed(kind);
                let mut look = self.table().sweep(kind, version);
                if first {
                    look = self.table().claimed_of(kind); // their services have waited, see `is_listing`
                }
                for workload in look {
                    self.touched(Touched::Workload { workload, service: None, made: false });
                }
            }
        }
        self.0.changed.notify_one();
    }

    fn set_back(&self, resource: Resource) {
        match resource {
            Resource::Workloads(kind) => self.table().set_back(kind),
            Resource::Namespaces => self.table().set_back_namespaces(),
        }
    }

    fn skip(&self, resource: Resource, why: Skipped) {
        tracing::warn!(resource = resource.plural(), reason = why.reason(), "an object was skipped");
        self.metrics().skipped(resource.plural(), why);
    }

    fn touched(&self, touched: Touched) {
        // the receiver lives as long as the process
        let _ = self.0.touched.unbounded_send(touched);
    }
}

/// Ends tasks when it is dropped.
struct EndWithUs(Vec<tokio::task::AbortHandle>);

impl Drop for EndWithUs {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}
