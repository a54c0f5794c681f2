//! Objects beside workloads: which kinds there are, how one is bound to its workload, and when the team's own does it.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::leaf::Wish;
use super::metadata::{label, labels};
use super::revision::{Revision, hex};
use super::selector::{map_matches, matches};
use super::service::template;
use super::template::{ObjectKey, Wanted, owner};
use super::verdict::Verdict;
use crate::api::{Companion, GoldenPath, PlatformService, VerdictState, WorkloadKind, WorkloadRef, labels};

/// A kind of object that a path may ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompanionKind {
    /// Such as `policy/v1`.
    pub api_version: String,
    /// Such as `PodDisruptionBudget`.
    pub kind: String,
    /// The resource's name in URLs and RBAC.
    pub plural: String,
}

/// The kinds that every operator may make: API version, kind, plural.
const BUILT_IN: [(&str, &str, &str); 5] = [
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("v1", "Service", "services"),
    ("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors"),
];

impl CompanionKind {
    fn of((api_version, kind, plural): (&str, &str, &str)) -> Self {
        let [api_version, kind, plural] = [api_version, kind, plural].map(ToOwned::to_owned);
        Self { api_version, kind, plural }
    }

    /// Services, which say what a `ServiceMonitor` can select.
    #[must_use]
    pub fn service() -> Self {
        Self::of(BUILT_IN[3])
    }

    /// Whether its objects select Services, which then have to be known.
    #[must_use]
    pub fn selects_services(&self) -> bool {
        bindings(self, &Map::new()).iter().any(|binding| matches!(binding, Binding::OfServices(_)))
    }

    /// An object of the kind.
    #[must_use]
    pub fn key(&self, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey::of(&self.api_version, &self.kind, &self.plural, namespace, name)
    }

    /// API group, empty for the core.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// Why a text names no kind.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("{0} names no kind: write <apiVersion>/<Kind>=<plural>, such as keda.sh/v1alpha1/ScaledObject=scaledobjects")]
pub struct NoKind(String);

impl FromStr for CompanionKind {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        let parts = text.split_once('=').and_then(|(kind, plural)| Some((kind.rsplit_once('/')?, plural)));
        let Some(((api_version, kind), plural)) = parts else { return Err(NoKind(text.to_owned())) };
        if [api_version, kind, plural].iter().any(|part| part.is_empty()) {
            return Err(NoKind(text.to_owned()));
        }
        Ok(Self::of((api_version, kind, plural)))
    }
}

/// The kinds that an operator may make.
#[derive(Clone, Debug)]
pub struct Allowed(Vec<CompanionKind>);

impl Allowed {
    /// Those that every operator may make, and more.
    #[must_use]
    pub fn new(more: Vec<CompanionKind>) -> Self {
        Self(BUILT_IN.into_iter().map(CompanionKind::of).chain(more).collect())
    }

    /// The kind of a companion, if it is allowed.
    #[must_use]
    pub fn find(&self, companion: &Companion) -> Option<&CompanionKind> {
        self.0.iter().find(|kind| kind.api_version == companion.api_version && kind.kind == companion.kind)
    }
}

/// Why a path's resources cannot be made. The text names the field and the fix.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum InvalidCompanion {
    /// Nobody allowed the kind.
    #[error(
        "defaults[{default}].resources: {kind} of {api_version} is not allowed; choose one of {allowed}, or have it allowed \
         at install: the chart's value companionKinds"
    )]
    NotAllowed {
        /// Name of the default.
        default: String,
        /// The kind.
        kind: String,
        /// Its API version.
        api_version: String,
        /// What is allowed.
        allowed: String,
    },
    /// It binds itself to something.
    #[error("defaults[{default}].resources[{kind}].spec.{field}: it is filled in from each workload; leave it out")]
    Bound {
        /// Name of the default.
        default: String,
        /// The kind.
        kind: String,
        /// The field.
        field: &'static str,
    },
}

