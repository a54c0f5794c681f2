//! Probe workloads: the objects with which a revision is read back and proved. They are sent with `dryRun` alone and
//! never exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::leaf::{Place, Road, Wish, Wishes, put, remember};
use super::remnant;
use crate::api::{WorkloadKind, labels};

/// Name of every probe.
pub const NAME: &str = "goldenpath-probe";
const CONTAINER: &str = "probe";

/// A workload that writes out what the road would fill: the server's answer tells how it writes each literal, with the
/// defaults that it sets inside.
#[must_use]
pub fn written_out(road: &Road) -> Value {
    let mut spec = bare_spec(road, 1);
    for (line, place, index, name) in targets(road, &spec) {
        let root = match index {
            None => Some(&mut spec),
            Some(i) => spec.get_mut(place.list().unwrap_or_default()).and_then(|list| list.get_mut(i)),
        };
        if let (Some(root), Some(wish)) = (root, road.0[line].wishes.for_container(&name)) {
            put(root, &road.0[line].leaf, &wish.value);
        }
    }
    workload(WorkloadKind::Deployment, spec)
}

/// The road with every literal as the server wrote it in its answer to [`written_out`].
///
/// A literal that it left out says what absence says (`tty: false`): there is nothing to fill, and the wish goes.
#[must_use]
pub fn read_back(road: &Road, answer: &Value) -> Road {
    let spec = answer.pointer("/spec/template/spec").unwrap_or(&Value::Null);
    let mut canonical = road.clone();
    for line in &mut canonical.0 {
        line.formerly.clear();
        let (leaf, place) = (&line.leaf, line.leaf.place);
        let at = |container: &str| {
            let root = match place.list() {
                None => Some(spec),
                Some(list) => spec.get(list)?.as_array()?.iter().find(|c| c.get("name") == Some(&json!(container))),
            };
            leaf.get(root?).cloned()
        };
        let mut parts = Vec::new();
        let mut answered = |wish: Wish, container: &str| {
            let value = at(container)?;
            parts.extend(remnant::parts(leaf, &wish.value, &value));
            Some(Wish { value, ..wish })
        };
        let Wishes { any, named } = std::mem::take(&mut line.wishes);
        line.wishes = Wishes {
            any: any.and_then(|wish| answered(wish, CONTAINER)),
            named: named.into_iter().filter_map(|(name, wish)| Some((name.clone(), answered(wish, &name)?))).collect(),
        };
        for part in &parts {
            remember(&mut line.parts, part);
        }
        for wish in line.wishes.iter() {
            remember(&mut line.formerly, &wish.value);
        }
    }
    canonical.0.retain(|line| line.wishes.iter().next().is_some());
    canonical
}

/// Workloads of every kind that a proof is made with: bare ones, ones whose team has set what guards look at, ones that do
/// without a default and ones on which values are replaced.
#[must_use]
pub fn proofs(road: &Road) -> Vec<(WorkloadKind, Value)> {
    let mut probes = Vec::new();
    for kind in WorkloadKind::ALL {
        probes.push((kind, workload(kind, bare_spec(road, 1))));
    }
    probes.push((WorkloadKind::Deployment, workload(WorkloadKind::Deployment, bare_spec(road, 3))));
    for set in [
        json!({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}, "envFrom": [{"configMapRef": {"name": "x"}}]}),
        json!({"securityContext": {"privileged": true, "runAsUser": 0}, "ports": [{"name": "http", "containerPort": 80}]}),
    ] {
        let mut spec = bare_spec(road, 2);
        if let (Some(first), Some(set)) = (spec["containers"][0].as_object_mut(), set.as_object()) {
            first.extend(set.clone());
        }
        let probe = workload(WorkloadKind::Deployment, spec);
        if road.0.iter().any(|line| line.wishes.iter().any(|wish| wish.forbidden)) {
            let mut enforced = probe.clone();
            enforced["metadata"]["labels"] = json!({labels::MODE: "Enforce"});
            probes.push((WorkloadKind::Deployment, enforced));
        }
        probes.push((WorkloadKind::Deployment, probe));
    }
    let defaults: BTreeSet<&str> =
        road.0.iter().flat_map(|line| line.wishes.iter()).map(|wish| wish.default.as_str()).collect();
    // every second one, so that those that stay cannot lean on those that go
    for first in 0..defaults.len().min(2) {
        let skipped = defaults.iter().skip(first).step_by(2).map(|default| (labels::skip(default), json!("")));
        let mut probe = workload(WorkloadKind::Deployment, bare_spec(road, 1));
        probe["metadata"]["labels"] = Value::Object(skipped.collect());
        probes.push((WorkloadKind::Deployment, probe));
    }
    probes
}

/// A workload with which admission feedback is proved.
pub struct FeedbackProbe {
    /// Its kind.
    pub kind: WorkloadKind,
    /// What it is called in a message.
    pub what: String,
    /// The workload.
    pub object: Value,
}

/// Workloads with which admission feedback is proved: a bare one of each kind, and one that is larger than what people run,
/// since what a check costs grows with its containers.
#[must_use]
pub fn feedback_probes(kinds: &[WorkloadKind]) -> Vec<FeedbackProbe> {
    let none = Road::default();
    let bare = |kind: &WorkloadKind| FeedbackProbe {
        kind: *kind,
        what: format!("a {kind} that sets nothing"),
        object: workload(*kind, bare_spec(&none, 1)),
    };
    let large = |kind: &WorkloadKind| FeedbackProbe {
        kind: *kind,
        what: format!("a {kind} with {LARGE} containers"),
        object: workload(*kind, large_spec()),
    };
    kinds.iter().map(bare).chain(kinds.first().map(large)).collect()
}

