//! What the operator tells about itself: logs, metrics and health.
//!
//! It stays outside of the drivers: a driver is wrapped by [`outcome::observe`] and knows nothing of counters, so none
//! of its early returns can forget one.
//!
//! ```text
//! driver ──> outcome::observe ──> logs     (stderr, one JSON object a line)
//!                            └──> metrics ─┐
//! watches ──> server::Gate ──> Health ─────┴─> server: /livez /readyz /metrics
//! ```

pub mod alerts;
pub mod catalogue;
pub mod dashboards;
pub mod leads;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod outcome;
pub mod promql;
pub mod server;

pub use metrics::Metrics;
pub use outcome::{Reason, Subject, observe};
pub use server::{Gate, Health, serve};
