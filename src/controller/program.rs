//! What the operator exports about the program: which work comes first, and what could go wrong with it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::context::Context;
use crate::api::{Grade, Priority, Risk};
use crate::clock;
use crate::fleet::metrics::{OTHER, float};
use crate::observability::catalogue::{self, Metric};
use crate::observability::metrics::gauge;
use crate::plan::risks::{is_open, is_overdue};
use crate::plan::wsjf;

/// Most objects with series of their own.
const MAX_OBJECTS: usize = 100;

/// A piece of work of the program.
#[derive(Clone, Debug)]
struct Work {
    kind: &'static str,
    name: String,
    priority: Option<Priority>,
    risks: Vec<Risk>,
}

/// Everything in the stores that can be read.
fn works(context: &Context) -> Vec<Work> {
    let paths = context.paths.state();
    let of_paths = paths.iter().filter_map(|path| path.0.as_ref().ok()).map(|path| Work {
        kind: "GoldenPath",
        name: path.name_any(),
        priority: path.spec.priority.clone(),
        risks: path.spec.risks.clone(),
    });
    let of_deprecations = context.deprecations.readable().into_iter().map(|deprecation| Work {
        kind: "Deprecation",
        name: deprecation.name_any(),
        priority: deprecation.spec.priority,
        risks: deprecation.spec.risks,
    });
    of_paths.chain(of_deprecations).collect()
}

/// Puts the gauges of the program on `/metrics`.
pub fn show(context: &Arc<Context>) {
    let shared = context.clone();
    // those of a replica that follows would be counted twice
    let works = move || if shared.leadership.has_begun() { works(&shared) } else { Vec::new() };
    if let Err(error) = context.metrics.register(ProgramCollector::new(works)) {
        tracing::error!(%error, "the metrics of the program are not shown");
    }
}

/// Gauges over all work. They are computed at scrape time, so a risk becomes overdue without a write.
struct ProgramCollector {
    works: Box<dyn Fn() -> Vec<Work> + Send + Sync>,
    descriptions: Vec<Desc>,
}

impl ProgramCollector {
    fn new(works: impl Fn() -> Vec<Work> + Send + Sync + 'static) -> Self {
        let description = |metric: &Metric| {
            let labels = metric.labels.iter().map(ToString::to_string).collect();
            // names and labels are constants
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new()).ok()
        };
        let descriptions = [&catalogue::WSJF, &catalogue::OPEN_RISKS].into_iter().filter_map(description).collect();
        Self { works: Box::new(works), descriptions }
    }
}

impl Collector for ProgramCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // names and labels are constants, so this cannot happen twice
        families(&(self.works)(), clock::now()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics of the program cannot be made");
            Vec::new()
        })
    }
}

fn families(works: &[Work], now: Timestamp) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let ranked = gauge(&catalogue::WSJF, ranking(works))?;
    let risks = gauge(&catalogue::OPEN_RISKS, open_risks(works, now))?;
    Ok(ranked.into_iter().chain(risks).collect())
}

/// The highest come first; of equals the one whose name does.
fn ranking(works: &[Work]) -> Vec<([String; 2], f64)> {
    let of_work = |work: &Work| Some(([work.kind.to_owned(), work.name.clone()], wsjf::ratio(work.priority.as_ref()?)));
    let mut ranking: Vec<_> = works.iter().filter_map(of_work).collect();
    ranking.sort_by(|(a, one), (b, other)| other.total_cmp(one).then_with(|| a.cmp(b)));
    ranking.truncate(MAX_OBJECTS);
    ranking
}

