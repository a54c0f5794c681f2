//! What the fleet exports: counters of its watches, and gauges that are computed when somebody asks.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kube::runtime::reflector::Store;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::Fleet;
use super::errors::Skipped;
use super::health::Contact;
use crate::api::{GoldenPath, GrantedExemption, WorkloadKind};
use crate::observability::Metrics;
use crate::observability::metrics::MetricsError;
use crate::plan::score::Weights;
use crate::status::adoption::{TeamShare, is_on_the_road, team_shares};
use crate::status::counts::{Class, Counts};

/// Most teams that have series of their own; the smaller ones are summed up as [`OTHER`].
const MAX_TEAMS: usize = 100;
/// The team of all smaller teams.
const OTHER: &str = "other";
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
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(format!("goldenpath_fleet_{name}"), help), labels)
        };
        let new = Self {
            relists: counter("relists_total", "Full lists that were begun, by resource.", &["resource"])?,
            failures: counter(
                "watch_errors_total",
                "Watches that failed, by resource and reason.",
                &["resource", "reason"],
            )?,
            skipped: counter(
                "skipped_objects_total",
                "Objects that could not be read, by resource and reason.",
                &["resource", "reason"],
            )?,
        };
        metrics.register(new.relists.clone())?;
        metrics.register(new.failures.clone())?;
        metrics.register(new.skipped.clone())?;
        Ok(new)
    }

    /// A list begins.
    pub fn listed(&self, resource: &'static str) {
        self.relists.with_label_values(&[resource]).inc();
    }

    /// A watch failed.
    pub fn watch_failed(&self, resource: &'static str, reason: &'static str) {
        self.failures.with_label_values(&[resource, reason]).inc();
    }

    /// An object is skipped.
    pub fn skipped(&self, resource: &'static str, why: Skipped) {
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
}

type Paths = Vec<PathInfo>;

/// Gauges over the fleet. Nothing is kept between two scrapes, so what has vanished is gone from the next one.
pub struct FleetCollector {
    fleet: Fleet,
    contacts: Vec<Contact>,
    paths: Box<dyn Fn() -> Paths + Send + Sync>,
}

impl FleetCollector {
    /// Over a fleet and the paths of a store.
    #[must_use]
    pub fn new(fleet: Fleet, contacts: Vec<Contact>, paths: impl Fn() -> Paths + Send + Sync + 'static) -> Self {
        Self { fleet, contacts, paths: Box::new(paths) }
    }
}

/// Every path in a store that can be read.
#[must_use]
pub fn paths_of(store: &Store<kube::core::DeserializeGuard<GoldenPath>>) -> Paths {
    let readable = |path: &Arc<kube::core::DeserializeGuard<GoldenPath>>| {
        let path = path.0.as_ref().ok()?;
        Some(PathInfo {
            name: path.metadata.name.clone()?,
            default_for: path.spec.default_for.clone(),
            exemptions: path.status.as_ref().map(|status| status.exemptions.clone()).unwrap_or_default(),
        })
    };
    store.state().iter().filter_map(readable).collect()
}

impl Collector for FleetCollector {
    /// A collector without descriptions is not checked against others: its metrics exist at scrape time alone.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (counts, sizes) = self.fleet.snapshot();
        let mut gauges = Gauges::of(&counts);
        let added = gauges
            .fleet(sizes, &self.contacts)
            .and_then(|()| gauges.workloads(&counts))
            .and_then(|()| gauges.services(&counts))
            .and_then(|()| gauges.paths(&counts, &(self.paths)()));
        // names and labels are constants, so this cannot happen twice
        if let Err(error) = added {
            tracing::error!(%error, "the fleet's metrics cannot be made");
        }
        gauges.families
    }
}

struct Gauges {
    families: Vec<MetricFamily>,
    named: HashSet<Arc<str>>,
}

type Added = Result<(), prometheus::Error>;

impl Gauges {
    fn of(counts: &Counts) -> Self {
        Self { families: Vec::new(), named: counts.teams().into_iter().take(MAX_TEAMS).collect() }
    }

