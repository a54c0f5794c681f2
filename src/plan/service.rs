//! The plan for one PlatformService: what to do to each of its workloads.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::exceptions::Exceptions;
use super::making::{self, MadeFacts, Making};
use super::metadata::{annotation, label};
use super::revision::{Revision, hex};
use super::rollout::waits_for;
use super::route::Route;
use super::verdict::{has_gaps, is_skipped};
use crate::api::{DeletionPolicy, Mode, PlatformService, Reason, Timing, Workload, WorkloadKind, WorkloadRef, labels};

/// What was observed about a service.
#[derive(Clone, Debug)]
pub struct ServiceFacts {
    /// The service.
    pub service: Arc<PlatformService>,
    /// Its namespace's object.
    pub namespace: Value,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// Its path.
    pub path: PathFacts,
    /// What it does without.
    pub exceptions: Exceptions,
    /// Its workloads, in the order of the spec.
    pub workloads: Vec<WorkloadFacts>,
}

impl ServiceFacts {
    /// How far the operator goes: as far as the service asks for and the path lets it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let asked = self.service.spec.mode;
        match &self.path {
            PathFacts::Ready(route) => asked.min(route.terms.max_mode).min(route.engine.max_mode()),
            _ => asked,
        }
    }
}

/// The path of a service.
#[derive(Clone, Debug)]
pub enum PathFacts {
    /// Proved and in force.
    Ready(Route),
    /// There is none of that name.
    NotFound(String),
    /// None is named, and none claims the kind.
    NoDefault(WorkloadKind),
    /// It cannot be used: name and why.
    NotReady(String, String),
    /// It has no such version: name, version, and those that it has.
    VersionNotFound(String, String, Vec<String>),
}

/// One workload of a service.
#[derive(Clone, Debug)]
pub struct WorkloadFacts {
    /// The line of the spec.
    pub workload: Workload,
    /// The object that it names, or that is made of it.
    pub target: WorkloadRef,
    /// What is known about making it, where the line has a template.
    pub made: Option<MadeFacts>,
    /// The live object, if there is one.
    pub object: Option<Value>,
    /// An older service that names the same workload.
    pub claimed_by: Option<String>,
    /// Its label names another path that has no policies: there is nothing to leave, somebody made it up.
    pub made_up_path: bool,
    /// The newest revision of the path that it leaves for that of its service, with every literal that it ever filled.
    pub left: Option<Arc<Revision>>,
}

/// Labels to set, and those that have to go.
pub type Labels = BTreeMap<String, Option<String>>;

/// What to do to one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Dry-run, then label.
    Adopt(Labels),
    /// Label: it is adopted already.
    Move(Labels),
    /// Ask the API server to fill now.
    Fill(String),
    /// The same, when its turn has come: the workload runs, and nothing is wrong with it.
    Restart(String),
    /// Hand it to the release policy of a path.
    Release(String),
}

/// Why a workload cannot be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The condition's reason.
    pub reason: Reason,
    /// What stands in the way, and what to do.
    pub message: String,
}

/// The plan for one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadPlan {
    /// What to do to its labels.
    pub action: Action,
    /// What to do to the object as a whole.
    pub making: Making,
    /// Why nothing can be done.
    pub blocker: Option<Blocker>,
}

/// Decides about every workload of a service.
#[must_use]
pub fn plan(facts: &ServiceFacts) -> Vec<WorkloadPlan> {
    facts
        .workloads
        .iter()
        .map(|workload| match blocker(facts, workload) {
            Some(blocker) => WorkloadPlan { action: Action::Nothing, making: Making::Nothing, blocker: Some(blocker) },
            None => {
                WorkloadPlan { action: decide(facts, workload), making: making::decide(facts, workload), blocker: None }
            }
        })
        .collect()
}

