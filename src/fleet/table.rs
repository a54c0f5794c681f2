//! The digest table: every workload of the cluster in about 140 bytes, and the counts over all of them.
//!
//! No client, no clock: a watch feeds it, in whatever order its lines come. A fact never gives way to an older one, told
//! by `resourceVersion`; a list marks what it has seen, and its end sweeps away what it has not.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::claims::{Claims, ServiceKey, WorkloadKey};
use super::decode::Slim;
use super::deploys::{Deploys, Moment, Standing};
use super::kept::Kept;
use super::rows::{Claimed, Home, Names, Namespace, Row};
use crate::api::{WorkloadKind, labels};
use crate::status::counts::{Counts, ServiceBucket};

/// Most deletions that are remembered between two lists, to tell an old line from a new workload.
const MAX_GONE: usize = 4096;

/// What one line of a watch changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// It was news.
    pub news: bool,
    /// A service names the workload.
    pub claimed: bool,
}

/// Where the lists of one kind stand.
#[derive(Debug, Default)]
struct List {
    /// Number of the last list; it may wrap.
    epoch: u8,
    /// One is under way.
    running: bool,
    /// Version of the last complete one. What it did not show and is not newer is old.
    version: Option<u64>,
}

/// All workloads and namespaces.
#[derive(Debug, Default)]
pub struct Table {
    pub(super) namespaces: HashMap<Box<str>, Namespace>,
    pub(super) claims: Claims,
    pub(super) services: HashMap<ServiceKey, ServiceBucket>,
    pub(super) counts: Counts,
    pub(super) names: Names,
    deploys: Deploys,
    /// The services of the cluster have been listed, so who claims what is known.
    knows_claims: bool,
    operator_namespace: String,
    lists: [List; 4],
    namespace_epoch: u8,
    gone: HashMap<WorkloadKey, u64>,
}

impl Table {
    /// An empty one. The operator's own namespace counts as excluded.
    #[must_use]
    pub fn new(operator_namespace: &str) -> Self {
        Self { operator_namespace: operator_namespace.to_owned(), ..Self::default() }
    }

    /// A list of workloads of one kind begins.
    pub fn begin(&mut self, kind: WorkloadKind) {
        let list = &mut self.lists[kind as usize];
        (list.epoch, list.running) = (list.epoch.wrapping_add(1), true);
    }

