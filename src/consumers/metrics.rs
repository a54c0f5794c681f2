//! What the operator exports about Deprecations: gauges that are computed when somebody asks.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::api::{Deprecation, DeprecationStage, ExemptionState, UsedExemption};
use crate::fleet::metrics::{MAX_TEAMS, OTHER, float};
use crate::observability::catalogue::{self, Metric};
use crate::observability::metrics::gauge;
use crate::status::consumption::Tally;

/// What is known about one Deprecation.
#[derive(Clone, Debug)]
pub struct DeprecationInfo {
    /// With its status.
    pub deprecation: Deprecation,
    /// The last count, if there is a complete one.
    pub tally: Option<Arc<Tally>>,
    /// Exemptions that services have asked for and not got.
    pub requested: u64,
}

/// Gauges over all Deprecations. Nothing is kept between two scrapes, so what has vanished is gone from the next one.
pub struct DeprecationCollector {
    all: Box<dyn Fn() -> Vec<DeprecationInfo> + Send + Sync>,
    descriptions: Vec<Desc>,
}

const SHOWN: [&Metric; 7] = [
    &catalogue::DEPRECATED_OBJECTS,
    &catalogue::DEPRECATION_STAGE,
    &catalogue::DEPRECATION_STAGE_ENTERED,
    &catalogue::DEPRECATION_DUE,
    &catalogue::DEPRECATION_FORECAST,
    &catalogue::DEPRECATION_EXEMPTIONS,
    &catalogue::DEPRECATION_MAX_EXEMPT,
];

impl DeprecationCollector {
    /// Over whatever there is at scrape time.
    #[must_use]
    pub fn new(all: impl Fn() -> Vec<DeprecationInfo> + Send + Sync + 'static) -> Self {
        let description = |metric: &&Metric| {
            let labels = metric.labels.iter().map(ToString::to_string).collect();
            // names and labels are constants
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new()).ok()
        };
        Self { all: Box::new(all), descriptions: SHOWN.iter().filter_map(description).collect() }
    }
}

impl Collector for DeprecationCollector {
    /// A registry takes only one collector without descriptions, and the fleet's has none.
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // names and labels are constants, so this cannot happen twice
        families(&(self.all)()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics of Deprecations cannot be made");
            Vec::new()
        })
    }
}

fn families(all: &[DeprecationInfo]) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let mut objects: Values<3> = Vec::new();
    let [mut forecasts, mut limits]: [Values<1>; 2] = Default::default();
    let [mut stages, mut entered, mut due, mut exemptions]: [Values<2>; 4] = Default::default();
    for DeprecationInfo { deprecation, tally, requested } in all {
        let (name, spec) = (deprecation.name_any(), &deprecation.spec);
        let of = |stage: DeprecationStage| [name.clone(), format!("{stage:?}")];
        if let Some(tally) = tally {
            count(&name, tally, &mut objects);
        }
        let status = deprecation.status.clone().unwrap_or_default();
        stages.push((of(status.stage), 1.0));
        entered.extend(status.stages.iter().map(|entry| (of(entry.stage), seconds(&entry.entered_at))));
        let timeline = [
            (DeprecationStage::Announced, &spec.timeline.announce_at),
            (DeprecationStage::Warning, &spec.timeline.warn_at),
            (DeprecationStage::CreateBlocked, &spec.timeline.block_create_at),
            (DeprecationStage::UpdateBlocked, &spec.timeline.block_update_at),
            (DeprecationStage::Removed, &spec.timeline.remove_at),
        ];
        due.extend(timeline.into_iter().filter_map(|(stage, at)| Some((of(stage), seconds(at.as_ref()?)))));
        let forecast = status.progress.forecast.and_then(|forecast| forecast.complete_by);
        forecasts.extend(forecast.map(|at| ([name.clone()], seconds(&at))));
        let state = |used: &UsedExemption| ([name.clone(), format!("{:?}", used.state)], 1.0);
        exemptions.extend(status.progress.exemptions.iter().map(state));
        if *requested > 0 {
            exemptions.push(([name.clone(), format!("{:?}", ExemptionState::Requested)], float(*requested)));
        }
        limits.extend(spec.max_exempt_percent.map(|percent| ([name.clone()], f64::from(percent) / 100.0)));
    }
    let families: [Vec<MetricFamily>; 7] = [
        gauge(&catalogue::DEPRECATED_OBJECTS, objects)?,
        gauge(&catalogue::DEPRECATION_STAGE, stages)?,
        gauge(&catalogue::DEPRECATION_STAGE_ENTERED, entered)?,
        gauge(&catalogue::DEPRECATION_DUE, due)?,
        gauge(&catalogue::DEPRECATION_FORECAST, forecasts)?,
        gauge(&catalogue::DEPRECATION_EXEMPTIONS, exemptions)?,
        gauge(&catalogue::DEPRECATION_MAX_EXEMPT, limits)?,
    ];
    Ok(families.into_iter().flatten().collect())
}