/// Refuses what cannot be made.
pub fn check(path: &GoldenPath, allowed: &Allowed) -> Result<(), InvalidCompanion> {
    for default in &path.spec.defaults {
        for companion in &default.resources {
            let Some(kind) = allowed.find(companion) else {
                let all = allowed.0.iter().map(|kind| format!("{} ({})", kind.kind, kind.api_version));
                return Err(InvalidCompanion::NotAllowed {
                    default: default.name.clone(),
                    kind: companion.kind.clone(),
                    api_version: companion.api_version.clone(),
                    allowed: all.collect::<Vec<_>>().join(", "),
                });
            };
            let stands = |field: &str| companion.spec.get(field).is_some_and(|value| !is_empty(value));
            if let Some(binding) = bindings(kind, &companion.spec).into_iter().find(|b| stands(b.field())) {
                let (default, kind) = (default.name.clone(), companion.kind.clone());
                return Err(InvalidCompanion::Bound { default, kind, field: binding.field() });
            }
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// How an object says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// By a label selector of pods.
    Selector(&'static str),
    /// By a map of labels of pods.
    Map(&'static str),
    /// By a reference to the workload.
    Target(&'static str),
    /// By a label selector of Services.
    OfServices(&'static str),
}

impl Binding {
    fn field(self) -> &'static str {
        match self {
            Self::Selector(field) | Self::Map(field) | Self::Target(field) | Self::OfServices(field) => field,
        }
    }
}

/// The fields by which objects of a kind are bound. Of a kind that we do not know, those that stand there empty.
fn bindings(kind: &CompanionKind, spec: &Map<String, Value>) -> Vec<Binding> {
    use Binding::{Map, OfServices, Selector, Target};
    match (kind.group(), kind.kind.as_str()) {
        ("policy", "PodDisruptionBudget") => vec![Selector("selector")],
        ("networking.k8s.io", "NetworkPolicy") => vec![Selector("podSelector")],
        ("autoscaling", "HorizontalPodAutoscaler") => vec![Target("scaleTargetRef")],
        ("", "Service") => vec![Map("selector")],
        ("monitoring.coreos.com", "ServiceMonitor") => vec![OfServices("selector")],
        _ => {
            let known = [Selector("selector"), Selector("podSelector"), Target("scaleTargetRef"), Target("targetRef")];
            known.into_iter().filter(|binding| spec.get(binding.field()).is_some_and(is_empty)).collect()
        }
    }
}

/// The fields of an object that say what it is for, and by which others select it: what is remembered of every object.
#[must_use]
pub fn reach(kind: &str, object: &Value) -> Value {
    let spec = |field: &str| object.get("spec").and_then(|spec| spec.get(field)).cloned();
    let mut reach = Map::new();
    for field in ["selector", "podSelector", "scaleTargetRef", "targetRef"] {
        reach.extend(spec(field).map(|value| (field.to_owned(), value)));
    }
    if kind == "Service" {
        reach.extend(object.pointer("/metadata/labels").cloned().map(|labels| ("labels".to_owned(), labels)));
    }
    Value::Object(reach)
}

/// An object that may cover a workload's pods.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// See [`reach`].
    pub reach: Value,
    /// When it was made, where it is another companion: of two that cover the same pods the older one stays.
    pub companion_since: Option<String>,
}

/// A workload that companions are made for.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// Its service.
    pub service: &'a PlatformService,
    /// What it is called there.
    pub entry: &'a str,
    /// The object's kind and name.
    pub target: &'a WorkloadRef,
    /// The object.
    pub object: &'a Value,
}

impl Beside<'_> {
    fn namespace(&self) -> &str {
        self.service.metadata.namespace.as_deref().unwrap_or_default()
    }

    fn pod_labels(&self) -> BTreeMap<String, String> {
        labels(template(self.target.kind, self.object))
    }

    /// Where the companion of a default is.
    #[must_use]
    pub fn key(&self, kind: &CompanionKind, default: &str) -> ObjectKey {
        kind.key(self.namespace(), &name(self.target, default))
    }
}

/// What to do about one companion of one workload.
#[derive(Clone, Debug, PartialEq)]
pub enum Companionship {
    /// Make it, and keep it so.
    Wanted(Box<Wanted>),
    /// An object of the team's covers the same pods: its name.
    Covered(String),
    /// It means nothing beside a workload of this kind.
    Moot(String),
    /// It cannot be made, and why.
    Impossible(String),
}

/// The name of a companion. Two workloads of one namespace may be called the same if they are of different kinds, so all
/// but Deployments have their kind in it. Services and labels take 63 characters; a hash keeps longer names apart.
fn name(target: &WorkloadRef, default: &str) -> String {
    let kind = match target.kind {
        WorkloadKind::Deployment => String::new(),
        kind => format!("-{}", kind.to_string().to_lowercase()),
    };
    let whole = format!("{}{kind}-{default}", target.name);
    if whole.len() <= 63 {
        return whole;
    }
    let hash = hex(&Sha256::digest(whole.as_bytes())[..4]);
    let start = whole.get(..54).unwrap_or(&whole).trim_end_matches(['-', '.']);
    format!("{start}-{hash}")
}

/// Decides about one companion. `others` are the objects of its kind in the namespace that are not made for this
/// workload; `services` are the namespace's Services.
#[must_use]
pub fn decide(
    beside: Beside<'_>,
    default: &str,
    companion: &Companion,
    kind: &CompanionKind,
    (others, services): (&[Other], &[Other]),
    ours_since: Option<&str>,
) -> Companionship {
    let bindings = bindings(kind, &companion.spec);
    if let Some(why) = moot(kind, &bindings, beside.target.kind) {
        return Companionship::Moot(why);
    }
    let labels = beside.pod_labels();
    let older = |other: &Other| match (&other.companion_since, ours_since) {
        (Some(theirs), Some(ours)) => theirs.as_str() <= ours,
        _ => true,
    };
    let covers = |other: &&Other| {
        !bindings.is_empty()
            && bindings.iter().all(|binding| reaches(*binding, &other.reach, &labels, beside.target, services))
    };
    if let Some(other) = others.iter().filter(|other| older(other)).find(covers) {
        return Companionship::Covered(other.name.clone());
    }
    let mut spec = companion.spec.clone();
    for binding in bindings {
        match bound(binding, beside, services) {
            Ok(value) => spec.insert(binding.field().to_owned(), value),
            Err(why) => return Companionship::Impossible(why),
        };
    }
    let key = beside.key(kind, default);
    let service = beside.service.metadata.name.as_deref().unwrap_or_default();
    let object = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {labels::COMPANION: service, labels::COMPANION_OF: beside.entry, labels::DEFAULT: default},
            "ownerReferences": [owner(beside.service)],
        },
        "spec": spec,
    });
    Companionship::Wanted(Box::new(Wanted::new(key, &object)))
}