    /// A workload was added, changed or listed.
    pub fn see(&mut self, kind: WorkloadKind, slim: &Slim<'_>, version: u64, at: Moment) -> Change {
        let (namespace, name) = (&*slim.metadata.namespace, &*slim.metadata.name);
        let key = WorkloadKey { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        if self.gone.get(&key).is_some_and(|gone| *gone >= version) {
            return Change::default();
        }
        let &List { epoch, running, version: listed } = &self.lists[kind as usize];
        // services are listed at the same time, and after a start the label says nearly always what they will say
        let claimed = self.claims.is_claimed(&key) || (!self.knows_claims && slim.service().is_some());
        let known = self.namespaces.get_mut(namespace).and_then(|n| n.workloads[kind as usize].get_mut(name));
        let mut before = None;
        if let Some(row) = known {
            row.epoch = epoch;
            if row.version >= version {
                return Change { news: false, claimed };
            }
            // of a cluster that was set back nothing is known
            before = (row.version > 0).then_some(row.template);
        } else if !running && listed.is_some_and(|listed| listed >= version) {
            return Change::default();
        }
        let team = slim.team().map(|team| self.names.get(team));
        let rollout = slim.rollout(kind);
        let ended = self.deploys.see(&key, before, rollout, slim.service().is_some(), at).then_some(at.wall);
        let is_over = rollout.standing == Standing::Over && (kind == WorkloadKind::Deployment || ended.is_some());
        self.change(&key, true, |row| {
            (row.up, row.template) = (rollout.up, if rollout.template == 0 { row.template } else { rollout.template });
            if is_over {
                row.lead = slim.lead(kind, ended).and_then(|tenths| NonZeroU32::new(tenths.max(1)));
            }
            row.version = version;
            row.epoch = epoch;
            row.team = team;
            row.replicas = rollout.wanted;
            row.managed = slim.is_managed();
            if claimed && row.claimed.is_none() {
                row.claimed = Some(Box::default());
            }
        });
        Change { news: true, claimed }
    }

    /// Changes a row and what is counted of it. A missing row is made only where `make` says so.
    pub(super) fn change(&mut self, key: &WorkloadKey, make: bool, change: impl FnOnce(&mut Row)) {
        if make && !self.namespaces.contains_key(&*key.namespace) {
            let namespace = self.new_namespace(&key.namespace);
            self.namespaces.insert(key.namespace.as_str().into(), namespace);
        }
        let Some(Namespace { home, workloads, .. }) = self.namespaces.get_mut(&*key.namespace) else { return };
        let rows = &mut workloads[key.kind as usize];
        let before = rows.get(&*key.name).map(|row| home.counted(key.kind, row, &mut self.names));
        if before.is_none() {
            if !make {
                return;
            }
            rows.insert(key.name.as_str().into(), Row::default());
        }
        let Some(row) = rows.get_mut(&*key.name) else { return };
        change(row);
        let after = home.counted(key.kind, row, &mut self.names);
        if before.as_ref() != Some(&after) {
            if let Some(before) = &before {
                self.counts.subtract(before);
            }
            self.counts.add(&after);
        }
    }

    fn new_namespace(&self, name: &str) -> Namespace {
        let excluded = labels::is_excluded(name, &self.operator_namespace);
        Namespace { home: Home { excluded, team: None }, ..Namespace::default() }
    }

    /// Keeps the JSON of a workload that a service names, as of `version`.
    pub fn keep(&mut self, key: &WorkloadKey, version: u64, kept: Kept) {
        let rows = self.namespaces.get_mut(&*key.namespace).map(|n| &mut n.workloads[key.kind as usize]);
        let Some(row) = rows.and_then(|rows| rows.get_mut(&*key.name)) else { return };
        if row.version <= version
            && let Some(claimed) = &mut row.claimed
        {
            claimed.kept = Some(kept);
        }
    }

    /// A workload was deleted. The answer is whether that is news.
    pub fn remove(&mut self, key: WorkloadKey, version: u64) -> bool {
        let row = self.namespaces.get(&*key.namespace).and_then(|n| n.workloads[key.kind as usize].get(&*key.name));
        let known = row.is_some();
        if row.is_some_and(|row| row.version > version) {
            return false;
        }
        self.deploys.forget(&key);
        if let Some(namespace) = self.namespaces.get_mut(&*key.namespace) {
            if let Some(row) = namespace.workloads[key.kind as usize].remove(&*key.name) {
                self.counts.subtract(&namespace.home.counted(key.kind, &row, &mut self.names));
            }
            if namespace.is_empty() {
                self.namespaces.remove(&*key.namespace);
            }
        }
        if self.gone.len() >= MAX_GONE {
            let mut versions: Vec<u64> = self.gone.values().copied().collect();
            let (_, middle, _) = versions.select_nth_unstable(MAX_GONE / 2);
            self.gone.retain(|_, version| *version > *middle);
        }
        let gone = self.gone.entry(key).or_default();
        *gone = version.max(*gone);
        known
    }

    /// A list of workloads of one kind is complete: what it has not seen was deleted while nobody watched. What is newer
    /// than the list stays. The answer is what is gone and was named by a service.
    pub fn sweep(&mut self, kind: WorkloadKind, version: u64) -> Vec<WorkloadKey> {
        let list = &mut self.lists[kind as usize];
        (list.running, list.version) = (false, Some(version));
        let epoch = list.epoch;
        let mut claimed = Vec::new();
        for (name, namespace) in &mut self.namespaces {
            let Namespace { home, workloads, .. } = namespace;
            workloads[kind as usize].retain(|workload, row| {
                let stays = row.epoch == epoch || row.version > version;
                if !stays {
                    self.counts.subtract(&home.counted(kind, row, &mut self.names));
                    let key = WorkloadKey { kind, namespace: name.to_string(), name: workload.to_string() };
                    self.deploys.forget(&key);
                    if row.claimed.is_some() {
                        claimed.push(key);
                    }
                }
                stays
            });
        }
        self.namespaces.retain(|_, namespace| !namespace.is_empty());
        self.gone.retain(|key, gone| key.kind != kind || *gone > version);
        claimed
    }

    /// The services of the cluster have been listed: what carries a label and is named by none is not claimed.
    pub fn know_claims(&mut self) {
        if std::mem::replace(&mut self.knows_claims, true) {
            return;
        }
        let key =
            |namespace: &str, kind, name: &str| WorkloadKey { kind, namespace: namespace.into(), name: name.into() };
        let rows = self.namespaces.iter().flat_map(|(namespace, n)| {
            WorkloadKind::ALL.into_iter().flat_map(move |kind| {
                n.workloads[kind as usize].iter().map(move |(name, row)| (row, key(namespace, kind, name)))
            })
        });
        let taken_for_claimed: Vec<WorkloadKey> = rows
            .filter(|(row, key)| row.claimed.is_some() && !self.claims.is_claimed(key))
            .map(|(_, key)| key)
            .collect();
        for key in taken_for_claimed {
            self.change(&key, false, |row| row.claimed = None);
        }
    }

    /// The workloads of one kind that services name, whether they have been seen or not.
    #[must_use]
    pub fn claimed_of(&self, kind: WorkloadKind) -> Vec<WorkloadKey> {
        self.claims.workloads().filter(|workload| workload.kind == kind).cloned().collect()
    }

    /// Whether a list of a kind was ever complete.
    #[must_use]
    pub fn has_listed(&self, kind: WorkloadKind) -> bool {
        self.lists[kind as usize].version.is_some()
    }

    /// Forgets which version of a kind's rows is the newest: the API server was set back to an older state on purpose.
    pub fn set_back(&mut self, kind: WorkloadKind) {
        for row in self.namespaces.values_mut().flat_map(|n| n.workloads[kind as usize].values_mut()) {
            row.version = 0;
        }
        self.gone.retain(|key, _| key.kind != kind);
        self.lists[kind as usize].version = self.lists[kind as usize].version.and(Some(0));
    }

    /// As [`Self::set_back`], for namespaces.
    pub fn set_back_namespaces(&mut self) {
        self.namespaces.values_mut().for_each(|namespace| namespace.version = 0);
    }

    /// A list of namespaces begins.
    pub fn begin_namespaces(&mut self) {
        self.namespace_epoch = self.namespace_epoch.wrapping_add(1);
    }

    /// A namespace was added, changed or listed. The answer is whether that is news.
    pub fn see_namespace(&mut self, slim: &Slim<'_>, version: u64, kept: impl FnOnce() -> Option<Kept>) -> bool {
        let name = &*slim.metadata.name;
        if !self.namespaces.contains_key(name) {
            let namespace = self.new_namespace(name);
            self.namespaces.insert(name.into(), namespace);
        }
        let (epoch, team) = (self.namespace_epoch, slim.team().map(|team| self.names.get(team)));
        let Some(namespace) = self.namespaces.get_mut(name) else { return false };
        namespace.epoch = epoch;
        if namespace.seen && namespace.version >= version {
            return false;
        }
        (namespace.version, namespace.seen, namespace.kept) = (version, true, kept());
        self.retell(name, team);
        true
    }

    /// A namespace was deleted. Its workloads have deletions of their own.
    pub fn remove_namespace(&mut self, name: &str, version: u64) {
        let Some(namespace) = self.namespaces.get_mut(name).filter(|n| n.version <= version) else { return };
        (namespace.seen, namespace.kept) = (false, None);
        self.retell(name, None);
        self.namespaces.retain(|_, namespace| !namespace.is_empty());
    }

    /// A list of namespaces is complete.
    pub fn sweep_namespaces(&mut self, version: u64) {
        let unseen = |n: &Namespace| n.seen && n.epoch != self.namespace_epoch && n.version <= version;
        let gone: Vec<String> =
            self.namespaces.iter().filter(|(_, n)| unseen(n)).map(|(name, _)| name.to_string()).collect();
        for name in gone {
            self.remove_namespace(&name, version);
        }
    }

    /// Gives a namespace a team, and counts its workloads anew.
    fn retell(&mut self, name: &str, team: Option<Arc<str>>) {
        let Some(namespace) = self.namespaces.get_mut(name).filter(|n| n.home.team != team) else { return };
        for (kind, row) in namespace.rows() {
            self.counts.subtract(&namespace.home.counted(kind, row, &mut self.names));
        }
        namespace.home.team = team;
        for (kind, row) in namespace.rows() {
            self.counts.add(&namespace.home.counted(kind, row, &mut self.names));
        }
    }

    /// The counts over all workloads.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The deploys that were seen.
    #[must_use]
    pub fn deploys(&self) -> &Deploys {
        &self.deploys
    }

    /// The same counts, from scratch: for tests of the above.
    #[must_use]
    pub fn recounted(&mut self) -> Counts {
        let mut counts = Counts::default();
        for namespace in self.namespaces.values() {
            for (kind, row) in namespace.rows() {
                counts.add(&namespace.home.counted(kind, row, &mut self.names));
            }
        }
        for service in self.services.values() {
            counts.add_service(service);
        }
        counts
    }

    /// Workloads of a kind, and namespaces whose object was seen.
    #[must_use]
    pub fn sizes(&self) -> ([usize; 4], usize) {
        let of = |kind: WorkloadKind| self.namespaces.values().map(|n| n.workloads[kind as usize].len()).sum();
        (WorkloadKind::ALL.map(of), self.namespaces.values().filter(|n| n.seen).count())
    }

    pub(super) fn row(&self, key: &WorkloadKey) -> Option<&Row> {
        self.namespaces.get(&*key.namespace)?.workloads[key.kind as usize].get(&*key.name)
    }

    pub(super) fn claimed(&self) -> impl Iterator<Item = &Claimed> {
        let rows = self.namespaces.values().filter(|n| !n.home.excluded).flat_map(Namespace::rows);
        rows.filter(|(_, row)| !row.managed).filter_map(|(_, row)| row.claimed.as_deref())
    }
}
