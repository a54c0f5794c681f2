//! Policies and bindings on the API server: proved, put in force, replaced, removed.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::jiff::SignedDuration;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::context::Context;
use super::errors::Error;
use super::revisions::NotReady;
use crate::api::{Deprecation, GoldenPath, Reason, WorkloadKind, brief, labels};
use crate::clock;
use crate::plan::gaps::{filled, gaps, normalise};
use crate::plan::leaf::Road;
use crate::plan::probe::{labelled, proofs};
use crate::plan::service::template;
use crate::policy::{Compiled, PROOF_SUFFIX, is_newer, proof};

/// A policy takes about a second to be in force; on other replicas, or on an API server that is short of processors and
/// holds many policies, it was seen to take half a minute.
pub const IN_FORCE: Duration = Duration::from_mins(1);
/// How long the old output of a revision stays beside the new one.
pub const OVERLAP: SignedDuration = SignedDuration::from_secs(10);

/// An object of a kind that the API server knows without us.
pub trait Stored: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug {}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug> Stored for K {}

/// An object of ours that policies are made for, and that a person resumes.
pub trait Owner: Resource<DynamicType = ()> {}

impl Owner for GoldenPath {}

impl Owner for Deprecation {}

/// One of the two kinds of policies, with that of its bindings.
pub trait Kind {
    /// The policy.
    type Policy: Stored;
    /// What puts it in force.
    type Binding: Stored;
    /// What a person stops by deleting a binding.
    const STOPPED: &'static str;
    /// Whether workloads say by a label which policy acts on them: it stays as long as they do.
    const LABELLED: bool;
}

/// Policies that fill what teams left open.
pub enum Fills {}

impl Kind for Fills {
    type Policy = MutatingAdmissionPolicy;
    type Binding = MutatingAdmissionPolicyBinding;
    const STOPPED: &'static str = "nothing is filled";
    const LABELLED: bool = true;
}

/// Policies that warn and refuse.
pub enum Feedback {}

impl Kind for Feedback {
    type Policy = ValidatingAdmissionPolicy;
    type Binding = ValidatingAdmissionPolicyBinding;
    const STOPPED: &'static str = "it warns and refuses nobody any more";
    const LABELLED: bool = false;
}

/// What is on the API server for one path.
pub struct Installed<K: Kind> {
    /// Its policies.
    pub policies: Vec<K::Policy>,
    /// Their bindings.
    pub bindings: Vec<K::Binding>,
}

impl<K: Kind> Installed<K> {
    /// Whether there is a policy of that name.
    pub fn has(&self, name: &str) -> bool {
        self.policies.iter().any(|p| p.name_any() == name)
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bindings.iter().any(|b| b.name_any() == name)
    }
}

/// The way to objects without a namespace.
pub fn api<K: Stored>(context: &Context) -> Api<K> {
    Api::all(context.requests.client())
}

fn policies(context: &Context) -> Api<MutatingAdmissionPolicy> {
    api(context)
}

fn bindings(context: &Context) -> Api<MutatingAdmissionPolicyBinding> {
    api(context)
}

/// Reads the policies and bindings of a path.
pub async fn installed<K: Kind>(path: &str, context: &Context) -> Result<Installed<K>, Error> {
    labelled_with(labels::PATH, path, context).await
}

/// Reads the policies and bindings with a label.
pub async fn labelled_with<K: Kind>(label: &str, value: &str, context: &Context) -> Result<Installed<K>, Error> {
    let selector = format!("{label}={value}");
    Ok(Installed {
        policies: served(context.requests.list(&api(context), &selector).await)?.unwrap_or_default(),
        bindings: served(context.requests.list(&api(context), &selector).await)?.unwrap_or_default(),
    })
}

/// Nothing where the API server does not serve the kind.
fn served<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if error.is_status(404) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Names of the objects that have policies, whether they still exist or not. A policy names its own by a label.
pub async fn owners<K: Kind>(label: &str, context: &Context) -> Result<BTreeSet<String>, Error> {
    let all = served(context.requests.list(&api::<K::Policy>(context), label).await)?.unwrap_or_default();
    Ok(all.iter().filter_map(|p| p.labels().get(label).cloned()).collect())
}

/// A binding that a person deleted stays deleted until the object that it is for is resumed, and so does that of a policy
/// that would follow: an edit of the object is no answer to somebody who pulled the brake.
///
/// The binding is made before the policy and removed after it, so a policy without one was left by a person. A copy of
/// a proof that was broken off says nothing.
pub fn unbound<K: Kind, O: Owner>(owner: &O, installed: &Installed<K>) -> Option<NotReady> {
    let resume = owner.annotations().get(labels::RESUME);
    let left = |p: &&K::Policy| {
        let resumed = resume.is_some() && p.annotations().get(labels::RESUME) != resume;
        !installed.is_bound(&p.name_any()) && !resumed && !p.name_any().ends_with(PROOF_SUFFIX)
    };
    let message = format!(
        "somebody deleted {} {}, so {}; \
         to resume: kubectl annotate {} {} {}=\"$(date -u +%FT%TZ)\" --overwrite",
        K::Binding::kind(&()),
        installed.policies.iter().find(left)?.name_any(),
        K::STOPPED,
        O::kind(&()).to_lowercase(),
        owner.name_any(),
        labels::RESUME
    );
    Some(NotReady { reason: Reason::BindingDeleted, message })
}