fn blocker(facts: &ServiceFacts, workload: &WorkloadFacts) -> Option<Blocker> {
    let reference = &workload.target;
    let who = format!("workloads[{}]: {} {}", workload.workload.name, reference.kind, reference.name);
    let namespace = facts.service.metadata.namespace.as_deref().unwrap_or_default();
    let blocked = |reason, message: String| Some(Blocker { reason, message });
    if labels::is_excluded(namespace, &facts.operator_namespace) {
        let text =
            format!("namespace {namespace} is excluded, nothing in it is ever touched; delete this PlatformService");
        return blocked(Reason::NamespaceExcluded, text);
    }
    if let Some(version) = &reference.api_version
        && version != reference.kind.api_version()
    {
        let text = format!("{who}: apiVersion {version} has no such kind; write {}", reference.kind.api_version());
        return blocked(Reason::WorkloadNotFound, text);
    }
    if let Some(other) = &workload.claimed_by {
        let text = format!("{who}: PlatformService {other} is older and has claimed it; remove it here or there");
        return blocked(Reason::WorkloadClaimed, text);
    }
    if let Some(blocker) = making::blocker(facts, workload, &who) {
        return Some(blocker);
    }
    let Some(object) = &workload.object else {
        if workload.made.is_some() {
            return None;
        }
        let text = format!("{who}: not found in namespace {namespace}; it is adopted as soon as it appears");
        return blocked(Reason::WorkloadNotFound, text);
    };
    if let Some(owner) = controller_of(object)
        && !making::is_owned_by(object, &facts.service)
    {
        let text = format!("{who}: it belongs to {owner}, which manages it; set the defaults there");
        return blocked(Reason::WorkloadManaged, text);
    }
    None
}

/// The controller that owns an object: `Kind name`.
#[must_use]
pub fn controller_of(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|o| o.get("controller") == Some(&Value::Bool(true)))?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or("?");
    Some(format!("{} {}", text("kind"), text("name")))
}

fn decide(facts: &ServiceFacts, workload: &WorkloadFacts) -> Action {
    let (spec, Some(object)) = (&facts.service.spec, &workload.object) else { return Action::Nothing };
    if spec.suspend {
        return Action::Nothing;
    }
    let (path, revision) = (label(object, labels::PATH), label(object, labels::REVISION));
    let leaving = path.is_some_and(|p| revision == Some(labels::release_revision(p).as_str()));
    if facts.mode() == Mode::Observe {
        return match path {
            Some(path) if !leaving => Action::Release(path.to_owned()),
            _ => Action::Nothing,
        };
    }
    let target = match (&facts.path, path) {
        (PathFacts::Ready(route), _) => &route.revision,
        // the path is deleted: its release policy stays until the last workload has left
        (PathFacts::NotFound(name), Some(path)) if path == name && !leaving => return Action::Release(path.to_owned()),
        _ => return Action::Nothing,
    };
    match path {
        Some(_) if workload.made_up_path => Action::Adopt(wanted_labels(facts, target, object)),
        Some(path) if path != target.path => match switched(facts, workload, object, target) {
            Some(labels) => Action::Move(labels),
            // two rollouts instead of one: the old road's values leave first
            None if !leaving => Action::Release(path.to_owned()),
            None => Action::Nothing,
        },
        Some(_) => {
            let wanted = wanted_labels(facts, target, object);
            if wanted.iter().all(|(name, value)| label(object, name) == value.as_deref()) {
                fill(facts, workload, object, target)
            } else {
                Action::Move(wanted)
            }
        }
        None => Action::Adopt(wanted_labels(facts, target, object)),
    }
}

/// The labels with which a workload goes to another path in one rollout. It can leave one path at a time.
fn switched(facts: &ServiceFacts, workload: &WorkloadFacts, object: &Value, target: &Revision) -> Option<Labels> {
    let left = &workload.left.as_ref()?.path;
    if label(object, labels::RELEASE).is_some_and(|other| other != target.path) {
        return None;
    }
    let mut wanted = wanted_labels(facts, target, object);
    wanted.insert(labels::RELEASE.to_owned(), Some(left.clone()));
    Some(wanted)
}

/// The labels of an adopted workload, and those of ours on it that are not among them.
pub(super) fn wanted_labels(facts: &ServiceFacts, target: &Revision, object: &Value) -> Labels {
    let service = facts.service.metadata.name.clone().unwrap_or_default();
    let excepted = target.rules.iter().filter(|rule| facts.exceptions.from(&rule.name).is_some());
    let undo = facts.service.spec.deletion_policy == Some(DeletionPolicy::Undo);
    let set = [
        (labels::SERVICE.to_owned(), service),
        (labels::PATH.to_owned(), target.path.clone()),
        (labels::REVISION.to_owned(), target.name.clone()),
    ]
    .into_iter()
    .chain(undo.then(|| (labels::ON_DELETE.to_owned(), "Undo".to_owned())))
    .chain((facts.mode() == Mode::Enforce).then(|| (labels::MODE.to_owned(), "Enforce".to_owned())))
    .chain(excepted.map(|rule| (labels::skip(&rule.name), String::new())));
    let mut wanted: Labels = set.map(|(name, value)| (name, Some(value))).collect();
    for name in our_labels(object).filter(|name| name != labels::RELEASE) {
        wanted.entry(name).or_default();
    }
    // it came back before a rollout; another path's values go with the next one
    if label(object, labels::RELEASE) == Some(&target.path) {
        wanted.insert(labels::RELEASE.to_owned(), None);
    }
    wanted
}