/// Containers of the large probe, and entries of each of their lists.
const LARGE: usize = 24;

fn large_spec() -> Value {
    let env = |n| json!({"name": format!("NAME_{n}"), "value": format!("the value of variable {n}")});
    let port = |c: usize, n| json!({"name": format!("p{n}"), "containerPort": 10_000 + c * LARGE + n});
    let mount = |n| json!({"name": format!("v{n}"), "mountPath": format!("/mnt/{n}")});
    let container = |c: usize| {
        json!({
            "name": format!("{CONTAINER}-{c}"),
            "image": "registry.invalid/probe:1",
            "args": (0..LARGE).map(|n| format!("--flag-{n}=value")).collect::<Vec<_>>(),
            "env": (0..LARGE).map(env).collect::<Vec<_>>(),
            "ports": (0..LARGE).map(|n| port(c, n)).collect::<Vec<_>>(),
            "volumeMounts": (0..LARGE).map(mount).collect::<Vec<_>>(),
        })
    };
    json!({
        "containers": (0..LARGE).map(container).collect::<Vec<_>>(),
        "volumes": (0..LARGE).map(|n| json!({"name": format!("v{n}"), "emptyDir": {}})).collect::<Vec<_>>(),
    })
}

/// The probe with the revision's label, so that the policy acts on it.
#[must_use]
pub fn labelled(probe: &Value, labels: &BTreeMap<String, String>) -> Value {
    labels.iter().fold(probe.clone(), |probe, (name, value)| marked(&probe, name, value))
}

/// The probe with the label by which the proof of a revision's admission feedback knows it.
#[must_use]
pub fn to_prove(probe: &Value, revision: &str) -> Value {
    marked(probe, labels::PROOF, revision)
}

fn marked(probe: &Value, label: &str, value: &str) -> Value {
    let mut probe = probe.clone();
    probe["metadata"]["labels"][label] = json!(value);
    probe
}

fn workload(kind: WorkloadKind, mut pod: Value) -> Value {
    let selector = json!({"matchLabels": {"app": NAME}});
    if kind == WorkloadKind::CronJob {
        pod["restartPolicy"] = json!("OnFailure");
    }
    let template = json!({"metadata": {"labels": {"app": NAME}}, "spec": pod});
    let spec = match kind {
        WorkloadKind::CronJob => json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}),
        WorkloadKind::StatefulSet => json!({"serviceName": NAME, "selector": selector, "template": template}),
        _ => json!({"selector": selector, "template": template}),
    };
    json!({"apiVersion": kind.api_version(), "kind": kind.to_string(), "metadata": {"name": NAME}, "spec": spec})
}

/// A pod with every container that the road names, and as many others.
fn bare_spec(road: &Road, others: usize) -> Value {
    let named = |place: Place| {
        let mut names: Vec<&String> =
            road.0.iter().filter(|l| l.leaf.place == place).flat_map(|l| l.wishes.named.keys()).collect();
        names.sort();
        names.dedup();
        names
    };
    let container = |name: &str| json!({"name": name, "image": "registry.invalid/probe:1"});
    let extra = (0..others).map(|n| if n == 0 { CONTAINER.to_owned() } else { format!("{CONTAINER}-{n}") });
    let mut containers: Vec<Value> = extra.map(|name| container(&name)).collect();
    containers.extend(named(Place::Containers).into_iter().filter(|n| *n != CONTAINER).map(|n| container(n)));
    let mut spec = json!({"containers": containers});
    let init: Vec<Value> = named(Place::InitContainers)
        .into_iter()
        // only a sidecar may have probes and lifecycle hooks
        .map(|name| json!({"name": name, "image": "registry.invalid/probe:1", "restartPolicy": "Always"}))
        .collect();
    if !init.is_empty() {
        spec["initContainers"] = json!(init);
    }
    spec
}

/// Every leaf in every container of a spec.
fn targets(road: &Road, spec: &Value) -> Vec<(usize, Place, Option<usize>, String)> {
    let mut targets = Vec::new();
    for (n, line) in road.0.iter().enumerate() {
        let place = line.leaf.place;
        match place.list() {
            None => targets.push((n, place, None, String::new())),
            Some(list) => {
                for (i, c) in spec.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
                    let name = c.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                    targets.push((n, place, Some(i), name));
                }
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::pod_template::road;

    #[test]
    fn a_literal_that_the_server_leaves_out_is_not_wanted() {
        let container = json!({"name": "*", "tty": false, "resources": {"requests": {"cpu": 0.1}}});
        let road = road(&json!({"spec": {"containers": [container]}}));
        let mut answer = written_out(&road);
        let container = answer["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap();
        container.remove("tty");
        container["resources"]["requests"]["cpu"] = json!("100m");
        let fields: Vec<String> = read_back(&road, &answer).0.iter().map(|l| l.leaf.field(None)).collect();
        assert_eq!(fields, ["spec.containers[*].resources.requests.cpu"]);
    }
}
