//! Deploys: rollouts of a new template, of workloads that a service names and of all others.
//!
//! ```text
//! Slim ── Slim::rollout ──> Rollout (which template, how far) ── Deploys::see ──> counters, durations
//! ```
//!
//! Nothing is kept of a workload but the number of its template and its last lead time; what is under way is kept beside,
//! while it is. When a deploy began stands nowhere in the cluster, so it is measured with our own clock, which no one sets
//! back, and one that began while no operator looked has no duration.

use std::collections::HashMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::claims::WorkloadKey;
use super::decode::{Slim, Status};
use crate::api::WorkloadKind;
use crate::plan::health::DEADLINE;
use crate::status::spread::{DEPLOY, Spread, elapsed};

/// A commit that is older than that says nothing about how fast a team is: mostly somebody wrote a zero.
const OLDEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// When something was seen.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Tenths of a second since some beginning; never goes back.
    pub uptime: u32,
    /// As the clock on the wall says.
    pub wall: Timestamp,
}

/// How far a template is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is on its way.
    UnderWay,
    /// Everything that the workload asks for runs it.
    Over,
    /// Its controller gave it up.
    Failed,
}

/// What a workload says of its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Which template. Zero where that is not known, and for a CronJob, which has no rollout.
    pub template: u32,
    /// How far it is.
    pub standing: Standing,
    /// Pods that it asks for.
    pub wanted: u32,
    /// Whether a pod is available; nothing where none is asked for.
    pub up: Option<bool>,
    /// No controller has looked at it yet.
    pub is_new: bool,
}

impl Slim<'_> {
    /// How far its template is rolled out. The rules are those of `kubectl rollout status`, as in
    /// [`waits_for`](crate::plan::rollout::waits_for); but pods that crash later are no part of a Deployment's rollout.
    #[must_use]
    pub fn rollout(&self, kind: WorkloadKind) -> Rollout {
        let none = Status::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let wanted = self.replicas(kind);
        let count = |n: Option<i32>| u32::try_from(n.unwrap_or(0)).unwrap_or(0);
        let [there, updated, available] = match kind {
            WorkloadKind::DaemonSet => {
                [status.current_number_scheduled, status.updated_number_scheduled, status.number_available]
            }
            _ => [status.replicas, status.updated_replicas, status.available_replicas],
        }
        .map(count);
        let observed = status.observed_generation.unwrap_or(0);
        let all_new = kind == WorkloadKind::StatefulSet && status.current_revision == status.update_revision;
        let old_left = kind == WorkloadKind::Deployment && there > updated;
        let runs = (all_new || updated >= wanted) && available >= wanted && !old_left;
        let paused = self.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
        let told = (kind == WorkloadKind::Deployment).then(|| self.progressing()).flatten();
        let standing = match told.map(|(reason, _)| reason) {
            _ if kind == WorkloadKind::CronJob => Standing::Over,
            _ if paused || observed < self.metadata.generation.unwrap_or(0) => Standing::UnderWay,
            Some("NewReplicaSetAvailable") => Standing::Over,
            Some("ProgressDeadlineExceeded") => Standing::Failed,
            None if runs => Standing::Over,
            _ => Standing::UnderWay,
        };
        let up = (wanted > 0).then_some(available > 0);
        Rollout { template: self.template_number(kind), standing, wanted, up, is_new: observed == 0 }
    }

    /// What a Deployment's controller says of its progress, and when it said so.
    fn progressing(&self) -> Option<(&str, &str)> {
        let conditions = self.status.as_ref()?.conditions.as_ref()?;
        let found = conditions.iter().find(|condition| condition.name == "Progressing")?;
        Some((&found.reason, &found.last_update_time))
    }

    fn template_number(&self, kind: WorkloadKind) -> u32 {
        let annotations = self.metadata.annotations.as_ref();
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).map_or(0, low);
        match kind {
            WorkloadKind::Deployment => number(annotations.map(|a| &*a.revision)),
            WorkloadKind::DaemonSet => number(annotations.map(|a| &*a.template_generation)),
            WorkloadKind::StatefulSet => hash(self.status.as_ref().map_or("", |status| &status.update_revision)),
            WorkloadKind::CronJob => 0,
        }
    }

    /// Tenths of a second from the commit that it runs to the end of its rollout. A Deployment says itself when that was;
    /// of other kinds it is known only when somebody saw it. Nothing where a time is missing, lies in the future, or is so
    /// old that nobody can have meant it.
    #[must_use]
    pub fn lead(&self, kind: WorkloadKind, ended: Option<Timestamp>) -> Option<u32> {
        let committed: Timestamp = self.metadata.annotations.as_ref()?.committed.as_ref()?.parse().ok()?;
        let told = match kind {
            WorkloadKind::Deployment => self.progressing().and_then(|(_, at)| at.parse().ok()),
            _ => None,
        };
        let ended = told.or(ended)?;
        elapsed(committed, ended).filter(|_| ended.duration_since(committed) <= OLDEST)
    }
}

