//! A real Prometheus on loopback that scrapes operators.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::guarded::Guarded;
use crate::{ports, probe, programs, wait};

const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// The label by which clusters are told apart; here there is one.
pub const CLUSTER: &str = "demo";
/// The job that is scraped.
pub const JOB: &str = "goldenpath";

/// A running Prometheus. It ends with this value.
#[derive(Debug)]
pub struct Prometheus {
    process: Guarded,
    port: u16,
}

/// What it does.
#[derive(Clone, Debug, Default)]
pub struct PrometheusOptions {
    /// Ports of the operators that it scrapes, every second
    pub targets: Vec<u16>,
    /// A rule file
    pub rules: Option<String>,
    /// For how long a sample counts that no other follows; Prometheus' own five minutes where there is no history, whose
    /// samples are farther apart
    pub lookback: Option<String>,
}

impl Prometheus {
    /// Starts it, with its data and its configuration in `folder`, and waits until it answers.
    ///
    /// # Errors
    /// When there is none on this machine, or it does not start; the end of its log is part of the message.
    pub async fn start(folder: &Path, options: &PrometheusOptions) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let config = configure(folder, options)?;
        for _ in 1..ports::ATTEMPTS {
            let started = Self::spawn(folder, &config, options)?;
            match started.ready().await {
                Err(_) if ports::taken(&started.process.log()) => (),
                outcome => return outcome.map(|()| started),
            }
        }
        let started = Self::spawn(folder, &config, options)?;
        started.ready().await.map(|()| started)
    }

    fn spawn(folder: &Path, config: &Path, options: &PrometheusOptions) -> Result<Self> {
        let [port] = ports::free()?;
        let mut command = Command::new(programs::Prometheus::find()?.server);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data(folder).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // a history may be older than the fifteen days that it keeps by itself
            .args(["--storage.tsdb.retention.time=2y", "--log.level=warn"]);
        if let Some(lookback) = &options.lookback {
            command.arg(format!("--query.lookback-delta={lookback}"));
        }
        Ok(Self { process: Guarded::spawn(&command, folder.join(format!("prometheus-{port}.log")))?, port })
    }

    async fn ready(&self) -> Result<()> {
        let ready = wait::until("Prometheus to be ready", READY_TIMEOUT, async || {
            if !self.process.is_alive() {
                return Ok(Some(false));
            }
            let (code, body) = probe::get(self.port, "/-/ready").await?;
            ensure!(code == 200, "{code} {body}");
            Ok(Some(true))
        });
        match ready.await {
            Ok(true) => Ok(()),
            Ok(false) => bail!("Prometheus ended by itself; the end of its log:\n{}", self.process.tail()),
            Err(error) => bail!("{error:#}; the end of its log:\n{}", self.process.tail()),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a query gives now: one element a series.
    ///
    /// # Errors
    /// What Prometheus says of the query.
    pub async fn query(&self, expr: &str) -> Result<Vec<Value>> {
        self.ask(expr, "").await
    }

    /// What a query gave at some time, in seconds since 1970.
    ///
    /// # Errors
    /// What Prometheus says of the query.
    pub async fn query_at(&self, expr: &str, time: i64) -> Result<Vec<Value>> {
        self.ask(expr, &format!("&time={time}")).await
    }

    async fn ask(&self, expr: &str, when: &str) -> Result<Vec<Value>> {
        let answer = self.get(&format!("/api/v1/query?query={}{when}", encoded(expr))).await;
        let mut answer = answer.with_context(|| format!("query {expr}"))?;
        let result = answer["result"].take();
        // a number is no list of series
        Ok(if let Value::Array(series) = result { series } else { vec![result] })
    }

    /// Alerts that fire or wait to.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let mut answer = self.get("/api/v1/alerts").await?;
        serde_json::from_value(answer["alerts"].take()).context("no list of alerts")
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let (code, body) = probe::get(self.port, path).await?;
        let mut answer: Value = serde_json::from_str(&body).with_context(|| format!("{code} {body}"))?;
        ensure!(answer["status"] == "success", "{}: {}", answer["errorType"], answer["error"]);
        Ok(answer["data"].take())
    }
}

/// Folder of its time series.
#[must_use]
pub fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn configure(folder: &Path, options: &PrometheusOptions) -> Result<PathBuf> {
    let targets: Vec<String> = options.targets.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut config = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{
            "job_name": JOB, "static_configs": [{"targets": targets, "labels": {"cluster": CLUSTER}}],
        }],
    });
    if let Some(rules) = &options.rules {
        std::fs::write(folder.join("rules.yaml"), rules)?;
        config["rule_files"] = json!(["rules.yaml"]);
    }
    // JSON is YAML
    let path = folder.join("prometheus.yaml");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn whatever_means_something_in_a_url_is_encoded() {
        assert_eq!(encoded("a{b=\"c d\"}+1"), "a%7Bb%3D%22c%20d%22%7D%2B1");
    }
}
