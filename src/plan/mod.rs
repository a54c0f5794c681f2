//! Decisions: pure functions of what was observed, with `now` as an argument.

pub mod applied;
pub mod exceptions;
pub mod feedback;
pub mod gaps;
pub mod guard;
pub mod health;
pub mod leaf;
pub mod making;
pub mod members;
pub mod ownership;
pub mod patch;
pub mod permission;
pub mod pod_template;
pub mod probe;
pub mod remnant;
pub mod revision;
pub mod rollout;
pub mod route;
pub mod schema;
pub mod score;
pub mod service;
pub mod shipped;
pub mod template;
pub mod verdict;
pub mod view;
pub mod waves;
