//! Random workloads, and what teams do to them.

use goldenpath::api::WorkloadKind;
use goldenpath::plan::leaf::{Place, Road, RoadLeaf};
use serde_json::{Value, json};

use super::catalogue::{Field, fillable, partners, teams_only};
use super::defaults::put;
use super::random::Random;

const NAMES: [&str; 4] = ["app", "log", "proxy", "db"];

/// A manifest with nothing but what it must have.
pub fn bare(kind: WorkloadKind, name: &str, random: &mut Random) -> Value {
    let mut containers: Vec<Value> = Vec::new();
    for name in &NAMES[..=random.below(NAMES.len())] {
        containers.push(json!({"name": name, "image": "example.com/a:1"}));
    }
    let mut spec = json!({"containers": containers});
    let mut init = Vec::new();
    if random.chance(40) {
        init.push(json!({"name": "init", "image": "example.com/i:1"}));
    }
    if random.chance(40) {
        init.push(json!({"name": "side", "image": "example.com/s:1", "restartPolicy": "Always"}));
    }
    if !init.is_empty() {
        spec["initContainers"] = json!(init);
    }
    if kind == WorkloadKind::CronJob {
        spec["restartPolicy"] = json!(*random.pick(&["OnFailure", "Never"]));
    }
    let selector = json!({"matchLabels": {"app": name}});
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": spec});
    let spec = match kind {
        WorkloadKind::CronJob => {
            json!({"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": template}}})
        }
        WorkloadKind::StatefulSet => {
            json!({"serviceName": name, "replicas": 0, "selector": selector, "template": template})
        }
        WorkloadKind::DaemonSet => json!({"selector": selector, "template": template}),
        WorkloadKind::Deployment => json!({"replicas": 0, "selector": selector, "template": template}),
    };
    json!({"apiVersion": kind.api_version(), "kind": kind.to_string(), "metadata": {"name": name}, "spec": spec})
}

/// One thing that a team does.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A new image in every container: a deploy.
    Deploy(u64),
    Set {
        container: String,
        path: Vec<String>,
        keys: Vec<String>,
        value: Value,
    },
    Unset {
        container: String,
        path: Vec<String>,
    },
    DropEntry {
        container: String,
        list: String,
        key: Vec<(String, Value)>,
    },
    AddContainer(Value),
    RemoveContainer(String),
    RenameContainer(String, String),
    /// Beside the template.
    Scale(u64),
    /// Of the template: a security profile in the older way.
    Annotation(&'static str, String, &'static str),
}

pub fn template(kind: WorkloadKind, object: &Value) -> &Value {
    kind.template_path().iter().fold(object, |at, name| &at[*name])
}

fn template_mut(kind: WorkloadKind, object: &mut Value) -> &mut Value {
    kind.template_path().iter().fold(object, |at, name| &mut at[*name])
}

impl Edit {
    /// What cannot be told apart: whoever renames a container in a live object writes all of it, the road's values too;
    /// and strategic merge patches know a topology spread constraint by its key alone.
    pub fn is_unclear(&self, live: bool, strategic: bool) -> bool {
        match self {
            Self::RenameContainer(..) => live,
            Self::Set { path, .. } | Self::Unset { path, .. } => strategic && path[0] == "topologySpreadConstraints",
            _ => false,
        }
    }

