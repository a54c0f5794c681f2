//! Test harness of Goldenpath: a real control plane, the clients that a user has, and the operator as a process.
//!
//! ```text
//! test process ── stdin pipe ──> control-plane        ── kills on EOF ──> etcd, kube-apiserver, kube-controller-manager,
//!      │                         (one a test binary)                      kube-scheduler, kwok
//!      └───────── stdin pipe ──> control-plane guard  ── kills on EOF ──> goldenpath run
//! ```
//!
//! A pipe closes however its owner ends (return, panic, SIGKILL), so nothing outlives a test run.
//! [`ControlPlane`] is the entry, at which a story waits for its turn ([`concurrency`]); [`audit`] counts what reached the
//! API server; [`wait::until`] replaces sleeps; [`fault_proxy`] breaks what it is told to break between the operator and the
//! API server.

pub mod audit;
pub mod bench;
pub mod chart;
pub mod commands;
pub mod concurrency;
pub mod control_plane;
pub mod corpus;
pub mod demo;
pub mod evidence;
pub mod fault_proxy;
pub mod guarded;
pub mod image;
pub mod install;
pub mod installed;
pub mod kubeconfig;
pub mod migration;
pub mod node;
pub mod operator;
pub mod options;
pub mod page;
pub mod pod_schema;
pub mod ports;
mod probe;
pub mod programs;
pub mod prometheus;
pub mod replicas;
pub mod rights;
pub mod road;
pub mod space;
pub mod story;
pub mod supervisor;
pub mod wait;

pub use commands::CommandOutput;
pub use control_plane::ControlPlane;
pub use corpus::{CorpusFile, corpus};
pub use operator::{Operator, OperatorOptions};
pub use options::Options;