/// A policy of a newer operator is not ours to touch, and what it does is not ours to repeat.
pub fn newer<'a, P: Stored + 'a>(policies: impl IntoIterator<Item = &'a P>) -> Option<NotReady> {
    let newer = policies.into_iter().find(|p| is_newer(p.meta()))?;
    let message = format!("policy {} was written by a newer operator; upgrade this one", newer.name_any());
    Some(NotReady { reason: Reason::NewerCompiler, message })
}

/// Puts a compiled policy in force, after a proof.
pub async fn ensure(
    compiled: &Compiled,
    road: &Road,
    path: &GoldenPath,
    installed: &Installed<Fills>,
    context: &Context,
) -> Result<Option<NotReady>, Error> {
    let revision = compiled.policy.labels().get(labels::REVISION).cloned().unwrap_or_default();
    let of_revision = |p: &&MutatingAdmissionPolicy| p.labels().get(labels::REVISION) == Some(&revision);
    if let Some(not_ready) = newer(installed.policies.iter().filter(of_revision)) {
        return Ok(Some(not_ready));
    }
    if !installed.has(compiled.name())
        && let Some(message) = prove(compiled, road, &path.name_any(), &revision, context).await?
    {
        return Ok(Some(NotReady { reason: Reason::ProofFailed, message }));
    }
    put_in_force(&compiled.policy, &compiled.binding, path, installed, context).await?;
    Ok(None)
}

/// Makes what is missing of a policy that was proved, and of its binding.
///
/// The owner was resumed, or a policy without a binding would not have come here. Each policy remembers the last resumption:
/// a later deletion is not covered by it.
pub async fn put_in_force<K: Kind, O: Owner>(
    policy: &K::Policy,
    binding: &K::Binding,
    owner: &O,
    installed: &Installed<K>,
    context: &Context,
) -> Result<(), Error> {
    let name = policy.name_any();
    let resume = owner.annotations().get(labels::RESUME);
    let there = installed.policies.iter().find(|p| p.name_any() == name);
    if there.is_none() || !installed.is_bound(&name) {
        context.requests.create(&api(context), binding).await?;
    }
    match there {
        Some(there) if resume.is_none() || there.annotations().get(labels::RESUME) == resume => Ok(()),
        Some(_) => {
            let resumed = json!({"metadata": {"annotations": {labels::RESUME: resume}}});
            context.requests.merge(&api::<K::Policy>(context), &name, &resumed).await.map(drop)
        }
        None => {
            let mut policy = policy.clone();
            if let Some(resume) = resume {
                policy.annotations_mut().insert(labels::RESUME.to_owned(), resume.clone());
            }
            context.requests.create(&api(context), &policy).await
        }
    }
}

/// Proves a policy: with a loud copy in force in our own namespace, the API server must make of every probe what the
/// pure function makes of it. The answer is what went wrong.
async fn prove(
    compiled: &Compiled,
    road: &Road,
    path: &str,
    revision: &str,
    context: &Context,
) -> Result<Option<String>, Error> {
    if road.0.is_empty() {
        return Ok(None);
    }
    let serialisation = |source| Error::Serialisation { what: format!("the proof of {}", compiled.name()), source };
    let copy = proof(compiled, path, revision, &context.operator).map_err(serialisation)?;
    let tried = try_probes(&copy, road, context).await;
    // the copy goes in any case, and first the binding: a policy without one acts on nothing
    context.requests.delete(&bindings(context), copy.name()).await?;
    context.requests.delete(&policies(context), copy.name()).await?;
    tried
}

