//! A workload that the operator makes: from a template to the whole object, and the Service beside it.
//!
//! A template says what only the team can say. What it leaves open is left out here too, so that the path fills it on
//! creation; nothing is set that a path could fill.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::metadata::pointer;
use super::patch::{merge, without_nulls};
use super::revision::hex;
use crate::api::{
    DeletionPolicy, GROUP, PlatformService, PlatformServiceSpec, VERSION, Workload, WorkloadKind, WorkloadTemplate,
    labels,
};

/// The label that says which service pods belong to: the first half of each selector.
pub const NAME: &str = "app.kubernetes.io/name";
/// The label that says which workload pods belong to: the second half.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";
/// The name of the container's port, so that a patch can add others beside it.
const PORT: &str = "main";

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its namespace. Objects of one stand together in a sorted map.
    pub namespace: String,
    /// Such as `apps/v1`, or `v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// The resource's name in URLs.
    pub plural: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// A workload.
    #[must_use]
    pub fn workload(kind: WorkloadKind, namespace: &str, name: &str) -> Self {
        Self::of(kind.api_version(), &kind.to_string(), kind.plural(), namespace, name)
    }

    /// A Service.
    #[must_use]
    pub fn service(namespace: &str, name: &str) -> Self {
        Self::of("v1", "Service", "services", namespace, name)
    }

    /// An object of any kind.
    #[must_use]
    pub fn of(api_version: &str, kind: &str, plural: &str, namespace: &str, name: &str) -> Self {
        let [api_version, kind, plural, namespace, name] =
            [api_version, kind, plural, namespace, name].map(ToOwned::to_owned);
        Self { namespace, api_version, kind, plural, name }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Where.
    pub key: ObjectKey,
    /// Everything that the operator says about it, and nothing else.
    pub object: Value,
    /// A hash of that.
    pub hash: String,
}

impl Wanted {
    /// With its hash, which the object carries.
    #[must_use]
    pub fn new(key: ObjectKey, object: &Value) -> Self {
        let mut object = without_nulls(object);
        let hash = hex(&Sha256::digest(object.to_string().as_bytes())[..8]);
        object["metadata"]["annotations"][labels::APPLIED] = json!(hash);
        Self { key, object, hash }
    }
}

/// What a template makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// The workload.
    pub workload: Wanted,
    /// The Service, where the template has a port.
    pub service: Option<Wanted>,
}

/// Why a template cannot be made into an object. The text names the field and the fix.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
#[error("template.patch.{field} cannot be changed: {why}")]
pub struct InvalidTemplate {
    /// The field.
    pub field: String,
    /// Why not.
    pub why: &'static str,
}

/// What happens to what a template made when its service or its entry goes. `Undo` is a word for values in workloads that
/// ran before: of a workload that goes itself nothing is left to undo.
#[must_use]
pub fn is_kept(spec: &PlatformServiceSpec) -> bool {
    spec.deletion_policy == Some(DeletionPolicy::Keep)
}

/// The objects that a template makes.
pub fn build(
    service: &PlatformService,
    workload: &Workload,
    template: &WorkloadTemplate,
) -> Result<Built, InvalidTemplate> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let of = service.metadata.name.as_deref().unwrap_or_default();
    let (kind, name) = (template.makes(), workload.target(of).name);
    let selector = json!({NAME: of, INSTANCE: name});
    let labels = json!({NAME: of, INSTANCE: name, COMPONENT: workload.name});
    let metadata = metadata(service, namespace, &name, &labels);
    let mut object = json!({
        "apiVersion": kind.api_version(),
        "kind": kind,
        "metadata": metadata,
        "spec": spec(kind, &name, template, &selector, &pod(workload, template, &labels)),
    });
    if let Some(patch) = &template.patch {
        object = patched(kind, &object, patch)?;
    }
    let key = ObjectKey::workload(kind, namespace, &name);
    let service = template.port.map(|port| {
        let mut spec = json!({"selector": selector, "ports": [{"port": port, "targetPort": port}]});
        if kind == WorkloadKind::StatefulSet {
            spec["clusterIP"] = json!("None"); // the one that gives its pods their names
        }
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
        Wanted::new(ObjectKey::service(namespace, &name), &object)
    });
    Ok(Built { workload: Wanted::new(key, &object), service })
}

/// Metadata of everything that is made for a service.
fn metadata(service: &PlatformService, namespace: &str, name: &str, shown: &Value) -> Value {
    let mut labels = shown.clone();
    labels[labels::TEMPLATE] = json!(service.metadata.name);
    let mut metadata = json!({"name": name, "namespace": namespace, "labels": labels});
    if !is_kept(&service.spec) {
        metadata["ownerReferences"] = json!([owner(service)]);
    }
    metadata
}

