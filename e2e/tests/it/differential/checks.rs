//! What must hold of three answers: the request as admission saw it, as the policy made it, and without Goldenpath.

use std::collections::BTreeMap;

use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::gaps::{Whose, filled, gaps, normalise};
use goldenpath::plan::leaf::Road;
use goldenpath::plan::metadata::label;
use goldenpath::plan::ownership::Ownership;
use goldenpath::plan::service::{our_labels, with_labels};
use serde_json::{Value, json};

use super::workloads::template;

/// The road that acts on a request which admission saw as `seen`, if any does.
pub fn acting(kind: WorkloadKind, seen: &Value, old: Option<&Value>, road: Option<&Road>) -> Option<Road> {
    let road = road?;
    let changes = old.is_none_or(|old| template(kind, old) != template(kind, seen));
    let (skip, was) = (annotation(seen, labels::SKIP), old.and_then(|o| annotation(o, labels::SKIP)));
    let fill = annotation(seen, labels::FILL);
    let fills = fill.is_some() && fill != old.and_then(|o| annotation(o, labels::FILL));
    let skips = skip == Some(labels::SKIP_ALL) && was != skip;
    let lost = old.is_some() && changes && was == Some(labels::SKIP_ALL) && skip.is_none();
    let skipped = skip == Some(labels::SKIP_ALL) || lost;
    (changes || fills || skips).then(|| if skipped { road.release() } else { road.clone() })
}

/// The object with those labels of ours that a request has lost: they come back, and count in that request.
pub fn with_lost_labels(seen: &Value, old: Option<&Value>) -> Value {
    let lost = old.into_iter().flat_map(our_labels).filter_map(|name| {
        let value = label(old?, &name)?.to_owned();
        label(seen, &name).is_none().then_some((name, Some(value)))
    });
    with_labels(seen, &lost.collect())
}

/// The template that the pure function expects when a road acts, or none does.
pub fn expected(kind: WorkloadKind, seen: &Value, road: Option<&Road>) -> Value {
    let mut own = template(kind, seen).clone();
    normalise(&mut own);
    road.map_or(own, |road| filled(kind, seen, &gaps(kind, seen, road)))
}

pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(name)?.as_str()
}

/// Whether a value of the road and a value of the team can be told apart: the team of the twin has set none that the
/// road has put in the same place without a trace, and `kubectl apply` has written no name that the road fills.
pub fn distinguishable(kind: WorkloadKind, object: &Value, twin: &Value, road: &Road) -> bool {
    let ownership = Ownership::of(kind, object);
    let theirs = gaps(kind, twin, road);
    gaps(kind, object, road).iter().all(|gap| {
        let twins = theirs.iter().find(|t| t.road.leaf == gap.road.leaf && t.container == gap.container);
        let same = twins.is_some_and(|t| t.current.is_some() && t.current == gap.current);
        let unclear = same && gap.managers.is_empty();
        !(unclear || gap.current.is_some() && ownership.applied(&gap.road.leaf))
    })
}

/// The template without the road's values.
pub fn team_view(kind: WorkloadKind, object: &Value, road: &Road) -> Value {
    filled(kind, object, &gaps(kind, object, &road.release()))
}

/// Whether a value of the road is only there because the team leans on it.
pub fn is_leaned_on(kind: WorkloadKind, object: &Value, road: &Road) -> bool {
    gaps(kind, object, &road.release()).iter().any(|gap| gap.whose == Whose::Roads && !gap.removes())
}

/// What differs, field by field. Entries of lists with identity are compared by key.
pub fn differences(left: &Value, right: &Value) -> Vec<String> {
    let flat = |template: &Value| {
        let mut template = template.clone();
        normalise(&mut template);
        let mut out = BTreeMap::new();
        flatten("", &template, &mut out);
        out
    };
    let (left, right) = (flat(left), flat(right));
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    let shown = |v: Option<&Value>| v.map_or("-".to_owned(), Value::to_string);
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| format!("{name}: {} | {}", shown(left.get(name)), shown(right.get(name))))
        .collect()
}

fn flatten(at: &str, value: &Value, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                flatten(&format!("{at}.{name}"), value, out);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for (n, entry) in entries.iter().enumerate() {
                flatten(&format!("{at}[{}]", key_of(at, entry, n)), entry, out);
            }
        }
        other => {
            out.insert(at.to_owned(), other.clone());
        }
    }
}

fn key_of(list: &str, entry: &Value, n: usize) -> String {
    let last = list.rsplit('.').next().unwrap_or_default();
    let keys: &[&str] = match last {
        "containers" | "initContainers" | "env" | "volumes" | "resourceClaims" => &["name"],
        "ports" => &["containerPort", "protocol"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => return n.to_string(),
    };
    let parts: Vec<String> = keys.iter().map(|k| entry.get(k).unwrap_or(&Value::Null).to_string()).collect();
    parts.join(",")
}

/// Effective values that the team has without us and has no more with us. Written down from the Kubernetes docs, not
/// from our guards.
pub fn changed_effects(kind: WorkloadKind, without: &Value, with: &Value) -> Vec<String> {
    let (without, with) = (template(kind, without), template(kind, with));
    let (before, after) = (effects(without), effects(with));
    let mut changed: Vec<String> = before
        .iter()
        .filter(|(name, value)| after.get(*name) != Some(value))
        .map(|(name, value)| format!("{name}: {value} -> {:?}", after.get(name)))
        .collect();
    changed.extend(roots_that_cannot_start(with).into_iter().filter(|c| !roots_that_cannot_start(without).contains(c)));
    changed
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| template["spec"][list].as_array().into_iter().flatten())
}

/// Requests as the Pod will have them, and security settings as each container inherits them.
fn effects(template: &Value) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    let pod = &template["spec"]["securityContext"];
    for c in containers(template) {
        for name in ["cpu", "memory", "ephemeral-storage"] {
            let resources = &c["resources"];
            let request = resources["requests"].get(name).or_else(|| resources["limits"].get(name));
            if let Some(request) = request {
                out.insert(format!("{}.requests.{name}", c["name"]), request.clone());
            }
        }
        for name in ["runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile", "appArmorProfile", "seLinuxOptions"] {
            if let Some(value) = c["securityContext"].get(name).or_else(|| pod.get(name)) {
                out.insert(format!("{}.{name}", c["name"]), value.clone());
            }
        }
    }
    if let Some(class) = guaranteed(template) {
        out.insert("qosClass".to_owned(), class);
    }
    out
}

/// Every container has limits of cpu and memory, and no other requests.
fn guaranteed(template: &Value) -> Option<Value> {
    let all = containers(template).all(|c| {
        ["cpu", "memory"].iter().all(|name| {
            let (limit, request) = (c["resources"]["limits"].get(name), c["resources"]["requests"].get(name));
            limit.is_some() && (request.is_none() || request == limit)
        })
    });
    all.then(|| json!("Guaranteed"))
}

/// The kubelet does not start a container that must not run as root and is told to.
pub fn roots_that_cannot_start(template: &Value) -> Vec<String> {
    let pod = &template["spec"]["securityContext"];
    let effective = |c: &Value, name: &str| {
        let own = c["securityContext"].get(name).or_else(|| pod.get(name));
        own.cloned().unwrap_or(Value::Null)
    };
    containers(template)
        .filter(|c| effective(c, "runAsNonRoot") == json!(true) && effective(c, "runAsUser") == json!(0))
        .map(|c| format!("{} cannot start: runAsNonRoot with runAsUser 0", c["name"]))
        .collect()
}
