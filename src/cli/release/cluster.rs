//! What a release reads of a cluster and writes to it: each call with a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::sleep;

use super::CONCURRENCY;
use crate::api::{PlatformService, WorkloadKind, labels};
use crate::cli::deadline::{Failure, in_time};
use crate::plan::claim;
use crate::plan::release::Marks;

/// Objects in one answer.
const PAGE: u32 = 500;
/// A policy that was deleted acts for some seconds more, and puts labels back.
const ACTS_ON: Duration = Duration::from_mins(1);
/// Pause between two looks.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Kinds of policies and of their bindings. Policies first: a binding without one does nothing, while an operator that finds
/// a policy without its binding takes it for stopped by a person.
const POLICIES: [(&str, &str); 4] = [
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
];

/// Why a release did not come to its end.
#[derive(thiserror::Error, Debug)]
pub enum ReleaseError {
    /// The kubeconfig cannot be used.
    #[error("no cluster: set KUBECONFIG, or --context to one of its contexts")]
    NoCluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An operator would undo what is done.
    #[error(
        "an operator runs ({0}) and would put every label back: stop it first, by `helm uninstall goldenpath -n <its \
         namespace>` or `kubectl scale -n <its namespace> deployment/goldenpath --replicas=0`, then run this again"
    )]
    Runs(String),
    /// The API server refuses a request or does not answer.
    #[error("{what}")]
    Api {
        /// What was tried.
        what: String,
        /// The answer.
        #[source]
        source: Failure,
    },
    /// The record cannot be read or written.
    #[error("the record {path}: name another file with --record, or the right one with --undo")]
    Record {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("line {line} of {path} is no line of a record")]
    NoRecord {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Something is left to do.
    #[error("{0} could not be changed, see above")]
    Left(String),
    /// Something could not be looked at.
    #[error("not looked at, so labels may be left there: {0}")]
    Unseen(String),
}

/// A policy or a binding.
#[derive(Debug)]
pub struct Policy {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// What became of an object.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Done,
    /// It is not there any more.
    Gone,
    /// Another one has its name.
    Another,
    /// Somebody else has changed what was about to be changed.
    Changed,
    /// The server refused or did not answer.
    Failed(String),
}

/// Kinds that could not be looked at, with the reason.
#[derive(Debug, Default)]
pub struct Unseen(BTreeMap<String, String>);

impl Unseen {
    /// An error where there are any.
    pub fn into_result(self) -> Result<(), ReleaseError> {
        let all: Vec<String> = self.0.into_iter().map(|(kind, why)| format!("{kind} ({why})")).collect();
        if all.is_empty() { Ok(()) } else { Err(ReleaseError::Unseen(all.join("; "))) }
    }
}

/// The way to a cluster.
pub struct Cluster(Client);

impl Cluster {
    /// That of the kubeconfig.
    pub async fn connect(context: Option<String>) -> Result<Self, ReleaseError> {
        let config = if context.is_some() {
            let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
            kube::Config::from_kubeconfig(&options).await.map_err(|e| ReleaseError::NoCluster(e.into()))?
        } else {
            kube::Config::infer().await.map_err(|e| ReleaseError::NoCluster(e.into()))?
        };
        Ok(Self(Client::try_from(config).map_err(|e| ReleaseError::NoCluster(e.into()))?))
    }

    pub(super) fn client(&self) -> &Client {
        &self.0
    }

    /// Policies and bindings of every path and Deprecation, in the order in which they go.
    pub async fn policies(&self) -> Result<Vec<Policy>, ReleaseError> {
        let mut all = Vec::new();
        for (kind, plural) in POLICIES {
            let mut names = BTreeSet::new();
            for label in [labels::PATH, labels::DEPRECATION] {
                names.extend(self.names(kind, plural, ListParams::default().labels(label)).await?);
            }
            // the claim to lead, which no label tells from somebody else's policy
            if kind == "ValidatingAdmissionPolicy" {
                let by_name = ListParams::default().fields(&format!("metadata.name={}", claim::NAME));
                names.extend(self.names(kind, plural, by_name).await?);
            }
            all.extend(names.into_iter().map(|name| Policy { kind, name }));
        }
        Ok(all)
    }

