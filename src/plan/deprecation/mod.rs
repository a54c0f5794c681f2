//! When a Deprecation may do what: its stages, and the gates that hold them.

pub mod asked;
pub mod gates;
pub mod notify;
pub mod stage;
#[cfg(test)]
mod tests;

pub use gates::{Closed, Facts, Left, PathFacts, closed};
pub use stage::{Change, Level, Step, Why, advance, deadline, level};
