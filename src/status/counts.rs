//! Counts of the fleet: how many workloads stand where. Kept up to date by adding and subtracting, so that one event costs
//! the same in a small cluster and in a large one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::spread::{LEAD, Spread};
use crate::api::{Mode, Origin, State, VerdictState, WorkloadKind};
use crate::plan::score::Weights;

/// The team of what nobody owns.
pub const UNOWNED: &str = "unowned";

/// Where one workload stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// In a namespace that is never touched.
    Excluded,
    /// An operator's child: owned by a controller, never touched.
    Managed,
    /// Named by no service.
    Unclaimed,
    /// Named by a service.
    Claimed {
        /// The path of the service; none while it has none that can be taken.
        path: Option<Arc<str>>,
        /// How far the workload is.
        state: State,
        /// The mode of the service.
        mode: Mode,
    },
}

/// What workloads are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket {
    /// Kind of the workload.
    pub kind: WorkloadKind,
    /// Its team.
    pub team: Arc<str>,
    /// Where it stands.
    pub class: Class,
}

/// One workload, as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Where.
    pub bucket: Bucket,
    /// Pods that it asks for.
    pub replicas: u32,
    /// Whether a pod of it is available, where it asks for any.
    pub up: Option<bool>,
    /// Lead time of its last deploy, in tenths of a second.
    pub lead: Option<u32>,
    /// Its part of the score.
    pub weights: Weights,
    /// The verdict of each default.
    pub verdicts: Vec<(Arc<str>, VerdictState)>,
}

impl Counted {
    /// Whether it is on the road, nothing where it cannot be. A workload gets there by a deploy that brings what its path
    /// fills, so the last deploy of one that is there was made on the road.
    fn adopted(&self) -> Option<bool> {
        match &self.bucket.class {
            Class::Excluded | Class::Managed => None,
            Class::Unclaimed => Some(false),
            Class::Claimed { state, .. } => Some(*state == State::Adopted),
        }
    }
}

/// The sum of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Workloads.
    pub workloads: u64,
    /// Pods that they ask for.
    pub replicas: u64,
    /// Their weights.
    pub weights: Weights,
}

/// A service, as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceBucket {
    /// Its path, if it has one that can be taken.
    pub path: Option<Arc<str>>,
    /// Its team.
    pub team: Arc<str>,
    /// How far it is.
    pub state: State,
    /// Its mode.
    pub mode: Mode,
    /// What brought it here.
    pub origin: Origin,
}

/// Path, default and verdict.
pub type VerdictKey = (Arc<str>, Arc<str>, VerdictState);

/// All sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Workloads by bucket; no bucket is empty.
    pub workloads: HashMap<Bucket, Sum>,
    /// Services by bucket; no bucket is empty.
    pub services: HashMap<ServiceBucket, u64>,
    /// Verdicts of all claimed workloads; no entry is zero.
    pub verdicts: HashMap<VerdictKey, u64>,
    /// Workloads that ask for pods, of those off the road and of those on it: without one that is available, and with one.
    pub serving: [[u64; 2]; 2],
    /// Lead times of the last deploys, of workloads off the road and of those on it.
    pub leads: [Spread; 2],
}

impl Counts {
    /// Adds a workload.
    pub fn add(&mut self, workload: &Counted) {
        let sum = self.workloads.entry(workload.bucket.clone()).or_default();
        sum.workloads += 1;
        sum.replicas += u64::from(workload.replicas);
        sum.weights.good += workload.weights.good;
        sum.weights.all += workload.weights.all;
        if let Some(adopted) = workload.adopted().map(usize::from) {
            if let Some(up) = workload.up {
                self.serving[adopted][usize::from(up)] += 1;
            }
            if let Some(lead) = workload.lead {
                self.leads[adopted].add(LEAD, lead);
            }
        }
        for key in verdict_keys(workload) {
            *self.verdicts.entry(key).or_default() += 1;
        }
    }

