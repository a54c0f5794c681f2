//! The chart: what it renders, what it refuses, and its life on a cluster.

mod cannot;
mod life;
mod manifest;
mod rights;
mod too_old;
mod variants;

use goldenpath::api::GoldenPath;
use serde_json::json;

/// A path as the chart would ship it; `defaults` are names of pod fields that it sets to false.
pub(super) fn shipped(name: &str, version: &str, defaults: &[&str]) -> GoldenPath {
    let default = |field: &&str| json!({"name": field.to_lowercase(), "podTemplate": {"spec": {*field: false}}});
    serde_json::from_value(json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "GoldenPath",
        "metadata": {"name": name},
        "spec": {"version": version, "defaults": defaults.iter().map(default).collect::<Vec<_>>()},
    }))
    .unwrap()
}
