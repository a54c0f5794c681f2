//! What passes over Deprecations share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc::UnboundedSender;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};

use super::backoff::Backoff;
use super::context::{Context, Written};
use super::proofs::Proofs;
use crate::api::{Deprecation, DeprecationExemption, DeprecationStatus, ExemptionState, GoldenPath};
use crate::consumers::Consumers;
use crate::consumers::count::OldObjects;
use crate::consumers::metrics::{DeprecationCollector, DeprecationInfo};
use crate::fleet::ServiceKey;
use crate::plan::consumers::InSight;
use crate::plan::deprecation::PathFacts;
use crate::plan::deprecation::asked::{Granting, is_of_deprecation};
use crate::status::consumption::Tally;

/// A Deprecation as it is watched: one that cannot be read does not stop the watch.
pub type GuardedDeprecation = DeserializeGuard<Deprecation>;

/// What is deprecated, and who uses it.
pub struct Deprecations {
    /// All of them.
    pub store: Store<GuardedDeprecation>,
    /// Watches and table.
    pub consumers: Consumers,
    /// Statuses that were written and may not have come back through the watch yet.
    pub written: Written<DeprecationStatus>,
    /// Tries.
    pub backoff: Backoff<String>,
    /// What of them is proved.
    pub proofs: Proofs,
    wake: UnboundedSender<ObjectRef<GuardedDeprecation>>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// Nothing where nobody has counted yet.
    count: Option<Counted>,
    /// The version of the entries of which each Deprecation's status says something.
    told: HashMap<String, u64>,
    paths: HashMap<String, PathFacts>,
}

/// The last count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// By Deprecation, with what was in sight then.
    pub tallies: BTreeMap<String, (InSight, Arc<Tally>)>,
    /// What is old, of each service that has any of it.
    pub of_services: BTreeMap<ServiceKey, OldObjects>,
    /// The exemptions that it was counted with, by Deprecation.
    pub exemptions: BTreeMap<String, Vec<DeprecationExemption>>,
}

impl Counted {
    /// Deprecations of which not every object is in sight.
    pub fn half_seen(&self) -> impl Iterator<Item = &str> {
        self.tallies.iter().filter(|(_, (sight, _))| !sight.complete).map(|(name, _)| name.as_str())
    }
}

impl Deprecations {
    /// None counted yet.
    #[must_use]
    pub fn new(
        store: Store<GuardedDeprecation>,
        consumers: Consumers,
        wake: UnboundedSender<ObjectRef<GuardedDeprecation>>,
    ) -> Self {
        let (written, backoff) = (Written::default(), Backoff::default());
        Self { store, consumers, written, backoff, proofs: Proofs::default(), wake, last: Mutex::default() }
    }

    /// Every Deprecation that can be read.
    pub fn readable(&self) -> Vec<Deprecation> {
        self.store.state().iter().filter_map(|guarded| guarded.0.as_ref().ok().cloned()).collect()
    }

    /// A Deprecation with the newest status that is known, which may not have come back through the watch yet.
    pub fn get(&self, name: &str) -> Option<Deprecation> {
        let guarded = self.store.get(&ObjectRef::new(name))?;
        guarded.0.as_ref().ok().map(|deprecation| self.written.freshest(deprecation))
    }

    /// Has a Deprecation looked at.
    pub fn wake(&self, name: &str) {
        // the receiver lives as long as the process
        let _ = self.wake.unbounded_send(ObjectRef::new(name));
    }

    /// The last count of a Deprecation, if it is of what it matches now and complete.
    pub fn counted(&self, name: &str) -> (InSight, Option<Arc<Tally>>) {
        let sight = self.consumers.in_sight(name);
        let last = self.last();
        match last.count.as_ref().and_then(|count| count.tallies.get(name)) {
            Some((then, tally)) if then.complete && then.version == sight.version => {
                (then.clone(), Some(tally.clone()))
            }
            _ => (InSight { complete: false, ..sight }, None),
        }
    }

    /// What is old of a service, by the Deprecations of which every object is in sight, and the names of the others. Nothing
    /// where nobody has counted yet.
    pub fn of_service(&self, service: &ServiceKey) -> Option<(OldObjects, BTreeSet<String>)> {
        let last = self.last();
        let count = last.count.as_ref()?;
        let half_seen: BTreeSet<String> = count.half_seen().map(ToOwned::to_owned).collect();
        let mut found = count.of_services.get(service).cloned().unwrap_or_default();
        found.some.retain(|deprecation, _| !half_seen.contains(deprecation));
        found.totals.retain(|deprecation, _| !half_seen.contains(deprecation));
        Some((found, half_seen))
    }