    /// Names of policies or bindings; none where an older server does not serve the kind.
    async fn names(&self, kind: &str, plural: &str, params: ListParams) -> Result<Vec<String>, ReleaseError> {
        match self.pages(&policy_api(kind, plural), params).await {
            Err(ReleaseError::Api { source, .. }) if source.is_status(404) => Ok(Vec::new()),
            found => Ok(found?.into_iter().filter_map(|meta| meta.name).collect()),
        }
    }

    /// Deletes a policy or a binding; one that is gone is fine.
    pub async fn delete(&self, policy: &Policy) -> Result<(), ReleaseError> {
        let plural = POLICIES.iter().find(|(kind, _)| *kind == policy.kind).map_or("", |(_, plural)| plural);
        let api: Api<DynamicObject> = Api::all_with(self.0.clone(), &policy_api(policy.kind, plural));
        let what = format!("delete {} {}", policy.kind, policy.name);
        match within(&what, api.delete(&policy.name, &DeleteParams::default())).await {
            Err(ReleaseError::Api { source, .. }) if source.is_status(404) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Every object with marks: workloads by any of our labels, objects of other kinds by those that what was made carries.
    pub async fn marked(&self) -> Result<(Vec<Marks>, Unseen), ReleaseError> {
        let mut marked = BTreeMap::new();
        for kind in WorkloadKind::ALL {
            let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
            let resource = resource(group, version, &kind.to_string(), kind.plural());
            let found = self.list(&resource, "").await?;
            add(&mut marked, &resource, &found);
        }
        let mut unseen = Unseen::default();
        let kinds = self.other_kinds().await?;
        let looks = kinds.iter().flat_map(|kind| [(kind, labels::COMPANION), (kind, labels::TEMPLATE)]);
        let looks = stream::iter(looks).map(|(kind, label)| async move { (kind, self.list(kind, label).await) });
        let looks: Vec<_> = looks.buffered(CONCURRENCY).collect().await;
        for (kind, found) in looks {
            match found {
                Ok(found) => add(&mut marked, kind, &found),
                Err(ReleaseError::Api { source, .. }) if source.is_status(404) || source.is_status(405) => {}
                Err(error) => {
                    let why = crate::observability::outcome::chain(&error);
                    unseen.0.insert(format!("{}.{}", kind.plural, kind.group), why);
                }
            }
        }
        Ok((marked.into_values().collect(), unseen))
    }

    /// Kinds in namespaces that are no workloads, and that can be listed and patched.
    async fn other_kinds(&self) -> Result<Vec<ApiResource>, ReleaseError> {
        let discovery =
            within("ask what the API server serves", Discovery::new(self.0.clone()).run_aggregated()).await?;
        let is_workload = |kind: &ApiResource| {
            WorkloadKind::ALL.iter().any(|w| w.api_version() == kind.api_version && w.plural() == kind.plural)
        };
        let all = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
        let all = all.filter(|(_, can)| {
            let can_all = [verbs::LIST, verbs::PATCH].into_iter().all(|verb| can.supports_operation(verb));
            can.scope == Scope::Namespaced && can_all
        });
        Ok(all.map(|(kind, _)| kind).filter(|kind| !is_workload(kind)).collect())
    }

    /// Metadata of all objects of a kind with a label.
    async fn list(&self, resource: &ApiResource, selector: &str) -> Result<Vec<ObjectMeta>, ReleaseError> {
        self.pages(resource, ListParams::default().labels(selector)).await
    }

    async fn pages(&self, resource: &ApiResource, params: ListParams) -> Result<Vec<ObjectMeta>, ReleaseError> {
        let api: Api<DynamicObject> = Api::all_with(self.0.clone(), resource);
        let (mut params, mut all) = (params.limit(PAGE), Vec::new());
        loop {
            let page = within(&format!("list {}", resource.plural), api.list_metadata(&params)).await?;
            all.extend(page.items.into_iter().map(|object| object.metadata));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// Takes marks off an object; again when a policy, which acts on for some seconds, has put them back, and when somebody has
    /// changed it meanwhile: EndpointSlices lose them with their Service, at the same moment.
    pub async fn take_off(&self, marks: &Marks) -> Outcome {
        let (started, mut refused) = (Instant::now(), None);
        loop {
            let live = match self.live(marks).await {
                Ok(live) => live,
                Err(outcome) => return outcome,
            };
            if let Some((version, outcome)) = refused.take()
                && version == live.resource_version
            {
                return outcome;
            }
            let Some(patch) = marks.take_off(&live) else { return Outcome::Done };
            match self.patch(marks, patch).await {
                Ok(after) if marks.take_off(&after).is_none() => return Outcome::Done,
                Ok(_) if started.elapsed() < ACTS_ON => sleep(PAUSE).await,
                Ok(_) => return Outcome::Failed("something puts the labels back: is a policy left?".to_owned()),
                Err(outcome) if started.elapsed() < ACTS_ON => refused = Some((live.resource_version, outcome)),
                Err(outcome) => return outcome,
            }
        }
    }

    /// Puts marks back on an object.
    pub async fn put_back(&self, marks: &Marks) -> Outcome {
        let live = match self.live(marks).await {
            Ok(live) => live,
            Err(outcome) => return outcome,
        };
        let mut owners = Vec::new();
        for owner in &marks.owners {
            let api: Api<PlatformService> = Api::namespaced(self.0.clone(), &marks.namespace);
            // whatever the answer: with an owner that may not exist the object could go
            let service = within("get PlatformService", api.get_metadata(&owner.name)).await;
            if service.is_ok_and(|service| service.metadata.uid.as_ref() == Some(&owner.uid)) {
                owners.push(owner.clone());
            }
        }
        match marks.put_back(&live, &owners) {
            None => Outcome::Done,
            Some(patch) => self.patch(marks, patch).await.err().unwrap_or(Outcome::Done),
        }
    }

    fn api(&self, marks: &Marks) -> Api<DynamicObject> {
        let (group, version) = marks.api_version.split_once('/').unwrap_or(("", &marks.api_version));
        let resource = resource(group, version, &marks.kind, &marks.resource);
        Api::namespaced_with(self.0.clone(), &marks.namespace, &resource)
    }

    /// The very object as it stands.
    async fn live(&self, marks: &Marks) -> Result<ObjectMeta, Outcome> {
        match within("get", self.api(marks).get_metadata(&marks.name)).await {
            Ok(live) if live.metadata.uid.as_ref() != Some(&marks.uid) => Err(Outcome::Another),
            Ok(live) => Ok(live.metadata),
            Err(error) => Err(outcome(error)),
        }
    }

    /// Under the operator's name: who takes a field out leaves no trace, and one that is put back is the operator's again.
    async fn patch(&self, marks: &Marks, operations: Value) -> Result<ObjectMeta, Outcome> {
        let params = PatchParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = serde_json::from_value(operations).map_err(|error| Outcome::Failed(error.to_string()))?;
        let patch = Patch::<()>::Json(patch);
        let patched = within("patch", self.api(marks).patch_metadata(&marks.name, &params, &patch)).await;
        patched.map(|object| object.metadata).map_err(outcome)
    }
}

/// A test that does not hold is a 422, and so is what somebody's admission policy refuses: only the words differ.
fn outcome(error: ReleaseError) -> Outcome {
    let text = crate::observability::outcome::chain(&error);
    match error {
        ReleaseError::Api { source, .. } if source.is_status(404) => Outcome::Gone,
        ReleaseError::Api { source, .. } if source.is_status(409) => Outcome::Changed,
        ReleaseError::Api { source, .. } if source.is_status(422) && text.contains("testing value") => Outcome::Changed,
        _ => Outcome::Failed(text),
    }
}

fn add(marked: &mut BTreeMap<(String, String, String, String), Marks>, kind: &ApiResource, found: &[ObjectMeta]) {
    for marks in found.iter().filter_map(|meta| Marks::of(&kind.api_version, &kind.kind, &kind.plural, meta)) {
        let place = [&kind.group, &marks.kind, &marks.namespace, &marks.name].map(Clone::clone);
        marked.insert(place.into(), marks);
    }
}

fn policy_api(kind: &str, plural: &str) -> ApiResource {
    resource("admissionregistration.k8s.io", "v1", kind, plural)
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let [group, version, kind, plural] = [group, version, kind, plural].map(ToOwned::to_owned);
    ApiResource { group, version, api_version, kind, plural }
}

pub async fn within<T>(what: &str, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ReleaseError> {
    in_time(request).await.map_err(|source| ReleaseError::Api { what: what.to_owned(), source })
}