/// The names of our labels on a workload.
pub fn our_labels(object: &Value) -> impl Iterator<Item = String> {
    let all = object.pointer("/metadata/labels").and_then(Value::as_object);
    let ours = |name: &&String| {
        labels::WORKLOAD_LABELS.contains(&name.as_str())
            || name.starts_with(labels::SKIP_PREFIX)
            || *name == labels::RELEASE
    };
    all.into_iter().flat_map(|all| all.keys()).filter(ours).cloned()
}

/// A workload with labels set on it. Those that go count until they are gone: a policy looks at the old object as well.
#[must_use]
pub fn with_labels(object: &Value, labels: &Labels) -> Value {
    let mut labelled = object.clone();
    for (name, value) in labels {
        if let Some(value) = value {
            labelled["metadata"]["labels"][name] = Value::from(value.as_str());
        }
    }
    labelled
}

/// One rollout a revision where an open default says `Immediate`, or where a workload was created anew under a name
/// that its service had claimed already and its first rollout is not over: nothing that runs is restarted then.
fn fill(facts: &ServiceFacts, workload: &WorkloadFacts, object: &Value, target: &Revision) -> Action {
    let kind = workload.target.kind;
    let status = facts.service.status.as_ref().and_then(|status| status.golden_path.as_ref());
    let back = status.and_then(|followed| followed.rolled_back.as_ref()).filter(|back| back.to == target.name);
    if let Some(back) = back
        && has_gaps(kind, object, target)
    {
        // at once: it does not run as it is
        let asked = format!("{}-after-{}", target.name, back.revision);
        return if annotation(object, labels::FILL) == Some(&asked) { Action::Nothing } else { Action::Fill(asked) };
    }
    if annotation(object, labels::FILL) == Some(target.name.as_str()) || is_skipped(object) {
        return Action::Nothing;
    }
    let gaps = super::gaps::gaps(kind, object, &target.road);
    let immediate = gaps
        .iter()
        .any(|g| g.adds().is_some() && g.wish.is_some_and(|w| target.timing(&w.default) == Timing::Immediate));
    let anew = is_new_under_claim(facts, object) && waits_for(kind, object).is_some() && has_gaps(kind, object, target);
    match (anew, immediate) {
        (true, _) => Action::Fill(target.name.clone()),
        (false, true) => Action::Restart(target.name.clone()),
        (false, false) => Action::Nothing,
    }
}

fn is_new_under_claim(facts: &ServiceFacts, object: &Value) -> bool {
    let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let Some(created) = created.and_then(|t| t.parse::<Timestamp>().ok()) else { return false };
    let claimed = facts.service.metadata.creation_timestamp.as_ref().map(|t| t.0);
    object.pointer("/metadata/generation") == Some(&Value::from(1)) && claimed.is_some_and(|claimed| claimed < created)
}

/// The pod template of a workload.
#[must_use]
pub fn template(kind: WorkloadKind, object: &Value) -> &Value {
    kind.template_path().iter().try_fold(object, |at, name| at.get(name)).unwrap_or(&Value::Null)
}

