//! From a road to admission objects.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;
use kube::core::ObjectMeta;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::names::Names;
use super::{leaves, metadata, remnants};
use crate::api::{WorkloadKind, labels};
use crate::plan::leaf::Road;
use crate::plan::revision::hex;

/// Version of the compiler's output. Raise it with every change that makes another policy out of the same road.
pub const COMPILER_VERSION: u32 = 4;

/// What the name of a policy ends with that is only there to prove another one.
pub const PROOF_SUFFIX: &str = "-proof";
/// The label that every namespace has, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Who the operator is: compiled into policies, so that its own label patches are not taken for somebody's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its user name, `system:serviceaccount:<namespace>:<name>` in a cluster.
    pub username: String,
    /// Its namespace, in which revisions are kept and policies are proved.
    pub namespace: String,
}

/// What a policy does to workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Fills those that carry the label of a revision.
    Fill,
    /// Takes the values of the path and every trace of us out of those that leave it.
    Release,
    /// Takes the values of the path out of those that go on to another one, which fills them in the same request.
    Switch,
}

/// A policy and the binding that puts it in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The policy.
    pub policy: MutatingAdmissionPolicy,
    /// Its binding.
    pub binding: MutatingAdmissionPolicyBinding,
}

impl Compiled {
    /// Name of both.
    #[must_use]
    pub fn name(&self) -> &str {
        self.policy.metadata.name.as_deref().unwrap_or_default()
    }

    /// The labels of the workloads that it acts on.
    #[must_use]
    pub fn selects(&self) -> BTreeMap<String, String> {
        let constraints = self.policy.spec.as_ref().and_then(|spec| spec.match_constraints.as_ref());
        let selector = constraints.and_then(|constraints| constraints.object_selector.as_ref());
        selector.and_then(|selector| selector.match_labels.clone()).unwrap_or_default()
    }
}

/// Compiles `road` for the workloads whose revision label is `revision`, or, to switch, whose release label is `path`.
pub fn compile(
    path: &str,
    revision: &str,
    road: &Road,
    job: Job,
    operator: &Operator,
) -> Result<Compiled, serde_json::Error> {
    let of_whom = match job {
        Job::Fill | Job::Release => (labels::REVISION, revision),
        Job::Switch => (labels::RELEASE, path),
    };
    let spec = policy_spec(of_whom, road, job, operator);
    let digest = Sha256::digest(spec.to_string().as_bytes());
    let name = format!("goldenpath-{revision}-{}", hex(&digest[..4]));
    build(path, revision, &name, &spec, &not_excluded(operator))
}

/// Every namespace but the excluded ones and the operator's own.
pub fn not_excluded(operator: &Operator) -> Value {
    let excluded: Vec<&str> = labels::EXCLUDED_NAMESPACES.into_iter().chain([operator.namespace.as_str()]).collect();
    json!({"key": NAMESPACE_NAME, "operator": "NotIn", "values": excluded})
}

/// The operator's namespace and no other.
pub fn at_home(operator: &Operator) -> Value {
    json!({"key": NAMESPACE_NAME, "operator": "In", "values": [operator.namespace]})
}

/// The copy that a policy is proved with: in force in the operator's namespace alone, and loud where the original would
/// fail open without a word.
pub fn proof(
    compiled: &Compiled,
    path: &str,
    revision: &str,
    operator: &Operator,
) -> Result<Compiled, serde_json::Error> {
    let mut spec = serde_json::to_value(&compiled.policy.spec)?;
    spec["failurePolicy"] = json!("Fail");
    let name = format!("{}{PROOF_SUFFIX}", compiled.name());
    build(path, revision, &name, &spec, &at_home(operator))
}

/// Whether a policy was written by a newer compiler, whose output is not ours to touch.
#[must_use]
pub fn is_newer(policy: &ObjectMeta) -> bool {
    let written_by = policy.annotations.as_ref().and_then(|a| a.get(labels::COMPILER));
    written_by.and_then(|v| v.parse().ok()).is_some_and(|v: u32| v > COMPILER_VERSION)
}

