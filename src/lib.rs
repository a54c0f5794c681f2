//! Goldenpath: a Kubernetes operator that brings consumer workloads onto paved-road defaults.
//!
//! ```text
//!              +-------- pure: no client, no clock, no async; `now` is an argument --------+
//!  observe --> | validate --> plan(path, service, facts) --> actions --> service_status(…)  | --> write_status
//!   (IO)       |              compile(road) --> policies      | apply (IO)                  |      (IO)
//!              +---------------------------------------------------------------------------+
//! ```
//!
//! Adopting is labelling: the operator puts labels on a workload's metadata, and a policy that a path was compiled into
//! fills what the team left open, in the API server, when the team itself deploys.

pub mod api;
pub mod cel;
pub mod cli;
pub mod controller;
pub mod observability;
pub mod plan;
pub mod policy;
pub mod rbac;
pub mod status;
