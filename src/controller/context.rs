//! What every pass shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock};

use futures::channel::mpsc::UnboundedSender;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::core::object::HasStatus;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{OnceCell, SetOnce};

use super::backoff::Backoff;
use super::catch_up::catch_up;
use super::deprecations::Deprecations;
use super::leadership::Leadership;
use super::requests::Requests;
use crate::api::{GoldenPath, PlatformService, PlatformServiceStatus};
use crate::fleet::{Contact, Fleet, Resource, WorkloadKey};
use crate::observability::Metrics;
use crate::plan::route::InForce;
use crate::policy::Operator;

/// A PlatformService as it is watched: one that cannot be read does not stop the watch.
pub type GuardedService = DeserializeGuard<PlatformService>;
/// A GoldenPath as it is watched.
pub type GuardedPath = DeserializeGuard<GoldenPath>;

/// What is known about a path beyond its spec.
#[derive(Clone, Debug)]
pub enum Published {
    /// In force.
    Ready(Arc<InForce>),
    /// Not usable, and why.
    NotReady(String),
}

/// What every pass shares.
pub struct Context {
    /// The way to the API server.
    pub requests: Requests,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// Who we are.
    pub operator: Operator,
    /// Counters.
    pub metrics: Metrics,
    /// All services.
    pub services: Store<GuardedService>,
    /// All paths.
    pub paths: Store<GuardedPath>,
    /// What of the three has been listed.
    pub listed: Listed,
    /// Events.
    pub recorder: Recorder,
    /// Paths whose policies are in force.
    pub roads: Roads,
    /// Every workload of the cluster.
    pub fleet: Fleet,
    /// How the watches of the fleet stand.
    pub contacts: Vec<Contact>,
    /// What stands beside workloads.
    pub children: super::children::Children,
    /// What was put back of objects that were made.
    pub put_backs: super::put_backs::PutBacks,
    /// The restarts that the operator has asked for.
    pub turns: super::restarts::Turns,
    /// What is filled where the API server cannot.
    pub fallback: super::fallback::Fallback,
    /// Kinds of objects that paths may ask for.
    pub allowed: crate::plan::companions::Allowed,
    /// Woken when a path may ask for objects of another kind.
    pub kinds_wanted: tokio::sync::Notify,
    /// Done when the fleet knows the claims of every service that was there at the start.
    pub claims_seeded: Once,
    /// Done when the fleet knows the claims of every service that was there when this replica began to lead.
    pub claims_of_the_term: Once,
    /// Done when the stores have what the leader before this one wrote. Nothing to do for one that never followed.
    pub caught_up: CaughtUp,
    /// Statuses that were written and may not have come back through the watch yet.
    pub written: Written<PlatformServiceStatus>,
    /// What is deprecated, and who uses it.
    pub deprecations: Deprecations,
    /// Whom to tell of it.
    pub notices: super::notices::Notices,
    /// Tries of services.
    pub service_backoff: Backoff<String>,
    /// Tries of paths.
    pub path_backoff: Backoff<String>,
    /// When the status of each path was written last.
    pub progress: super::progress::Progress,
    /// Woken when a path has changed: every service looks again.
    pub path_changed: UnboundedSender<()>,
    /// Wakes one service.
    pub wake: UnboundedSender<ObjectRef<GuardedService>>,
    /// Wakes one path.
    pub wake_path: UnboundedSender<ObjectRef<GuardedPath>>,
    /// Workloads that may have lost their service.
    pub orphans: UnboundedSender<super::orphans::Suspect>,
}

/// Whether a replica followed, and has seen since what the leader before it wrote.
#[derive(Default)]
pub struct CaughtUp {
    followed: SetOnce<()>,
    done: OnceCell<()>,
}

/// Set once all objects of a kind have been seen. `Store::wait_until_ready` is for one to wait for: of several, kube wakes the
/// one that asked last, and a look at it in passing leaves nobody to be woken.
#[derive(Default)]
pub struct Listed {
    /// PlatformServices.
    pub services: SetOnce<()>,
    /// GoldenPaths.
    pub paths: SetOnce<()>,
    /// Deprecations.
    pub deprecations: SetOnce<()>,
}

impl Context {
    /// Whether all namespaces have been listed.
    pub fn sees_namespaces(&self) -> bool {
        let mut of_namespaces = self.contacts.iter().filter(|contact| contact.resource == Resource::Namespaces);
        of_namespaces.all(Contact::is_synced)
    }

    /// Whether all services and namespaces have been listed. After a start half of them would look as if the others were
    /// gone.
    pub fn sees_services(&self) -> bool {
        self.listed.services.initialized() && self.sees_namespaces()
    }

