//! Alerts: cases for promtool, and each of them fired by a real operator into a real Prometheus.

mod cases;
mod fire;
