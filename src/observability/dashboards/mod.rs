//! Grafana dashboards, as data: the JSON files and the chart's ConfigMaps are made from here.
//!
//! ```text
//! queries (of the catalogue) ─> program, path, team, operator (which panels, in which order) ─> json (as Grafana reads it)
//! ```
//!
//! Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and what is bad is never told by a colour
//! alone. No series is stacked: Grafana joins stacked series across gaps.

mod closing;
mod delivery;
mod json;
mod operator;
mod panel;
mod path;
mod plans;
mod program;
mod queries;
mod team;

pub use panel::{Dashboard, Panel, Query};

/// Every dashboard.
#[must_use]
pub fn all() -> Vec<Dashboard> {
    vec![program::dashboard(), path::dashboard(), team::dashboard(), operator::dashboard()]
}

impl Dashboard {
    /// Its file's name.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.json", self.uid)
    }

    /// As Grafana imports it.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(&json::dashboard(self))? + "\n")
    }

    /// All panels in order.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_panel_says_what_it_shows_and_fits_its_row() {
        for dashboard in all() {
            assert!(dashboard.description.ends_with('.'), "{}", dashboard.title);
            let mut titles = HashSet::new();
            for panel in dashboard.panels() {
                assert!(titles.insert(panel.title), "{} has two panels {}", dashboard.title, panel.title);
                assert!(panel.description.ends_with('.'), "{} of {}", panel.title, dashboard.title);
                assert!(!panel.queries.is_empty(), "{} of {} asks for nothing", panel.title, dashboard.title);
            }
            for row in &dashboard.rows {
                let widths: u32 = row.panels.iter().map(|panel| panel.width).sum();
                assert_eq!(widths % 24, 0, "row {:?} of {} has a hole", row.title, dashboard.title);
            }
        }
    }

    #[test]
    fn every_query_keeps_clusters_apart_or_adds_them_up_on_purpose() {
        for dashboard in all() {
            for query in dashboard.panels().flat_map(|panel| &panel.queries) {
                let metrics = query.expr.matches("goldenpath_").count();
                let filtered = query.expr.matches(r#"cluster=~"$cluster""#).count();
                assert_eq!(metrics, filtered, "{}: {}", dashboard.title, query.expr);
            }
        }
    }
}