    fn team<'a>(&self, team: &'a Arc<str>) -> &'a str {
        if self.named.contains(team) { team } else { OTHER }
    }

    fn add<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) -> Added {
        let gauge = GaugeVec::new(Opts::new(format!("goldenpath_{name}"), help), &labels)?;
        for (labels, value) in values {
            gauge.with_label_values(&labels.each_ref().map(String::as_str)).add(value);
        }
        self.families.extend(gauge.collect().into_iter().filter(|family| !family.get_metric().is_empty()));
        Ok(())
    }

    fn fleet(&mut self, (workloads, namespaces): ([usize; 4], usize), contacts: &[Contact]) -> Added {
        let by_kind = WorkloadKind::ALL.iter().zip(workloads);
        let by_kind: Vec<_> = by_kind.map(|(kind, n)| ([kind.to_string()], float(n as u64))).collect();
        self.add("fleet_workloads", "Workloads that are watched, by kind.", ["kind"], by_kind)?;
        let namespaces = [([], float(namespaces as u64))];
        self.add("fleet_namespaces", "Namespaces that are watched.", [], namespaces)?;
        let by_resource = |value: fn(&Contact) -> f64| -> Vec<_> {
            contacts.iter().map(|contact| ([contact.resource.plural().to_owned()], value(contact))).collect()
        };
        let synced = by_resource(|contact| f64::from(contact.is_synced()));
        self.add("fleet_synced", "1 when all objects of the resource have been listed.", ["resource"], synced)?;
        let blind = by_resource(|contact| contact.blind().as_secs_f64());
        let help = "Seconds since the API server was heard, while a watch has no connection; else 0.";
        self.add("fleet_blind_seconds", help, ["resource"], blind)
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
                    let path = path.as_deref().unwrap_or(NO_PATH).to_owned();
                    claimed.push(([path.clone(), team.clone(), state.to_string(), format!("{mode:?}")], value));
                    let weights = scores.entry([path, team]).or_default();
                    weights.good += sum.weights.good;
                    weights.all += sum.weights.all;
                }
            }
        }
        let scores = scores.into_iter().filter(|(_, w)| w.all > 0).map(|(labels, w)| (labels, ratio(w.good, w.all)));
        let labels = ["path", "team", "state", "mode"];
        self.add("workloads", "Workloads that a service names, by how far they are.", labels, claimed)?;
        self.add("unclaimed_workloads", "Workloads that no service names.", ["team", "kind"], unclaimed)?;
        let help = "Pods that workloads ask for which no service names.";
        self.add("unclaimed_replicas", help, ["team", "kind"], replicas)?;
        let help = "Workloads that another controller owns; they are never touched.";
        self.add("managed_workloads", help, ["team", "kind"], managed)?;
        let help = "Weight of the defaults that are in place over the weight of those that apply.";
        self.add("score_ratio", help, ["path", "team"], scores)
    }

    fn services(&mut self, counts: &Counts) -> Added {
        let services = counts.services.iter().map(|(service, n)| {
            let (path, team) = (service.path.as_deref().unwrap_or(NO_PATH), self.team(&service.team));
            ([path.to_owned(), team.to_owned(), service.state.to_string(), format!("{:?}", service.mode)], float(*n))
        });
        let services: Vec<_> = services.collect();
        self.add("services", "PlatformServices, by how far they are.", ["path", "team", "state", "mode"], services)?;
        let verdicts = counts.verdicts.iter().map(|((path, default, state), n)| {
            ([path.to_string(), default.to_string(), format!("{state:?}")], float(*n))
        });
        let verdicts: Vec<_> = verdicts.collect();
        let help = "Verdicts on the workloads of a path, by default.";
        self.add("verdicts", help, ["path", "default", "state"], verdicts)
    }

    fn paths(&mut self, counts: &Counts, paths: &Paths) -> Added {
        let (mut eligible, mut teams) = (Vec::new(), Vec::new());
        let (mut of_workloads, mut of_teams) = (Vec::new(), Vec::new());
        let exemptions = paths.iter().flat_map(|path| path.exemptions.iter().map(move |e| (path, e.state)));
        let exemptions: Vec<_> = exemptions.map(|(p, state)| ([p.name.clone(), format!("{state:?}")], 1.0)).collect();
        let help = "Exemptions that the path grants, by how they are used.";
        self.add("exemptions", help, ["path", "state"], exemptions)?;
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
        let help = "Workloads that could be on the path, whether a service names them or not.";
        self.add("eligible_workloads", help, ["path", "team"], eligible)?;
        let help = "Teams with all (Adopted), some (Claimed) or any (Eligible) of their workloads on the path.";
        self.add("teams", help, ["path", "state"], teams)?;
        let help = "Adopted workloads over eligible ones.";
        self.add("workload_adoption_ratio", help, ["path"], of_workloads)?;
        let help = "Teams with all of their eligible workloads adopted over all teams with eligible ones.";
        self.add("team_adoption_ratio", help, ["path"], of_teams)
    }
}

/// Counts are far below 2^52.
#[allow(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

/// Nothing of nothing is nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}
