//! What a metrics page says, and how long it takes to say it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::stats::percentile;
use crate::probe;

/// One answer in the Prometheus text format.
#[derive(Clone, Debug)]
pub struct Page(String);

impl Page {
    /// Reads `/metrics` of a port on this machine.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub async fn of(port: u16) -> Result<Self> {
        let (code, body) = probe::get(port, "/metrics").await.context("GET /metrics")?;
        ensure!(code == 200, "/metrics says {code} {body}");
        Ok(Self(body))
    }

    /// Bytes without HTTP headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Time series, which are the lines that are no comments.
    #[must_use]
    pub fn series(&self) -> usize {
        self.0.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
    }

    /// Time series of one metric.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.samples(name).count()
    }

    /// The sum over the time series of a metric that have all of these labels, each written as `name="value"`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of = |(set, value): (&str, &str)| {
            let wanted = labels.iter().all(|label| set.split(',').any(|pair| pair == *label));
            wanted.then(|| value.parse::<f64>().ok()).flatten()
        };
        self.samples(name).filter_map(of).sum()
    }

    /// Labels and value of each series. A brace or a comma within a value would be misread; nothing that we name has one.
    fn samples<'p>(&'p self, name: &'p str) -> impl Iterator<Item = (&'p str, &'p str)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            if let Some(value) = rest.strip_prefix(' ') {
                return Some(("", value));
            }
            rest.strip_prefix('{')?.rsplit_once("} ")
        })
    }
}

/// Many scrapes of one page.
#[derive(Clone, Copy, Debug)]
pub struct Scrapes {
    /// Median, in seconds
    pub p50: f64,
    /// 99th percentile, in seconds
    pub p99: f64,
    /// Bytes of the last page
    pub bytes: usize,
    /// Time series of the last page
    pub series: usize,
}

/// Scrapes one after the other, each over a connection of its own, with a pause in between; the time is that from
/// connecting to the last byte.
///
/// # Errors
/// When a scrape fails.
pub async fn scrapes(port: u16, times: usize, pause: Duration) -> Result<Scrapes> {
    let mut took = Vec::with_capacity(times);
    let mut last = Page(String::new());
    for _ in 0..times {
        tokio::time::sleep(pause).await;
        let started = Instant::now();
        last = Page::of(port).await?;
        took.push(started.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
    Ok(Scrapes { p50, p99, bytes: last.bytes(), series: last.series() })
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_the_series_that_have_the_labels() {
        let text = "# HELP a_total x\na_total{k=\"A\",t=\"x\"} 1\na_total{k=\"B\",t=\"x\"} 2\na_total_more 9\nb 4\n";
        let page = Page(text.to_owned());
        assert_eq!(page.sum("a_total", &["t=\"x\""]), 3.0);
        assert_eq!(page.sum("a_total", &["t=\"x\"", "k=\"B\""]), 2.0);
        assert_eq!(page.sum("a_total", &["t=\"y\""]), 0.0);
        assert_eq!(page.sum("b", &[]), 4.0);
        assert_eq!((page.count("a_total"), page.series()), (2, 4));
    }
}
