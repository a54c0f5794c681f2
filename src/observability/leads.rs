//! Whether this replica leads, from the first scrape on: an alert about a series that is not there is silent, while all
//! replicas may be waiting for something.

use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::catalogue::LEADER;
use super::metrics::MetricsError;

/// The gauge, asked for when somebody scrapes.
pub struct Leads {
    gauge: IntGauge,
    leads: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Leads {
    /// As the answer then is.
    pub fn new(leads: impl Fn() -> bool + Send + Sync + 'static) -> Result<Self, MetricsError> {
        Ok(Self { gauge: IntGauge::new(LEADER.name, LEADER.help)?, leads: Box::new(leads) })
    }
}

impl Collector for Leads {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::from((self.leads)()));
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::observability::Metrics;

    #[test]
    fn there_is_a_series_before_it_leads() {
        let (metrics, leads) = (Metrics::new().unwrap(), Arc::new(AtomicBool::new(false)));
        let asked = leads.clone();
        metrics.register(Leads::new(move || asked.load(Ordering::Relaxed)).unwrap()).unwrap();
        let line = || {
            let text = metrics.encode().unwrap();
            text.lines().find(|line| line.starts_with("goldenpath_leader ")).map(ToOwned::to_owned)
        };
        assert_eq!(line().as_deref(), Some("goldenpath_leader 0"));
        leads.store(true, Ordering::Relaxed);
        assert_eq!(line().as_deref(), Some("goldenpath_leader 1"));
    }
}
