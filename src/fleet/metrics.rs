//! What the fleet exports: counters of its watches, and gauges that are computed when somebody asks.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus::IntCounterVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::deploys::Tally;
use super::errors::Skipped;
use super::health::Contact;
use super::{Fleet, delivery};
use crate::api::{GoldenPath, GrantedExemption, PlatformService, RolloutPhase, RolloutStatus, WorkloadKind};
use crate::observability::Metrics;
use crate::observability::catalogue::{self, Metric};
use crate::observability::metrics::{MetricsError, counter, gauge};
use crate::plan::availability::share;
use crate::plan::score::Weights;
use crate::status::adoption::{TeamShare, is_on_the_road, team_shares};
use crate::status::counts::{Class, Counts};
use crate::status::experience::{self, PathExperience};
use crate::status::objective::{PathReliability, by_path};

/// Most teams that have series of their own; the smaller ones are summed up as [`OTHER`].
pub(crate) const MAX_TEAMS: usize = 100;
/// Most paths that have series of their own: those with most services.
const MAX_PATHS: usize = 100;
/// The team of all smaller teams, and the path of all smaller paths.
pub(crate) const OTHER: &str = "other";
/// The path of a service that has none that can be taken.
const NO_PATH: &str = "";

/// Counters of the watches.
#[derive(Clone, Debug)]
pub struct WatchMetrics {
    relists: IntCounterVec,
    failures: IntCounterVec,
    skipped: IntCounterVec,
}

impl WatchMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let new = Self {
            relists: counter(&catalogue::FLEET_RELISTS)?,
            failures: counter(&catalogue::FLEET_WATCH_ERRORS)?,
            skipped: counter(&catalogue::FLEET_SKIPPED)?,
        };
        metrics.register(new.relists.clone())?;
        metrics.register(new.failures.clone())?;
        metrics.register(new.skipped.clone())?;
        Ok(new)
    }

    /// A list begins.
    pub fn listed(&self, resource: &str) {
        self.relists.with_label_values(&[resource]).inc();
    }

    /// A watch failed.
    pub fn watch_failed(&self, resource: &str, reason: &'static str) {
        self.failures.with_label_values(&[resource, reason]).inc();
    }

    /// An object is skipped.
    pub fn skipped(&self, resource: &str, why: Skipped) {
        self.skipped.with_label_values(&[resource, why.reason()]).inc();
    }
}

/// A path of the cluster.
#[derive(Clone, Debug, Default)]
pub struct PathInfo {
    /// Its name.
    pub name: String,
    /// The kinds that it claims.
    pub default_for: Vec<WorkloadKind>,
    /// How each of its exemptions is used.
    pub exemptions: Vec<GrantedExemption>,
    /// How far its current revision is.
    pub rollout: Option<RolloutStatus>,
    /// How available its services are.
    pub reliability: PathReliability,
    /// How available they are meant to be, from 0 to 1.
    pub objective: Option<f64>,
    /// How teams fare with it.
    pub experience: PathExperience,
}

type Paths = Vec<PathInfo>;

/// Gauges over the fleet. Nothing is kept between two scrapes, so what has vanished is gone from the next one.
pub struct FleetCollector {
    fleet: Fleet,
    contacts: Vec<Contact>,
    paths: Box<dyn Fn() -> Option<Paths> + Send + Sync>,
}

impl FleetCollector {
    /// Over a fleet and the paths of a store. Of a replica that follows there are none, and it tells of itself alone: what
    /// is counted in the cluster would be counted twice.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        contacts: Vec<Contact>,
        paths: impl Fn() -> Option<Paths> + Send + Sync + 'static,
    ) -> Self {
        Self { fleet, contacts, paths: Box::new(paths) }
    }
}