    /// Does it to a manifest or to a live object. False where there is nothing to do it to.
    pub fn apply(&self, kind: WorkloadKind, object: &mut Value) -> bool {
        if let Self::Scale(n) = self {
            return scale(kind, object, *n);
        }
        let template = template_mut(kind, object);
        if let Self::Annotation(prefix, name, value) = self {
            put(template, &["metadata", "annotations", &format!("{prefix}{name}")], &[], json!(value));
            return true;
        }
        let spec = &mut template["spec"];
        match self {
            Self::Deploy(n) => {
                for c in spec["containers"].as_array_mut().into_iter().flatten() {
                    c["image"] = json!(format!("example.com/a:{n}"));
                }
                true
            }
            Self::Set { container, path, keys, value } => {
                let Some(root) = root_mut(spec, container) else {
                    return false;
                };
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                put(root, &path.iter().map(String::as_str).collect::<Vec<_>>(), &keys, value.clone());
                true
            }
            Self::Unset { container, path } => root_mut(spec, container).is_some_and(|root| unset(root, path)),
            Self::DropEntry { container, list, key } => {
                let entries = root_mut(spec, container).and_then(|root| root.get_mut(list)?.as_array_mut());
                let Some(entries) = entries else { return false };
                let before = entries.len();
                entries.retain(|entry| !key.iter().all(|(k, v)| entry[k] == *v));
                entries.len() < before
            }
            Self::AddContainer(container) => {
                let list = spec["containers"].as_array_mut().unwrap();
                list.insert(0, container.clone());
                true
            }
            Self::RemoveContainer(name) => {
                let list = spec["containers"].as_array_mut().unwrap();
                let before = list.len();
                list.retain(|c| c["name"] != **name);
                list.len() < before && !list.is_empty()
            }
            Self::RenameContainer(from, to) => {
                let Some(root) = root_mut(spec, from) else {
                    return false;
                };
                root["name"] = json!(to);
                true
            }
            Self::Scale(_) | Self::Annotation(..) => unreachable!("done above"),
        }
    }
}

fn scale(kind: WorkloadKind, object: &mut Value, n: u64) -> bool {
    match kind {
        WorkloadKind::CronJob => object["spec"]["startingDeadlineSeconds"] = json!(100 + n),
        WorkloadKind::DaemonSet => object["spec"]["minReadySeconds"] = json!(n),
        _ => object["spec"]["revisionHistoryLimit"] = json!(n),
    }
    true
}

fn root_mut<'a>(spec: &'a mut Value, container: &str) -> Option<&'a mut Value> {
    if container.is_empty() {
        return Some(spec);
    }
    let is_in = |list: &&&str| {
        let all = spec[**list].as_array();
        all.is_some_and(|all| all.iter().any(|c| c["name"] == container))
    };
    let list = *["containers", "initContainers"].iter().find(is_in)?;
    let all = spec.get_mut(list)?.as_array_mut()?;
    all.iter_mut().find(|c| c["name"] == container)
}

fn unset(root: &mut Value, path: &[String]) -> bool {
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().try_fold(root, |at, name| at.get_mut(name));
    parent.and_then(Value::as_object_mut).is_some_and(|o| o.remove(last).is_some())
}

/// Something that a team does to a workload on a road.
pub fn edit(manifest: &Value, kind: WorkloadKind, road: &Road, random: &mut Random) -> Edit {
    let names = containers_of(template(kind, manifest));
    match random.below(20) {
        0..=2 => Edit::Deploy(random.next() % 1000),
        3 => Edit::Scale(random.next() % 50),
        4 => Edit::AddContainer(
            json!({"name": *random.pick(&["proxy", "db", "log", "extra"]), "image": "example.com/b:1"}),
        ),
        5 => Edit::RemoveContainer(random.pick(&names).clone()),
        6 if random.chance(50) => Edit::RenameContainer(random.pick(&names).clone(), "renamed".to_owned()),
        6 => annotation(random.pick(&names).clone(), random),
        7..=10 => on_the_road(road, &names, random),
        11 => emptied(road, &names, random),
        12..=14 => set(&teams_only(), &names, random),
        15..=16 => {
            let all = fillable();
            set(&all, &names, random)
        }
        _ => drop_own(manifest, kind, random),
    }
}

fn annotation(container: String, random: &mut Random) -> Edit {
    match random.below(3) {
        0 => Edit::Annotation("container.apparmor.security.beta.kubernetes.io/", container, "runtime/default"),
        1 => Edit::Annotation("container.seccomp.security.alpha.kubernetes.io/", container, "unconfined"),
        _ => Edit::Annotation("seccomp.security.alpha.kubernetes.io/", "pod".to_owned(), "localhost/own"),
    }
}

pub fn containers_of(template: &Value) -> Vec<String> {
    let lists = ["containers", "initContainers"];
    let all = lists.iter().flat_map(|list| template["spec"][*list].as_array().into_iter().flatten());
    all.filter_map(|c| c["name"].as_str().map(ToOwned::to_owned)).collect()
}

