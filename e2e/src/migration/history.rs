//! Weeks of history for dashboards that show weeks: what a real operator exported in minutes, with times that lie weeks apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

use super::WEEKS;
use crate::prometheus::{CLUSTER, JOB, Prometheus, PrometheusOptions, data};
use crate::{ControlPlane, Operator, programs};

/// Samples are so far apart; Prometheus must look back a little longer.
const STEP: i64 = 3600;
/// For how long a sample counts.
const LOOKBACK: &str = "65m";
const LOOKED_BACK: i64 = 65 * 60;
/// The cluster with one replica.
pub const ONE: &str = "one";
/// The cluster with two.
pub const TWO: &str = "two";

/// What the operator exported, again and again.
#[derive(Debug, Default)]
pub struct History {
    snapshots: Vec<String>,
    instance: String,
}

impl History {
    /// Keeps what the operator exports now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn take(&mut self, operator: &Operator) -> Result<()> {
        self.instance = format!("127.0.0.1:{}", operator.port());
        self.snapshots.push(operator.metrics().await?);
        Ok(())
    }

    /// A Prometheus that has it behind it, spread over [`WEEKS`], and goes on with what the operator exports now. It has the
    /// rules of the chart.
    ///
    /// # Errors
    /// When there is none on this machine, or it does not start.
    pub async fn served(&self, control_plane: &ControlPlane, operator: &Operator) -> Result<Prometheus> {
        let folder = control_plane.folder().join("prometheus");
        self.write(&folder, &[(CLUSTER, &self.instance)])?;
        let rules = Some(goldenpath::chart::alerts()?);
        let options = PrometheusOptions { targets: vec![operator.port()], rules, lookback: Some(LOOKBACK.to_owned()) };
        Prometheus::start(&folder, &options).await
    }

    /// A Prometheus that has nothing but the same history of two clusters: of [`ONE`] from one replica of the operator, and of
    /// [`TWO`] from two, which export the same. The answer is also a time at which both are known.
    ///
    /// # Errors
    /// When there is none on this machine, or it does not start.
    pub async fn of_replicas(&self, control_plane: &ControlPlane) -> Result<(Prometheus, i64)> {
        let folder = control_plane.folder().join("replicas");
        let end = self.write(&folder, &[(ONE, "a"), (TWO, "a"), (TWO, "b")])?;
        let options = PrometheusOptions { lookback: Some(LOOKBACK.to_owned()), ..PrometheusOptions::default() };
        Ok((Prometheus::start(&folder, &options).await?, end - 1))
    }

    /// Spreads the snapshots evenly over the time up to an hour ago, and writes them where a Prometheus in `folder` reads them,
    /// as scraped from each of these instances. The answer is when it ends.
    ///
    /// # Errors
    /// When promtool is not there or refuses them.
    fn write(&self, folder: &Path, scraped: &[(&str, &str)]) -> Result<i64> {
        std::fs::create_dir_all(folder)?;
        let file = folder.join("history.txt");
        // what ends here must not seem to be there now
        let end = Timestamp::now().as_second() - LOOKED_BACK - 60;
        std::fs::write(&file, self.text(end, i64::try_from(WEEKS.as_secs())?, scraped))?;
        let tool = programs::Prometheus::find()?.tool;
        let blocks = data(folder);
        let mut command = Command::new(tool);
        // a block a day would be ninety files to open
        command.args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h"]);
        let output = command.arg(&file).arg(&blocks).output().context("run promtool")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "promtool tsdb create-blocks-from openmetrics: {said}");
        std::fs::remove_file(file)?;
        Ok(end)
    }

    /// In the OpenMetrics text format, every series in one piece.
    fn text(&self, now: i64, over: i64, scraped: &[(&str, &str)]) -> String {
        let (first, count) = (now - over, i64::try_from(self.snapshots.len()).unwrap_or(1).max(1));
        let mut series: BTreeMap<String, Vec<(i64, &str)>> = BTreeMap::new();
        for (number, snapshot) in (0..).zip(&self.snapshots) {
            let (from, to) = (first + over * number / count, first + over * (number + 1) / count);
            for (name, value) in
                snapshot.lines().filter(|line| !line.starts_with('#')).filter_map(|l| l.rsplit_once(' '))
            {
                for (cluster, instance) in scraped {
                    let samples = series.entry(labelled(name, cluster, instance)).or_default();
                    let times = (first..to).step_by(usize::try_from(STEP).unwrap_or(1)).filter(|at| *at >= from);
                    samples.extend(times.map(|at| (at, value)));
                    // up to its very end
                    samples.extend((number + 1 == count).then_some((to - 1, value)));
                }
            }
        }
        let mut text = String::new();
        for (name, samples) in series {
            for (at, value) in samples {
                // writing to a String cannot fail
                let _ = writeln!(text, "{name} {value} {at}");
            }
        }
        text + "# EOF\n"
    }
}

/// With the labels that a scrape adds.
fn labelled(series: &str, cluster: &str, instance: &str) -> String {
    let more = format!("cluster=\"{cluster}\",instance=\"{instance}\",job=\"{JOB}\"");
    match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{{more},{labels}"),
        None => format!("{series}{{{more}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_follow_each_other_hour_by_hour() {
        let snapshots = vec!["# HELP a B.\na{b=\"c d\"} 1\n".to_owned(), "a{b=\"c d\"} 2\ne 3\n".to_owned()];
        let history = History { snapshots, instance: "i".to_owned() };
        let labels = "cluster=\"demo\",instance=\"i\",job=\"goldenpath\"";
        let expected = format!(
            "a{{{labels},b=\"c d\"}} 1 0\na{{{labels},b=\"c d\"}} 1 3600\na{{{labels},b=\"c d\"}} 2 7200\n\
             a{{{labels},b=\"c d\"}} 2 10800\na{{{labels},b=\"c d\"}} 2 14399\n\
             e{{{labels}}} 3 7200\ne{{{labels}}} 3 10800\ne{{{labels}}} 3 14399\n# EOF\n"
        );
        assert_eq!(history.text(14400, 14400, &[(CLUSTER, "i")]), expected);
    }
}
