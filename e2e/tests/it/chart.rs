//! The chart: what it renders, what it refuses, and its life on a cluster.

mod cannot;
mod life;
mod manifest;
mod rights;
mod too_old;
mod variants;

use goldenpath::api::GoldenPath;
use serde_json::{Value, json};

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

/// The definition of a kind of the Prometheus operator, which not every cluster has.
pub(super) fn monitoring(kind: &str, plural: &str) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}