async fn try_probes(copy: &Compiled, road: &Road, context: &Context) -> Result<Option<String>, Error> {
    match context.requests.create(&policies(context), &copy.policy).await {
        Err(error) => match error.refusal() {
            Some(message) => return Ok(Some(format!("the API server refuses the policy: {}", brief(&json!(message))))),
            None => return Err(error),
        },
        Ok(()) => context.requests.create(&bindings(context), &copy.binding).await?,
    }
    let started = tokio::time::Instant::now();
    for (kind, probe) in proofs(road) {
        let bare = match dry_run(kind, &probe, context).await? {
            Ok(answer) => answer,
            Err(message) => return Ok(Some(format!("the API server refuses the bare {kind} of the proof: {message}"))),
        };
        let expected = expected(kind, &bare, road);
        loop {
            let wrong = match dry_run(kind, &labelled(&probe, &copy.selects()), context).await? {
                Ok(answer) => difference(kind, &answer, &expected),
                Err(message) => Some(message),
            };
            let Some(wrong) = wrong else { break };
            if started.elapsed() > IN_FORCE {
                return Ok(Some(format!("a {kind} does not come out as it should: {wrong}")));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(None)
}

fn expected(kind: WorkloadKind, bare: &Value, road: &Road) -> Value {
    // on creation everything that stands there was set by whoever creates
    let mut created = bare.clone();
    created["metadata"]["managedFields"] = json!([]);
    filled(kind, &created, &gaps(kind, &created, road))
}

fn difference(kind: WorkloadKind, answer: &Value, expected: &Value) -> Option<String> {
    let mut made = template(kind, answer).clone();
    normalise(&mut made);
    let difference = json_patch::diff(expected, &made);
    difference.0.first().map(|op| brief(&json!(op)))
}

/// What the API server makes of a new workload in our own namespace, or says against it.
pub async fn dry_run(kind: WorkloadKind, probe: &Value, context: &Context) -> Result<Result<Value, String>, Error> {
    match context.requests.dry_run_create(kind, &context.operator.namespace, probe).await {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) => error.refusal().map(Err).ok_or(error),
    }
}

/// Removes what is not in `wanted`: old output of the same revision once the new one has been there for `overlap`, and
/// revisions that no workload is labelled with. The answer is whether something has to wait.
pub async fn prune<K: Kind>(
    wanted: &[&str],
    installed: &Installed<K>,
    overlap: SignedDuration,
    context: &Context,
) -> Result<bool, Error> {
    let (policies, bindings) = (api::<K::Policy>(context), api::<K::Binding>(context));
    let now = clock::now();
    let is_old = |p: &K::Policy| p.creation_timestamp().is_some_and(|since| now.duration_since(since.0) >= overlap);
    let settled = wanted.iter().all(|name| installed.policies.iter().any(|p| p.name_any() == *name && is_old(p)));
    let mut waiting = false;
    for policy in installed.policies.iter().filter(|p| !wanted.contains(&p.name_any().as_str())) {
        let name = policy.name_any();
        if is_newer(policy.meta()) {
            continue;
        }
        let revision = policy.labels().get(labels::REVISION).cloned().unwrap_or_default();
        let replaced = installed
            .policies
            .iter()
            .any(|p| wanted.contains(&p.name_any().as_str()) && p.labels().get(labels::REVISION) == Some(&revision));
        if !settled || (K::LABELLED && !replaced && in_use(&revision, context).await?) {
            waiting = true;
            continue;
        }
        context.requests.delete(&policies, &name).await?;
        context.requests.delete(&bindings, &name).await?;
        tracing::info!(policy = name, "removed a policy that nothing needs");
    }
    // left by an operator that ended between the two deletions
    for name in installed.bindings.iter().map(ResourceExt::name_any) {
        if !wanted.contains(&name.as_str()) && !installed.has(&name) {
            context.requests.delete(&bindings, &name).await?;
        }
    }
    Ok(waiting)
}

/// Whether any workload in the cluster is labelled with a revision.
pub async fn in_use(revision: &str, context: &Context) -> Result<bool, Error> {
    carried(&format!("{}={revision}", labels::REVISION), context).await
}

/// Whether any workload in the cluster matches a label selector.
pub async fn carried(selector: &str, context: &Context) -> Result<bool, Error> {
    for kind in WorkloadKind::ALL {
        if !context.requests.workloads(kind, None, selector, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the API server serves MutatingAdmissionPolicy `v1`.
pub async fn is_served(context: &Context) -> Result<bool, Error> {
    Ok(served(context.requests.list(&policies(context), "goldenpath.dev/none=none").await)?.is_some())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn named<K: ResourceExt + Default>(name: &str, resume: Option<&str>) -> K {
        let mut object = K::default();
        object.meta_mut().name = Some(name.to_owned());
        if let Some(resume) = resume {
            object.annotations_mut().insert(labels::RESUME.to_owned(), resume.to_owned());
        }
        object
    }

    #[rstest]
    #[case::in_force(&["new", "old"], None, None, false)]
    #[case::deleted(&["old"], None, None, true)]
    #[case::of_an_older_revision(&["new"], None, None, true)]
    #[case::resumed(&["old"], None, Some("now"), false)]
    #[case::deleted_again(&["old"], Some("now"), Some("now"), true)]
    #[case::resumed_again(&["old"], Some("now"), Some("later"), false)]
    fn a_deleted_binding_stays_deleted_until_the_path_is_resumed(
        #[case] bound: &[&str],
        #[case] of_policy: Option<&str>,
        #[case] of_path: Option<&str>,
        #[case] is_unbound: bool,
    ) {
        let installed = Installed::<Fills> {
            policies: vec![named("new", of_policy), named("old", of_policy), named("new-proof", None)],
            bindings: bound.iter().map(|name| named(name, None)).collect(),
        };
        let mut path = GoldenPath::new("web", crate::api::GoldenPathSpec::default());
        if let Some(resume) = of_path {
            path.annotations_mut().insert(labels::RESUME.to_owned(), resume.to_owned());
        }
        assert_eq!(unbound(&path, &installed).map(|n| n.reason), is_unbound.then_some(Reason::BindingDeleted));
    }
}