/// Numbers of templates follow each other, so the lower half tells them apart. Zero is for what is not known.
fn low(number: u64) -> u32 {
    u32::try_from(number % u64::from(u32::MAX)).unwrap_or(0).max(1)
}

/// FNV-1a: names of revisions are hashes already.
fn hash(name: &str) -> u32 {
    if name.is_empty() {
        return 0;
    }
    name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
}

/// How a deploy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything runs the new template.
    Complete,
    /// Its controller gave it up; or, where no controller does, it took more than ten minutes a pod.
    Failed,
    /// Another one began before it ended.
    Replaced,
}

impl Ended {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::Replaced];
}

/// Counters since the process began: of workloads without our label, and of those with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By how they ended, in the order of [`Ended::ALL`].
    pub ended: [u64; 3],
    /// How long the complete ones took whose beginning was seen.
    pub durations: Spread,
}

/// A deploy that has not ended.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    /// When it was seen to begin.
    since: Option<u32>,
    /// It counts as failed, and no more.
    failed: bool,
    /// It began when the operator did not look, so that it may be no deploy at all.
    doubtful: bool,
}

/// All deploys.
#[derive(Debug, Default)]
pub struct Deploys {
    under_way: HashMap<WorkloadKey, UnderWay>,
    tallies: [Tally; 2],
}

impl Deploys {
    /// Without our label, and with it.
    #[must_use]
    pub fn tallies(&self) -> &[Tally; 2] {
        &self.tallies
    }

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// A workload is gone, and its deploy with it.
    pub fn forget(&mut self, key: &WorkloadKey) {
        if !self.under_way.is_empty() {
            self.under_way.remove(key);
        }
    }

    /// A workload was seen, which had this template before; nothing where it was not known. The answer is whether a deploy
    /// of it has just ended well.
    pub fn see(&mut self, key: &WorkloadKey, before: Option<u32>, is: Rollout, adopted: bool, at: Moment) -> bool {
        // what ends in the moment in which it is seen to begin was missed while nobody looked
        let since = (is.standing != Standing::Over).then_some(at.uptime);
        let begins = UnderWay { since, failed: false, doubtful: false };
        match before {
            None if is.standing == Standing::Over => return false,
            None => {
                // one that had failed before was counted then
                let failed = is.standing == Standing::Failed;
                let doubtful = !is.is_new && key.kind != WorkloadKind::Deployment;
                let since = is.is_new.then_some(at.uptime);
                self.under_way.insert(key.clone(), UnderWay { since, failed, doubtful });
            }
            // a template that had no number yet is no other one
            Some(0) if is.template != 0 => {
                self.under_way.entry(key.clone()).or_insert(begins);
            }
            Some(before) if is.template != 0 && is.template != before => {
                let replaced = self.under_way.insert(key.clone(), begins);
                if replaced.is_some_and(|old| !old.failed && !old.doubtful) {
                    self.count(Ended::Replaced, adopted);
                }
            }
            Some(_) => {}
        }
        let Some(deploy) = self.under_way.get_mut(key) else { return false };
        match is.standing {
            Standing::Over => {
                let UnderWay { since, failed, doubtful } = *deploy;
                self.under_way.remove(key);
                // what asks for no pod is not rolled out
                if !failed && !doubtful && is.wanted > 0 {
                    self.count(Ended::Complete, adopted);
                    if let Some(since) = since {
                        let took = at.uptime.saturating_sub(since);
                        self.tallies[usize::from(adopted)].durations.add(DEPLOY, took);
                    }
                }
                true
            }
            Standing::Failed | Standing::UnderWay => {
                let late = is.standing == Standing::Failed || is_late(key.kind, is.wanted, deploy.since, at.uptime);
                if late && !deploy.failed {
                    deploy.failed = true;
                    self.count(Ended::Failed, adopted);
                }
                false
            }
        }
    }

    fn count(&mut self, how: Ended, adopted: bool) {
        self.tallies[usize::from(adopted)].ended[how as usize] += 1;
    }
}

/// Of a StatefulSet and a DaemonSet nobody says that the rollout failed: pods follow one another, each has its time.
fn is_late(kind: WorkloadKind, wanted: u32, since: Option<u32>, now: u32) -> bool {
    let each = u32::try_from(DEADLINE.as_secs()).unwrap_or(u32::MAX).saturating_mul(10);
    let by_itself = matches!(kind, WorkloadKind::StatefulSet | WorkloadKind::DaemonSet);
    by_itself && since.is_some_and(|since| now.saturating_sub(since) > each.saturating_mul(wanted.max(1)))
}

#[cfg(test)]
#[path = "tests/deploys.rs"]
mod tests;