/// Those of the objects with most of them, overdue ones first; those of all others are summed up.
fn open_risks(works: &[Work], now: Timestamp) -> Vec<([String; 4], f64)> {
    let count = |work: &Work| {
        let mut counts: BTreeMap<(Grade, bool), u64> = BTreeMap::new();
        for risk in work.risks.iter().filter(|risk| is_open(risk)) {
            *counts.entry((risk.severity, is_overdue(risk, now))).or_default() += 1;
        }
        counts
    };
    let mut counted: Vec<_> = works.iter().map(|work| (work, count(work))).collect();
    counted.sort_by_cached_key(|(work, counts)| {
        let overdue: u64 = counts.iter().filter(|((_, overdue), _)| *overdue).map(|(_, n)| n).sum();
        (Reverse(overdue), Reverse(counts.values().sum::<u64>()), work.kind, work.name.clone())
    });
    let mut all = Vec::new();
    for (rank, (work, counts)) in counted.into_iter().enumerate() {
        let name = if rank < MAX_OBJECTS { &work.name } else { OTHER };
        let labels = |grade: Grade, overdue: bool| {
            [work.kind.to_owned(), name.to_owned(), grade.to_string(), overdue.to_string()]
        };
        all.extend(counts.into_iter().map(|((grade, overdue), n)| (labels(grade, overdue), float(n))));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observability::Metrics;

    fn work(kind: &'static str, name: &str, priority: Option<[i32; 4]>, risks: &[(&str, &str, &str)]) -> Work {
        let priority = priority.map(|[business_value, time_criticality, risk_reduction, job_size]| Priority {
            business_value,
            time_criticality,
            risk_reduction,
            job_size,
        });
        let risk = |(severity, due, state): &(&str, &str, &str)| json!({"name": "r", "severity": severity, "probability": "Low", "owner": "sre", "dueAt": due, "state": state});
        let risks = risks.iter().map(|one| serde_json::from_value(risk(one)).unwrap()).collect();
        Work { kind, name: name.to_owned(), priority, risks }
    }

    const PAST: &str = "2020-01-01T00:00:00Z";
    const TO_COME: &str = "2999-01-01T00:00:00Z";

    #[test]
    fn the_exposition_reads_exactly_so() {
        let risks = [
            ("High", PAST, "Open"),
            ("High", TO_COME, "Open"),
            ("High", TO_COME, "Open"),
            ("Low", PAST, "Resolved"),
            ("Low", TO_COME, "Open"),
        ];
        let all = vec![
            work("GoldenPath", "web", Some([8, 5, 8, 3]), &risks),
            work("Deprecation", "web", Some([5, 8, 8, 5]), &[("Medium", PAST, "Mitigated")]),
            work("Deprecation", "silent", None, &[]),
        ];
        let metrics = Metrics::new().unwrap();
        metrics.register(ProgramCollector::new(move || all.clone())).unwrap();
        let text = metrics.encode().unwrap();
        let ours = |line: &&str| line.starts_with("goldenpath_wsjf") || line.starts_with("goldenpath_open_risks");
        let lines: Vec<&str> = text.lines().filter(ours).collect();
        let expected = [
            r#"goldenpath_open_risks{kind="GoldenPath",name="web",overdue="false",severity="High"} 2"#,
            r#"goldenpath_open_risks{kind="GoldenPath",name="web",overdue="false",severity="Low"} 1"#,
            r#"goldenpath_open_risks{kind="GoldenPath",name="web",overdue="true",severity="High"} 1"#,
            r#"goldenpath_wsjf{kind="Deprecation",name="web"} 4.2"#,
            r#"goldenpath_wsjf{kind="GoldenPath",name="web"} 7"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn series_do_not_grow_with_the_objects() {
        let risky = |n: i32| {
            let due = if n == 999 { PAST } else { TO_COME };
            work("Deprecation", &format!("old-{n}"), Some([1 + n % 20, 1, 1, 1]), &[("High", due, "Open")])
        };
        let all: Vec<Work> = (0..1000).map(risky).collect();
        let ranked = ranking(&all);
        assert_eq!(ranked.len(), MAX_OBJECTS);
        assert!(ranked.iter().all(|(_, wsjf)| *wsjf >= 21.0), "the highest stay: {ranked:?}");
        let families = gauge(&catalogue::OPEN_RISKS, open_risks(&all, Timestamp::now())).unwrap();
        let series = families[0].get_metric();
        assert_eq!(series.len(), MAX_OBJECTS + 1);
        let all: f64 = series.iter().map(|one| one.get_gauge().get_value()).sum();
        assert!((all - 1000.0).abs() < f64::EPSILON, "none is lost: {all}");
        let shown = |one: &prometheus::proto::Metric| one.get_label().iter().any(|label| label.value() == "old-999");
        assert!(series.iter().any(shown), "what is overdue keeps its name");
    }
}