/// The reference by which the garbage collector deletes an object with its service.
pub(super) fn owner(service: &PlatformService) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "PlatformService",
        "name": service.metadata.name,
        "uid": service.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": false,
    })
}

fn spec(kind: WorkloadKind, name: &str, template: &WorkloadTemplate, selector: &Value, pod: &Value) -> Value {
    let selector = json!({"matchLabels": selector});
    match kind {
        // runs that pile up are what nobody wants, and the API server's own default
        WorkloadKind::CronJob => json!({
            "schedule": template.schedule,
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"template": pod}},
        }),
        WorkloadKind::StatefulSet => {
            // set once and for ever, so it is there before there is a port
            json!({"serviceName": name, "replicas": template.replicas, "selector": selector, "template": pod})
        }
        _ => json!({"replicas": template.replicas, "selector": selector, "template": pod}),
    }
}

fn pod(workload: &Workload, template: &WorkloadTemplate, labels: &Value) -> Value {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let entries = |list: &[Map<String, Value>]| (!list.is_empty()).then(|| list.to_vec());
    let probes = template.probes.clone().unwrap_or_default();
    let mut spec = json!({"containers": [{
        "name": workload.name,
        "image": template.image,
        "command": some(&template.command),
        "args": some(&template.args),
        "env": entries(&template.env),
        "envFrom": entries(&template.env_from),
        "ports": template.port.map(|port| json!([{"name": PORT, "containerPort": port}])),
        "resources": template.resources,
        "startupProbe": probes.startup,
        "readinessProbe": probes.readiness,
        "livenessProbe": probes.liveness,
    }]});
    if template.makes() == WorkloadKind::CronJob {
        spec["restartPolicy"] = json!("OnFailure"); // a job must say, and this is what `kubectl create cronjob` says
    }
    json!({"metadata": {"labels": labels}, "spec": spec})
}

/// Applies the patch of a template, unless it changes what is not its own.
fn patched(kind: WorkloadKind, object: &Value, patch: &Map<String, Value>) -> Result<Value, InvalidTemplate> {
    let refused = |field: &str, why| Err(InvalidTemplate { field: field.to_owned(), why });
    if let Some(field) = patch.keys().find(|field| !["metadata", "spec"].contains(&field.as_str())) {
        return refused(field, "a patch has metadata and spec of the workload; what it is, the template says");
    }
    let metadata = patch.get("metadata").and_then(Value::as_object);
    if let Some(field) =
        metadata.and_then(|m| m.keys().find(|field| !["labels", "annotations"].contains(&field.as_str())))
    {
        return refused(&format!("metadata.{field}"), "of metadata a patch has labels and annotations");
    }
    for map in ["labels", "annotations"] {
        let names = metadata.and_then(|m| m.get(map)?.as_object()).into_iter().flat_map(Map::keys);
        if let Some(name) = names.into_iter().find(|name| labels::is_ours(name) && *name != labels::TEAM) {
            return refused(&format!("metadata.{map}[{name}]"), "it is the operator's; leave it out");
        }
    }
    let mut after = without_nulls(object);
    let before = after.clone();
    merge(&mut after, &Value::Object(patch.clone()));
    for (pointer, field, why) in fixed(kind) {
        if before.pointer(&pointer) != after.pointer(&pointer) {
            return refused(&field, why);
        }
    }
    Ok(after)
}

/// What a patch leaves as it is: pointer, field as people write it, and why.
fn fixed(kind: WorkloadKind) -> Vec<(String, String, &'static str)> {
    let selected = "pods and the Service find each other by it; leave it out";
    let mut fixed: Vec<(String, String, &'static str)> = [
        ("selector", "it is set once and for ever; leave it out"),
        ("serviceName", "it is set once and for ever, to the name of the workload; leave it out"),
    ]
    .into_iter()
    .map(|(field, why)| (format!("/spec/{field}"), format!("spec.{field}"), why))
    .collect();
    let template = kind.template_path();
    let places = [(vec!["metadata"], "labels"), ([template, &["metadata"]].concat(), "labels")];
    for (place, map) in places {
        for label in [NAME, INSTANCE] {
            let path = place.iter().copied().chain([map, label]);
            fixed.push((pointer(path), format!("{}.{map}[{label}]", place.join(".")), selected));
        }
    }
    fixed.push((
        pointer(["metadata", "labels", labels::TEMPLATE]),
        "metadata.labels".to_owned(),
        "it is the operator's; leave it out",
    ));
    fixed
}

#[cfg(test)]
mod tests;
