//! Stories on a real control plane: one test binary, so that all of them share one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
// pedantry that makes tests longer and not clearer
#![allow(clippy::similar_names, clippy::format_collect, clippy::case_sensitive_file_extension_comparisons)]

mod admission_feedback;
mod alerts;
mod bad_input;
mod bench;
mod chart;
mod companions;
mod corpus;
mod dashboards;
mod demo;
mod deployers;
mod deprecation_policies;
mod deprecations;
mod differential;
mod docs;
mod faults;
mod fleet;
mod greenfield;
mod harness;
mod leadership;
mod pod_schema;
mod samples;
mod shipped_paths;
mod tenancy;
mod upgrade;
