//! Questions that several panels ask.

use crate::observability::catalogue::{
    BUILD_INFO, DEPRECATED_OBJECTS, DEPRECATION_DUE, DEPRECATION_FORECAST, DEPRECATION_STAGE, ELIGIBLE_WORKLOADS,
    Metric, WORKLOADS,
};
use crate::observability::promql;

/// What one has chosen at the top of a dashboard.
#[derive(Clone, Copy)]
pub struct Scope {
    /// Labels that are variables of the dashboard, beside `cluster`.
    pub labels: &'static [&'static str],
}

impl Scope {
    /// The value of a gauge within what is chosen, once for all replicas.
    pub fn gauge(self, metric: &Metric, matchers: &str) -> String {
        promql::gauge(metric, &self.matchers(metric, matchers))
    }

    /// The value that it had some time ago.
    pub fn gauge_before(self, metric: &Metric, matchers: &str, ago: &str) -> String {
        let now = self.gauge(metric, matchers);
        format!("{} offset {ago})", now.strip_suffix(')').unwrap_or(&now))
    }

    /// How much a counter or a histogram has grown in a window, of those that every replica counts alike.
    pub fn grown(self, metric: &Metric, suffix: &str, matchers: &str, labels: &[&str], window: &str) -> String {
        promql::grown(&format!("{metric}{suffix}"), &self.matchers(metric, matchers), labels, window)
    }

    /// Half of what a histogram counts took no longer, in seconds. The histogram counts what is there now.
    pub fn median_now(self, metric: &Metric, matchers: &str) -> String {
        let buckets = format!("{metric}_bucket{{{}}}", self.matchers(metric, matchers));
        format!("histogram_quantile(0.5, sum by (le) (max without (instance, pod) ({buckets})))")
    }

    /// Objects that a Deprecation matches and that have to be moved, by what is asked for.
    pub fn old(self, labels: &str) -> String {
        sum_by(labels, &self.gauge(&DEPRECATED_OBJECTS, r#"state="Remaining""#))
    }

    /// The same by Deprecation, and zero for those of which nothing is left.
    pub fn old_by_deprecation(self) -> String {
        let stages = sum_by("deprecation", &self.gauge(&DEPRECATION_STAGE, ""));
        format!("({} or 0 * {stages})", self.old("deprecation"))
    }

    /// Days until the old way is to go, less than nothing when that was to be.
    pub fn days_left(self) -> String {
        days_until(&self.gauge(&DEPRECATION_DUE, r#"stage="Removed""#))
    }

    /// Days until nobody is left, as it goes now.
    pub fn days_by_forecast(self) -> String {
        days_until(&self.gauge(&DEPRECATION_FORECAST, ""))
    }

    /// How often a second a counter grows, by `labels`, in the window that Grafana takes for a point.
    pub fn rate(self, metric: &Metric, matchers: &str, labels: &[&str]) -> String {
        promql::rate(metric, &self.matchers(metric, matchers), labels, "$__rate_interval")
    }

    /// `cluster`, what else is chosen and the metric has, and what the query itself asks for.
    pub fn matchers(self, metric: &Metric, more: &str) -> String {
        let chosen = self.labels.iter().filter(|label| metric.labels.contains(label));
        let chosen = ["cluster"].iter().chain(chosen).map(|label| format!("{label}=~\"${label}\""));
        chosen.chain((!more.is_empty()).then(|| more.to_owned())).collect::<Vec<_>>().join(", ")
    }

    /// Workloads that are on the road.
    pub fn adopted(self) -> String {
        self.gauge(&WORKLOADS, r#"state="Adopted""#)
    }

    /// Workloads that a service names.
    pub fn named(self) -> String {
        self.gauge(&WORKLOADS, "")
    }

    /// Workloads that could be on the road.
    pub fn eligible(self) -> String {
        self.gauge(&ELIGIBLE_WORKLOADS, "")
    }
}

/// The sum, and zero where there is nothing: a number that is zero is an answer, too.
pub fn total(expr: &str) -> String {
    or_zero(&format!("sum({expr})"))
}

/// The value, and zero where there is none; but nothing while no operator is scraped, which knows as little as we do.
pub fn or_zero(expr: &str) -> String {
    format!("({expr} or 0 * sum({BUILD_INFO}{{cluster=~\"$cluster\"}}))")
}

/// Sums by labels.
pub fn sum_by(labels: &str, expr: &str) -> String {
    format!("sum by ({labels}) ({expr})")
}

/// The value of something on the road, or off it.
pub fn on_road(adopted: bool) -> String {
    format!("adopted=\"{adopted}\"")
}

/// By team, also of those that have nothing of `part`.
pub fn by_team(part: &str, all: &str) -> String {
    let (part, all) = (sum_by("cluster, team", part), sum_by("cluster, team", all));
    format!("({part} or 0 * {all})")
}

/// Teams that have every eligible workload on the road.
pub fn teams_all_the_way(scope: Scope) -> String {
    let (adopted, eligible) =
        (by_team(&scope.adopted(), &scope.eligible()), sum_by("cluster, team", &scope.eligible()));
    or_zero(&format!("count({adopted} >= {eligible} > 0)"))
}

/// Teams that have begun.
pub fn teams_begun(scope: Scope) -> String {
    or_zero(&format!("count({} > 0)", sum_by("cluster, team", &scope.named())))
}

/// Teams that have something to bring onto the road.
pub fn teams(scope: Scope) -> String {
    format!("count({} > 0)", sum_by("cluster, team", &scope.eligible()))
}

/// Days until a time, by Deprecation.
fn days_until(time: &str) -> String {
    format!("(max by (deprecation) ({time}) - time()) / 86400")
}