    /// Takes a workload out that was added as it is.
    pub fn subtract(&mut self, workload: &Counted) {
        if let Some(sum) = self.workloads.get_mut(&workload.bucket) {
            sum.workloads = sum.workloads.saturating_sub(1);
            sum.replicas = sum.replicas.saturating_sub(u64::from(workload.replicas));
            sum.weights.good = sum.weights.good.saturating_sub(workload.weights.good);
            sum.weights.all = sum.weights.all.saturating_sub(workload.weights.all);
            if sum.workloads == 0 {
                self.workloads.remove(&workload.bucket);
            }
        }
        if let Some(adopted) = workload.adopted().map(usize::from) {
            if let Some(lead) = workload.lead {
                self.leads[adopted].subtract(LEAD, lead);
            }
            if let Some(up) = workload.up {
                let count = &mut self.serving[adopted][usize::from(up)];
                *count = count.saturating_sub(1);
            }
        }
        for key in verdict_keys(workload) {
            take_one(&mut self.verdicts, &key);
        }
    }

    /// Adds a service.
    pub fn add_service(&mut self, service: &ServiceBucket) {
        *self.services.entry(service.clone()).or_default() += 1;
    }

    /// Takes a service out that was added as it is.
    pub fn subtract_service(&mut self, service: &ServiceBucket) {
        take_one(&mut self.services, service);
    }

    /// Teams by their number of workloads: the largest first, equal ones by name.
    #[must_use]
    pub fn teams(&self) -> Vec<Arc<str>> {
        let mut sizes: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
        for (bucket, sum) in &self.workloads {
            *sizes.entry(&bucket.team).or_default() += sum.workloads;
        }
        for service in self.services.keys() {
            sizes.entry(&service.team).or_default();
        }
        let mut teams: Vec<(&Arc<str>, u64)> = sizes.into_iter().collect();
        teams.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        teams.into_iter().map(|(team, _)| team.clone()).collect()
    }
}

fn verdict_keys(workload: &Counted) -> impl Iterator<Item = VerdictKey> + '_ {
    let path = match &workload.bucket.class {
        Class::Claimed { path, .. } => path.clone(),
        _ => None,
    };
    workload.verdicts.iter().filter_map(move |(default, state)| Some((path.clone()?, default.clone(), *state)))
}

fn take_one<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(team: &str, state: State) -> Counted {
        let class = Class::Claimed { path: Some("web".into()), state, mode: Mode::Default };
        Counted {
            bucket: Bucket { kind: WorkloadKind::Deployment, team: team.into(), class },
            replicas: 3,
            up: Some(true),
            lead: Some(6000),
            weights: Weights { good: 1, all: 2 },
            verdicts: vec![("requests".into(), VerdictState::Applied)],
        }
    }

    #[test]
    fn what_was_added_can_be_taken_out_again_without_a_trace() {
        let mut counts = Counts::default();
        counts.add(&counted("a", State::Adopted));
        let one = counts.clone();
        counts.add(&counted("a", State::Adopted));
        counts.add(&counted("b", State::Migrating));
        let key = ("web".into(), "requests".into(), VerdictState::Applied);
        assert_eq!(counts.verdicts.get(&key), Some(&3));
        assert_eq!(counts.serving, [[0, 1], [0, 2]]);
        assert_eq!(counts.leads.each_ref().map(|leads| leads.shown(LEAD).count), [1, 2]);
        counts.subtract(&counted("b", State::Migrating));
        counts.subtract(&counted("a", State::Adopted));
        assert_eq!(counts, one);
        counts.subtract(&counted("a", State::Adopted));
        assert_eq!(counts, Counts::default());
    }

    #[test]
    fn the_largest_teams_come_first() {
        let mut counts = Counts::default();
        for team in ["b", "c", "a", "c"] {
            counts.add(&counted(team, State::Adopted));
        }
        let teams: Vec<String> = counts.teams().iter().map(ToString::to_string).collect();
        assert_eq!(teams, ["c", "a", "b"]);
    }
}