/// Why an object of a kind means nothing beside a workload, or does harm.
fn moot(kind: &CompanionKind, bindings: &[Binding], of: WorkloadKind) -> Option<String> {
    let scales = bindings.iter().any(|binding| matches!(binding, Binding::Target(_)));
    // a drain leaves the pods of a DaemonSet where they are, and a budget with maxUnavailable forbids every eviction of
    // theirs: the controller that computes it knows no number of replicas to take it from
    let is_budget = kind.group() == "policy";
    let means_nothing = match of {
        WorkloadKind::CronJob => !bindings.is_empty(),
        WorkloadKind::DaemonSet => scales || is_budget,
        WorkloadKind::Deployment | WorkloadKind::StatefulSet => false,
    };
    means_nothing.then(|| format!("a {} is nothing for a {of}", kind.kind))
}

/// Whether an object is for a workload, or for its pods.
fn reaches(
    binding: Binding,
    reach: &Value,
    pod_labels: &BTreeMap<String, String>,
    target: &WorkloadRef,
    services: &[Other],
) -> bool {
    let value = reach.get(binding.field()).unwrap_or(&Value::Null);
    match binding {
        Binding::Selector(_) => matches(value, pod_labels),
        Binding::Map(_) => map_matches(value, pod_labels),
        Binding::Target(_) => {
            let text = |field: &str| value.get(field).and_then(Value::as_str);
            // KEDA and others take a Deployment where no kind is named
            text("name") == Some(&target.name) && text("kind").unwrap_or("Deployment") == target.kind.to_string()
        }
        Binding::OfServices(_) => of_pods(services, pod_labels)
            .any(|service| matches(value, &labels(&json!({"metadata": {"labels": service.reach.get("labels")}})))),
    }
}

