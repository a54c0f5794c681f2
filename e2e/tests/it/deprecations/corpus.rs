//! Matches on manifests that others wrote, against a recount that knows nothing of the product's code.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use goldenpath_e2e::corpus::corpus;
use serde_json::{Value, json};

use super::{Cluster, legacy_ingress};

#[tokio::test]
async fn five_deprecations_find_on_the_corpus_what_a_recount_finds() {
    story().await.unwrap();
}

/// Namespace and name.
type Found = Vec<String>;

async fn story() -> Result<()> {
    let files = corpus()?;
    if files.is_empty() {
        println!("corpus: there is none here, nothing was compared");
        return Ok(());
    }
    let cluster = Cluster::start().await?;
    cluster.ingresses_can_be_read().await?;
    let mut refused = 0;
    for file in &files {
        // what a bare API server refuses, such as objects of kinds that it does not serve, is in no count
        let path = file.path.to_string_lossy();
        let words = ["apply", "--server-side", "--force-conflicts", "-f", &path];
        let output = cluster.control_plane.kubectl_output(words, "").await?;
        refused += usize::from(!output.status.success());
    }
    let live = live(&cluster).await?;
    println!("corpus: {} files, {refused} of them not taken in whole, {} live objects", files.len(), live.len());
    for (name, matches, _) in deprecations() {
        cluster.apply(&legacy_ingress(name, &json!({"matches": matches}))).await?;
    }
    for (name, _, recount) in deprecations() {
        let expected: Found = live.iter().filter(|object| recount(object)).map(called).collect();
        let count = expected.len();
        ensure!(count > 0, "{name} matches nothing, which shows nothing");
        let object = cluster.counts(name, &json!({"objects": count})).await?;
        let listed: Vec<&str> = object["status"]["stragglers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|straggler| straggler["object"].as_str())
            .collect();
        let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        expected.sort_unstable();
        expected.truncate(50);
        ensure!(listed == expected, "{name}: {listed:?} is not {expected:?}");
        println!("corpus: {name} matches {count} objects, as the recount does");
    }
    Ok(())
}

/// Name and matches of a Deprecation, and how somebody else would look for the same.
type Sought = (&'static str, Value, fn(&Value) -> bool);

fn deprecations() -> [Sought; 5] {
    let apps = json!([{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"]}]);
    let workloads = json!([
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"]},
        {"apiGroups": ["batch"], "resources": ["cronjobs"]},
    ]);
    let of_networks = json!([{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies", "ingresses"]}]);
    [
        ("latest-images", json!([{"name": "latest", "resourceRules": workloads, "images": ["*:latest"]}]), |object| {
            texts(object, "image").iter().any(|image| image.ends_with(":latest"))
        }),
        (
            "docker-hub",
            json!([{"name": "hub", "resourceRules": apps, "images": ["docker.io/*", "*/bitnami/*"]}]),
            |object| {
                object["kind"] != "CronJob"
                    && texts(object, "image").iter().any(|i| i.starts_with("docker.io/") || i.contains("/bitnami/"))
            },
        ),
        (
            "no-security-context",
            json!([{"name": "none", "resourceRules": apps,
                "expression": "!has(object.spec.template.spec.securityContext) || object.spec.template.spec.securityContext == {}"}]),
            |object| {
                let context = &object["spec"]["template"]["spec"]["securityContext"];
                let apps = ["Deployment", "StatefulSet", "DaemonSet"].iter().any(|kind| object["kind"] == *kind);
                apps && (context.is_null() || *context == json!({}))
            },
        ),
        (
            "own-service-account",
            json!([{"name": "account", "resourceRules": apps,
                "expression": "has(object.spec.template.spec.serviceAccount)"}]),
            |object| object["spec"]["template"]["spec"].get("serviceAccount").is_some(),
        ),
        (
            "closed-both-ways",
            json!([{"name": "both", "resourceRules": of_networks,
                "expression": "object.kind == 'NetworkPolicy' && object.spec.?policyTypes.orValue([]).exists(t, t == 'Egress')"}]),
            |object| {
                let types = object["spec"]["policyTypes"].as_array().cloned().unwrap_or_default();
                object["kind"] == "NetworkPolicy" && types.contains(&json!("Egress"))
            },
        ),
    ]
}

/// Every string below a field of that name, wherever it is.
fn texts(value: &Value, name: &str) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| texts(item, name)).collect(),
        Value::Object(fields) => {
            let own = fields.get(name).and_then(Value::as_str).map(str::to_owned);
            let spec = fields.iter().filter(|(field, _)| *field != "metadata" && *field != "env");
            own.into_iter().chain(spec.flat_map(|(_, below)| texts(below, name))).collect()
        }
        _ => Vec::new(),
    }
}

fn called(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    format!("{}/{namespace}/{name}", text(&object["kind"]).to_lowercase())
}

/// All objects of the kinds in question, as kubectl lists them.
async fn live(cluster: &Cluster) -> Result<Vec<Value>> {
    let kinds = "deployments,statefulsets,daemonsets,cronjobs,networkpolicies,ingresses";
    let mut list = cluster.object(&format!("{kinds} -A")).await?;
    let all: Vec<Value> = serde_json::from_value(list["items"].take())?;
    let looked_at = |object: &Value| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        !["kube-system", "kube-public", "kube-node-lease", "goldenpath-system"].contains(&namespace)
    };
    let by_kind = all.iter().fold(BTreeMap::<String, usize>::new(), |mut sums, object| {
        *sums.entry(object["kind"].to_string()).or_default() += 1;
        sums
    });
    println!("corpus: {by_kind:?}");
    Ok(all.into_iter().filter(looked_at).collect())
}
