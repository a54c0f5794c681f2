//! Queries that are made of the catalogue, so that a metric or a label of it that is not there cannot be asked for.

use super::catalogue::Metric;

/// The value of a gauge, once, however many replicas export it. `matchers` are as between braces in PromQL.
///
/// Every query keeps `cluster`, a label that nothing here sets: whoever looks at several clusters has Prometheus add it.
#[must_use]
pub fn gauge(metric: &Metric, matchers: &str) -> String {
    gauge_by(metric, matchers, metric.labels)
}

/// The same by fewer labels than the metric has, the largest of the others.
#[must_use]
pub fn gauge_by(metric: &Metric, matchers: &str, labels: &[&str]) -> String {
    let labels: Vec<&str> = ["cluster"].iter().chain(labels).copied().collect();
    format!("max by ({}) ({metric}{})", labels.join(", "), braces(matchers))
}

/// How much a counter or a histogram has grown that every replica counts alike: the one that has seen most.
#[must_use]
pub fn grown(series: &str, matchers: &str, labels: &[&str], window: &str) -> String {
    let labels: Vec<&str> = ["cluster"].iter().chain(labels).copied().collect();
    format!("max by ({}) (increase({series}{}[{window}]))", labels.join(", "), braces(matchers))
}

/// How often a second a counter grows, of all replicas together, by `labels`.
#[must_use]
pub fn rate(metric: &Metric, matchers: &str, labels: &[&str], window: &str) -> String {
    let labels: Vec<&str> = ["cluster"].iter().chain(labels).copied().collect();
    format!("sum by ({}) (rate({metric}{}[{window}]))", labels.join(", "), braces(matchers))
}

fn braces(matchers: &str) -> String {
    if matchers.is_empty() { String::new() } else { format!("{{{matchers}}}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observability::catalogue::{DEPLOYS, DEPRECATION_STAGE, FLEET_NAMESPACES, RECONCILES, TEAMS};

    #[test]
    fn a_gauge_keeps_its_labels_and_loses_its_replicas() {
        let teams = r#"max by (cluster, path, state) (goldenpath_teams{state="Adopted"})"#;
        assert_eq!(gauge(&TEAMS, r#"state="Adopted""#), teams);
        assert_eq!(gauge(&FLEET_NAMESPACES, ""), "max by (cluster) (goldenpath_fleet_namespaces)");
        let stages = "max by (cluster, deprecation) (goldenpath_deprecation_stage)";
        assert_eq!(gauge_by(&DEPRECATION_STAGE, "", &["deprecation"]), stages);
        let deploys = "max by (cluster, adopted) (increase(goldenpath_deploys_total[7d]))";
        assert_eq!(grown(DEPLOYS.name, "", &["adopted"], "7d"), deploys);
        let passes = "sum by (cluster, kind) (rate(goldenpath_reconcile_total[5m]))";
        assert_eq!(rate(&RECONCILES, "", &["kind"], "5m"), passes);
    }
}