/// A short hash of a pod template.
#[must_use]
pub fn template_hash(kind: WorkloadKind, object: &Value) -> String {
    hex(&Sha256::digest(template(kind, object).to_string().as_bytes())[..5])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::{PlatformServiceSpec, WorkloadRef};

    const TARGET: &str = "web-0123456789";

    fn facts(spec: PlatformServiceSpec, namespace: &str, object: Value) -> ServiceFacts {
        let reference = WorkloadRef { kind: WorkloadKind::Deployment, name: "api".into(), api_version: None };
        let workload = Workload { name: "api".into(), reference: Some(reference.clone()), template: None };
        let mut service = PlatformService::new("shop", spec);
        service.metadata.namespace = Some(namespace.into());
        let revision = Revision { name: TARGET.into(), path: "web".into(), ..Revision::default() };
        ServiceFacts {
            service: Arc::new(service),
            namespace: Value::Null,
            operator_namespace: "goldenpath-system".into(),
            path: PathFacts::Ready(Route { revision: Arc::new(revision), ..Route::default() }),
            exceptions: Exceptions::default(),
            workloads: vec![WorkloadFacts {
                workload,
                target: reference,
                made: None,
                object: Some(object).filter(|o| !o.is_null()),
                claimed_by: None,
                made_up_path: false,
                left: None,
            }],
        }
    }

    fn labelled(path: &str, revision: &str) -> Value {
        json!({"metadata": {"labels": {labels::SERVICE: "shop", labels::PATH: path, labels::REVISION: revision}}})
    }

    fn observing() -> PlatformServiceSpec {
        PlatformServiceSpec { mode: Mode::Observe, ..Default::default() }
    }

    fn suspended() -> PlatformServiceSpec {
        PlatformServiceSpec { suspend: true, ..Default::default() }
    }

    #[rstest]
    #[case::unlabelled(Default::default(), json!({"metadata": {}}), "Adopt")]
    #[case::in_place(Default::default(), labelled("web", TARGET), "Nothing")]
    #[case::older_revision(Default::default(), labelled("web", "web-old"), "Move")]
    #[case::back_from_observe(Default::default(), labelled("web", "web-release"), "Move")]
    #[case::other_path(Default::default(), labelled("old", "old-1"), "Release")]
    #[case::other_path_on_its_way_out(Default::default(), labelled("old", "old-release"), "Nothing")]
    #[case::observe_from_the_start(observing(), json!({"metadata": {}}), "Nothing")]
    #[case::observe_after_default(observing(), labelled("web", TARGET), "Release")]
    #[case::observe_on_its_way_out(observing(), labelled("web", "web-release"), "Nothing")]
    #[case::suspended(suspended(), json!({"metadata": {}}), "Nothing")]
    fn a_workload_moves_by_its_labels(
        #[case] spec: PlatformServiceSpec,
        #[case] object: Value,
        #[case] expected: &str,
    ) {
        let plan = plan(&facts(spec, "ns", object)).remove(0);
        let action = format!("{:?}", plan.action);
        assert_eq!(action.split('(').next(), Some(expected), "{action}");
    }

    #[rstest]
    #[case::kube_system("kube-system", json!({"metadata": {}}), Reason::NamespaceExcluded)]
    #[case::the_operators_own("goldenpath-system", json!({"metadata": {}}), Reason::NamespaceExcluded)]
    #[case::absent("ns", Value::Null, Reason::WorkloadNotFound)]
    #[case::managed("ns", json!({"metadata": {"ownerReferences": [{"controller": true, "kind": "Postgres", "name": "db"}]}}), Reason::WorkloadManaged)]
    fn what_cannot_be_adopted_is_left_alone_with_a_reason(
        #[case] namespace: &str,
        #[case] object: Value,
        #[case] reason: Reason,
    ) {
        let plan = plan(&facts(PlatformServiceSpec::default(), namespace, object)).remove(0);
        assert_eq!((plan.action, plan.blocker.map(|b| b.reason)), (Action::Nothing, Some(reason)));
    }

    #[rstest]
    #[case::some_revision("0123456789")]
    #[case::a_release("release")]
    fn a_path_that_somebody_made_up_is_not_waited_for(#[case] suffix: &str) {
        let mut facts = facts(PlatformServiceSpec::default(), "ns", labelled("bananas", &format!("bananas-{suffix}")));
        facts.workloads[0].made_up_path = true;
        assert!(matches!(plan(&facts)[0].action, Action::Adopt(_)));
    }

    #[test]
    fn a_deleted_path_releases_what_followed_it() {
        let mut facts = facts(PlatformServiceSpec::default(), "ns", labelled("web", TARGET));
        facts.path = PathFacts::NotFound("web".into());
        assert_eq!(plan(&facts)[0].action, Action::Release("web".into()));
        facts.path = PathFacts::NotReady("web".into(), "proving".into());
        assert_eq!(plan(&facts)[0].action, Action::Nothing);
    }

    #[test]
    fn undo_is_written_into_the_labels_and_taken_out_again() {
        let undo = PlatformServiceSpec { deletion_policy: Some(DeletionPolicy::Undo), ..Default::default() };
        let Action::Move(wanted) = plan(&facts(undo, "ns", labelled("web", TARGET))).remove(0).action else { panic!() };
        assert_eq!(wanted.get(labels::ON_DELETE), Some(&Some("Undo".to_owned())));
        let mut object = labelled("web", TARGET);
        object["metadata"]["labels"][labels::ON_DELETE] = json!("Undo");
        let Action::Move(wanted) = plan(&facts(Default::default(), "ns", object)).remove(0).action else { panic!() };
        assert_eq!(wanted.get(labels::ON_DELETE), Some(&None));
    }
}