    /// Waits until this replica leads. The answer is whether it had to: what a pass was given before is old by then, and it
    /// begins anew.
    pub async fn waited_to_lead(&self) -> bool {
        let mut waits = !self.leadership.has_begun();
        if waits {
            let _ = self.caught_up.followed.set(()); // who followed twice followed
        }
        self.leadership.begun().await;
        if self.caught_up.followed.initialized() {
            waits |= !self.caught_up.done.initialized();
            self.caught_up.done.get_or_init(|| catch_up(self)).await;
        }
        // the claims are of the time when this replica began to follow
        self.claims_of_the_term.call_once(|| self.claim_all());
        waits
    }

    /// Has a service looked at. One that does not exist is woken in vain.
    pub fn wake_service(&self, namespace: &str, name: &str) {
        // the receiver lives as long as the process
        let _ = self.wake.unbounded_send(ObjectRef::new(name).within(namespace));
    }
}

/// Paths by name, as their own passes left them.
#[derive(Default)]
pub struct Roads(RwLock<HashMap<String, Published>>);

impl Roads {
    /// What is known about a path; nothing until its first pass after a start.
    pub fn get(&self, path: &str) -> Option<Published> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Keeps the outcome of a pass; true when that is news for services.
    pub fn publish(&self, path: &str, published: Published) -> bool {
        let mut roads = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let same = match (roads.get(path), &published) {
            (Some(Published::Ready(a)), Published::Ready(b)) => a == b,
            (Some(Published::NotReady(a)), Published::NotReady(b)) => a == b,
            _ => false,
        };
        roads.insert(path.to_owned(), published);
        !same
    }

    /// What is known about all paths.
    pub fn all(&self) -> Vec<Published> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets a path that is gone.
    pub fn forget(&self, path: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

impl Context {
    /// Registers every service before the first pass over any: otherwise a younger one that passes first after a start
    /// would take a workload, and lose it again.
    pub fn seed_claims(&self) {
        self.claims_seeded.call_once(|| {
            self.claim_all();
            self.fleet.table().know_claims();
        });
    }

    fn claim_all(&self) {
        for service in self.services.state().iter().filter_map(|s| s.0.as_ref().ok()) {
            let namespace = service.metadata.namespace.clone().unwrap_or_default();
            let name = service.metadata.name.clone().unwrap_or_default();
            let _ = self.fleet.claim(&(namespace, name), &super::observe::workload_keys(service));
        }
    }

    /// Registers the claims of a service: none when it is gone. Workloads that it named before and not any more may be
    /// orphans now, and another service that waits for one of them may have it.
    pub fn claim(&self, namespace: &str, service: &str, workloads: &[WorkloadKey]) {
        for workload in self.fleet.claim(&(namespace.to_owned(), service.to_owned()), workloads) {
            let others = self.fleet.table().claiming(&workload);
            for other in others {
                self.wake_service(namespace, &other);
            }
            // the receiver lives as long as the process
            let _ = self.orphans.unbounded_send(super::orphans::Suspect { workload, service: service.to_owned() });
        }
    }
}

/// The last status written to each object of a kind, with its resourceVersion.
///
/// A pass that runs before the watch has brought the pass's own write back would compare with an older status and write
/// again. Resource versions of one resource are comparable numbers (KEP-5504).
pub struct Written<S>(Mutex<HashMap<String, (u64, S)>>);

impl<S> Default for Written<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Clone> Written<S> {
    /// Keeps what was written.
    pub fn keep(&self, uid: &str, version: &str, status: S) {
        if let Ok(version) = version.parse() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), (version, status));
        }
    }

    /// An object with the newest status that is known, which may not have come back through the watch yet.
    pub fn freshest<K>(&self, object: &K) -> K
    where
        K: HasStatus<Status = S> + ResourceExt + Clone,
    {
        let mut object = object.clone();
        let (uid, version) = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
        if let Some(status) = self.newer_than(&uid, &version) {
            *object.status_mut() = Some(status);
        }
        object
    }

    /// The status that was written after `version`; forgets what the watch has brought back.
    fn newer_than(&self, uid: &str, version: &str) -> Option<S> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ours, status) = written.get(uid)?.clone();
        if version.parse::<u64>().is_ok_and(|seen| seen >= ours) {
            written.remove(uid);
            return None;
        }
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_status_counts_until_the_watch_has_caught_up() {
        let written = Written::default();
        written.keep("uid", "20", PlatformServiceStatus { team: Some("t".into()), ..Default::default() });
        assert!(written.newer_than("uid", "19").is_some());
        assert!(written.newer_than("uid", "20").is_none());
        assert!(written.newer_than("uid", "19").is_none(), "forgotten");
    }
}
