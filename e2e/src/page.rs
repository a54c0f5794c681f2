//! The page that draws dashboards, in `tools/dashboards/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::guarded::Guarded;
use crate::prometheus::Prometheus;
use crate::{ports, probe, programs, wait};

/// The page, served. It ends with this value.
#[derive(Debug)]
pub struct Page {
    _process: Guarded,
    port: u16,
}

impl Page {
    /// Serves the dashboards of `manifests/` with the data of a Prometheus.
    ///
    /// # Errors
    /// When the page is not built, or does not answer.
    pub async fn start(logs: &Path, prometheus: &Prometheus) -> Result<Self> {
        is_built()?;
        let [port] = ports::free()?;
        let mut command = Command::new("node");
        command.arg(folder().join("serve.mjs")).arg(port.to_string()).arg(prometheus.url());
        let page = Self { _process: Guarded::spawn(&command, logs.join("page.log"))?, port };
        wait::until("the page of the dashboards", Duration::from_secs(20), async || {
            let (code, _) = probe::get(port, "/config.json").await?;
            Ok((code == 200).then_some(()))
        })
        .await?;
        Ok(page)
    }

    /// Where a dashboard is.
    #[must_use]
    pub fn url(&self, uid: &str) -> String {
        format!("http://127.0.0.1:{}/d/{uid}", self.port)
    }
}

fn folder() -> PathBuf {
    programs::repository().join("tools/dashboards")
}

/// Whether the page can be shown.
///
/// # Errors
/// Says what is missing, and how to get it.
pub fn is_built() -> Result<()> {
    ensure!(
        folder().join("dist/app.js").exists(),
        "the page that draws dashboards is not built: `make dashboards` builds it (node 20, npm, 460 MB)"
    );
    let node = Command::new("node").arg("--version").output();
    ensure!(node.is_ok_and(|output| output.status.success()), "there is no node to serve the dashboards with");
    Ok(())
}

/// Draws every dashboard in Chromium, and puts pictures into a folder; what it says goes to our own output.
///
/// # Errors
/// When a panel has an error or no data.
pub fn draw(prometheus: &Prometheus, pictures: &Path) -> Result<()> {
    let mut command = Command::new("node");
    command.arg(folder().join("render.mjs")).arg(prometheus.url()).arg(pictures);
    let status = command.status().context("run node")?;
    ensure!(status.success(), "the dashboards are not as they should be, see above");
    Ok(())
}
