//! Every workload seen and counted: what the operator tells of a cluster against those who count for themselves.

mod delivery;
mod facts;
mod shares;
