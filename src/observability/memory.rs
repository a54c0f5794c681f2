//! How much memory this process has, asked of the kernel when somebody scrapes.

use prometheus::IntGauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::catalogue::MEMORY;
use super::metrics::MetricsError;

/// The gauge. The crate's own process collector would bring eight series and two dependencies for this one.
#[derive(Debug)]
pub struct Memory(IntGauge);

impl Memory {
    /// Nothing is read yet.
    pub fn new() -> Result<Self, MetricsError> {
        Ok(Self(IntGauge::new(MEMORY.name, MEMORY.help)?))
    }
}

impl Collector for Memory {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    /// Where the kernel does not say, there is no such series rather than one of zero.
    fn collect(&self) -> Vec<MetricFamily> {
        let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) else {
            return Vec::new();
        };
        self.0.set(bytes);
        self.0.collect()
    }
}

/// `VmRSS:     41236 kB`
fn resident(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_speaks_of_kibibytes() {
        assert_eq!(resident("VmPeak:\t 90000 kB\nVmRSS:\t   41236 kB\n"), Some(41236 * 1024));
        assert_eq!(resident("VmPeak:\t 90000 kB\n"), None);
    }

    #[test]
    fn a_running_process_has_some() {
        let families = Memory::new().unwrap().collect();
        assert!(families[0].get_metric()[0].get_gauge().get_value() > 1_000_000.0);
    }
}
