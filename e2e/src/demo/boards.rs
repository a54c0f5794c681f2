//! The dashboards over the demo, where the programs for them are there.

use anyhow::Result;

use super::terminal::{print, say};
use crate::migration::History;
use crate::page::{self, Page};
use crate::prometheus::Prometheus;
use crate::{ControlPlane, Operator};

/// What stays up with the demo.
pub(super) struct Boards {
    _prometheus: Prometheus,
    _page: Option<Page>,
}

/// Starts a Prometheus that scrapes the operator, and the page that draws the dashboards, and says where they are; or what
/// is missing for them, which is no reason for a demo to end.
pub(super) async fn show(cluster: &ControlPlane, operator: &Operator, history: &History) -> Option<Boards> {
    say("8. The dashboards. The acts above are spread over three months; from now on they are live.");
    match start(cluster, operator, history).await {
        Ok(boards) => Some(boards),
        Err(error) => {
            print(&format!("Not shown: {error:#}"));
            None
        }
    }
}

async fn start(cluster: &ControlPlane, operator: &Operator, history: &History) -> Result<Boards> {
    let prometheus = history.served(cluster, operator).await?;
    print(&format!("Prometheus, with the alerts: {}/alerts", prometheus.url()));
    let page = match page::is_built() {
        Ok(()) => Some(Page::start(cluster.folder(), &prometheus).await?),
        Err(missing) => {
            print(&format!("The dashboards themselves are not shown: {missing}"));
            None
        }
    };
    if let Some(page) = &page {
        print(&format!("Dashboards, drawn with Grafana's published UI libraries: {}", page.url("goldenpath-program")));
    }
    Ok(Boards { _prometheus: prometheus, _page: page })
}
