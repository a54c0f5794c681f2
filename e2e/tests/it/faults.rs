//! Faults between the operator and the API server.

mod proxy;