    /// Every Deprecation, with how many objects of a service lean on its exemptions: nothing where it is not all in sight.
    /// Nothing at all where nobody has counted yet.
    pub fn granting(&self, service: &ServiceKey) -> Option<Vec<Granting>> {
        let last = self.last();
        let count = last.count.as_ref()?;
        let found = count.of_services.get(service);
        let granting = |guarded: Arc<GuardedDeprecation>| {
            let deprecation = guarded.0.as_ref().ok()?;
            let (name, spec) = (deprecation.name_any(), &deprecation.spec);
            let is_whole = count.tallies.get(&name).is_none_or(|(sight, _)| sight.complete);
            let exempt = found.and_then(|found| found.exempt.get(&name)).copied().unwrap_or_default();
            let (owner, exemptions) = (spec.owner.clone(), spec.exemptions.clone());
            Some(Granting { name, owner, exemptions, exempt: is_whole.then_some(exempt) })
        };
        let mut all: Vec<Granting> = self.store.state().into_iter().filter_map(granting).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Some(all)
    }

    /// The services that have something that a Deprecation matches.
    pub fn services_of(&self, deprecation: &str) -> Vec<ServiceKey> {
        let last = self.last();
        let all = last.count.iter().flat_map(|count| &count.of_services);
        all.filter(|(_, objects)| objects.totals.contains_key(deprecation)).map(|(key, _)| key.clone()).collect()
    }

    /// Of each service that has something that a Deprecation matches: the first such object, such as ingress/checkout, and
    /// how many there are.
    pub fn old_of_services(&self, deprecation: &str) -> Vec<(ServiceKey, String, u64)> {
        let last = self.last();
        let all = last.count.iter().flat_map(|count| &count.of_services);
        let old = |(key, objects): (&ServiceKey, &OldObjects)| {
            let first = objects.some.get(deprecation)?.first()?;
            let object = format!("{}/{}", first.resource.kind.to_lowercase(), first.name);
            Some((key.clone(), object, *objects.totals.get(deprecation)?))
        };
        all.filter_map(old).collect()
    }

    /// Keeps a count. The answer is the one before.
    pub fn keep(&self, count: Counted) -> Option<Counted> {
        self.last().count.replace(count)
    }

    /// Whether a Deprecation matches something else than when its status was written last. Nobody knows after a start.
    pub fn is_anew(&self, name: &str, version: u64) -> bool {
        self.last().told.get(name).is_some_and(|told| *told != version)
    }

    /// An entry was edited while nobody looked: what its status counts is of something else.
    pub fn edited(&self, name: &str) {
        self.last().told.entry(name.to_owned()).or_insert(u64::MAX);
    }

    /// The status of a Deprecation says something of that version.
    pub fn told(&self, name: &str, version: u64) {
        self.last().told.insert(name.to_owned(), version);
    }

    /// Forgets a Deprecation that is gone.
    pub fn forget(&self, name: &str) {
        self.consumers.forget(name);
        self.proofs.forget(name);
        self.last().told.remove(name);
    }

    /// What was last known of a path.
    pub fn path(&self, name: &str) -> Option<PathFacts> {
        self.last().paths.get(name).copied()
    }

    /// A path was seen, or is gone: the Deprecations that it replaces something for look at their gates.
    pub fn path_seen(&self, name: &str, path: Option<&GoldenPath>) {
        let facts = path.map(PathFacts::of);
        let before = match facts {
            Some(facts) => self.last().paths.insert(name.to_owned(), facts),
            None => self.last().paths.remove(name),
        };
        if before == facts {
            return;
        }
        for deprecation in self.readable() {
            let replacement = deprecation.spec.replacement.as_ref();
            if replacement.and_then(|r| r.golden_path_ref.as_ref()).is_some_and(|path| path.name == name) {
                self.wake(&deprecation.name_any());
            }
        }
    }