/// The Services that send requests to pods with these labels.
fn of_pods<'a>(services: &'a [Other], pod_labels: &'a BTreeMap<String, String>) -> impl Iterator<Item = &'a Other> {
    services.iter().filter(|s| map_matches(s.reach.get("selector").unwrap_or(&Value::Null), pod_labels))
}

/// What a binding says for a workload.
fn bound(binding: Binding, beside: Beside<'_>, services: &[Other]) -> Result<Value, String> {
    let selector = beside.object.pointer("/spec/selector").cloned().unwrap_or(Value::Null);
    let target = beside.target;
    match binding {
        Binding::Selector(_) => Ok(selector),
        Binding::Map(_) => {
            let only_labels =
                selector.get("matchExpressions").is_none_or(|all| all.as_array().is_none_or(Vec::is_empty));
            let pairs = selector.get("matchLabels").filter(|_| only_labels).cloned();
            pairs.ok_or_else(|| "the workload selects its pods by matchExpressions, which a Service cannot".to_owned())
        }
        Binding::Target(_) => {
            Ok(json!({"apiVersion": target.kind.api_version(), "kind": target.kind, "name": target.name}))
        }
        Binding::OfServices(_) => {
            let pod_labels = beside.pod_labels();
            let labels = of_pods(services, &pod_labels).filter_map(|s| s.reach.get("labels")?.as_object());
            let usable = labels.map(identity).find(|labels| !labels.is_empty());
            usable.map(|labels| json!({"matchLabels": labels})).ok_or_else(|| {
                "no Service with labels sends requests to its pods, so there is nothing to monitor".to_owned()
            })
        }
    }
}

/// The labels of a Service by which it is known, without those that a new version of its chart changes.
fn identity(labels: &Map<String, Value>) -> Map<String, Value> {
    let changes = ["helm.sh/chart", "app.kubernetes.io/version"];
    let mut identity = labels.clone();
    identity.retain(|name, _| !changes.contains(&name.as_str()) && !labels::is_ours(name));
    identity
}

/// An object like those that a companion becomes, to be tried on the API server before the path is in force.
#[must_use]
pub fn probe(companion: &Companion, kind: &CompanionKind, namespace: &str, name: &str) -> (ObjectKey, Value) {
    let mut spec = companion.spec.clone();
    let pairs = json!({labels::DEFAULT: name});
    for binding in bindings(kind, &companion.spec) {
        let value = match binding {
            Binding::Selector(_) | Binding::OfServices(_) => json!({"matchLabels": pairs}),
            Binding::Map(_) => pairs.clone(),
            Binding::Target(_) => json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name}),
        };
        spec.insert(binding.field().to_owned(), value);
    }
    let metadata = json!({"name": name, "namespace": namespace});
    let object = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec});
    (kind.key(namespace, name), object)
}

/// Whether a default is skipped on a workload: all of them, or this one.
#[must_use]
pub fn is_skipped(object: &Value, default: &str) -> bool {
    super::verdict::is_skipped(object) || label(object, &labels::skip(default)).is_some()
}

/// What is the case for one object beside a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompanionVerdict {
    /// Name of the default.
    pub default: String,
    /// What is the case.
    pub state: VerdictState,
    /// Which object, or what is wrong and what to do.
    pub message: Option<String>,
    /// The API server refused something, and may not when it is asked again.
    pub again: bool,
}

/// Verdicts with what is the case beside the workload: the worse of both, or that alone where a default has nothing else.
#[must_use]
pub fn combine(mut verdicts: Vec<Verdict>, beside: &[CompanionVerdict], revision: &Revision) -> Vec<Verdict> {
    for verdict in &mut verdicts {
        let of_default = beside.iter().filter(|companion| companion.default == verdict.default);
        let Some(worst) = of_default.min_by_key(|companion| companion.state) else { continue };
        let of_wish = |wish: &Wish| wish.default == verdict.default;
        let fills =
            revision.road.0.iter().any(|line| line.wishes.any.iter().chain(line.wishes.named.values()).any(of_wish));
        let checks = revision.rules.iter().any(|rule| rule.name == verdict.default && rule.check.is_some());
        if worst.state < verdict.state || !(fills || checks) {
            (verdict.state, verdict.message) = (worst.state, worst.message.clone());
        }
    }
    verdicts
}

#[cfg(test)]
mod tests;