fn build(
    path: &str,
    revision: &str,
    name: &str,
    spec: &Value,
    namespaces: &Value,
) -> Result<Compiled, serde_json::Error> {
    let metadata = metadata_of(path, revision, name);
    Ok(Compiled {
        policy: serde_json::from_value(json!({"metadata": metadata, "spec": spec}))?,
        binding: serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {"policyName": name, "matchResources": {"namespaceSelector": {"matchExpressions": [namespaces]}}},
        }))?,
    })
}

/// The metadata of a policy and of its binding.
pub fn metadata_of(path: &str, revision: &str, name: &str) -> Value {
    json!({
        "name": name,
        "labels": {labels::PATH: path, labels::REVISION: revision},
        "annotations": {labels::COMPILER: COMPILER_VERSION.to_string()},
    })
}

fn policy_spec(of_whom: (&str, &str), road: &Road, job: Job, operator: &Operator) -> Value {
    let names = Names::of(road);
    let mut variables = metadata::variables();
    variables.extend(leaves::variables(road, &names));
    variables.extend(remnants::variables(&names));
    let all = |operations: Vec<String>| operations.join("\n + ");
    let (left, changes, additions) =
        (all(remnants::changes(&names)), all(leaves::changes(&names)), all(leaves::additions(&names)));
    let gated = |gate: &str, operations: &str| format!("(variables.{gate} ? {operations} : [])");
    let changes = match (left.is_empty(), changes.is_empty()) {
        (_, true) => "[]".to_owned(),
        (true, false) => gated("anyChanges", &changes),
        (false, false) => format!("{}\n + {}", gated("anyRemnants", &left), gated("anyChanges", &changes)),
    };
    let operations = match job {
        Job::Release => {
            format!("variables.changes ? {changes}\n + {}\n : {}", all(metadata::leave()), all(metadata::restore()))
        }
        Job::Switch => format!("variables.changes ? {changes}\n + {}\n : []", all(metadata::switch())),
        Job::Fill => {
            let additions = if additions.is_empty() { "[]".to_owned() } else { gated("anyComing", &additions) };
            format!("(variables.changes ? {changes}\n + {additions} : [])\n + {}", all(metadata::restore()))
        }
    };
    let (label, value) = of_whom;
    let conditions = match job {
        Job::Fill | Job::Release => metadata::match_conditions(metadata::is_revision(value), &operator.username),
        Job::Switch => metadata::match_conditions(metadata::is_switching(value), &operator.username),
    };
    json!({
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {"matchLabels": {label: value}},
            "resourceRules": resource_rules(&WorkloadKind::ALL),
        },
        "matchConditions": conditions.into_iter()
            .map(|c| json!({"name": c.name, "expression": c.expression})).collect::<Vec<_>>(),
        "variables": variables.into_iter()
            .map(|v| json!({"name": v.name, "expression": v.expression})).collect::<Vec<_>>(),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": operations}}],
    })
}

/// Creations and updates of workloads, never of their `scale` or `status`.
pub fn resource_rules(kinds: &[WorkloadKind]) -> Value {
    let rule = |(group, version): (&str, &str), kinds: &[WorkloadKind]| {
        json!({
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": ["CREATE", "UPDATE"],
            "resources": kinds.iter().map(|k| k.plural()).collect::<Vec<_>>(),
            "scope": "Namespaced",
        })
    };
    let groups = [("apps", "v1"), ("batch", "v1")].into_iter().filter_map(|(group, version)| {
        let of_group = |kind: &WorkloadKind| kind.api_version() == format!("{group}/{version}");
        let kinds: Vec<WorkloadKind> = kinds.iter().copied().filter(of_group).collect();
        (!kinds.is_empty()).then(|| rule((group, version), &kinds))
    });
    groups.collect()
}
