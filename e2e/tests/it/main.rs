//! Stories on a real control plane: one test binary, so that all of them share one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod corpus;
mod deployers;
mod differential;
mod harness;
mod pod_schema;
mod samples;
