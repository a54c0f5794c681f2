//! Rows of the digest table: what is remembered of one workload and of one namespace.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use super::kept::Kept;
use crate::api::{Mode, State, VerdictState, WorkloadKind};
use crate::plan::score::Weights;
use crate::status::counts::{Bucket, Class, Counted, UNOWNED};

/// One workload: about 140 bytes with its name, whatever its size on the API server.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub version: u64,
    pub team: Option<Arc<str>>,
    pub claimed: Option<Box<Claimed>>,
    pub replicas: u32,
    pub managed: bool,
    /// The list in which it was seen last.
    pub epoch: u8,
    /// Whether a pod of it is available, where it asks for any.
    pub up: Option<bool>,
    /// Number of its template, see [`super::deploys::Rollout`].
    pub template: u32,
    /// Lead time of its last deploy, in tenths of a second.
    pub lead: Option<NonZeroU32>,
}

/// What is remembered beyond that of a workload which a service names.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub kept: Option<Kept>,
    pub evaluation: Option<Evaluation>,
}

/// What a pass over a service found about one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// The service.
    pub service: Arc<str>,
    /// The team that the service declares.
    pub team: Option<Arc<str>>,
    /// The path, if the service has one that can be taken.
    pub path: Option<Arc<str>>,
    /// The mode of the service.
    pub mode: Mode,
    /// How far the workload is.
    pub state: State,
    /// Its part of the score.
    pub weights: Weights,
    /// The verdict of each default.
    pub verdicts: Box<[(Arc<str>, VerdictState)]>,
}

/// A namespace and its workloads. It may be there before its own object was seen.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub version: u64,
    pub epoch: u8,
    pub seen: bool,
    pub kept: Option<Kept>,
    pub home: Home,
    /// By kind, in the order of [`WorkloadKind::ALL`].
    pub workloads: [HashMap<Box<str>, Row>; 4],
}

/// What a namespace means for the workloads in it.
#[derive(Debug, Default)]
pub(super) struct Home {
    pub excluded: bool,
    pub team: Option<Arc<str>>,
}

impl Namespace {
    pub fn is_empty(&self) -> bool {
        !self.seen && self.workloads.iter().all(HashMap::is_empty)
    }

    pub fn rows(&self) -> impl Iterator<Item = (WorkloadKind, &Row)> {
        WorkloadKind::ALL
            .into_iter()
            .flat_map(|kind| self.workloads[kind as usize].values().map(move |row| (kind, row)))
    }
}

impl Home {
    /// How a workload is counted.
    pub fn counted(&self, kind: WorkloadKind, row: &Row, names: &mut Names) -> Counted {
        let evaluation = row.claimed.as_ref().and_then(|claimed| claimed.evaluation.as_ref());
        let class = match (&row.claimed, evaluation) {
            _ if self.excluded => Class::Excluded,
            _ if row.managed => Class::Managed,
            (None, _) => Class::Unclaimed,
            (Some(_), None) => Class::Claimed { path: None, state: State::NotStarted, mode: Mode::default() },
            (Some(_), Some(e)) => Class::Claimed { path: e.path.clone(), state: e.state, mode: e.mode },
        };
        let is_claimed = matches!(class, Class::Claimed { .. });
        let declared = evaluation.filter(|_| is_claimed).and_then(|e| e.team.clone());
        let team = declared.or_else(|| row.team.clone()).or_else(|| self.team.clone());
        let evaluation = evaluation.filter(|_| is_claimed);
        Counted {
            bucket: Bucket { kind, team: team.unwrap_or_else(|| names.get(UNOWNED)), class },
            replicas: row.replicas,
            up: row.up,
            lead: row.lead.map(NonZeroU32::get),
            weights: evaluation.map(|e| e.weights).unwrap_or_default(),
            verdicts: evaluation.map(|e| e.verdicts.to_vec()).unwrap_or_default(),
        }
    }
}

/// One copy of each name: thousands of workloads share a team. Names that nobody uses any more are dropped, so that
/// labels which change for ever take no memory for ever.
#[derive(Debug, Default)]
pub struct Names {
    known: HashSet<Arc<str>>,
    prune_at: usize,
}

/// Below this many names it is not worth looking for unused ones.
const FEW: usize = 1024;

impl Names {
    /// The one copy of a name.
    pub fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.known.len() >= self.prune_at.max(FEW) {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.prune_at = self.known.len() * 2;
        }
        let new: Arc<str> = name.into();
        self.known.insert(new.clone());
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_counted_in_bytes() {
        assert!(size_of::<Row>() <= 48, "{} bytes", size_of::<Row>());
    }

    #[test]
    fn names_that_nobody_uses_are_dropped() {
        let mut names = Names::default();
        let kept = names.get("kept");
        for number in 0..10 * FEW {
            names.get(&number.to_string());
        }
        assert!(names.known.len() <= 2 * FEW, "{}", names.known.len());
        assert!(Arc::ptr_eq(&kept, &names.get("kept")));
    }
}
