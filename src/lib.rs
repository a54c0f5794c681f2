//! Goldenpath: a Kubernetes operator that brings consumer workloads onto paved-road defaults.
//!
//! ```text
//!              +-------- pure: no client, no clock, no async; `now` is an argument --------+
//!  observe --> | validate --> plan(path, service, facts) --> actions --> assess(…)        | --> write_status
//!   (IO)       |              compile(road) --> policies      | apply (IO)                  |      (IO)
//!              +---------------------------------------------------------------------------+
//! ```
//!
//! The fleet watches every workload of the cluster and keeps a digest of each: facts for services, counts for adoption.
//!
//! Adopting is labelling: the operator puts labels on a workload's metadata, and a policy that a path was compiled into
//! fills what the team left open, in the API server, when the team itself deploys.

pub mod api;
pub mod cel;
pub mod chart;
pub mod cli;
pub mod clock;
pub mod consumers;
pub mod controller;
pub mod fleet;
pub mod observability;
pub mod plan;
pub mod policy;
pub mod rbac;
pub mod status;
