//! Counters of our own work, and the registry that every other collector joins.
//!
//! Label values are `&'static str` nearly throughout: they come from enums, so the number of series is fixed when the program
//! is compiled. A name of an object as a label would make one series per object and never let it go.

use std::time::Duration;

use super::catalogue::{self, Metric};
use crate::status::spread::Shown;
use prometheus::core::Collector;
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// Upper bounds in seconds. One API call takes 5 to 20 ms and a pass makes between one and some hundred of them; beyond
/// a minute only "too long" matters. Seven bounds instead of the usual eleven keep a kind at ten series.
const SECONDS: [f64; 7] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// Why metrics could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The registry refused a collector: its name is taken, or is no valid name.
    #[error("a metric cannot be registered")]
    Register(#[from] prometheus::Error),
    /// A registered collector produced something that the text format cannot express.
    #[error("the metrics cannot be written as text")]
    Encode(#[source] prometheus::Error),
}

/// All metrics of this process. Clones share the same counters.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    durations: HistogramVec,
    api_requests: IntCounterVec,
    forbidden: IntCounterVec,
}

impl Metrics {
    /// A registry of its own, not the process-wide default one: tests run side by side in one process.
    pub fn new() -> Result<Self, MetricsError> {
        let metrics = Self {
            registry: Registry::new(),
            reconciles: counter(&catalogue::RECONCILES)?,
            durations: HistogramVec::new(
                HistogramOpts::new(catalogue::RECONCILE_DURATION.name, catalogue::RECONCILE_DURATION.help)
                    .buckets(SECONDS.to_vec()),
                catalogue::RECONCILE_DURATION.labels,
            )?,
            api_requests: counter(&catalogue::API_REQUESTS)?,
            forbidden: counter(&catalogue::FORBIDDEN)?,
        };
        metrics.register(build_info()?)?;
        metrics.register(metrics.reconciles.clone())?;
        metrics.register(metrics.durations.clone())?;
        metrics.register(metrics.api_requests.clone())?;
        metrics.register(metrics.forbidden.clone())?;
        Ok(metrics)
    }

    /// Adds a collector, for example one that computes gauges from a store at scrape time.
    pub fn register(&self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        Ok(self.registry.register(Box::new(collector))?)
    }

    /// Counts one finished pass. `outcome` is `ok` or the reason of the error, see [`super::Reason`].
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.with_label_values(&[kind, outcome]).inc();
        self.durations.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// Counts one request to the API server, with its Kubernetes verb (`patch`, not `PATCH`).
    pub fn api_request(&self, verb: &'static str, outcome: &'static str) {
        self.api_requests.with_label_values(&[verb, outcome]).inc();
    }

    /// Counts one request for which the account has no right. Both are of the API server's answer to what this program asks
    /// for, so there are as many as it has requests.
    pub fn forbidden(&self, verb: &str, resource: &str) {
        self.forbidden.with_label_values(&[verb, resource]).inc();
    }

    /// Everything registered, in the Prometheus text format ([`prometheus::TEXT_FORMAT`]).
    pub fn encode(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(MetricsError::Encode)
    }
}

/// A counter of the catalogue.
pub fn counter(metric: &Metric) -> Result<IntCounterVec, MetricsError> {
    Ok(IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?)
}

/// A gauge of the catalogue as it is now; nothing where it has no values. Equal labels add up.
pub fn gauge<const N: usize>(
    metric: &Metric,
    values: impl IntoIterator<Item = ([String; N], f64)>,
) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let gauge = GaugeVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    for (labels, value) in values {
        gauge.with_label_values(&labels.each_ref().map(String::as_str)).add(value);
    }
    Ok(gauge.collect().into_iter().filter(|family| !family.get_metric().is_empty()).collect())
}

/// A counter of the catalogue, of what somebody else has counted.
pub fn total<const N: usize>(
    metric: &Metric,
    values: impl IntoIterator<Item = ([String; N], u64)>,
) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let counter = IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    for (labels, value) in values {
        counter.with_label_values(&labels.each_ref().map(String::as_str)).inc_by(value);
    }
    Ok(counter.collect())
}

/// A histogram of the catalogue, of what somebody else has counted; nothing where it has no values. The crate's own can only
/// be told of one thing after another.
pub fn histogram<const N: usize>(
    metric: &Metric,
    values: impl IntoIterator<Item = ([String; N], Shown)>,
) -> Vec<MetricFamily> {
    let metrics: Vec<proto::Metric> =
        values.into_iter().map(|(labels, shown)| bucketed(metric, labels, shown)).collect();
    if metrics.is_empty() {
        return Vec::new();
    }
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(MetricType::HISTOGRAM);
    family.set_metric(metrics);
    vec![family]
}