/// A field of the road, with one of its literals or with another value.
fn on_the_road(road: &Road, names: &[String], random: &mut Random) -> Edit {
    let has = |path: &str| road.0.iter().any(|l| l.leaf.path.join(".") == path);
    let related = |l: &&RoadLeaf| partners(&l.leaf.path.join(".")).into_iter().any(has);
    let related: Vec<&RoadLeaf> = road.0.iter().filter(related).collect();
    let line = if !related.is_empty() && random.chance(40) { *random.pick(&related) } else { random.pick(&road.0) };
    let container = if line.leaf.place == Place::Pod { String::new() } else { random.pick(names).clone() };
    let others = fillable();
    let same = |f: &&Field| f.path == line.leaf.path && (f.place == Place::Pod) == (line.leaf.place == Place::Pod);
    let other = others.iter().find(same).filter(|_| random.chance(60));
    let value = match other {
        Some(field) => random.pick(&field.values).clone(),
        None => random.pick(&line.formerly).clone(),
    };
    let keys = line.leaf.entry.iter().flat_map(|key| key.0.iter().map(|(k, _)| k.clone()));
    Edit::Set { container, path: line.leaf.path.clone(), keys: keys.collect(), value }
}

/// What somebody writes instead of a value who wants nothing there.
pub fn empty_of(value: &Value) -> Value {
    match value {
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
        Value::String(_) => json!(""),
        Value::Number(_) => json!(0),
        Value::Bool(_) | Value::Null => json!(false),
    }
}

/// A field of the road with the empty value of its type.
fn emptied(road: &Road, names: &[String], random: &mut Random) -> Edit {
    let lines: Vec<&RoadLeaf> = road.0.iter().filter(|l| l.leaf.entry.is_none()).collect();
    if lines.is_empty() {
        return Edit::Deploy(random.next() % 1000);
    }
    let RoadLeaf { leaf, formerly, .. } = random.pick(&lines);
    let value = empty_of(&formerly[0]);
    let container = if leaf.place == Place::Pod { String::new() } else { random.pick(names).clone() };
    Edit::Set { container, path: leaf.path.clone(), keys: Vec::new(), value }
}

/// A field with one of its values.
pub fn set(fields: &[Field], names: &[String], random: &mut Random) -> Edit {
    let field = random.pick(fields);
    let container = if field.place == Place::Pod { String::new() } else { random.pick(names).clone() };
    Edit::Set {
        container,
        path: field.path.iter().map(|s| (*s).to_owned()).collect(),
        keys: field.keys.iter().map(|s| (*s).to_owned()).collect(),
        value: random.pick(&field.values).clone(),
    }
}

/// Drops something that stands in the manifest: a field, the struct around it, or an entry.
fn drop_own(manifest: &Value, kind: WorkloadKind, random: &mut Random) -> Edit {
    let names = containers_of(template(kind, manifest));
    let container = if random.chance(40) { String::new() } else { random.pick(&names).clone() };
    let mut object = manifest.clone();
    let spec = &mut template_mut(kind, &mut object)["spec"];
    let root = root_mut(spec, &container).unwrap();
    let mut path = Vec::new();
    let mut at = &*root;
    loop {
        let fixed = ["name", "image", "containers", "initContainers", "restartPolicy"];
        let choices: Vec<&String> = at
            .as_object()
            .into_iter()
            .flat_map(|o| o.keys())
            .filter(|k| !path.is_empty() || !fixed.contains(&k.as_str()))
            .collect();
        if choices.is_empty() || (!path.is_empty() && random.chance(30)) {
            break;
        }
        let name = (*random.pick(&choices)).clone();
        at = &at[&name];
        path.push(name);
    }
    if let (Some(list), 1) = (at.as_array().filter(|l| !l.is_empty()), path.len()) {
        let keys: &[&str] = match path[0].as_str() {
            "env" | "volumes" | "resourceClaims" => &["name"],
            "volumeMounts" => &["mountPath"],
            "ports" => &["containerPort", "protocol"],
            "hostAliases" => &["ip"],
            "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
            _ => &[],
        };
        if !keys.is_empty() {
            let entry = random.pick(list);
            let key = keys.iter().map(|k| ((*k).to_owned(), entry[*k].clone())).collect();
            return Edit::DropEntry { container, list: path[0].clone(), key };
        }
    }
    if path.is_empty() {
        return Edit::Deploy(random.next() % 1000);
    }
    Edit::Unset { container, path }
}