/// Every path in a store that can be read, with what the services of another store say of them.
#[must_use]
pub fn paths_of(
    store: &Store<DeserializeGuard<GoldenPath>>,
    services: &Store<DeserializeGuard<PlatformService>>,
    now: Timestamp,
) -> Paths {
    let services = services.state();
    let readable = || services.iter().filter_map(|service| service.0.as_ref().ok());
    let (mut reliability, mut experience) = (by_path(readable(), now), experience::by_path(readable()));
    let of_path = |path: &Arc<DeserializeGuard<GoldenPath>>| {
        let path = path.0.as_ref().ok()?;
        let name = path.metadata.name.clone()?;
        let objective = path.spec.objectives.as_ref().and_then(|objectives| objectives.availability.as_deref());
        Some(PathInfo {
            objective: objective.and_then(share),
            experience: experience.remove(&name).unwrap_or_default(),
            reliability: reliability.remove(&name).unwrap_or_default(),
            rollout: path.status.as_ref().and_then(|status| status.rollout.clone()),
            name,
            default_for: path.spec.default_for.clone(),
            exemptions: path.status.as_ref().map(|status| status.exemptions.clone()).unwrap_or_default(),
        })
    };
    store.state().iter().filter_map(of_path).collect()
}

impl Collector for FleetCollector {
    /// A collector without descriptions is not checked against others: its metrics exist at scrape time alone.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (counts, sizes, deploys) = self.fleet.snapshot();
        let paths = (self.paths)();
        let mut gauges = Gauges::of(&counts, paths.as_deref().unwrap_or_default());
        let added = gauges
            .fleet(sizes, &self.contacts)
            .and_then(|()| paths.map_or(Ok(()), |paths| gauges.cluster(&counts, &deploys, &paths)));
        // names and labels are constants, so this cannot happen twice
        if let Err(error) = added {
            tracing::error!(%error, "the fleet's metrics cannot be made");
        }
        gauges.families
    }
}

struct Gauges {
    families: Vec<MetricFamily>,
    teams: HashSet<Arc<str>>,
    paths: HashSet<Arc<str>>,
}

type Added = Result<(), prometheus::Error>;

impl Gauges {
    fn of(counts: &Counts, paths: &[PathInfo]) -> Self {
        let teams = counts.teams().into_iter().take(MAX_TEAMS).collect();
        let mut services: BTreeMap<Arc<str>, u64> =
            paths.iter().map(|path| (Arc::from(path.name.as_str()), 0)).collect();
        for (service, n) in &counts.services {
            if let Some(path) = &service.path {
                *services.entry(path.clone()).or_default() += n;
            }
        }
        let mut paths: Vec<(Arc<str>, u64)> = services.into_iter().collect();
        paths.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self { families: Vec::new(), teams, paths: paths.into_iter().take(MAX_PATHS).map(|(path, _)| path).collect() }
    }