type Values<const N: usize> = Vec<([String; N], f64)>;

fn count(name: &str, tally: &Tally, objects: &mut Values<3>) {
    for (rank, (team, n)) in tally.remaining_by_team().into_iter().enumerate() {
        let team = if rank < MAX_TEAMS { team } else { OTHER };
        objects.push(([name.to_owned(), team.to_owned(), "Remaining".to_owned()], float(n)));
    }
    for (state, n) in [("Exempt", tally.exempt()), ("Unevaluable", tally.unevaluable())] {
        if n > 0 {
            objects.push(([name.to_owned(), String::new(), state.to_owned()], float(n)));
        }
    }
}

fn seconds(at: &Time) -> f64 {
    float(u64::try_from(at.0.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::Fleet;
    use crate::fleet::metrics::{FleetCollector, WatchMetrics};
    use crate::observability::Metrics;
    use crate::status::consumption::Consumer;

    fn deprecation() -> Deprecation {
        serde_json::from_value(json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": "ing"},
            "spec": {
                "matches": [],
                "timeline": {"warnAt": "1970-01-01T00:01:00Z", "removeAt": "1970-01-01T00:10:00Z"},
                "maxExemptPercent": 5,
            },
            "status": {
                "stage": "Warning",
                "stages": [{"stage": "Warning", "enteredAt": "1970-01-01T00:01:01Z"}],
                "forecast": {"perWeek": "1.0", "completeBy": "1970-01-01T00:20:00Z"},
                "exemptions": [
                    {"name": "a", "state": "Expired", "objects": 0},
                    {"name": "b", "state": "Granted", "objects": 1},
                ],
                "conditions": [],
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_exposition_reads_exactly_so() {
        let mut tally = Tally::default();
        for (n, exempt) in [(0, false), (1, false), (2, true)] {
            tally.add(Consumer {
                object: &format!("ingress/shop/{n}"),
                team: "payments".into(),
                service: None,
                matched: "class".into(),
                manager: None,
                exempt: exempt.then(|| "b".into()),
                unfit: None,
            });
        }
        let info = DeprecationInfo { deprecation: deprecation(), tally: Some(Arc::new(tally)), requested: 2 };
        let metrics = Metrics::new().unwrap();
        let (touched, _) = futures::channel::mpsc::unbounded();
        let fleet = Fleet::new("goldenpath-system", touched, WatchMetrics::new(&metrics).unwrap());
        metrics.register(FleetCollector::new(fleet, Vec::new(), || Some(Vec::new()))).unwrap();
        metrics.register(DeprecationCollector::new(move || vec![info.clone()])).unwrap();
        let text = metrics.encode().unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("goldenpath_deprecat")).collect();
        let expected = [
            r#"goldenpath_deprecated_objects{deprecation="ing",state="Exempt",team=""} 1"#,
            r#"goldenpath_deprecated_objects{deprecation="ing",state="Remaining",team="payments"} 2"#,
            r#"goldenpath_deprecation_due_timestamp_seconds{deprecation="ing",stage="Removed"} 600"#,
            r#"goldenpath_deprecation_due_timestamp_seconds{deprecation="ing",stage="Warning"} 60"#,
            r#"goldenpath_deprecation_exemptions{deprecation="ing",state="Expired"} 1"#,
            r#"goldenpath_deprecation_exemptions{deprecation="ing",state="Granted"} 1"#,
            r#"goldenpath_deprecation_exemptions{deprecation="ing",state="Requested"} 2"#,
            r#"goldenpath_deprecation_forecast_timestamp_seconds{deprecation="ing"} 1200"#,
            r#"goldenpath_deprecation_max_exempt_ratio{deprecation="ing"} 0.05"#,
            r#"goldenpath_deprecation_stage{deprecation="ing",stage="Warning"} 1"#,
            r#"goldenpath_deprecation_stage_entered_timestamp_seconds{deprecation="ing",stage="Warning"} 61"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn series_do_not_grow_with_the_teams() {
        let mut tally = Tally::default();
        for n in 0..1000 {
            tally.add(Consumer {
                object: &format!("ingress/shop/{n}"),
                team: format!("team-{n}").into(),
                service: None,
                matched: "class".into(),
                manager: None,
                exempt: None,
                unfit: None,
            });
        }
        let mut objects = Vec::new();
        count("ing", &tally, &mut objects);
        let families = gauge(&catalogue::DEPRECATED_OBJECTS, objects).unwrap();
        assert_eq!(families[0].get_metric().len(), MAX_TEAMS + 1);
    }
}