    /// What the metrics say of each Deprecation.
    fn shown(&self, requested: &BTreeMap<String, u64>) -> Vec<DeprecationInfo> {
        let tallies = self.last().count.as_ref().map(|count| count.tallies.clone()).unwrap_or_default();
        let info = |deprecation: Deprecation| DeprecationInfo {
            requested: requested.get(&deprecation.name_any()).copied().unwrap_or_default(),
            tally: tallies.get(&deprecation.name_any()).filter(|(sight, _)| sight.complete).map(|(_, t)| t.clone()),
            deprecation: self.written.freshest(&deprecation),
        };
        self.readable().into_iter().map(info).collect()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exemptions that services have asked for and not got, by Deprecation.
fn requested(context: &Context) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for service in context.services.state().iter().filter_map(|service| service.0.as_ref().ok()) {
        let exemptions = service.status.iter().flat_map(|status| &status.exemptions);
        for exemption in exemptions.filter(|e| is_of_deprecation(e) && e.state == ExemptionState::Requested) {
            *all.entry(exemption.source.name.clone()).or_default() += 1;
        }
    }
    all
}

/// Puts the gauges of Deprecations on `/metrics`.
pub fn show(context: &Arc<Context>) {
    let shared = context.clone();
    let collector = DeprecationCollector::new(move || {
        // those of a replica that follows would be counted twice
        if shared.leadership.has_begun() { shared.deprecations.shown(&requested(&shared)) } else { Vec::new() }
    });
    if let Err(error) = context.metrics.register(collector) {
        tracing::error!(%error, "the metrics of Deprecations are not shown");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::runtime::reflector;

    use super::*;
    use crate::consumers::count::OldObject;
    use crate::fleet::Fleet;
    use crate::fleet::metrics::WatchMetrics;
    use crate::observability::Metrics;
    use crate::plan::consumers::{Remedy, Served};

    fn deprecations() -> Deprecations {
        let metrics = WatchMetrics::new(&Metrics::new().unwrap()).unwrap();
        let (touched, _) = futures::channel::mpsc::unbounded();
        let fleet = Fleet::new("goldenpath-system", touched, metrics.clone());
        let (store, _writer) = reflector::store();
        let (wake, _woken) = futures::channel::mpsc::unbounded();
        Deprecations::new(store, Consumers::new(fleet, "goldenpath-system", metrics), wake)
    }

    fn counted(complete: &[(&str, bool)]) -> Counted {
        let old = |deprecation: &str| {
            let object = OldObject { resource: Served::default(), name: "web".into(), remedy: Remedy::None };
            (deprecation.to_owned(), BTreeSet::from([object]))
        };
        let sight = |complete| InSight { complete, ..InSight::default() };
        let objects = OldObjects {
            some: complete.iter().map(|(name, _)| old(name)).collect(),
            totals: complete.iter().map(|(name, _)| ((*name).to_owned(), 1)).collect(),
            exempt: BTreeMap::new(),
        };
        Counted {
            tallies: complete.iter().map(|(n, all)| ((*n).to_owned(), (sight(*all), Arc::default()))).collect(),
            of_services: BTreeMap::from([(("shop".into(), "web".into()), objects)]),
            exemptions: BTreeMap::new(),
        }
    }

    #[test]
    fn what_cannot_be_seen_of_one_hides_nothing_of_another() {
        let (all, service) = (deprecations(), ("shop".to_owned(), "web".to_owned()));
        assert_eq!(all.of_service(&service), None, "nobody has counted");
        all.keep(counted(&[("seen", true), ("forbidden", false)]));
        let (found, half_seen) = all.of_service(&service).unwrap();
        assert_eq!(found.totals, BTreeMap::from([("seen".to_owned(), 1)]));
        assert_eq!((found.some.len(), half_seen), (1, BTreeSet::from(["forbidden".to_owned()])));
        all.keep(Counted::default());
        assert_eq!(all.of_service(&service), Some(Default::default()), "the last one was deleted");
    }

    /// A hundred thousand objects of as many teams would be copied with each pass, and with each scrape.
    #[test]
    fn a_count_is_shared_and_not_copied() {
        let all = deprecations();
        all.keep(counted(&[("seen", true)]));
        let tally = || all.counted("seen").1.unwrap();
        assert!(Arc::ptr_eq(&tally(), &tally()));
    }

    #[test]
    fn an_edit_while_nobody_looked_makes_the_count_anew() {
        let all = deprecations();
        assert!(!all.is_anew("ing", 1), "nobody knows after a start");
        all.edited("ing");
        assert!(all.is_anew("ing", 1));
        all.told("ing", 1);
        all.edited("ing");
        assert!(!all.is_anew("ing", 1) && all.is_anew("ing", 2));
    }
}