    fn team<'a>(&self, team: &'a Arc<str>) -> &'a str {
        if self.teams.contains(team) { team } else { OTHER }
    }

    fn path<'a>(&self, path: Option<&'a Arc<str>>) -> &'a str {
        path.map_or(NO_PATH, |path| if self.paths.contains(path) { path } else { OTHER })
    }

    fn delivery(&mut self, counts: &Counts, deploys: &[Tally; 2], paths: &[&PathInfo]) -> Added {
        self.families.extend(delivery::of_workloads(counts, deploys)?);
        let services = counts
            .services
            .iter()
            .map(|(service, n)| (self.path(service.path.as_ref()).to_owned(), service.origin, *n));
        let families = delivery::of_paths(paths, services)?;
        self.families.extend(families);
        Ok(())
    }

    fn add<const N: usize>(&mut self, metric: &Metric, values: impl IntoIterator<Item = ([String; N], f64)>) -> Added {
        self.families.extend(gauge(metric, values)?);
        Ok(())
    }

    fn fleet(&mut self, (workloads, namespaces): ([usize; 4], usize), contacts: &[Contact]) -> Added {
        let by_kind = WorkloadKind::ALL.iter().zip(workloads);
        let by_kind: Vec<_> = by_kind.map(|(kind, n)| ([kind.to_string()], float(n as u64))).collect();
        self.add(&catalogue::FLEET_WORKLOADS, by_kind)?;
        let namespaces = [([], float(namespaces as u64))];
        self.add(&catalogue::FLEET_NAMESPACES, namespaces)?;
        let by_resource = |value: fn(&Contact) -> f64| -> Vec<_> {
            contacts.iter().map(|contact| ([contact.resource.plural().to_owned()], value(contact))).collect()
        };
        let synced = by_resource(|contact| f64::from(contact.is_synced()));
        self.add(&catalogue::FLEET_SYNCED, synced)?;
        let blind = by_resource(|contact| contact.blind().as_secs_f64());
        self.add(&catalogue::FLEET_BLIND, blind)
    }

    fn cluster(&mut self, counts: &Counts, deploys: &[Tally; 2], paths: &Paths) -> Added {
        let named: Vec<&PathInfo> = paths.iter().filter(|path| self.paths.contains(path.name.as_str())).collect();
        self.workloads(counts)?;
        self.services(counts)?;
        self.paths(counts, &named)?;
        self.delivery(counts, deploys, &named)
    }

    fn workloads(&mut self, counts: &Counts) -> Added {
        let mut claimed = Vec::new();
        let (mut unclaimed, mut managed) = (Vec::new(), Vec::new());
        let mut replicas = Vec::new();
        let mut scores: BTreeMap<[String; 2], Weights> = BTreeMap::new();
        for (bucket, sum) in &counts.workloads {
            let (team, kind) = (self.team(&bucket.team).to_owned(), bucket.kind.to_string());
            let value = float(sum.workloads);
            match &bucket.class {
                Class::Excluded => {}
                Class::Managed => managed.push(([team, kind], value)),
                Class::Unclaimed => {
                    replicas.push(([team.clone(), kind.clone()], float(sum.replicas)));
                    unclaimed.push(([team, kind], value));
                }
                Class::Claimed { path, state, mode } => {
                    let path = self.path(path.as_ref()).to_owned();
                    claimed.push(([path.clone(), team.clone(), state.to_string(), format!("{mode:?}")], value));
                    let weights = scores.entry([path, team]).or_default();
                    weights.good += sum.weights.good;
                    weights.all += sum.weights.all;
                }
            }
        }
        let scores = scores.into_iter().filter(|(_, w)| w.all > 0).map(|(labels, w)| (labels, ratio(w.good, w.all)));
        self.add(&catalogue::WORKLOADS, claimed)?;
        self.add(&catalogue::UNCLAIMED_WORKLOADS, unclaimed)?;
        self.add(&catalogue::UNCLAIMED_REPLICAS, replicas)?;
        self.add(&catalogue::MANAGED_WORKLOADS, managed)?;
        self.add(&catalogue::SCORE, scores)
    }

    fn services(&mut self, counts: &Counts) -> Added {
        let services = counts.services.iter().map(|(service, n)| {
            let (path, team) = (self.path(service.path.as_ref()), self.team(&service.team));
            ([path.to_owned(), team.to_owned(), service.state.to_string(), format!("{:?}", service.mode)], float(*n))
        });
        let services: Vec<_> = services.collect();
        self.add(&catalogue::SERVICES, services)?;
        let verdicts = counts.verdicts.iter().map(|((path, default, state), n)| {
            ([self.path(Some(path)).to_owned(), default.to_string(), format!("{state:?}")], float(*n))
        });
        let verdicts: Vec<_> = verdicts.collect();
        self.add(&catalogue::VERDICTS, verdicts)
    }

    fn paths(&mut self, counts: &Counts, paths: &[&PathInfo]) -> Added {
        let (mut eligible, mut teams) = (Vec::new(), Vec::new());
        let (mut of_workloads, mut of_teams) = (Vec::new(), Vec::new());
        let exemptions = paths.iter().flat_map(|path| path.exemptions.iter().map(move |e| (path, e.state)));
        let exemptions: Vec<_> = exemptions.map(|(p, state)| ([p.name.clone(), format!("{state:?}")], 1.0)).collect();
        self.add(&catalogue::EXEMPTIONS, exemptions)?;
        self.rollouts(paths)?;
        self.reliability(paths)?;
        for PathInfo { name: path, default_for, .. } in paths {
            let shares = team_shares(counts, path, default_for);
            let count = |of: fn(&TeamShare) -> bool| shares.values().filter(|share| of(share)).count() as u64;
            let sum = |of: fn(&TeamShare) -> u64| shares.values().map(of).sum::<u64>();
            let (on, all) = (count(is_on_the_road), shares.len() as u64);
            for (state, n) in [("Adopted", on), ("Claimed", count(|s| s.claimed > 0)), ("Eligible", all)] {
                teams.push(([path.clone(), state.to_owned()], float(n)));
            }
            of_workloads.push(([path.clone()], ratio(sum(|s| s.adopted), sum(|s| s.eligible))));
            of_teams.push(([path.clone()], ratio(on, all)));
            for (team, share) in &shares {
                eligible.push(([path.clone(), self.team(team).to_owned()], float(share.eligible)));
            }
        }
        self.add(&catalogue::ELIGIBLE_WORKLOADS, eligible)?;
        self.add(&catalogue::TEAMS, teams)?;
        self.add(&catalogue::WORKLOAD_ADOPTION, of_workloads)?;
        self.add(&catalogue::TEAM_ADOPTION, of_teams)
    }

    fn rollouts(&mut self, paths: &[&PathInfo]) -> Added {
        let (mut phases, mut services, mut begun) = (Vec::new(), Vec::new(), Vec::new());
        for (path, rollout) in paths.iter().filter_map(|path| Some((&path.name, path.rollout.as_ref()?))) {
            phases.push(([path.clone(), format!("{:?}", rollout.phase)], 1.0));
            let is_over = matches!(rollout.phase, RolloutPhase::Complete | RolloutPhase::Aborted);
            let counts = [
                ("Moved", rollout.moved),
                ("Exercised", rollout.exercised),
                ("Failed", rollout.failed),
                ("Pending", rollout.pending),
            ];
            let counts =
                counts.map(|(state, n)| ([path.clone(), state.to_owned()], float(u64::try_from(n).unwrap_or(0))));
            services.extend(counts);
            if let Some(at) = rollout.wave_started_at.as_ref().filter(|_| !is_over) {
                begun.push(([path.clone()], float(u64::try_from(at.0.as_second()).unwrap_or(0))));
            }
        }
        self.add(&catalogue::ROLLOUT_PHASE, phases)?;
        self.add(&catalogue::ROLLOUT_SERVICES, services)?;
        self.add(&catalogue::ROLLOUT_WAVE_STARTED, begun)
    }

    fn reliability(&mut self, paths: &[&PathInfo]) -> Added {
        let known = |path: &&PathInfo| Some(([path.name.clone()], path.reliability.watched.ratio()?));
        let availability: Vec<_> = paths.iter().filter_map(known).collect();
        self.add(&catalogue::AVAILABILITY, availability)?;
        let of_path = |path: &&PathInfo| {
            let [met, missed, unknown] = path.reliability.objectives;
            let name = path.name.clone();
            [("True", met), ("False", missed), ("Unknown", unknown)]
                .map(|(met, n)| ([name.clone(), met.to_owned()], float(n)))
        };
        let objectives: Vec<_> = paths.iter().flat_map(of_path).filter(|(_, n)| *n > 0.0).collect();
        self.add(&catalogue::OBJECTIVES, objectives)
    }
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Nothing of nothing is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}
