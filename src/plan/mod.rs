//! Decisions: pure functions of what was observed, with `now` as an argument.

pub mod feedback;
pub mod gaps;
pub mod guard;
pub mod leaf;
pub mod ownership;
pub mod pod_template;
pub mod probe;
pub mod remnant;
pub mod revision;
pub mod rollout;
pub mod schema;
pub mod score;
pub mod service;
pub mod shipped;
pub mod verdict;
pub mod view;
