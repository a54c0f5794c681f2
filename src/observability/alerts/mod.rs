//! Alerts and recording rules, as data: the rule file, the chart's PrometheusRule and the table in `docs/alerts.md` are
//! made from here.
//!
//! Rules are made of the catalogue's constants, so none can ask for a metric that is not exported.

mod clock;
mod file;
mod rules;

pub use clock::Clock;
pub use file::yaml;
pub use rules::{alerts, recordings};

/// Page that says of every alert what to look at and what to do.
pub const RUNBOOK: &str = "docs/alerts.md";

/// How soon somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Now.
    Critical,
    /// Today.
    Warning,
    /// When one plans the week.
    Info,
}

impl Severity {
    /// As the label `severity` says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that somebody should know.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name, and the heading of its part of the runbook page.
    pub name: &'static str,
    /// How soon somebody should look.
    pub severity: Severity,
    /// When it fires, in words.
    pub when: &'static str,
    /// When it fires, in PromQL.
    pub expr: String,
    /// For how long that has to hold; nothing means that once is enough.
    pub wait: Option<String>,
    /// One line, with the labels of what it is about.
    pub summary: &'static str,
    /// What it means, and with which command to begin.
    pub description: &'static str,
}

impl Alert {
    /// Where the runbook page says what to do.
    #[must_use]
    pub fn runbook(&self) -> String {
        format!("{RUNBOOK}#{}", self.name.to_lowercase())
    }
}

/// A series that Prometheus computes and keeps.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its name, as `level:metric:operation`.
    pub name: &'static str,
    /// What it holds, in words.
    pub holds: &'static str,
    /// What it holds, in PromQL.
    pub expr: String,
}