fn bucketed<const N: usize>(metric: &Metric, labels: [String; N], shown: Shown) -> proto::Metric {
    let bucket = |(bound, count): (f64, u64)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let label = |(name, value): (&&str, String)| {
        let mut label = proto::LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value(value);
        label
    };
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(shown.buckets.into_iter().map(bucket).collect());
    histogram.set_sample_count(shown.count);
    histogram.set_sample_sum(shown.sum);
    let mut one = proto::Metric::from_label(metric.labels.iter().zip(labels).map(label).collect());
    one.set_histogram(histogram);
    one
}

/// The constant 1 whose labels tell which build runs; joined with other metrics to see what a rollout changed.
fn build_info() -> Result<IntGauge, MetricsError> {
    let opts = Opts::new(catalogue::BUILD_INFO.name, catalogue::BUILD_INFO.help)
        .const_label("version", env!("CARGO_PKG_VERSION"))
        // An image build sets it; a build script that asks git would rerun on every commit of a developer.
        .const_label("commit", option_env!("GOLDENPATH_COMMIT").unwrap_or("unknown"));
    let gauge = IntGauge::with_opts(opts)?;
    gauge.set(1);
    Ok(gauge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build_line() -> String {
        let (version, commit) = (env!("CARGO_PKG_VERSION"), option_env!("GOLDENPATH_COMMIT").unwrap_or("unknown"));
        format!(r#"goldenpath_build_info{{commit="{commit}",version="{version}"}} 1"#)
    }

    #[test]
    fn two_passes_and_a_request_read_exactly_so() {
        let metrics = Metrics::new().unwrap();
        metrics.reconciled("GoldenPath", "ok", Duration::from_millis(250));
        metrics.reconciled("GoldenPath", "ApplyFailed", Duration::from_secs(90));
        metrics.api_request("patch", "ok");
        let expected = format!(
            r#"# HELP goldenpath_api_requests_total Requests to the API server by verb and outcome.
# TYPE goldenpath_api_requests_total counter
goldenpath_api_requests_total{{outcome="ok",verb="patch"}} 1
# HELP goldenpath_build_info The running build, always 1.
# TYPE goldenpath_build_info gauge
{build}
# HELP goldenpath_reconcile_duration_seconds Duration of reconcile passes by kind.
# TYPE goldenpath_reconcile_duration_seconds histogram
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="0.005"}} 0
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="0.02"}} 0
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="0.1"}} 0
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="0.5"}} 1
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="2"}} 1
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="10"}} 1
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="60"}} 1
goldenpath_reconcile_duration_seconds_bucket{{kind="GoldenPath",le="+Inf"}} 2
goldenpath_reconcile_duration_seconds_sum{{kind="GoldenPath"}} 90.25
goldenpath_reconcile_duration_seconds_count{{kind="GoldenPath"}} 2
# HELP goldenpath_reconcile_total Finished reconcile passes by kind and outcome.
# TYPE goldenpath_reconcile_total counter
goldenpath_reconcile_total{{kind="GoldenPath",outcome="ApplyFailed"}} 1
goldenpath_reconcile_total{{kind="GoldenPath",outcome="ok"}} 1
"#,
            build = build_line()
        );
        assert_eq!(metrics.encode().unwrap(), expected);
    }

    #[test]
    fn a_process_that_did_nothing_yet_still_tells_its_build() {
        let text = Metrics::new().unwrap().encode().unwrap();
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(series, [build_line()]);
    }

    #[test]
    fn a_further_collector_appears_in_the_text() {
        let metrics = Metrics::new().unwrap();
        let gauge = IntGauge::new("goldenpath_fleet_workloads", "Workloads that are watched.").unwrap();
        gauge.set(7);
        metrics.register(gauge).unwrap();
        assert!(metrics.encode().unwrap().contains("\ngoldenpath_fleet_workloads 7\n"));
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let metrics = Metrics::new().unwrap();
        let error = metrics.register(build_info().unwrap()).unwrap_err();
        assert!(matches!(error, MetricsError::Register(prometheus::Error::AlreadyReg)), "{error:?}");
    }

    #[test]
    fn clones_count_together() {
        let metrics = Metrics::new().unwrap();
        metrics.clone().api_request("get", "ok");
        metrics.api_request("get", "ok");
        assert!(metrics.encode().unwrap().contains(r#"goldenpath_api_requests_total{outcome="ok",verb="get"} 2"#));
    }
}
